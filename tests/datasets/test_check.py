"""The check of a data set: what is sound passes; a table of what is broken, and what is said."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataset_trees as trees
import numpy as np
import pytest
from dataset_trees import code, edit_json, edit_text, half
from PIL import Image

from sola.datasets import Dataset, MeViS, MeViSv2, RefDAVIS, RefYouTubeVOS
from sola.datasets.check import check_dataset
from sola.datasets.check.report import SplitReport

ROOT = Path(__file__).parents[2]
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
def test_a_sound_data_set_has_no_problems(tmp_path: Path, layout: str, decode: bool) -> None:
    _write(layout, tmp_path)
    reports = _check(layout, tmp_path, decode=decode)
    assert [report.name for report in reports] == {
        "ref_youtube_vos_valid": ["own/test", "own/valid"],
        "ref_youtube_vos": ["own/train"],
        "ref_davis": ["own/valid"],
    }.get(layout, ["own/valid_u"])
    assert [str(problem) for report in reports for problem in report.problems] == []


def test_a_report_says_what_is_there(tmp_path: Path) -> None:
    trees.write_odd_mevis(tmp_path)
    (report,) = _check("mevis", tmp_path)
    assert report.errors == []
    text = "\n".join(report.lines())
    for fact in (
        "videos       5, 5 with sound expressions and frames",
        "expressions  7 (objects meant: 5 single, 1 several, 1 none)",
        "objects      6, with ground truth",
        "frames       508; of a video 1 to 501, median 2",
        "resolutions  6 x 4 px (5 videos)",
        "0 errors, 9 warnings",
    ):
        assert fact in text
    for warning in (
        "video a: frames are listed out of order",
        "video b: expression 1: empty text",
        "video long: expression 0: text with characters that cannot be printed",
        "video still: a single frame",
        "video mute: no expressions",
        "object 6 of video b: never visible",
        "object 3 of video b: 1 masks of another size than the frames, such as 8 x 4 px on frames",
        "1 objects that no expression names, such as 7",
    ):
        assert any(warning in str(problem) for problem in report.warnings), warning


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
    ("frames that nobody lists", "mevis",
     lambda r: trees.write_frames(r / FRAMES / "a", ["00001", "00002"]), WARNING,
     "a: 2 files that are no frames of the expressions' file, such as 00001.jpg; it lists 3"),
    ("a video that nobody lists", "mevis", lambda r: trees.write_frames(r / FRAMES / "x", ["0"]),
     WARNING, "JPEGImages: 1 videos without expressions, such as x"),
    # expressions' file
    ("no JSON", "mevis", _text(META, '"videos": {', '"videos": '), ERROR,
     "meta_expressions.json: not readable as JSON"),
    ("no videos", "mevis", _text(META, '"videos"', '"clips"'), ERROR, 'no "videos" found'),
    ("an empty split", "mevis", lambda r: trees.write_json(r / META, {"videos": {}}), ERROR,
     "meta_expressions.json: no expressions"),
    ("a video of no form", "mevis",
     lambda r: edit_json(r / META, lambda m: m["videos"].update(b=[])), ERROR,
     "video b: is [], needed are frames and expressions"),
    ("no frames listed", "mevis", _set_video("frames", []), ERROR,
     "video a: lacks frames (the list"),
    ("no list of frames", "mevis", _set_video("frames", 3), ERROR,
     "video a: lacks frames: found is 3"),
    ("no object of expressions", "mevis", _set_video("expressions", []), ERROR,
     "video a: lacks expressions: found is []"),
    ("frames listed twice", "mevis", _set_video("frames", ["00000", "00000"]), ERROR,
     "video a: 1 frames are listed twice, such as 00000"),
    ("a number as frame", "mevis", _set_video("frames", [0, 5]), ERROR,
     "video a: frame 0: the name is 0, not a text"),
    ("a text that is none", "mevis", _set_expression("exp", 3), ERROR,
     "expression 0: is {'exp': 3"),
    ("an empty text", "mevis", _set_expression("exp", "  "), WARNING, "expression 0: empty text"),
    ("objects of no form", "mevis", _set_expression("anno_id", [[1]]), ERROR,
     "expression 0: anno_id is [[1]], needed are ids of objects"),
    ("an object named twice", "mevis", _set_expression("anno_id", [1, 1]), WARNING,
     "anno_id names an object twice"),
    ("some objects unknown", "mevis", _set_expression("anno_id", None), ERROR,
     '1 of 4 expressions lack "anno_id", the first is 0 of video a'),
    ("a video twice", "mevis", _text(META, '"b": {"frames"', '"a": {"frames"'), ERROR,
     "video a is there twice"),
    ("an expression twice", "mevis", _text(META, '"1": {"exp"', '"0": {"exp"'), ERROR,
     "video a: expression 0 is there twice"),
    ("a key twice", "mevis", _text(META, '"exp": "both', '"exp": "x", "exp": "both'), ERROR,
     "expression 1: exp is there twice"),
    # names
    ("a name that climbs", "mevis", _move_video("../b"), ERROR,
     "video ../b: the name is no name within a folder"),
    ("an absolute name", "mevis", _move_video("/etc"), ERROR, "video /etc: the name is no name"),
    ("a backslash", "mevis", _move_video("..\\b"), ERROR, "the name is no name within a folder"),
    ("a NUL", "mevis", _move_video("b\0"), ERROR,
     "the name holds characters that cannot be printed"),
    ("a long name", "mevis", _move_video("b" * 201), ERROR, "the name is longer than 200 bytes"),
    ("a dot", "ref_youtube_vos", _move_video("..", TRAIN_META), ERROR, "video ..: the name is no"),
    ("a frame that climbs", "mevis", _set_video("frames", ["../../x"]), ERROR,
     "video a: frame ../../x: the name is no name within a folder"),
    ("an expression that climbs", "mevis", _text(META, '"1": {"exp"', '"../1": {"exp"'), ERROR,
     "expression ../1: the id is no name within a folder"),
    ("upper and lower case", "mevis", _move_video("A"), WARNING,
     "videos a and A differ only in case"),
    # mask_dict.json
    ("masks that are no JSON", "mevis", _text(MASKS, "[", ""), ERROR,
     "mask_dict.json: not readable as JSON of masks"),
    ("masks that are cut off", "mevis", _frame(MASKS, _truncate), ERROR,
     "mask_dict.json: not readable as JSON of masks"),
    ("an object without masks", "mevis", _set_expression("anno_id", [9]), ERROR,
     "no masks of object 9, which an expression names (video a)"),
    ("too few masks", "mevis", _set_masks(_1=[None]), ERROR,
     "object 1 of video a has 1 masks for 3 frames"),
    ("masks of no form", "mevis", _set_masks(_1=[None, "x", None]), ERROR,
     "object 1 of video a, frame 00005: the mask is str"),
    ("masks without size", "mevis", _set_masks(_1=[{"size": [4], "counts": "0"}, None, None]),
     ERROR, "the mask lacks its size"),
    ("a negative size", "mevis", _set_masks(_1=[{"size": [-4, 6], "counts": "0"}, None, None]),
     ERROR, "the mask has the size [-4, 6]"),
    ("a damaged code", "mevis", _set_masks(_1=[CUT, None, None]), ERROR,
     "object 1 of video a: damaged masks"),
    ("masks of another size", "mevis", _set_masks(_1=[WIDE, WIDE, None]), WARNING,
     "object 1 of video a: 2 masks of another size than the frames, such as 8 x 4 px on frames"),
    ("never visible", "mevis", _set_masks(_1=[None] * 3), WARNING,
     "object 1 of video a: never visible"),
    ("an object twice", "mevis", _text(MASKS, '"2": [', '"1": ['), ERROR,
     "object 1 is there twice"),
    ("an object of two videos", "mevis", _set_expression("anno_id", [3]), ERROR,
     "object 3 of video a has 2 masks for 3 frames"),
    ("an object of nobody", "mevis", _set_masks(_77=[None]), WARNING,
     "1 objects that no expression names, such as 77"),
    ("the same of v2", "mevis_v2", _set_masks(_1=[None]), ERROR, "has 1 masks for 3 frames"),
    # label maps
    ("a missing annotation", "ref_youtube_vos", _frame(PNG, Path.unlink), ERROR,
     "a/00005.png: annotation missing"),
    ("a truncated annotation", "ref_youtube_vos", _frame(PNG, _truncate), ERROR,
     "a/00005.png: unreadable image"),
    ("an annotation in colours", "ref_youtube_vos", _frame(PNG, _resize), ERROR,
     "a/00005.png: image of mode RGB"),
    ("an annotation of another size", "ref_youtube_vos", _labels(PNG, np.full((8, 12), 2)), WARNING,
     "a/00005.png: of another size than the frame, 6 x 4 px"),
    ("no annotations of a video", "ref_davis",
     lambda r: (r / "valid/Annotations/b").rename(r / "b"), ERROR,
     "Annotations/b: no such folder: video b has no annotations"),
    ("an object in no annotation", "ref_youtube_vos", _set_expression("obj_id", "7", TRAIN_META),
     WARNING, "Annotations/a: object 7 of video a: never visible"),
    ("an object that is no value", "ref_youtube_vos", _set_expression("obj_id", "x", TRAIN_META),
     ERROR, "expression 0: object x is no value of a pixel, 1 to 255"),
    ("an object beyond the values", "ref_youtube_vos", _set_expression("obj_id", "256", TRAIN_META),
     ERROR, "object 256 is no value of a pixel"),
    ("annotations of first frames alone", "ref_youtube_vos",
     lambda r: [(r / f"train/Annotations/a/{name}.png").unlink() for name in ("00005", "00010")],
     WARNING, "Annotations: annotations of 33% of the frames of the first video"),
    ("annotations without objects", "ref_youtube_vos",
     lambda r: trees.write_ref_youtube_vos(r, has_objects=False), WARNING,
     '3 of 3 expressions lack "obj_id", the first is 0 of video a'),
    ("no expressions of test", "ref_youtube_vos_valid",
     lambda r: (r / "meta_expressions/test/meta_expressions.json").unlink(), ERROR,
     "test/meta_expressions.json: not found"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layout", "change", "is_error", "message"),
    [row[1:] for row in BROKEN],
    ids=[row[0] for row in BROKEN],
)
def test_what_is_broken_is_said(
    tmp_path: Path, layout: str, change: Change, is_error: bool, message: str
) -> None:
    _write(layout, tmp_path)
    change(tmp_path)
    problems = [p for report in _check(layout, tmp_path) for p in report.problems]
    assert [p.is_error for p in problems if message in str(p)] == [is_error], list(
        map(str, problems)
    )
    assert any(p.is_error for p in problems) or not is_error


@pytest.mark.parametrize("row", [row for row in BROKEN if row[3]], ids=lambda row: row[0])
def test_what_is_said_to_break_a_run_does_and_the_rest_does_not(tmp_path: Path, row: Any) -> None:
    """Reads the data set as a run would: frames, masks of every video."""
    _, layout, change, _, _ = row
    _write(layout, tmp_path)
    change(tmp_path)
    with pytest.raises(ValueError):
        _read_all(layout, tmp_path)


@pytest.mark.parametrize("row", [row for row in BROKEN if not row[3]], ids=lambda row: row[0])
def test_what_is_said_to_be_odd_works(tmp_path: Path, row: Any) -> None:
    _, layout, change, _, _ = row
    _write(layout, tmp_path)
    change(tmp_path)
    if row[0] != "upper and lower case":  # the test renames the video, not its frames
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
            raise ValueError("as open_split says")
        if split.has_masks and any(e.object_ids is not None for e in split.expressions):
            check_ground_truth(split)
        for video in split.videos.values():
            list(VideoFrames(video))
            if split.has_masks:
                for masklet in split.ground_truth(video.video_id).values():
                    decode(masklet)


def test_everything_is_said_at_once(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path)
    trees.write_mevis(tmp_path, "train")
    for split in ("train", "valid_u"):
        (tmp_path / split / "JPEGImages/a/00005.jpg").unlink()
        _truncate(tmp_path / split / "JPEGImages/a/00010.jpg")
        _resize(tmp_path / split / "JPEGImages/b/00000.jpg")
        edit_text(tmp_path / split / "meta_expressions.json", '"exp": "both of them"', '"x": 1')
        edit_json(tmp_path / split / "mask_dict.json", lambda masks: masks.update({"3": [None]}))
    reports = _check("mevis", tmp_path)
    assert [report.name for report in reports] == ["own/train", "own/valid_u"]
    for report in reports:
        text = "\n".join(report.lines())
        for reason in ("frame missing", "unreadable image", "frame of 6 x 4", "expression 1: is"):
            assert text.count(reason) == 1, reason
        assert "object 3 of video b has 1 masks for 2 frames" in text
        assert "videos       2, 0 with sound expressions and frames" in text


def test_an_object_of_two_videos_is_odd(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path)
    _set_expression("anno_id", [3])(tmp_path)
    (report,) = _check("mevis", tmp_path)
    assert "object 3 is named in videos a and b" in str(report.warnings[0])
    assert len(report.errors) == 1


def test_without_decoding_a_truncated_frame_is_not_seen(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path)
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for name in trees.FRAMES["b"]:
        Image.fromarray(noise).save(tmp_path / FRAMES / f"b/{name}.jpg")
    _truncate(tmp_path / FRAMES / "b/00005.jpg")
    (fast,) = _check("mevis", tmp_path, decode=False)
    (slow,) = _check("mevis", tmp_path, decode=True)
    assert (len(fast.errors), len(slow.errors)) == (0, 1)


def test_a_split_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    for split in (None, "train"):
        (report,) = _check("ref_davis", tmp_path / "ref-davis", split)
        assert "meta_expressions.json: not found" in str(report.errors[0])
        assert "ref_davis" in str(report.errors[0])


def _run(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sola.datasets", f"hydra.run.dir={folder}/run", *overrides]
    command += [f"data_root={folder}"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_the_command_reports_and_tells_by_its_status(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path / "mevis", "train")
    trees.write_mevis(tmp_path / "mevis")
    sound = _run(tmp_path, "dataset=mevis", "split=train")
    assert (sound.returncode, "error" in sound.stderr) == (0, False)
    assert sound.stdout.startswith("mevis/train")
    (tmp_path / FRAMES.replace("valid_u", "mevis/valid_u") / "a/00005.jpg").unlink()
    broken = _run(tmp_path, "dataset=mevis")
    assert broken.returncode == 1
    assert "mevis/train" in broken.stdout
    assert f"error    {tmp_path}/mevis/{FRAMES}/a/00005.jpg: frame missing" in broken.stdout
    misspelt = _run(tmp_path, "dataset=mevsi")
    assert (misspelt.returncode, misspelt.stdout) == (1, "")
    assert "Did you mean dataset=mevis?" in misspelt.stderr


def test_the_parts_of_a_joint_data_set_are_checked_each(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path / "mevis", "train")
    trees.write_ref_youtube_vos(tmp_path / "ref-ytbvos")
    done = _run(tmp_path, "dataset=mevis_and_ref_youtube_vos", "split=train")
    assert done.returncode == 0, done.stderr
    assert "mevis/train" in done.stdout
    assert "ref_youtube_vos/train" in done.stdout


def test_a_data_set_in_a_folder_of_another_usual_name_is_checked(tmp_path: Path) -> None:
    trees.write_ref_youtube_vos(tmp_path / "ref-ytbvos")
    done = _run(tmp_path, "dataset=ref_youtube_vos", "split=train")
    assert done.returncode == 0, done.stderr
    assert "ref_youtube_vos/train" in done.stdout
