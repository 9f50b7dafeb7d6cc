"""Every file in conf/ composes, converts to its data class, and keeps the rules."""

from itertools import combinations
from pathlib import Path

import pytest
import yaml

from sola.config.conversion import CONF_DIR, SCHEMAS
from sola.config.schema import DatasetConfig, TrackerConfig

ENTRY_OF_GROUP = {"prompt_source": "generate"}
REQUIRED = {"generate": ["split=train"], "evaluate": ["ckpt_path=x"], "predict": ["ckpt_path=x"]}
GROUP_FILES = sorted(
    p.relative_to(CONF_DIR)
    for p in CONF_DIR.glob("*/*.yaml")  # hydra/job_logging lies deeper and is Hydra's
)
DATASETS = [path.stem for path in GROUP_FILES if path.parts[0] == "dataset"]
JOINT_DATASET = "mevis_and_ref_youtube_vos"
TRACKERS = [path.stem for path in GROUP_FILES if path.parts[0] == "tracker"]


@pytest.mark.parametrize("entry", SCHEMAS)
def test_defaults_of_every_entry_point_convert_to_its_data_class(compose, entry):
    config = compose(entry, *REQUIRED.get(entry, []))

    assert type(config) is SCHEMAS[entry]
    assert config.dataset.name == "moving_shapes"


@pytest.mark.parametrize("path", GROUP_FILES, ids=str)
def test_every_group_file_composes_converts_and_keeps_the_rules(compose, path):
    group, option = path.parts[0], path.stem
    entry = ENTRY_OF_GROUP.get(group, "train")

    config = compose(entry, f"{group}={option}", *REQUIRED.get(entry, []))

    if group in ("dataset", "prompt_source", "tracker", "text_encoder", "logger"):
        assert getattr(config, group).name == option


def test_a_detector_network_brings_its_checkpoint(compose):
    options = ["split=train", "prompt_source=gdino"]
    small = compose("generate", *options).prompt_source
    large = compose("generate", *options, "prompt_source/detector_network=swin_b").prompt_source

    assert (small.detector_network.name, small.max_tracks) == ("swin_t", 16)
    assert small.detector_checkpoint == "checkpoints/groundingdino_swint_ogc.pth"
    assert (large.detector_network.name, large.detector_network.swin_dim) == ("swin_b", 128)
    assert large.detector_checkpoint == "checkpoints/groundingdino_swinb_cogcoor.pth"
    assert large.detector_network.num_queries == small.detector_network.num_queries == 900


@pytest.mark.parametrize("entry", sorted(SCHEMAS.keys() - {"check"}))  # it tracks nothing
@pytest.mark.parametrize("dataset", sorted(set(DATASETS) - {JOINT_DATASET}))
def test_a_dataset_chooses_its_tracker_for_every_entry_point(compose, entry, dataset):
    config = compose(entry, f"dataset={dataset}", *REQUIRED.get(entry, []))

    is_synthetic = dataset.startswith("moving_shapes")
    assert config.tracker.name == ("small" if is_synthetic else "sam2.1_hiera_large")


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_dataset_can_be_checked(compose, dataset):
    config = compose("check", f"dataset={dataset}")

    assert config.dataset.name == dataset
    assert (config.tracker, config.text_encoder, config.selector, config.trainer) == (None,) * 4


def test_the_joint_dataset_is_made_of_the_files_of_its_parts(compose):
    joint = compose("train", f"dataset={JOINT_DATASET}").dataset

    assert list(joint.parts) == ["mevis", "ref_youtube_vos"]
    for name, part in joint.parts.items():
        alone = compose("train", f"dataset={name}").dataset
        assert vars(part) == {key: vars(alone)[key] for key in vars(part)}
    assert (joint.train_split, joint.valid_split) == ("train", "valid_u")


def test_moving_shapes_chooses_small_networks_that_fit_each_other(compose):
    config = compose("train", "dataset=moving_shapes")

    assert config.text_encoder.name == "minilm"
    assert config.selector.text_dim == config.text_encoder.dim == 384
    assert config.selector.token_dim == config.tracker.token_dim
    assert config.trainer.accelerator == "cpu"


def test_mevis_chooses_the_networks_and_values_of_the_paper(compose):
    config = compose("train", "dataset=mevis")

    assert (config.selector.token_dim, config.selector.text_dim) == (256, 1024)
    assert config.selector.num_negatives == 32
    assert (config.optimizer.lr, config.trainer.max_epochs, config.data.batch_size) == (5e-6, 15, 1)
    assert config.logger.name == "wandb"


def test_a_choice_on_the_command_line_beats_that_of_the_dataset(compose):
    config = compose("train", "dataset=moving_shapes", "tracker=sam2_hiera_tiny", "trainer=gpu")

    assert (config.tracker.name, config.selector.token_dim) == ("sam2_hiera_tiny", 256)
    assert config.trainer.accelerator == "gpu"


def test_an_experiment_beats_the_defaults_and_the_command_line_beats_both(compose):
    defaults = compose("train")
    experiment = compose("train", "experiment=demo")
    command_line = compose("train", "experiment=demo", "optimizer.lr=0.5")

    assert experiment.optimizer.lr != defaults.optimizer.lr
    assert experiment.logger.name == "csv"
    assert command_line.optimizer.lr == 0.5


@pytest.mark.parametrize("dataset", DATASETS)
def test_one_value_moves_all_data(compose, tmp_path, dataset):
    config = compose("train", f"dataset={dataset}", f"data_root={tmp_path}/here").dataset

    for part in config.parts.values() or [config]:
        assert Path(part.root).parent == tmp_path / "here"
        assert part.cache_dir in (None, str(tmp_path / "here" / "cache" / part.name))


def test_no_two_synthetic_datasets_share_a_seed(compose):
    ranges = {}
    for name in ("moving_shapes", "moving_shapes_large"):
        maker = compose("train", f"dataset={name}").dataset.maker
        for split, count in maker.num_videos.items():
            first = maker.first_seed[split]
            ranges[name, split] = range(first, first + count)

    assert len(ranges) == 5
    for a, b in combinations(ranges.values(), 2):
        assert a.stop <= b.start or b.stop <= a.start


@pytest.mark.parametrize("tracker", sorted(set(TRACKERS) - {"small"}))
def test_a_packaged_tracker_names_a_file_of_the_sam2_package(compose, tracker):
    from importlib.util import find_spec

    config: TrackerConfig = compose("train", f"tracker={tracker}").tracker
    configs_dir = Path(find_spec("sam2").origin).parent / "configs"

    assert (configs_dir / config.packaged_model).is_file()
    assert config.checkpoint == f"checkpoints/{tracker}.pt"


def test_an_unused_group_is_empty_after_conversion(compose):
    config = compose("generate", "split=train")

    assert config.text_encoder is None
    assert config.selector is None
    assert isinstance(config.dataset, DatasetConfig)


@pytest.mark.parametrize(
    "path", sorted((CONF_DIR / "experiment").glob("*.yaml")), ids=lambda p: p.stem
)
def test_an_experiment_opens_with_its_package_and_its_command(path):
    first, second = path.read_text().splitlines()[:2]

    assert first == "# @package _global_"
    assert f"python train.py experiment={path.stem}" in second


@pytest.mark.parametrize("path", sorted(CONF_DIR.rglob("*.yaml")), ids=lambda p: p.stem)
def test_no_file_names_a_key_twice(path):
    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader, node):
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{path}: {keys}"
        return yaml.SafeLoader.construct_mapping(loader, node, deep=True)

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    assert yaml.load(path.read_text(), Strict)
