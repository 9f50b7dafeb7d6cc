"""The MeViS reader, on small trees in that layout."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import dataset_trees as trees
import numpy as np
import pytest
from PIL import Image

from sola.datasets.frames import VideoFrames
from sola.datasets.mevis import MeViS, MeViSv2
from sola.datasets.moving_shapes.maker import Maker
from sola.datasets.moving_shapes.scene import SceneSettings, make_scene
from sola.errors import UserError
from sola.masks import decode, encode
from sola.types import Video

MAKER = Maker(
    num_videos={"train": 2, "valid_u": 1}, first_seed={"train": 10, "valid_u": 20}, num_frames=5
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("moving_shapes")
    assert MAKER.write(root, "train")
    return root


def _write(root: Path, meta: Any, masks: Any = None) -> MeViS:
    folder = root / "valid_u"
    frames = folder / "JPEGImages" / "v"
    frames.mkdir(parents=True)
    for idx in range(3):
        Image.new("RGB", (6, 4)).save(frames / f"0000{idx}.jpg")
    (folder / "meta_expressions.json").write_text(json.dumps(meta))
    if masks is not None:
        (folder / "mask_dict.json").write_text(json.dumps(masks))
    return MeViS(root, "valid_u")


def _meta(**entry: Any) -> dict[str, Any]:
    return {
        "videos": {
            "v": {
                "frames": ["00002", "00000", "00001"],
                "expressions": {"0": {"exp": "it", **entry}},
            }
        }
    }


def test_reader_reads_what_the_maker_writes(root: Path) -> None:
    dataset = MeViS(root, "train", "moving_shapes")
    assert list(dataset.videos) == ["shapes_00000010", "shapes_00000011"]
    assert dataset.has_masks
    scene = make_scene(10, SceneSettings(num_frames=5))
    video = dataset.videos["shapes_00000010"]
    frames = np.stack(list(VideoFrames(video)))
    assert np.abs(frames.astype(int) - scene.frames).mean() < 12  # JPEG
    for object_id, masklet in dataset.ground_truth("shapes_00000010").items():
        assert (decode(masklet) == scene.masks[int(object_id)]).all()


def test_expressions_carry_their_objects_and_kinds(root: Path) -> None:
    dataset = MeViS(root, "train")
    kinds = {expression.kind for expression in dataset.expressions}
    assert {"appearance", "none"} <= kinds
    for expression in dataset.expressions:
        assert expression.object_ids is not None
        assert (expression.kind == "none") == (expression.object_ids == ())


def test_split_is_written_once_and_other_settings_are_refused(root: Path) -> None:
    assert not MAKER.write(root, "train")
    other = replace(MAKER, jpeg_quality=50)
    with pytest.raises(UserError, match="jpeg_quality"):
        other.write(root, "train")


def test_frames_are_ordered_by_name(tmp_path: Path) -> None:
    names = [path.stem for path in _write(tmp_path, _meta()).videos["v"].frame_paths]
    assert names == ["00000", "00001", "00002"]


def test_objects_are_unknown_without_ground_truth(tmp_path: Path) -> None:
    dataset = _write(tmp_path, _meta())
    assert dataset.expressions[0].object_ids is None
    assert not dataset.has_masks
    assert dataset.ground_truth("v") == {}


def test_masks_follow_frames_listed_out_of_order(tmp_path: Path) -> None:
    masks = np.zeros((3, 4, 6), bool)
    masks[0, 0, 0], masks[1, :, :3], masks[2] = True, True, True
    listed = [encode(masks[[idx]])[0] for idx in (2, 0, 1)]  # as _meta lists the frames
    dataset = _write(tmp_path, _meta(anno_id=[7]), {"7": listed})
    assert (decode(dataset.ground_truth("v")["7"]) == masks).all()


def test_masks_of_another_size_are_resized_to_the_frames(tmp_path: Path) -> None:
    odd, fitting = encode(np.ones((1, 4, 5), bool))[0], encode(np.ones((1, 4, 6), bool))[0]
    dataset = _write(tmp_path, _meta(anno_id=[7]), {"7": [fitting, odd, None]})
    assert [mask["size"] for mask in dataset.ground_truth("v")["7"]] == [[4, 6]] * 3
    assert decode(dataset.ground_truth("v")["7"]).sum(axis=(1, 2)).tolist() == [24, 0, 24]


def test_null_masks_are_empty_masks(tmp_path: Path) -> None:
    mask = encode(np.ones((1, 4, 6), bool))[0]
    dataset = _write(tmp_path, _meta(anno_id=[7]), {"7": [None, mask, None]})
    masks = decode(dataset.ground_truth("v")["7"])
    assert masks.sum(axis=(1, 2)).tolist() == [24, 0, 0]  # in the order of the frames


@pytest.mark.parametrize(
    ("meta", "masks", "message"),
    [
        ({"clips": {}}, None, 'no "videos"'),
        ({"videos": {"v": {"frames": [], "expressions": {}}}}, None, "needs frames"),
        ({"videos": {"v": {"frames": ["0"]}}}, None, "video v: needs frames .* and expressions"),
        (_meta(anno_id=[None]), None, "anno_id must be ids of objects"),
        ({"videos": {"../v": {"frames": ["0"], "expressions": {}}}}, None, "no name within a"),
        ({"videos": {"v": {"frames": ["../0"], "expressions": {}}}}, None, "frame ../0: the name"),
        ({"videos": {"v\0": {"frames": ["0"], "expressions": {}}}}, None, "cannot be printed"),
        ({"videos": {"v": {"frames": ["0", "0"], "expressions": {}}}}, None, "listed twice"),
        (
            {"videos": {"v": {"frames": ["0"], "expressions": {"..": {"exp": "it"}}}}},
            None,
            r"expression \.\.: the name is no name within a folder",
        ),
        ({"videos": {"v": {"frames": ["0"], "expressions": {"0": {}}}}}, None, "expected an obj"),
        (_meta(anno_id=[7]), {}, "object 7 has 0 masks"),
        (_meta(anno_id=[7]), {"7": [None, 3, None]}, "object 7: expected masks of size"),
        (_meta(anno_id=[7]), {"7": [None, None, {"size": [4, 6]}]}, "object 7: expected masks"),
        (_meta(anno_id=[7]), {"7": [None]}, "object 7 has 1 masks, its video v has 3 frames"),
        (_meta(anno_id=[7]), None, "has no ground truth here"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, meta: Any, masks: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        _write(tmp_path, meta, masks).ground_truth("v")


def test_missing_split_and_damaged_json_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"meta_expressions.json: not found"):
        MeViS(tmp_path, "train")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "meta_expressions.json").write_text('{"videos": {')
    with pytest.raises(UserError, match=r"not readable as JSON"):
        MeViS(tmp_path, "train")


def test_duplicate_keys_are_refused(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path)
    trees.edit_text(tmp_path / "valid_u/meta_expressions.json", '"1": {"exp"', '"0": {"exp"')
    with pytest.raises(UserError, match="0 is there twice"):
        MeViS(tmp_path, "valid_u")


def test_split_outside_the_root_is_refused(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path, "valid_u")
    for split in ("../valid_u", f"{tmp_path}/valid_u", ""):
        with pytest.raises(UserError, match="is no name within a folder"):
            MeViS(tmp_path / "elsewhere", split)


def test_odd_data_is_read_unchanged(tmp_path: Path) -> None:
    trees.write_odd_mevis(tmp_path)
    split = MeViS(tmp_path, "train")
    texts = {(e.video_id, e.expression_id): e.text for e in split.expressions}
    assert texts["a", "0"] == "The  Left one "
    assert texts["b", "1"] == "  "
    assert texts["long", "0"] == "LONG\t way"
    assert {len(video.frame_paths) for video in split.videos.values()} == {1, 2, 3, 501}
    for video_id, video in split.videos.items():
        truth = split.ground_truth(video_id)
        assert truth or video_id == "mute"
        for masklet in truth.values():
            assert decode(masklet).shape == (len(video.frame_paths), *trees.SIZE)
    # listed as 00010, 00000, 00005 with masks left, none, left
    assert decode(split.ground_truth("a")["1"]).any(axis=(1, 2)).tolist() == [False, True, True]
    assert not decode(split.ground_truth("b")["6"]).any()
    assert decode(split.ground_truth("b")["3"])[1].sum() == 12


def test_expressions_without_a_target_have_no_objects(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path, meta_file="meta_expressions_v2.json")
    by_text = {e.text: e.object_ids for e in MeViSv2(tmp_path, "valid_u", "mevis_v2").expressions}
    assert by_text["the flying one"] == ()
    assert by_text["both of them"] == ("1", "2")


@pytest.mark.parametrize(
    ("reader", "meta_file"),
    [
        (MeViS, "meta_expressions.json"),
        (MeViS, "meta_expressions_release.json"),
        (MeViSv2, "meta_expressions_v2.json"),
        (MeViSv2, "meta_expressions_v2_release.json"),
    ],
)
def test_every_published_file_name_is_found(
    tmp_path: Path, reader: type[MeViS], meta_file: str
) -> None:
    trees.write_mevis(tmp_path, meta_file=meta_file)
    split = reader(tmp_path, "valid_u", "x")
    assert set(split.annotations_sha256) == {meta_file, "mask_dict.json"}


def test_v2_does_not_read_the_expressions_of_v1(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path)
    with pytest.raises(UserError, match=r"meta_expressions_v2.json: not found.*v2_release.json"):
        MeViSv2(tmp_path, "valid_u", "mevis_v2")


def test_frames_without_leading_zeros_keep_their_order(tmp_path: Path) -> None:
    meta = {"videos": {"v": {"frames": ["10", "9", "100"], "expressions": {}}}}
    trees.write_json(tmp_path / "train" / "meta_expressions.json", meta)
    frame_paths = MeViS(tmp_path, "train").videos["v"].frame_paths
    assert [path.stem for path in frame_paths] == ["9", "10", "100"]


def test_missing_damaged_and_unequal_frames_are_named(tmp_path: Path, root: Path) -> None:
    good = MeViS(root, "train").videos["shapes_00000010"].frame_paths[0]
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(good.read_bytes()[:40])
    with pytest.raises(UserError, match=r"broken.jpg: unreadable image"):
        VideoFrames(Video("v", (broken,)))[0]
    with pytest.raises(UserError, match=r"none\.jpg"):
        VideoFrames(Video("v", (tmp_path / "none.jpg",)))[0]
    small = tmp_path / "small.png"
    Image.new("RGB", (6, 4)).save(small)
    with pytest.raises(UserError, match=r"frame of 6 x 4 px, the video's first has 128 x 128"):
        list(VideoFrames(Video("v", (good, small))))
