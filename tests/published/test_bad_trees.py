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


MEANS = {"iou": {"1": 0.5}, "precision": {"1": 0.5}, "recall": {"1": 0.5}}
BROKEN: list[tuple[str, Break, str]] = [
    ("no npy", lambda tree: (tree / NPY).unlink(), f"{NPY}: not found, and .*{JSON} needs it"),
    ("no json", lambda tree: (tree / JSON).unlink(), f"{JSON}: not found, and .*{NPY} needs it"),
    (
        "json cut off",
        lambda tree: (tree / JSON).write_text('{"rle'),
        f"{JSON}: not readable as JSON",
    ),
    ("json is a list", lambda tree: (tree / JSON).write_text("[]"), f"{JSON}: not a track's file"),
    ("no rle", edit(rle=None), f"{JSON}: not a track's file; needed are the keys anno_id, rle"),
    ("no masks", edit(rle=[]), f'{JSON}: "rle" cannot be read as masks .there is no mask'),
    ("rle is a number", edit(rle=3), f'{JSON}: "rle" cannot be read as masks'),
    ("no counts", edit(rle=[{"size": [20, 20]}] * 2), f'{JSON}: "rle" cannot be read as masks'),
    ("code cut off", edit(rle=cut_code([20, 20])), f'{JSON}: "rle" .* damaged or truncated'),
    ("code of another size", edit(rle=cut_code([2, 2])), f'{JSON}: "rle" .* damaged or truncated'),
    ("two sizes", edit(rle=[SMALL[0], OTHER_SIZE[0]]), f'{JSON}: "rle" .* must have the same'),
    ("size of the frames", edit(rle=OTHER_SIZE), rf"{JSON}: 2 masks .* \(4, 4\); .* \(20, 20\)"),
    (
        "T of tokens",
        tokens(zeros(3, 4)),
        f"{NPY}: object tokens of 3 frames, .*{JSON} has masks of 2",
    ),
    ("T of both", edit(rle=[*SMALL, SMALL[0]]), f"{NPY}: object tokens of 2 frames, .* masks of 3"),
    ("width", tokens(zeros(2, 5)), f"{JSON}: .* tokens are 5 wide, tracker.token_dim is 4"),
    ("dtype", tokens(zeros(2, 4, dtype="float64")), f"{NPY}: object tokens are float64 of shape"),
    ("shape", tokens(zeros(2, 4, 1)), rf"{NPY}: object tokens are float32 of shape \(2, 4, 1\)"),
    ("nan", tokens(zeros(2, 4) * np.nan), f"{NPY}: object tokens are not all finite"),
    (
        "npy cut off",
        lambda tree: (tree / NPY).write_bytes(b"\x93NUMPY"),
        f"{NPY}: damaged",
    ),
    ("npy empty", lambda tree: (tree / NPY).write_bytes(b""), f"{NPY}: damaged"),
    ("npy of objects", tokens(np.array([{}])), f"{NPY}: damaged"),
    ("number", edit(anno_id=5), f"{JSON}: anno_id is 5, needed is 3"),
    (
        "prompt",
        edit(prompt_type="GT MASK"),
        f"{JSON}: prompt_type is 'GT MASK', that of source grid",
    ),
    (
        "iou alone",
        edit(iou={"1": 0.5}),
        f"{JSON}: needed are all or none of iou, precision, recall",
    ),
    ("objects", edit(**MEANS | {"recall": {"2": 1}}), f"{JSON}: .* are not of the same objects"),
    ("iou above 1", edit(**MEANS | {"iou": {"1": 1.5}}), f"{JSON}: iou with 1 is 1.5"),
    (
        "other tracks' objects",
        edit(**MEANS),
        rf"{JSON}: overlaps with objects \['1'\], other .* None",
    ),
    (
        "name",
        lambda tree: (tree / JSON).rename(tree / "sam2_masklets/v1/third.json"),
        "third.json: its name is no number of a track",
    ),
    (
        "one number twice",
        lambda tree: shutil.copy(tree / JSON, tree / "sam2_masklets/v1/3.json"),
        "3.json: its name is no number",
    ),
    (
        "a video is missing",
        lambda tree: [shutil.rmtree(path) for path in tree.glob("*/v2")],
        "valid_u: lacks videos of valid_u of drawn: 1, such as v2",
    ),
    (
        "a video too many",
        lambda tree: (tree / "sam2_masklets/v9").mkdir(),
        "valid_u: holds videos that valid_u of drawn lacks: 1, such as v9",
    ),
    (
        "tracks of expressions",
        lambda tree: (tree / "sam2_masklets/v1/0").mkdir(),
        "v1: tracks of source gdino lie in a folder of their expression",
    ),
    ("nothing", shutil.rmtree, "sam2_masklets: not found. Needed is a tree of the published code"),
]


@pytest.mark.parametrize(
    ("break_tree", "message"), [case[1:] for case in BROKEN], ids=[case[0] for case in BROKEN]
)
def test_a_bad_tree_is_one_message_with_the_file(
    tmp_path: Path,
    command: Callable[..., int],
    config: EvaluateConfig,
    break_tree: Break,
    message: str,
) -> None:
    tree = write_tree(tmp_path / "grid_tracks/drawn/valid_u", TREE)
    break_tree(tree)

    with pytest.raises(ValueError, match=message) as error:
        command("import", str(tmp_path), "prompt_source=grid", "tracker.checkpoint=unknown")

    assert str(tree) in str(error.value)
    assert not list(Path(config.paths.data_dir).rglob("theirs/index.json"))


def test_a_video_without_tracks_needs_the_data_set(
    tmp_path: Path, command: Callable[..., int]
) -> None:
    write_tree(tmp_path / "grid_tracks/drawn/valid_u", {"v1": {0: SMALL}, "v2": {}})
    arguments = ("import", str(tmp_path), "prompt_source=grid", "tracker.checkpoint=unknown")

    with pytest.raises(ValueError, match="v2: no tracks, and nothing that says how many frames"):
        command(*arguments, "--without-dataset")

    assert command(*arguments) == 0


@pytest.mark.parametrize("choice", [(), ("tracker.checkpoint=nowhere.pt",)])
def test_the_weights_have_to_be_named(
    tmp_path: Path, command: Callable[..., int], choice: tuple[str, ...]
) -> None:
    write_tree(tmp_path / "grid_tracks/drawn/valid_u", TREE)

    with pytest.raises(UserError, match=r"tracker\.checkpoint"):
        command("import", str(tmp_path), "prompt_source=grid", *choice)


@pytest.mark.parametrize("kind", ["file", "sha256", "unknown"])
def test_the_index_says_what_is_known_of_the_tracker(
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
    options = parse_arguments(
        ["import", "tree", "--dataset-dir", "x", "a=1", "--without-dataset", "b=2"]
    )

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
