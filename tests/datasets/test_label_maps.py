"""Ref-YouTube-VOS and Ref-DAVIS17: expressions in one place, masks as PNG files."""

import shutil
from pathlib import Path

import dataset_trees as trees
import numpy as np
import pytest
from dataset_trees import half
from PIL import Image

from sola.datasets import Dataset, MeViS, MeViSv2, RefDAVIS, RefYouTubeVOS, Split
from sola.datasets.annotations import read_label_map
from sola.datasets.ref_davis import annotator_of
from sola.errors import UserError
from sola.masks import decode


def _train(root: Path) -> RefYouTubeVOS:
    trees.write_ref_youtube_vos(root)
    return RefYouTubeVOS(root, "train", "ref_youtube_vos")


def test_objects_are_the_pixel_values(tmp_path: Path) -> None:
    split = _train(tmp_path)
    assert split.has_masks
    assert [e.object_ids for e in split.expressions] == [("1",), ("2",), ("1",)]
    truth = {object_id: decode(m) for object_id, m in split.ground_truth("a").items()}
    empty, left, right = np.zeros(trees.SIZE, bool), half("left"), half("right")
    assert (truth["1"] == [left, empty, left]).all()
    assert (truth["2"] == [right, right, empty]).all()
    assert (decode(split.ground_truth("b")["1"]) == [empty, right]).all()


def test_label_maps_of_another_size_are_resized(
    tmp_path: Path,
) -> None:
    split = _train(tmp_path)
    wide = np.repeat(np.repeat(trees.labels((1, "left"), (9, "right")), 2, axis=0), 3, axis=1)
    trees.write_labels(tmp_path / "train/Annotations/b/00000.png", wide)
    assert (decode(split.ground_truth("b")["1"])[0] == half("left")).all()


def test_object_in_no_file_has_empty_masks(tmp_path: Path) -> None:
    trees.write_ref_youtube_vos(tmp_path)
    path = tmp_path / "meta_expressions/train/meta_expressions.json"
    trees.edit_text(path, '"obj_id": "2"', '"obj_id": "7"')
    split = RefYouTubeVOS(tmp_path, "train", "ref_youtube_vos")
    assert not decode(split.ground_truth("a")["7"]).any()


def test_every_annotated_object_is_ground_truth_in_order_of_id(tmp_path: Path) -> None:
    trees.write_ref_youtube_vos(tmp_path)
    path = tmp_path / "meta_expressions/train/meta_expressions.json"
    trees.edit_text(path, '"obj_id": "1"', '"obj_id": "10"')  # of the first expression of "a"
    labels = trees.labels((10, "left"), (9, "right"))
    labels[0, 0], labels[0, 1] = 255, 2
    trees.write_labels(tmp_path / "train/Annotations/a/00005.png", labels)
    split = RefYouTubeVOS(tmp_path, "train", "ref_youtube_vos")

    truth = split.ground_truth("a")
    assert list(truth) == ["1", "2", "9", "10"]
    assert decode(truth["9"]).any(axis=(1, 2)).tolist() == [False, True, False]
    assert split.named_objects("a") == ["10", "2"]


def test_masks_of_0_and_255_hold_no_object(tmp_path: Path) -> None:
    trees.write_ref_youtube_vos(tmp_path)
    for path in (tmp_path / "train/Annotations").rglob("*.png"):
        trees.write_labels(path, trees.labels((255, "left")))
    split = RefYouTubeVOS(tmp_path, "train", "ref_youtube_vos")

    assert list(split.ground_truth("a")) == ["1", "2"]
    assert not any(decode(masklet).any() for masklet in split.ground_truth("a").values())


def test_videos_without_expressions_have_their_objects_or_none(tmp_path: Path) -> None:
    trees.write_ref_youtube_vos(tmp_path)
    path = tmp_path / "meta_expressions/train/meta_expressions.json"
    trees.edit_json(path, lambda meta: meta["videos"]["b"].update(expressions={}))
    assert list(RefYouTubeVOS(tmp_path, "train", "x").ground_truth("b")) == ["1"]
    shutil.rmtree(tmp_path / "train/Annotations/b")
    assert RefYouTubeVOS(tmp_path, "train", "x").ground_truth("b") == {}


def test_valid_excludes_the_videos_of_test(tmp_path: Path) -> None:
    trees.write_ref_youtube_vos(tmp_path, "valid", has_objects=False)
    split = RefYouTubeVOS(tmp_path, "valid", "ref_youtube_vos")
    assert list(split.videos) == ["a", "b"]
    assert {e.video_id for e in split.expressions} == {"a", "b"}
    assert [e.object_ids for e in split.expressions] == [None] * 3
    assert not split.has_masks
    assert split.ground_truth("a") == {}
    assert set(split.annotations_sha256) == {"meta_expressions.json", "test/meta_expressions.json"}


def test_frames_of_test_may_be_in_the_folder_of_valid(tmp_path: Path) -> None:
    trees.write_ref_youtube_vos(tmp_path, "valid", has_objects=False)
    assert RefYouTubeVOS(tmp_path, "test", "x").videos["t"].frame_paths[0].is_file()
    trees.write_frames(tmp_path / "test/JPEGImages/t", ["00000"])
    assert RefYouTubeVOS(tmp_path, "test", "x").frames_dir("t").parent.parent.name == "test"


def test_valid_needs_the_expressions_of_test(tmp_path: Path) -> None:
    trees.write_ref_youtube_vos(tmp_path, "valid", has_objects=False)
    (tmp_path / "meta_expressions/test/meta_expressions.json").unlink()
    with pytest.raises(UserError, match=r"test/meta_expressions.json: not found.* lists 3 videos"):
        RefYouTubeVOS(tmp_path, "valid", "ref_youtube_vos")


def test_valid_with_202_videos_does_not_need_the_expressions_of_test(tmp_path: Path) -> None:
    video = {"frames": ["00000"], "expressions": {"0": {"exp": "it"}}}
    videos = {f"v{number}": video for number in range(202)}
    path = tmp_path / "meta_expressions/valid/meta_expressions.json"
    trees.write_json(path, {"videos": videos})
    assert len(RefYouTubeVOS(tmp_path, "valid", "x").videos) == 202


def test_ground_truth_of_valid_is_used_if_present(tmp_path: Path) -> None:
    trees.write_ref_youtube_vos(tmp_path, "valid")
    split = RefYouTubeVOS(tmp_path, "valid", "ref_youtube_vos")
    assert split.has_masks
    assert decode(split.ground_truth("a")["1"]).any()


def test_annotations_of_first_frames_only_are_not_ground_truth(tmp_path: Path) -> None:
    split = _train(tmp_path)
    for name in ("00005", "00010"):
        (tmp_path / f"train/Annotations/a/{name}.png").unlink()
    split = RefYouTubeVOS(tmp_path, "train", "ref_youtube_vos")
    assert not split.has_masks
    with pytest.raises(UserError, match="has no ground truth here"):
        split.ground_truth("a")


def test_changed_annotation_changes_the_digest_of_a_split(tmp_path: Path) -> None:
    before = _train(tmp_path).annotations_sha256
    assert before == RefYouTubeVOS(tmp_path, "train", "x").annotations_sha256
    trees.write_labels(tmp_path / "train/Annotations/b/00010.png", np.zeros((90, 90), np.uint8))
    after = RefYouTubeVOS(tmp_path, "train", "x").annotations_sha256
    assert [name for name in before if before[name] != after[name]] == [
        "Annotations (names and sizes)"
    ]


def test_error_names_every_file_that_was_looked_for(tmp_path: Path) -> None:
    trees.write_ref_youtube_vos(tmp_path, "valid")
    with pytest.raises(UserError) as error:
        RefYouTubeVOS(tmp_path, "train", "x")
    for path in ("meta_expressions/train", "train"):
        assert f"{tmp_path / path}/meta_expressions.json" in str(error.value)
    assert "Splits on disk: test, valid" in str(error.value)


def test_expression_ids_of_ref_davis_give_the_annotator(tmp_path: Path) -> None:
    trees.write_ref_davis(tmp_path)
    split = RefDAVIS(tmp_path, "valid", "ref_davis")
    of_a = [e for e in split.expressions if e.video_id == "a"]
    assert [annotator_of(e.expression_id) for e in of_a] == [0, 1, 2, 3] * 2
    assert [e.object_ids for e in of_a] == [("1",)] * 4 + [("2",)] * 4
    assert decode(split.ground_truth("a")["2"]).any()
    with pytest.raises(UserError, match="is no number"):
        annotator_of("x")


@pytest.mark.parametrize("split", ["train", "valid"])
def test_ref_davis_has_ground_truth_of_both_splits(tmp_path: Path, split: str) -> None:
    trees.write_ref_davis(tmp_path, split)
    assert RefDAVIS(tmp_path, split, "ref_davis").has_masks


def test_colour_images_and_damaged_files_are_refused_as_label_maps(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (6, 4)).save(path)
    with pytest.raises(UserError, match=r"x.png: image of mode RGB, expected a palette"):
        read_label_map(path)
    trees.write_labels(path, np.random.default_rng(0).integers(0, 9, (40, 60), np.uint8))
    whole = path.read_bytes()
    for length in range(0, len(whole) - 20, 7):  # the last 20 bytes hold no pixels
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"x.png: unreadable image"):
            read_label_map(path)


def test_every_layout_is_a_split(tmp_path: Path) -> None:
    trees.write_mevis(tmp_path / "mevis", "train")
    trees.write_mevis(tmp_path / "v2", "train", meta_file="meta_expressions_v2.json")
    trees.write_ref_youtube_vos(tmp_path / "ytvos")
    trees.write_ref_davis(tmp_path / "davis", "train")
    readers = {"mevis": MeViS, "v2": MeViSv2, "ytvos": RefYouTubeVOS, "davis": RefDAVIS}
    for folder, reader in readers.items():
        split = Dataset("own", tmp_path / folder, reader).open("train")
        assert isinstance(split, Split)
        assert (split.name, split.split, split.has_masks) == ("own", "train", True)
        assert split.annotations_sha256.keys()
        for video_id, video in split.videos.items():
            for masklet in split.ground_truth(video_id).values():
                assert decode(masklet).shape == (len(video.frame_paths), *trees.SIZE)


def test_ref_davis_has_void_pixels(tmp_path: Path) -> None:
    trees.write_ref_davis(tmp_path)
    split = RefDAVIS(tmp_path, "valid", "ref_davis")
    (video_id, *_) = split.videos
    path = split.annotation_paths(video_id)[1]
    trees.write_labels(path, trees.labels((1, "left"), (255, "right")))

    void = decode(split.void(video_id))

    assert (void[1] == half("right")).all()
    assert not void[0].any()
