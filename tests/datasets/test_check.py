"""The check of a data set: what is sound passes; a table of what is broken, and what is said."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dataset_trees as trees
import numpy as np
import pytest
from dataset_trees import code, edit_json, edit_text, half
from PIL import Image

from sola.datasets import Dataset, MeViS, MeViSv2, RefDAVIS, RefYouTubeVOS
from sola.datasets.check import SplitReport, check_dataset, print_check
from sola.errors import UserError

READERS = {
    "mevis": MeViS,
    "mevis_v2": MeViSv2,
    "ref_davis": RefDAVIS,
    "ref_youtube_vos": RefYouTubeVOS,
}
Change = Callable[[Path], object]

META = "valid_u/meta_expressions.json"
MASKS = "valid_u/mask_dict.json"
FRAMES = "valid_u/JPEGImages"
TRAIN_META = "meta_expressions/train/meta_expressions.json"


def _write(layout: str, root: Path) -> None:
    if layout == "mevis":
        trees.write_mevis(root)
    elif layout == "mevis_v2":
        trees.write_mevis(root, meta_file="meta_expressions_v2.json")
    elif layout == "ref_davis":
        trees.write_ref_davis(root)
    elif layout == "ref_youtube_vos":
        trees.write_ref_youtube_vos(root)
    else:
        assert layout == "ref_youtube_vos_valid"
        trees.write_ref_youtube_vos(root, "valid", has_objects=False)


def _check(layout: str, root: Path, split: str | None = None, **options: Any) -> list[SplitReport]:
    dataset = Dataset("own", root, READERS[layout.removesuffix("_valid")])
    return list(check_dataset(dataset, split, **options))


@pytest.mark.parametrize(
    "layout", ["mevis", "mevis_v2", "ref_youtube_vos", "ref_youtube_vos_valid", "ref_davis"]
)
@pytest.mark.parametrize("decode", [True, False])
def test_sound_dataset_has_no_problems(tmp_path: Path, layout: str, decode: bool) -> None:
    _write(layout, tmp_path)
    reports = _check(layout, tmp_path, decode=decode)
    assert [report.name.split()[0] for report in reports] == {
        "ref_youtube_vos_valid": ["own/test", "own/valid"],
        "ref_youtube_vos": ["own/train"],
        "ref_davis": ["own/valid"],
    }.get(layout, ["own/valid_u"])
    assert [str(problem) for report in reports for problem in report.problems] == []


def test_report_lists_the_content(tmp_path: Path) -> None:
    trees.write_odd_mevis(tmp_path)
    (report,) = _check("mevis", tmp_path)
    assert report.errors == []
    text = "\n".join(report.lines())
    for fact in (
        "videos       5",
        "expressions  7 (objects meant: 5 single, 1 several, 1 none)",
        "objects      6, with ground truth",
        "frames       508; 1 to 501 a video",
        "resolutions  6 x 4 px (5 videos)",
        "object 6 of video b: never visible",
        "0 errors, 1 warnings",
    ):
        assert fact in text


def _frame(name: str, change: Callable[[Path], object]) -> Change:
    return lambda root: change(root / name)


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _resize(path: Path) -> None:
    Image.new("RGB", (8, 4)).save(path)


def _rename_upper(path: Path) -> None:
    path.rename(path.with_suffix(".JPG"))


def _set_expression(key: str, value: Any, path: str = META) -> Change:
    def change(root: Path) -> None:
        edit_json(root / path, lambda m: m["videos"]["a"]["expressions"]["0"].update({key: value}))

    return change


def _move_video(name: str, path: str = META) -> Change:
    def change(root: Path) -> None:
        edit_json(root / path, lambda m: m["videos"].update({name: m["videos"].pop("b")}))

    return change


def _set_video(key: str, value: Any) -> Change:
    return lambda root: edit_json(root / META, lambda m: m["videos"]["a"].update({key: value}))


def _set_masks(**masks: Any) -> Change:
    return lambda root: edit_json(
        root / MASKS, lambda m: m.update({name[1:]: value for name, value in masks.items()})
    )


def _text(path: str, old: str, new: str) -> Change:
    return lambda root: edit_text(root / path, old, new)


def _labels(path: str, array: Any) -> Change:
    return lambda root: trees.write_labels(root / path, np.asarray(array, np.uint8))


CUT = code(half("left")) | {"counts": code(half("left"))["counts"][:-1]}
WIDE = code(half("left", (4, 8)))
ERROR, WARNING = True, False
PNG = "train/Annotations/a/00005.png"
BROKEN: list[tuple[str, str, Change, bool, str]] = [
    # frames
    ("a missing frame", "mevis", _frame(f"{FRAMES}/a/00005.jpg", Path.unlink), ERROR,
     "a/00005.jpg: frame missing"),
    ("another ending", "mevis", _frame(f"{FRAMES}/a/00005.jpg", _rename_upper), ERROR,
     "a/00005.jpg: frame missing, there is 00005.JPG"),
    ("a truncated frame", "mevis", _frame(f"{FRAMES}/a/00010.jpg", _truncate), ERROR,
     "a/00010.jpg: unreadable image"),
    ("an empty file", "ref_davis", _frame("valid/JPEGImages/a/00000.jpg", _empty),
     ERROR, "a/00000.jpg: unreadable image"),
    ("frames of two sizes", "mevis", _frame(f"{FRAMES}/a/00000.jpg", _resize), ERROR,
     "a/00000.jpg: frame of 8 x 4 px, others of the video have 6 x 4"),
    ("no frames of a video", "mevis", lambda r: (r / FRAMES / "b").rename(r / "b"), ERROR,
     "JPEGImages/b: no such folder: video b has no frames"),
    # expressions' file
    ("no JSON", "mevis", _text(META, '"videos": {', '"videos": '), ERROR,
     "meta_expressions.json: not readable as JSON"),
    ("no videos", "mevis", _text(META, '"videos"', '"clips"'), ERROR, 'no "videos"'),
    ("an empty split", "mevis", lambda r: trees.write_json(r / META, {"videos": {}}), ERROR,
     "meta_expressions.json: no expressions"),
    ("a video of no form", "mevis",
     lambda r: edit_json(r / META, lambda m: m["videos"].update(b=[])), ERROR,
     "video b: needs frames (a list of names) and expressions, got []"),
    ("no frames listed", "mevis", _set_video("frames", []), ERROR, "video a: needs frames"),
    ("no object of expressions", "mevis", _set_video("expressions", []), ERROR,
     "video a: needs frames"),
    ("frames listed twice", "mevis", _set_video("frames", ["00000", "00000"]), ERROR,
     "video a: frame 00000 is listed twice"),
    ("a number as frame", "mevis", _set_video("frames", [0, 5]), ERROR,
     "video a: frame 0: the name is 0, not a text"),
    ("a text that is none", "mevis", _set_expression("exp", 3), ERROR,
     'expression 0: expected an object with a text as "exp"'),
    ("objects of no form", "mevis", _set_expression("anno_id", [[1]]), ERROR,
     "expression 0: anno_id must be ids of objects, got [[1]]"),
    ("some objects unknown", "mevis", _set_expression("anno_id", None), ERROR,
     '1 of 4 expressions lack "anno_id", the first is 0 of video a'),
    ("an object named twice", "mevis", _set_expression("anno_id", [1, 1]), WARNING, ""),
    ("a video twice", "mevis", _text(META, '"b": {"frames"', '"a": {"frames"'), ERROR,
     "a is there twice"),
    ("an expression twice", "mevis", _text(META, '"1": {"exp"', '"0": {"exp"'), ERROR,
     "0 is there twice"),
    # names
    ("a name that climbs", "mevis", _move_video("../b"), ERROR,
     "video ../b: the name is no name within a folder"),
    ("a NUL", "mevis", _move_video("b\0"), ERROR,
     "video 'b\\x00': the name has characters"),
    ("a dot", "ref_youtube_vos", _move_video("..", TRAIN_META), ERROR, "video ..: the name is no"),
    ("a frame that climbs", "mevis", _set_video("frames", ["../../x"]), ERROR,
     "video a: frame ../../x: the name is no name within a folder"),
    ("an expression that climbs", "mevis", _text(META, '"1": {"exp"', '"../1": {"exp"'), ERROR,
     "expression ../1: the name is no name within a folder"),
    # mask_dict.json
    ("masks that are cut off", "mevis", _frame(MASKS, _truncate), ERROR,
     "mask_dict.json: not readable as JSON of masks"),
    ("an object without masks", "mevis", _set_expression("anno_id", [9]), ERROR,
     "mask_dict.json: object 9 has 0 masks, its video a has 3 frames"),
    ("too few masks", "mevis", _set_masks(_1=[None]), ERROR,
     "object 1 has 1 masks, its video a has 3 frames"),
    ("masks of no form", "mevis", _set_masks(_1=[None, "x", None]), ERROR,
     "object 1: expected masks of size"),
    ("a negative size", "mevis", _set_masks(_1=[{"size": [-4, 6], "counts": "0"}, None, None]),
     ERROR, "object 1: expected masks of size"),
    ("a damaged code", "mevis", _set_masks(_1=[CUT, None, None]), ERROR,
     "mask_dict.json: object 1: "),
    ("masks of another size", "mevis", _set_masks(_1=[WIDE, WIDE, None]), WARNING, ""),
    ("never visible", "mevis", _set_masks(_1=[None] * 3), WARNING,
     "object 1 of video a: never visible"),
    ("an object twice", "mevis", _text(MASKS, '"2": [', '"1": ['), ERROR,
     "object 1 is there twice"),
    ("the same of v2", "mevis_v2", _set_masks(_1=[None]), ERROR, "object 1 has 1 masks"),
    # label maps
    ("a missing annotation", "ref_youtube_vos", _frame(PNG, Path.unlink), ERROR,
     "a/00005.png: "),
    ("a truncated annotation", "ref_youtube_vos", _frame(PNG, _truncate), ERROR,
     "a/00005.png: unreadable image"),
    ("an annotation in colours", "ref_youtube_vos", _frame(PNG, _resize), ERROR,
     "a/00005.png: image of mode RGB"),
    ("an annotation of another size", "ref_youtube_vos", _labels(PNG, np.full((8, 12), 2)), WARNING,
     ""),
    ("no annotations of a video", "ref_davis",
     lambda r: (r / "valid/Annotations/b").rename(r / "b"), ERROR, "Annotations/b/00000.png: "),
    ("an object in no annotation", "ref_youtube_vos", _set_expression("obj_id", "7", TRAIN_META),
     WARNING, "train: object 7 of video a: never visible"),
    ("an object that is no value", "ref_youtube_vos", _set_expression("obj_id", "x", TRAIN_META),
     ERROR, "expression 0: object x is no value of a pixel, 1 to 255"),
    ("an object beyond the values", "ref_youtube_vos", _set_expression("obj_id", "256", TRAIN_META),
     ERROR, "object 256 is no value of a pixel"),
    ("annotations of first frames only", "ref_youtube_vos",
     lambda r: [(r / f"train/Annotations/a/{name}.png").unlink() for name in ("00005", "00010")],
     WARNING, ""),
    ("annotations without objects", "ref_youtube_vos",
     lambda r: trees.write_ref_youtube_vos(r, has_objects=False), WARNING,
     '3 of 3 expressions lack "obj_id", the first is 0 of video a'),
    ("no expressions of test", "ref_youtube_vos_valid",
     lambda r: (r / "meta_expressions/test/meta_expressions.json").unlink(), ERROR,
     "test/meta_expressions.json: not found"),
]  # fmt: skip
"""What is broken, the layout, how to break it, whether it breaks a run, the message ("": none)."""


@pytest.mark.parametrize("row", BROKEN, ids=lambda row: row[0])
def test_check_reports_an_error_for_everything_that_breaks_a_run(tmp_path: Path, row: Any) -> None:
    _, layout, change, is_error, message = row
    _write(layout, tmp_path)
    change(tmp_path)
    problems = [p for report in _check(layout, tmp_path) for p in report.problems]
    if message:
        found = [p.is_error for p in problems if message in str(p)]
        assert found == [is_error], list(map(str, problems))
    assert any(p.is_error for p in problems) == is_error, list(map(str, problems))
    with pytest.raises(UserError) if is_error else nullcontext():
        _read_all(layout, tmp_path)


def _read_all(layout: str, root: Path) -> None:
    from sola.datasets.frames import VideoFrames
    from sola.evaluation.measure import check_ground_truth
    from sola.masks import decode

    name = layout.removesuffix("_valid")
    dataset = Dataset("own", root, READERS[name])
    for split_name in READERS[name].splits(root):
        split = dataset.open(split_name)
        if not split.expressions:
            raise UserError("as open_split says")
        if split.has_masks and any(e.object_ids is not None for e in split.expressions):
            check_ground_truth(split)
        for video in split.videos.values():
            list(VideoFrames(video))
            if split.has_masks:
                for masklet in split.ground_truth(video.video_id).values():
                    decode(masklet)


def test_everything_is_reported_at_once(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path)
    trees.write_mevis(tmp_path, "train")
    for split in ("train", "valid_u"):
        (tmp_path / split / "JPEGImages/a/00005.jpg").unlink()
        _truncate(tmp_path / split / "JPEGImages/a/00010.jpg")
        _resize(tmp_path / split / "JPEGImages/b/00000.jpg")
        edit_text(tmp_path / split / "meta_expressions.json", '"exp": "both of them"', '"x": 1')
        edit_json(tmp_path / split / "mask_dict.json", lambda masks: masks.update({"3": [None]}))
    reports = _check("mevis", tmp_path)
    assert [report.name.split()[0] for report in reports] == ["own/train", "own/valid_u"]
    for report in reports:
        text = "\n".join(report.lines())
        for reason in ("frame missing", "unreadable image", "frame of 6 x 4", "expression 1: "):
            assert text.count(reason) == 1, reason
        assert "object 3 has 1 masks, its video b has 2 frames" in text


def test_truncated_frame_is_only_found_by_decoding(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for name in trees.FRAMES["b"]:
        Image.fromarray(noise).save(tmp_path / FRAMES / f"b/{name}.jpg")
    _truncate(tmp_path / FRAMES / "b/00005.jpg")
    (fast,) = _check("mevis", tmp_path, decode=False)
    (slow,) = _check("mevis", tmp_path, decode=True)
    assert (len(fast.errors), len(slow.errors)) == (0, 1)


def test_missing_split_is_an_error(tmp_path: Path) -> None:
    for split in (None, "train"):
        (report,) = _check("ref_davis", tmp_path / "ref-davis", split)
        assert "meta_expressions.json: not found" in str(report.errors[0])


def test_program_prints_reports_and_exits_with_status_1_for_errors(
    tmp_path: Path, compose: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    def check(*values: str) -> tuple[str, bool]:
        config = compose("check", *values, f"data_root={tmp_path}")
        is_broken = False
        try:
            print_check(config.dataset, config.split, decode=True, num_threads=2)
        except SystemExit as end:
            is_broken = end.code == 1
        return capsys.readouterr().out, is_broken

    trees.write_mevis(tmp_path / "mevis", "train")
    trees.write_mevis(tmp_path / "mevis")
    trees.write_ref_youtube_vos(tmp_path / "ref-youtube-vos")
    output, is_broken = check("dataset=mevis_and_ref_youtube_vos", "split=train")
    assert not is_broken
    assert "mevis/train" in output
    assert "ref_youtube_vos/train" in output
    (tmp_path / "mevis" / FRAMES / "a/00005.jpg").unlink()
    output, is_broken = check("dataset=mevis")
    assert is_broken
    assert f"error    {tmp_path}/mevis/{FRAMES}/a/00005.jpg: frame missing" in output
