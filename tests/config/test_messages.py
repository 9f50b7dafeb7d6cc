"""One table: a misspelt command line, and the message that it gets."""

import shutil

import pytest
from sola.config.conversion import CONF_DIR, compose
from sola.config.schema import TrainConfig

from sola.config.messages import explain, known_keys

MISSPELT = [
    ("trainer.max_epoch=3", "Did you mean trainer.max_epochs?"),
    ("trainer.foo=3", "Keys of trainer: accelerator, devices"),
    ("traker=small", "Did you mean tracker?"),
    ("tracker=smal", "Did you mean tracker=small? Options: sam2.1_hiera_base_plus"),
    ("dataset=mivis", "Did you mean dataset=mevis?"),
    ("experiment=x", "Options: demo, moving_shapes"),
    ("lr=1", "Did you mean optimizer.lr?"),
    ("dataset.maker.num_video=3", "Did you mean dataset.maker.num_videos?"),
    ("selector.options.motion_gian=8", "Did you mean selector.options.motion_gain?"),
    ("dataset.maker.num_videos.test=3", "To add one: +dataset.maker.num_videos.test=..."),
    (
        "prompt_source=gt",
        "prompt_source: there is no such key. Keys of the top level: data_root, paths, dataset",
    ),
    ("hydra.runn.dir=x", "Hydra has no such key"),
    ("+foo=1", "foo: there is no such key"),
    ("++foo=1", "foo: there is no such key"),
    ("+trainer.max_epoch=1", "Did you mean trainer.max_epochs?"),
    ("+trainer.max_epochs=1", "Write trainer.max_epochs=... without a plus sign"),
    ("+logger=csv", "Write logger=... without a plus sign"),
    ("trainer.max_epochs=three", "trainer.max_epochs is 'three'; needed is a whole number."),
    ("optimizer.lr=fast", "optimizer.lr is 'fast'; needed is a number."),
    ("resume=maybe", "resume is 'maybe'; needed is true or false."),
    ("data.train_sources=gt,grid", "add -m; for a list write data.train_sources=[gt,grid]; as a"),
    ("seed=1,2", "seed=1,2: a comma lists the jobs of a sweep. For a sweep add -m; as a part of"),
    ("data.train_sources=gt", "data.train_sources: needs a list. Write data.train_sources=[gt]."),
    ("data.train_sources=gt and grid", "Write data.train_sources=[gt and grid]."),
    ("dataset.root=${dataset.rot}", "dataset.root: Interpolation key 'dataset.rot' not found"),
    ("data.train_sources=[gt", "cannot be read as key=value"),
    ("train", "cannot be read as key=value"),
    ("trainer=5", "must be a string or a list"),
    ("~logger", "1 required value(s) missing: logger"),
]


@pytest.mark.parametrize(("override", "message"), MISSPELT, ids=[m[0] for m in MISSPELT])
def test_a_misspelt_command_line_is_answered_with_the_nearest_right_one(
    tmp_path, override, message
):
    with pytest.raises(Exception) as error:
        compose("train", [f"paths.output_dir={tmp_path}", override])

    explained = explain(error.value, TrainConfig) or str(error.value)
    assert message in explained
    assert "\n" not in explained
    assert "append" not in explained


def test_a_misspelt_key_in_a_file_is_refused_with_the_file_and_the_right_key(tmp_path):
    conf_dir = tmp_path / "conf"
    shutil.copytree(CONF_DIR, conf_dir)
    with (conf_dir / "logger" / "csv.yaml").open("a") as file:
        file.write("projekt: x\n")

    with pytest.raises(Exception) as error:
        compose("train", [f"paths.output_dir={tmp_path}", "logger=csv"], conf_dir)

    explained = explain(error.value, TrainConfig)
    assert (
        explained
        == "In 'logger/csv': logger.projekt: there is no such key. Did you mean logger.project?"
    )


def test_an_error_of_the_program_is_not_explained_as_one_of_the_configuration():
    assert explain(ValueError("a bug"), TrainConfig) is None
    assert explain(KeyError("a bug"), TrainConfig) is None


def test_known_keys_reach_into_optional_sections():
    assert {"dataset", "dataset.maker.num_frames", "tracker.mask_generator.points_per_side"} <= set(
        known_keys(TrainConfig)
    )
