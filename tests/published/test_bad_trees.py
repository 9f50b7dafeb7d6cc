"""One table: what is broken in a tree, and what the message says about it."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_split import LARGE, SMALL
from published_tree import write_tree

from sola.config.entry_points import EvaluateConfig
from sola.errors import UserError
from sola.masks import encode
from sola.published.__main__ import parse_arguments

JSON, NPY = "sam2_masklets/v1/00003.json", "sam2_object_tokens/v1/00003.npy"
TREE = {"v1": {0: LARGE, 3: SMALL}, "v2": {0: SMALL}}
OTHER_SIZE = encode(np.zeros((2, 4, 4), bool))
Break = Callable[[Path], Any]


def edit(**changes: Any) -> Break:
    def apply(tree: Path) -> None:
        content = json.loads((tree / JSON).read_text()) | changes
        kept = {key: value for key, value in content.items() if value is not None}
        (tree / JSON).write_text(json.dumps(kept))

    return apply


def tokens(array: np.ndarray) -> Break:
    return lambda tree: np.save(tree / NPY, array)


def zeros(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.zeros(shape, dtype)


def cut_code(size: list[int]) -> list[dict[str, Any]]:
    return [{"size": size, "counts": mask["counts"][:-1]} for mask in SMALL]


BROKEN: list[tuple[str, Break, str]] = [
    ("no npy", lambda tree: (tree / NPY).unlink(), NPY),
    ("no json", lambda tree: (tree / JSON).unlink(), JSON),
    (
        "json cut off",
        lambda tree: (tree / JSON).write_text('{"rle'),
        JSON,
    ),
    ("json is a list", lambda tree: (tree / JSON).write_text("[]"), JSON),
    ("no rle", edit(rle=None), JSON),
    ("no masks", edit(rle=[]), JSON),
    ("rle is a number", edit(rle=3), JSON),
    ("no counts", edit(rle=[{"size": [20, 20]}] * 2), JSON),
    ("code cut off", edit(rle=cut_code([20, 20])), JSON),
    ("code of another size", edit(rle=cut_code([2, 2])), JSON),
    ("two sizes", edit(rle=[SMALL[0], OTHER_SIZE[0]]), JSON),
    ("size of the frames", edit(rle=OTHER_SIZE), JSON),
    (
        "T of tokens",
        tokens(zeros(3, 4)),
        NPY,
    ),
    ("T of masks", edit(rle=[*SMALL, SMALL[0]]), JSON),
    ("width", tokens(zeros(2, 5)), NPY),
    ("dtype", tokens(zeros(2, 4, dtype="float64")), NPY),
    ("shape", tokens(zeros(2, 4, 1)), NPY),
    ("nan", tokens(zeros(2, 4) * np.nan), NPY),
    (
        "npy cut off",
        lambda tree: (tree / NPY).write_bytes(b"\x93NUMPY"),
        NPY,
    ),
    ("npy empty", lambda tree: (tree / NPY).write_bytes(b""), NPY),
    ("npy of objects", tokens(np.array([{}])), NPY),
    (
        "prompt",
        edit(prompt_type="GT MASK"),
        JSON,
    ),
    (
        "name",
        lambda tree: (tree / JSON).rename(tree / "sam2_masklets/v1/third.json"),
        JSON,
    ),
    (
        "one number twice",
        lambda tree: shutil.copy(tree / JSON, tree / "sam2_masklets/v1/3.json"),
        "3.npy",
    ),
    (
        "a video is missing",
        lambda tree: [shutil.rmtree(path) for path in tree.glob("*/v2")],
        "valid_u: .* v2",
    ),
    (
        "a video too many",
        lambda tree: (tree / "sam2_masklets/v9").mkdir(),
        "valid_u: .* v9",
    ),
    (
        "tracks of expressions",
        lambda tree: shutil.copytree(tree / "sam2_masklets/v1", tree / "sam2_masklets/v1/0"),
        "v1/0: no entry of source grid",
    ),
    ("nothing", shutil.rmtree, "sam2_masklets: not found"),
]


@pytest.mark.parametrize(
    ("break_tree", "message"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_bad_tree_is_one_message_with_the_file(
    tmp_path: Path,
    command: Callable[..., int],
    config: EvaluateConfig,
    break_tree: Break,
    message: str,
) -> None:
    tree = write_tree(tmp_path / "grid_tracks/drawn/valid_u", TREE)
    break_tree(tree)

    with pytest.raises(UserError, match=message) as error:
        command("import", str(tmp_path), "prompt_source=grid", "tracker.checkpoint=unknown")

    assert str(tree) in str(error.value)
    assert not list(Path(config.paths.data_dir).rglob("theirs/index.json"))


@pytest.mark.parametrize("choice", [(), ("tracker.checkpoint=nowhere.pt",)])
def test_weights_have_to_be_named(
    tmp_path: Path, command: Callable[..., int], choice: tuple[str, ...]
) -> None:
    write_tree(tmp_path / "grid_tracks/drawn/valid_u", TREE)

    with pytest.raises(UserError, match=r"tracker\.checkpoint"):
        command("import", str(tmp_path), "prompt_source=grid", *choice)


@pytest.mark.parametrize("kind", ["file", "sha256", "unknown"])
def test_index_describes_the_tracker(
    tmp_path: Path, command: Callable[..., int], config: EvaluateConfig, kind: str
) -> None:
    write_tree(tmp_path / "published/grid_tracks/theirs/valid_u", TREE)
    (tmp_path / "w.pt").write_bytes(b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc"
    given = {"file": str(tmp_path / "w.pt"), "sha256": sha256, "unknown": "unknown"}[kind]
    arguments = [
        "import",
        str(tmp_path / "published"),
        "prompt_source=grid",
        "--dataset-dir=theirs",
    ]

    command(*arguments, f"tracker.checkpoint={given}")

    path = Path(config.paths.data_dir) / "tracks/drawn/valid_u/grid/theirs/index.json"
    index = json.loads(path.read_text())
    assert index["checkpoint_sha256"] == ("unknown" if kind == "unknown" else sha256)
    assert set(index["annotations_sha256"]) == {"meta_expressions.json", "mask_dict.json"}
    assert index["config"] == {"imported_from": "track files of the published code"}
    assert command(*arguments, f"tracker.checkpoint={given}") == 0  # nothing to do
    with pytest.raises(UserError, match="checkpoint_sha256"):
        command(*arguments, f"tracker.checkpoint={64 * '0'}")


def test_flags_and_values_may_come_in_any_order() -> None:
    options = parse_arguments(["import", "tree", "--dataset-dir", "x", "a=1", "b=2"])

    assert (options.tree, options.values) == (Path("tree"), ["a=1", "b=2"])


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, sola.published.__main__ as command\n"
        "try: command.parse_arguments(['--help'])\n"
        "except SystemExit: print('loaded', *({'torch', 'cv2', 'h5py'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)

    assert re.match("usage: python -m sola.published", done.stdout)
    assert done.stdout.splitlines()[-1] == "loaded"
