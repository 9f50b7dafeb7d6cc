"""mask_dict.json: parsed in pieces, once, and found again by its index."""

import hashlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import dataset_trees as trees
import numpy as np
import pytest
from dataset_trees import code, half

from sola.datasets import mask_dict as module
from sola.datasets.mask_dict import MaskDict, find_places
from sola.datasets.mevis import MeViS
from sola.errors import UserError
from sola.masks import encode


def _write(path: Path, content: Any = None) -> Path:
    rng = np.random.default_rng(0)
    masks = [dict(mask) for mask in encode(rng.random((40, 16, 24)) > 0.5)]
    masks_of = {str(i): [None, *masks[i : i + i % 5]] for i in range(30)}
    trees.write_json(path, masks_of if content is None else content)
    return path


@pytest.mark.parametrize("chunk_bytes", [1, 7, 100, 1 << 16])
@pytest.mark.parametrize("layout", [{}, {"indent": 2}, {"separators": (",", ":")}])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_masks_do_not_depend_on_the_size_of_chunks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chunk_bytes: int,
    layout: dict[str, Any],
    ensure_ascii: bool,
) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    path = _write(tmp_path / "mask_dict.json")
    content = json.loads(path.read_text()) | {"größer": [], 'in "quotes"': [None]}
    path.write_text(json.dumps(content, ensure_ascii=ensure_ascii, **layout), "utf-8")
    masks = MaskDict(path, None)
    assert masks.read([*content, "none"]) == content
    assert masks.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("text", ["{}", " {\n} \n"])
def test_file_may_be_empty(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mask_dict.json"
    path.write_text(text)
    assert find_places(path)[1] == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "JSON"),
        ("[]", "expected a list of masks"),
        ('{"1": [null], "2": [nul', "JSON"),
        ('{"1": [null]', "JSON"),
        ('{"1": [{"size": [4, 6], "counts": "abc', "JSON"),
        ('{"1": [null,]}', "JSON"),
        ('{"1": null}', "object 1: expected a list of masks"),
        ('{"1": {"0": null}}', "object 1: expected a list of masks"),
        ("{1: []}", "JSON"),
        ('{"1": []} {}', "JSON"),
        ('{"1": [], "1": []}', "object 1 is there twice"),
        ('{"1": ' + "[" * 100_000, "object 1: expected a list of masks"),
        (b'{"\xff": []}', "JSON"),
    ],
)
def test_invalid_file_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "mask_dict.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        find_places(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files that were parsed."""
    paths: list[Path] = []

    def find(path: Path) -> Any:
        paths.append(path)
        return find_places(path)

    monkeypatch.setattr(module, "find_places", find)
    return paths


def _open(folder: Path) -> MeViS:
    return MeViS(folder / "mevis", "valid_u", cache_dir=folder / "cache")


def test_file_is_parsed_once_and_only_on_demand(tmp_path: Path, parsed: list[Path]) -> None:
    trees.write_mevis(tmp_path / "mevis")
    first = _open(tmp_path)
    assert first.has_masks
    assert first.expressions
    assert parsed == []
    truth, sha256 = first.ground_truth("a"), first.annotations_sha256
    second = _open(tmp_path)
    assert second.ground_truth("a") == truth
    assert second.annotations_sha256 == sha256
    path = tmp_path / "mevis/valid_u/mask_dict.json"
    assert sha256["mask_dict.json"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert parsed == [path]


@pytest.mark.parametrize("change", ["content", "mtime", "index", "version"])
def test_change_is_noticed(tmp_path: Path, parsed: list[Path], change: str) -> None:
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
    elif change == "index":
        index_path.write_text("{")
    else:
        trees.edit_json(index_path, lambda index: index["identity"].insert(0, 0))
    masklet = _open(tmp_path).ground_truth("a")["1"]
    assert masklet[0] == code(expected)
    assert len(parsed) == 2


def test_file_that_changes_during_a_run_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "mask_dict.json")
    masks = MaskDict(path, None)
    assert len(masks.read(["4"])["4"]) == 5
    _write(path, {"4": [None]})
    with pytest.raises(UserError, match="has changed since this run started"):
        masks.read(["4"])


def _files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_nothing_is_written_into_the_dataset_folder(tmp_path: Path) -> None:
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


def test_indexes_written_at_the_same_time_agree(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path / "mevis")
    together = threading.Barrier(4)

    def read(_: int) -> Any:
        together.wait()
        return _open(tmp_path).ground_truth("a")

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(read, range(4))
    assert others == [first] * 3
    assert list(_files(tmp_path / "cache")) == ["valid_u/mask_dict.json.index"]


def test_interrupted_write_leaves_no_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trees.write_mevis(tmp_path / "mevis")

    def stop(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stop)
        with pytest.raises(KeyboardInterrupt):
            _open(tmp_path).ground_truth("a")
    assert not list((tmp_path / "cache").rglob("*.index"))
    assert _open(tmp_path).ground_truth("a")
