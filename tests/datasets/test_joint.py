"""Two data sets as one."""

from pathlib import Path

import dataset_trees as trees
import pytest
from sola.config.schema import DatasetConfig, DatasetPartConfig

from sola.datasets import JointSplit, MeViS, open_dataset
from sola.masks import decode


@pytest.fixture
def config(tmp_path: Path) -> DatasetConfig:
    trees.write_mevis(tmp_path / "mevis", "train")
    trees.write_mevis(tmp_path / "mevis", "valid_u")
    trees.write_ref_youtube_vos(tmp_path / "ytvos")
    parts = {
        "one": DatasetPartConfig("mevis", "mevis", str(tmp_path / "mevis")),
        "two": DatasetPartConfig("ref_youtube_vos", "ref_youtube_vos", str(tmp_path / "ytvos")),
    }
    return DatasetConfig("both", "joint", str(tmp_path), parts=parts)


def test_training_splits_are_put_together_without_mixing_videos(config: DatasetConfig) -> None:
    joint = open_dataset(config, "train")
    assert isinstance(joint, JointSplit)
    assert list(joint.videos) == ["mevis:a", "mevis:b", "ref_youtube_vos:a", "ref_youtube_vos:b"]
    assert [video.video_id for video in joint.videos.values()] == list(joint.videos)
    assert len(joint.expressions) == 7
    assert {e.video_id for e in joint.expressions} == set(joint.videos)
    assert joint.has_masks
    assert len(joint.annotations_sha256) == 4


def test_a_video_is_found_in_its_own_data_set(config: DatasetConfig) -> None:
    joint = open_dataset(config, "train")
    for video_id, video in joint.videos.items():
        part, own_id = joint.locate(video_id)
        assert video_id == f"{part.name}:{own_id}"
        assert joint.parts[part.name] is part
        assert part.videos[own_id].frame_paths == video.frame_paths
        own, found = part.ground_truth(own_id), joint.ground_truth(video_id)
        assert own.keys() == found.keys()
        assert all((decode(own[key]) == decode(found[key])).all() for key in own)


def test_another_split_is_that_of_the_first_part(config: DatasetConfig) -> None:
    valid = open_dataset(config, "valid_u")
    assert isinstance(valid, MeViS)
    assert (valid.name, valid.split) == ("mevis", "valid_u")


def test_parts_of_one_name_are_refused(config: DatasetConfig) -> None:
    mevis = open_dataset(config, "valid_u")
    with pytest.raises(ValueError, match="the part mevis needs a name of its own"):
        JointSplit("both", [mevis, mevis])


def test_one_data_set_may_lie_elsewhere(
    config: DatasetConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(config.root))
    config.parts["one"].root = "mevis"
    joint = open_dataset(config, "train")
    assert len(joint.videos) == 4
