"""Every file in conf/ composes, its targets exist and take their arguments (``load``)."""

from functools import cache
from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from sola.config import compose as compose_config
from sola.config.composition import CONF_DIR, ENTRIES
from sola.config.targets import TARGET, Later

REQUIRED = {"generate": ["split=train"], "evaluate": ["ckpt_path=x"], "predict": ["ckpt_path=x"]}
GROUP_FILES = sorted(CONF_DIR.glob("*/*.yaml"))
DATASETS = [path.stem for path in GROUP_FILES if path.parent.name == "dataset"]
DATASETS.remove("clip")  # a video of the user's own
TRACKERS = [path.stem for path in GROUP_FILES if path.parent.name == "tracker"]
JOINT_DATASET = "mevis_and_ref_youtube_vos"
EXPERIMENTS = [path for path in GROUP_FILES if path.parent.name == "experiment"]
ENTRY_OF = {"prompt_source": "generate", "detector": "generate"}
"""The command that a group's files are composed for; train for all others."""


@cache
def composed(entry: str, *overrides: str):
    """One composition of each command line for all tests of this file."""
    return compose_config(
        entry, ["data_root=data", "paths.output_dir=output", *overrides, *REQUIRED.get(entry, [])]
    )


def choice(path: Path) -> list[str]:
    """The override that chooses a file."""
    group, name = path.parent.name, path.stem
    if group == "detector":
        return ["prompt_source=gdino", f"detector@prompt_source.detector={name}"]
    return [f"{group}={name}"]


@pytest.mark.parametrize("path", GROUP_FILES, ids=lambda p: f"{p.parent.name}={p.stem}")
def test_file_composes(path):
    group = path.parent.name
    entry = ENTRY_OF.get(group, "train")

    config = composed(entry, *choice(path))

    assert type(config).__name__ == ENTRIES[entry].config_class
    if group in ("dataset", "prompt_source", "tracker", "text_encoder"):
        assert getattr(config, group).name == path.stem


def test_detector_brings_its_checkpoint():
    options = ["prompt_source=gdino"]
    small = composed("generate", *options).prompt_source
    large = composed("generate", *options, "detector@prompt_source.detector=swin_b").prompt_source

    assert (small.detector.network.swin_dim, small.rule.max_tracks) == (96, 16)
    assert small.detector.checkpoint == "IDEA-Research/grounding-dino-tiny"
    assert large.detector.network.swin_dim == 128
    assert large.detector.checkpoint == "IDEA-Research/grounding-dino-base"
    assert large.detector.network.num_queries == small.detector.network.num_queries == 900


@pytest.mark.parametrize("entry", sorted(ENTRIES.keys() - {"check"}))  # it tracks nothing
@pytest.mark.parametrize("dataset", ["moving_shapes", "mevis"])
def test_dataset_chooses_its_tracker_for_every_entry_point(entry, dataset):
    config = composed(entry, f"dataset={dataset}")

    expected = {"moving_shapes": "small", "mevis": "sam2.1_hiera_large"}
    assert config.tracker.name == expected[dataset]


def test_joint_dataset_is_made_of_the_files_of_its_parts():
    joint = composed("train", f"dataset={JOINT_DATASET}").dataset

    assert list(joint.parts) == ["mevis", "ref_youtube_vos"]
    for name, part in joint.parts.items():
        own = composed("train", f"dataset={name}").dataset
        assert (part.root, part.split_class) == (own.root, own.split_class)
        assert (part.train_split, part.valid_split) == (own.train_split, own.valid_split)
    assert (joint.train_split, joint.valid_split) == ("train", "valid_u")


def test_moving_shapes_chooses_small_networks_that_fit_each_other():
    config = composed("train", "dataset=moving_shapes")

    assert config.text_encoder.name == "minilm"
    selector = config.selector.node
    assert selector["text_dim"] == config.text_encoder.dim == 384
    assert selector["token_dim"] == config.tracker.token_dim
    assert (config.trainer.node["accelerator"], config.num_threads) == ("cpu", 1)


def test_mevis_chooses_the_networks_and_values_of_the_paper():
    config = composed("train", "dataset=mevis")

    selector = config.selector.node
    assert (selector["token_dim"], selector["text_dim"]) == (256, 1024)
    assert selector["num_negatives"] == 32
    assert config.optimizer.node["lr"] == 5e-6
    assert (config.trainer.node["max_epochs"], config.data.batch_size) == (15, 1)
    assert config.logger.node["project"] == "sola"


@pytest.mark.parametrize("dataset", DATASETS)
def test_dataset_chooses_the_sources_of_validation_evaluation_and_prediction(dataset):
    is_synthetic = dataset.startswith("moving_shapes")
    expected = ["grid"] if is_synthetic else ["grid", "gdino"]

    assert composed("train", f"dataset={dataset}").data.valid_sources == expected
    if dataset != JOINT_DATASET:
        for entry in ("evaluate", "predict"):
            assert composed(entry, f"dataset={dataset}").sources == expected


def test_command_line_overrides_the_choices_of_the_dataset():
    config = composed("train", "dataset=moving_shapes", "tracker=sam2_hiera_tiny", "trainer=gpu")

    assert (config.tracker.name, config.selector.node["token_dim"]) == ("sam2_hiera_tiny", 256)
    assert config.trainer.node["accelerator"] == "gpu"


def test_experiment_overrides_defaults_and_command_line_overrides_both():
    defaults = composed("train")
    experiment = composed("train", "experiment=demo")
    command_line = composed("train", "experiment=demo", "optimizer.lr=0.5")

    assert experiment.optimizer.node["lr"] != defaults.optimizer.node["lr"]
    assert experiment.logger.node[TARGET].endswith("CSVLogger")
    assert command_line.optimizer.node["lr"] == 0.5


def test_group_can_be_left_out():
    config = composed("train", "~logger", "~scheduler", "~callbacks")

    assert (config.logger, config.scheduler, config.callbacks) == (None, None, {})
    assert config.values["scheduler"] is None


@pytest.mark.parametrize("dataset", DATASETS)
def test_data_root_moves_all_data(dataset):
    config = composed("train", f"dataset={dataset}").dataset

    for part in config.parts.values():
        assert part.root.parent == Path("data")
        cache_dir = part.reader.keywords.get("cache_dir")
        assert cache_dir in (None, str(Path("data") / "cache" / part.name))


def test_no_two_synthetic_datasets_share_a_seed():
    ranges = {}
    for name in ("moving_shapes", "moving_shapes_large", "moving_shapes_relations"):
        maker = composed("train", f"dataset={name}").dataset.maker
        for split, count in maker.num_videos.items():
            first = maker.first_seed[split]
            ranges[name, split] = range(first, first + count)

    assert len(ranges) == 9
    for a, b in combinations(ranges.values(), 2):
        assert a.stop <= b.start or b.stop <= a.start


@pytest.mark.parametrize("tracker", sorted(set(TRACKERS) - {"small"}))
def test_packaged_tracker_names_a_file_of_the_sam2_package(tracker):
    node = yaml.safe_load((CONF_DIR / "tracker" / f"{tracker}.yaml").read_text())
    configs_dir = Path(find_spec("sam2").origin).parent / "configs"

    assert (configs_dir / node["network"]).is_file()
    assert node["name"] == tracker


def test_objects_with_state_are_built_when_called():
    config = composed("train")

    assert all(isinstance(each, Later) for each in (config.selector, config.optimizer))
    assert config.selector() is not config.selector()


@pytest.mark.parametrize("experiment", [path.stem for path in EXPERIMENTS])
@pytest.mark.parametrize("group", ["selector", "loss"])
def test_experiment_takes_every_choice_of_a_group(experiment, group):
    for path in GROUP_FILES:
        if path.parent.name == group:
            composed("train", f"experiment={experiment}", *choice(path))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda p: p.stem)
def test_experiment_opens_with_its_package_and_its_command(path):
    first, second = path.read_text().splitlines()[:2]

    assert first == "# @package _global_"
    assert f"python train.py experiment={path.stem}" in second
