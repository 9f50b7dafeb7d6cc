"""Two data sets as one."""

from pathlib import Path

import dataset_trees as trees
import pytest

from sola.datasets import Dataset, JointDataset, MeViS, RefYouTubeVOS
from sola.datasets.dataset import JointSplit
from sola.errors import UserError
from sola.masks import decode


@pytest.fixture
def config(tmp_path: Path) -> JointDataset:
    trees.write_mevis(tmp_path / "mevis", "train")
    trees.write_mevis(tmp_path / "mevis", "valid_u")
    trees.write_ref_youtube_vos(tmp_path / "ytvos")
    parts = {
        "one": Dataset("mevis", tmp_path / "mevis", MeViS),
        "two": Dataset("ref_youtube_vos", tmp_path / "ytvos", RefYouTubeVOS),
    }
    return JointDataset("both", parts)


def test_joint_training_split_keeps_videos_of_its_parts_apart(config: JointDataset) -> None:
    joint = config.open("train")
    assert isinstance(joint, JointSplit)
    assert list(joint.videos) == ["mevis:a", "mevis:b", "ref_youtube_vos:a", "ref_youtube_vos:b"]
    assert [video.video_id for video in joint.videos.values()] == list(joint.videos)
    assert len(joint.expressions) == 7
    assert {e.video_id for e in joint.expressions} == set(joint.videos)
    assert joint.has_masks
    assert len(joint.annotations_sha256) == 4


def test_joint_split_locates_a_video_in_its_data_set(config: JointDataset) -> None:
    joint = config.open("train")
    for video_id, video in joint.videos.items():
        part, own_id = joint.locate(video_id)
        assert video_id == f"{part.name}:{own_id}"
        assert joint.parts[part.name] is part
        assert part.videos[own_id].frame_paths == video.frame_paths
        own, found = part.ground_truth(own_id), joint.ground_truth(video_id)
        assert own.keys() == found.keys()
        assert all((decode(own[key]) == decode(found[key])).all() for key in own)


def test_other_splits_of_a_joint_dataset_are_those_of_its_first_part(config: JointDataset) -> None:
    valid = config.open("valid_u")
    assert isinstance(valid, MeViS)
    assert (valid.name, valid.split) == ("mevis", "valid_u")


def test_parts_with_equal_names_are_refused(config: JointDataset) -> None:
    mevis = config.parts["mevis"]
    with pytest.raises(UserError, match="mevis"):
        JointDataset("both", {"one": mevis, "two": mevis})


def test_part_of_a_joint_dataset_may_have_another_root(
    config: JointDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(config.root).parent)
    config.parts["mevis"].root = Path("mevis")
    joint = config.open("train")
    assert len(joint.videos) == 4
