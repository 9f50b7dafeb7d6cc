"""mask_dict.json: parsed in pieces, once, and found again by its index."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dataset_trees as trees
import numpy as np
import pytest
from dataset_trees import code, half

from sola.datasets import mask_dict as module
from sola.datasets.mask_dict import MaskDict, build_index, scan_masks
from sola.datasets.mevis import MeViS
from sola.masks import encode

ROOT = Path(__file__).parents[2]


def _write(path: Path, content: Any = None) -> Path:
    rng = np.random.default_rng(0)
    masks = [dict(mask) for mask in encode(rng.random((40, 16, 24)) > 0.5)]
    masks_of = {str(i): [None, *masks[i : i + i % 5]] for i in range(30)}
    trees.write_json(path, masks_of if content is None else content)
    return path


@pytest.mark.parametrize("chunk_bytes", [1, 7, 100, 1 << 22])
@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"separators": (",", ":")}])
def test_pieces_of_any_size_give_what_json_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int, layout: dict[str, Any]
) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    path = _write(tmp_path / "mask_dict.json")
    content = json.loads(path.read_text()) | {"größer": [], 'in "quotes"': [None]}
    path.write_text(json.dumps(content, ensure_ascii=False, **layout), "utf-8")
    with path.open("rb") as file:
        scanned = list(scan_masks(file, path))
    assert [(entry.object_id, entry.masks) for entry in scanned][:31] == list(content.items())[:31]
    index = build_index(path)
    assert index.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    for object_id, (start, end) in list(index.places.items())[:31]:
        assert json.loads(path.read_bytes()[start:end]) == content[object_id]


@pytest.mark.parametrize("text", ["{}", " {\n} \n", "\ufeff{}"])
def test_a_file_may_hold_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mask_dict.json"
    path.write_text(text, "utf-8")
    assert build_index(path).places == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "near byte 0: needed is one of {"),
        ("[]", "near byte 0: needed is one of {"),
        ('{"1": [null], "2": [nul', "near byte 20: Expecting value"),
        ('{"1": [null]', "near byte 12: needed is one of , }"),
        ('{"1": [null], "2"', "near byte 17: needed is one of :"),
        ('{"1": [{"size": [4, 6], "counts": "abc', "Unterminated string"),
        ('{"1": [null,]}', "near byte"),
        ('{"1": null}', "object 1: needed is a list of masks"),
        ('{"1": {"0": null}}', "object 1: needed is a list of masks"),
        ("{1: []}", "needed is the id of an object in quotes"),
        ('{"1": [], }', "needed is the id of an object in quotes"),
        ('{"1": []} {}', "something behind the last object"),
        ('{"1": [], "1": []}', "object 1 is there twice"),
        ('{"1": ' + "[" * 100_000, "lists within lists"),
    ],
)
def test_what_is_not_of_this_form_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, message: str
) -> None:
    path = tmp_path / "mask_dict.json"
    path.write_text(text)
    for chunk_bytes in (5, 1 << 22):
        monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
        with pytest.raises(ValueError) as error:
            build_index(path)
        assert message in str(error.value)
        assert str(path) in str(error.value)


def test_a_damaged_list_is_given_up_before_the_rest_of_the_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 64)
    path = tmp_path / "mask_dict.json"
    path.write_text('{"1": [null, x' + "null, " * 10_000)
    with path.open("rb") as file:
        with pytest.raises(ValueError, match="near byte 13: Expecting value"):
            list(scan_masks(file, path))
        assert file.tell() == 64


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that were parsed."""
    parsed: list[Path] = []

    def build(path: Path) -> module.MaskIndex:
        parsed.append(path)
        return build_index(path)

    monkeypatch.setattr(module, "build_index", build)
    return parsed


def _open(folder: Path) -> MeViS:
    return MeViS(folder / "mevis", "valid_u", cache_dir=folder / "cache")


def test_a_file_is_parsed_once(tmp_path: Path, counted: list[Path]) -> None:
    trees.write_mevis(tmp_path / "mevis")
    first = _open(tmp_path)
    truth, sha256 = first.ground_truth("a"), first.annotations_sha256
    second = _open(tmp_path)
    assert second.ground_truth("a") == truth
    assert second.annotations_sha256 == sha256
    path = tmp_path / "mevis/valid_u/mask_dict.json"
    assert sha256["mask_dict.json"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert counted == [path]


def test_opening_a_split_does_not_touch_its_masks(tmp_path: Path, counted: list[Path]) -> None:
    trees.write_mevis(tmp_path / "mevis")
    split = _open(tmp_path)
    assert split.has_masks
    assert split.expressions
    assert counted == []


@pytest.mark.parametrize("change", ["content", "mtime", "folder", "index", "version"])
def test_a_change_is_noticed(tmp_path: Path, counted: list[Path], change: str) -> None:
    trees.write_mevis(tmp_path / "mevis")
    _open(tmp_path).ground_truth("a")
    path = tmp_path / "mevis/valid_u/mask_dict.json"
    index_path = tmp_path / "cache/valid_u/mask_dict.json.index"
    expected = half("left")
    if change == "content":
        trees.edit_json(path, lambda masks: masks.update({"1": [code(half("right"))] * 3}))
        expected = half("right")
    elif change == "mtime":
        os.utime(path, ns=(0, 1))
    elif change == "folder":
        (tmp_path / "mevis").rename(tmp_path / "MeViS")
    elif change == "index":
        index_path.write_text("{")
    else:
        trees.edit_json(index_path, lambda index: index.update(format_version=0))
    masklet = _open(tmp_path).ground_truth("a")["1"]
    assert masklet[0] == code(expected)
    assert len(counted) == 2


def test_a_file_that_changes_during_a_run_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "mask_dict.json")
    masks = MaskDict(path, None)
    assert len(masks.read(["4"])["4"]) == 5
    _write(path, {"4": [None]})
    with pytest.raises(ValueError, match="has changed since this run started"):
        masks.read(["4"])


def test_objects_without_masks_are_left_out(tmp_path: Path) -> None:
    masks = MaskDict(_write(tmp_path / "mask_dict.json"), None)
    assert list(masks.read(["29", "none", "2"])) == ["29", "2"]
    assert len(list(masks.object_ids)) == 30


def _files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_nothing_is_written_into_the_folder_of_the_data_set(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path / "mevis")
    before = _files(tmp_path / "mevis")
    folders = [tmp_path / "mevis", *(p for p in (tmp_path / "mevis").rglob("*") if p.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        assert _open(tmp_path).ground_truth("a")
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert _files(tmp_path / "mevis") == before
    assert list(_files(tmp_path / "cache")) == ["valid_u/mask_dict.json.index"]


SCRIPT = """
import sys, time
from pathlib import Path
from sola.datasets import mask_dict
from sola.datasets.mevis import MeViS
sys.stdout.write("ready\\n"); sys.stdout.flush(); sys.stdin.readline()
if sys.argv[2] == "slow":
    mask_dict.CHUNK_BYTES = 64
    scan = mask_dict.scan_masks
    def slow(*arguments):
        for entry in scan(*arguments):
            sys.stdout.write("parsing\\n"); sys.stdout.flush(); time.sleep(0.1)
            yield entry
    mask_dict.scan_masks = slow
folder = Path(sys.argv[1])
split = MeViS(folder / "mevis", "valid_u", cache_dir=folder / "cache")
print(sorted(split.ground_truth("a")), split.annotations_sha256["mask_dict.json"])
"""


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Starts processes that wait for a line, then read a video's masks."""
    processes: list[subprocess.Popen[str]] = []

    def start(speed: str = "fast") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(tmp_path), speed],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_processes_that_parse_at_the_same_time_agree(tmp_path: Path, start: Any) -> None:
    trees.write_mevis(tmp_path / "mevis")
    processes = [start() for _ in range(4)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.communicate()[0] for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    assert len(answers) == 1
    assert list(_files(tmp_path / "cache")) == ["valid_u/mask_dict.json.index"]


def test_a_process_that_is_killed_leaves_no_index(tmp_path: Path, start: Any) -> None:
    trees.write_mevis(tmp_path / "mevis")
    process = start("slow")
    process.stdin.write("go\n")
    process.stdin.flush()
    assert process.stdout.readline() == "parsing\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "cache").exists()
    assert _open(tmp_path).ground_truth("a")


def test_a_write_that_is_cut_off_leaves_no_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees.write_mevis(tmp_path / "mevis")

    def stop(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stop)
        with pytest.raises(KeyboardInterrupt):
            _open(tmp_path).ground_truth("a")
    assert not list((tmp_path / "cache").rglob("*.index"))
    assert _open(tmp_path).ground_truth("a")
