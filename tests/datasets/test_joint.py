"""Several data sets to train on together."""

from pathlib import Path

import dataset_trees as trees
import pytest

from sola.datasets import Dataset, JointDataset, MeViS, RefYouTubeVOS
from sola.errors import UserError


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


def test_joint_dataset_validates_on_its_first_part(config: JointDataset) -> None:
    valid = config.open("valid_u")
    assert isinstance(valid, MeViS)
    assert (valid.name, valid.split) == ("mevis", "valid_u")


def test_parts_with_equal_names_are_refused(config: JointDataset) -> None:
    mevis = config.parts["mevis"]
    with pytest.raises(UserError, match="mevis"):
        JointDataset("both", {"one": mevis, "two": mevis})
