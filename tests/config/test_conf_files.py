"""Every file in conf/ composes, and what it names exists and takes its arguments (``load``)."""

from importlib.util import find_spec
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from sola.config.composition import CONF_DIR, ENTRIES
from sola.config.targets import TARGET, Later, locate

REQUIRED = {"generate": ["split=train"], "evaluate": ["ckpt_path=x"], "predict": ["ckpt_path=x"]}
FILES = sorted(CONF_DIR.rglob("*.yaml"))
GROUP_FILES = [path for path in FILES if path.parent.parent == CONF_DIR]
DATASETS = [path.stem for path in GROUP_FILES if path.parent.name == "dataset"]
TRACKERS = [path.stem for path in GROUP_FILES if path.parent.name == "tracker"]
JOINT_DATASET = "mevis_and_ref_youtube_vos"
GROUPS = {
    "generate": ["dataset", "tracker", "prompt_source", "detector", "trainer", "logger"],
    "train": [
        *("dataset", "tracker", "text_encoder", "selector", "loss", "optimizer", "scheduler"),
        *("callbacks", "trainer", "logger", "experiment"),
    ],
    "evaluate": ["dataset", "tracker", "text_encoder", "selector", "trainer"],
    "predict": ["dataset", "tracker", "text_encoder", "selector", "trainer", "prompt_source"],
    "check": ["dataset"],
}
"""Groups that each entry point uses."""
USES = [
    (entry, path)
    for entry, groups in GROUPS.items()
    for path in GROUP_FILES
    if path.parent.name in groups
    and not (entry in ("generate", "evaluate", "predict") and path.stem == JOINT_DATASET)
    and not (entry != "train" and path.stem == "debug")  # fast_dev_run is for training
]


def choice(entry: str, path: Path) -> list[str]:
    """The override that chooses a file."""
    group, name = path.parent.name, path.stem
    if group == "detector":
        return ["prompt_source=gdino", f"detector@prompt_source.detector={name}"]
    if (entry, group) == ("predict", "prompt_source"):
        return [f"prompt_source@prompt_sources.grid={name}"]
    return [f"{group}={name}"]


@pytest.mark.parametrize(
    ("entry", "path"), USES, ids=[f"{entry}-{p.parent.name}={p.stem}" for entry, p in USES]
)
def test_file_composes_for_entry_point_that_uses_it(compose, entry, path):
    config = compose(entry, *choice(entry, path), *REQUIRED.get(entry, []))

    assert type(config).__name__ == ENTRIES[entry].config_class
    if path.parent.name in ("dataset", "prompt_source", "tracker", "text_encoder"):
        sources = getattr(config, "prompt_sources", {}).get("grid")
        chosen = sources if sources and path.parent.name == "prompt_source" else None
        assert (chosen or getattr(config, path.parent.name)).name == path.stem


def test_every_group_is_used() -> None:
    used = {group for groups in GROUPS.values() for group in groups}

    assert used == {path.parent.name for path in GROUP_FILES}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF_DIR)))
def test_every_target_exists(path):
    def check(value, key):
        if isinstance(value, dict) and TARGET in value:
            locate(value[TARGET], key)
        for name, each in value.items() if isinstance(value, dict) else ():
            check(each, f"{key}.{name}")

    if path.parent.name != "job_logging":  # names classes in the form of logging.config
        check(yaml.safe_load(path.read_text()), path.stem)


def test_detector_brings_its_checkpoint(compose):
    options = ["split=train", "prompt_source=gdino"]
    small = compose("generate", *options).prompt_source
    large = compose("generate", *options, "detector@prompt_source.detector=swin_b").prompt_source

    assert (small.detector.network.swin_dim, small.rule.max_tracks) == (96, 16)
    assert small.detector.checkpoint == "checkpoints/groundingdino_swint_ogc.pth"
    assert large.detector.network.swin_dim == 128
    assert large.detector.checkpoint == "checkpoints/groundingdino_swinb_cogcoor.pth"
    assert large.detector.network.num_queries == small.detector.network.num_queries == 900


@pytest.mark.parametrize("entry", sorted(ENTRIES.keys() - {"check"}))  # it tracks nothing
@pytest.mark.parametrize("dataset", ["moving_shapes", "mevis"])
def test_dataset_chooses_its_tracker_for_every_entry_point(compose, entry, dataset):
    config = compose(entry, f"dataset={dataset}", *REQUIRED.get(entry, []))

    expected = {"moving_shapes": "small", "mevis": "sam2.1_hiera_large"}
    assert config.tracker.name == expected[dataset]


def test_joint_dataset_is_made_of_the_files_of_its_parts(compose):
    joint = compose("train", f"dataset={JOINT_DATASET}").dataset

    assert list(joint.parts) == ["mevis", "ref_youtube_vos"]
    for name, part in joint.parts.items():
        own = compose("train", f"dataset={name}").dataset
        assert (part.root, part.split_class) == (own.root, own.split_class)
        assert (part.train_split, part.valid_split) == (own.train_split, own.valid_split)
    assert (joint.train_split, joint.valid_split) == ("train", "valid_u")


def test_moving_shapes_chooses_small_networks_that_fit_each_other(compose):
    config = compose("train", "dataset=moving_shapes")

    assert config.text_encoder.name == "minilm"
    selector = config.selector.node
    assert selector["text_dim"] == config.text_encoder.dim == 384
    assert selector["token_dim"] == config.tracker.token_dim
    assert (config.trainer.node["accelerator"], config.num_threads) == ("cpu", 1)


def test_mevis_chooses_the_networks_and_values_of_the_paper(compose):
    config = compose("train", "dataset=mevis")

    selector = config.selector.node
    assert (selector["token_dim"], selector["text_dim"]) == (256, 1024)
    assert selector["num_negatives"] == 32
    assert config.optimizer.node["lr"] == 5e-6
    assert (config.trainer.node["max_epochs"], config.data.batch_size) == (15, 1)
    assert config.logger.node["project"] == "sola"


@pytest.mark.parametrize("dataset", DATASETS)
def test_dataset_chooses_the_sources_of_validation_evaluation_and_prediction(compose, dataset):
    is_synthetic = dataset.startswith("moving_shapes")
    expected = ["grid"] if is_synthetic else ["grid", "gdino"]

    assert compose("train", f"dataset={dataset}").data.valid_sources == expected
    if dataset != JOINT_DATASET:
        for entry in ("evaluate", "predict"):
            assert compose(entry, f"dataset={dataset}", "ckpt_path=x").sources == expected


def test_command_line_overrides_the_choices_of_the_dataset(compose):
    config = compose("train", "dataset=moving_shapes", "tracker=sam2_hiera_tiny", "trainer=gpu")

    assert (config.tracker.name, config.selector.node["token_dim"]) == ("sam2_hiera_tiny", 256)
    assert config.trainer.node["accelerator"] == "gpu"


def test_experiment_overrides_defaults_and_command_line_overrides_both(compose):
    defaults = compose("train")
    experiment = compose("train", "experiment=demo")
    command_line = compose("train", "experiment=demo", "optimizer.lr=0.5")

    assert experiment.optimizer.node["lr"] != defaults.optimizer.node["lr"]
    assert experiment.logger.node[TARGET].endswith("csv_logger")
    assert command_line.optimizer.node["lr"] == 0.5


def test_group_can_be_left_out(compose):
    config = compose("train", "~logger", "~scheduler", "~callbacks")

    assert (config.logger, config.scheduler, config.callbacks) == (None, None, {})
    assert config.values["scheduler"] is None


@pytest.mark.parametrize("dataset", DATASETS)
def test_data_root_moves_all_data(compose, tmp_path, dataset):
    config = compose("train", f"dataset={dataset}", f"data_root={tmp_path}/here").dataset

    for part in config.parts.values():
        assert part.root.parent == tmp_path / "here"
        cache_dir = part.reader.keywords.get("cache_dir")
        assert cache_dir in (None, str(tmp_path / "here" / "cache" / part.name))


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
def test_packaged_tracker_names_a_file_of_the_sam2_package(tracker):
    node = yaml.safe_load((CONF_DIR / "tracker" / f"{tracker}.yaml").read_text())
    configs_dir = Path(find_spec("sam2").origin).parent / "configs"

    assert (configs_dir / node["network"]).is_file()
    assert node["name"] == tracker


def test_what_holds_state_is_built_when_it_is_called(compose):
    config = compose("train")

    assert all(isinstance(each, Later) for each in (config.selector, config.optimizer))
    assert config.selector() is not config.selector()


def test_unused_group_is_not_built(compose):
    config = compose("generate", "split=train")

    assert not hasattr(config, "text_encoder")
    assert "selector" not in config.values


@pytest.mark.parametrize(
    "path", sorted((CONF_DIR / "experiment").glob("*.yaml")), ids=lambda p: p.stem
)
def test_experiment_opens_with_its_package_and_its_command(path):
    first, second = path.read_text().splitlines()[:2]

    assert first == "# @package _global_"
    assert f"python train.py experiment={path.stem}" in second


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONF_DIR)))
def test_file_names_no_key_twice(path):
    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader, node):
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{path}: {keys}"
        return yaml.SafeLoader.construct_mapping(loader, node, deep=True)

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    assert yaml.load(path.read_text(), Strict)
