"""Training from tracks on disk to checkpoints."""

import csv
import dataclasses
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sola.config.schema import DataConfig, LoggerConfig, OptimizerConfig, TrainConfig

from sola.selector.checkpoint import load_selector
from sola.training.run import run_training

UNTRAINED_LOSS = 2.5054993
"""valid/loss of the seeded network before it has learnt anything."""
WriteTracks = Callable[..., Path]
WriteSplit = Callable[[str], None]


@pytest.fixture
def dataset(write_tracks: WriteTracks, write_split: WriteSplit, letter_encoder: None) -> None:
    """Both splits with the tracks of the default sources."""
    for split in ("train", "valid_u"):
        write_split(split)
        write_tracks(split, "grid")
    write_tracks("train", "gt", {"v0": "ab", "v1": "", "v2": "c"})


def read_metrics(run_dir: Path, name: str) -> list[float]:
    with (run_dir / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


@pytest.mark.usefixtures("dataset")
class TestTraining:
    def test_selection_is_learnt_and_the_best_checkpoint_says_how_well(
        self, config: TrainConfig, caplog: pytest.LogCaptureFixture
    ) -> None:
        config.trainer.max_epochs = 24
        with caplog.at_level(logging.INFO):
            path = run_training(config)

        selector, provenance = load_selector(path)
        assert path == Path(config.paths.output_dir) / "best.ckpt"
        assert provenance["metrics"]["valid/J&F"] > 0.6
        for name in ("loss", "optimizer", "data", "trainer"):
            assert provenance[name] == dataclasses.asdict(vars(config)[name])
        expected = {
            "dataset": "shapes",
            "tracker": "tiny",
            "checkpoint_sha256": "0123",
            "token_dim": 8,
            "text_encoder": "letters",
            "threshold": 0.5,
        }
        assert expected.items() <= provenance.items()
        assert selector.kwargs["num_negatives"] == 3
        assert "logger: CSV" in caplog.messages[0]
        assert "valid/J&F" in caplog.messages[-1]
        assert "on split valid_u" in caplog.messages[-1]

    def test_the_same_seed_gives_the_same_weights(
        self, config: TrainConfig, tmp_path: Path
    ) -> None:
        runs = []
        for name, seed in (("one", 1), ("again", 1), ("other", 2)):
            config.paths.output_dir, config.seed = str(tmp_path / name), seed
            runs.append(load_selector(run_training(config))[0].state_dict())
        torch.testing.assert_close(runs[0], runs[1], rtol=0, atol=0)
        assert not torch.equal(runs[0]["negative_tokens"], runs[2]["negative_tokens"])

    @pytest.mark.parametrize("num_workers", [0, 2])
    @pytest.mark.parametrize("group_by", ["expression", "video"])
    def test_workers_and_grouping_do_not_change_validation(
        self, config: TrainConfig, group_by: str, num_workers: int
    ) -> None:
        config.optimizer = OptimizerConfig(lr=1e-12)
        config.data = DataConfig(group_by=group_by, batch_size=2, num_workers=num_workers)
        config.trainer.max_epochs = 1
        run_training(config)
        (loss,) = read_metrics(Path(config.paths.output_dir), "valid/loss")
        assert loss == pytest.approx(UNTRAINED_LOSS, rel=1e-4)

    def test_training_does_not_depend_on_the_number_of_workers(
        self, config: TrainConfig, tmp_path: Path
    ) -> None:
        config.selector.dropout, config.data.batch_size = 0.2, 1
        checkpoints = []
        for num_workers in (0, 2):
            config.data.num_workers = num_workers
            config.paths.output_dir = str(tmp_path / str(num_workers))
            checkpoints.append(load_selector(run_training(config)))
        (one, of_one), (two, of_two) = checkpoints
        torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=0, atol=0)
        assert of_one["metrics"] == of_two["metrics"]

    def test_a_run_goes_on_from_its_last_checkpoint(
        self, config: TrainConfig, tmp_path: Path
    ) -> None:
        config.trainer.max_epochs = 2
        config.optimizer = OptimizerConfig(lr=1e-2, warmup_steps=1)
        run_training(config)
        config.ckpt_path = str(tmp_path / "run" / "last.ckpt")
        config.paths.output_dir, config.trainer.max_epochs = str(tmp_path / "more"), 3

        run_training(config)

        _, provenance = load_selector(tmp_path / "more" / "last.ckpt")
        assert provenance["epoch"] == 2
        assert len(read_metrics(tmp_path / "more", "valid/loss")) == 1

    def test_a_run_that_goes_on_in_its_folder_knows_its_best(
        self, config: TrainConfig, tmp_path: Path
    ) -> None:
        config.resume, config.trainer.max_epochs = True, 2
        before = run_training(config).read_bytes()  # nothing to resume from yet
        config.threshold, config.trainer.max_epochs = 1.0, 3  # nothing is selected

        best_path = run_training(config)

        assert best_path.read_bytes() == before
        assert len(read_metrics(tmp_path / "run", "valid/loss")) == 3
        assert run_training(config).read_bytes() == before  # a run that is over
        config.resume, config.trainer.max_epochs = False, 4
        config.ckpt_path = str(best_path.with_name("last.ckpt"))
        config.paths.output_dir = str(tmp_path / "more")
        _, provenance = load_selector(run_training(config))
        assert provenance["epoch"] == 3
        assert len(read_metrics(tmp_path / "more", "valid/loss")) == 1

    def test_learning_rate_and_losses_are_logged(self, config: TrainConfig) -> None:
        config.trainer.max_epochs = 6
        run_training(config)
        run_dir = Path(config.paths.output_dir)
        rates = read_metrics(run_dir, "train/lr")
        assert rates
        assert max(rates) <= 1e-2
        for name in (
            "train/loss_epoch",
            "train/bce_epoch",
            "valid/alignment",
            "valid/J",
            "valid/F",
        ):
            assert len(read_metrics(run_dir, name)) == 6, name

    @pytest.mark.parametrize(("label_iou", "is_warned"), [(0.7, False), (1.0, True)])
    def test_labels_without_any_positive_are_warned_of(
        self,
        config: TrainConfig,
        caplog: pytest.LogCaptureFixture,
        label_iou: float,
        is_warned: bool,
    ) -> None:
        config.loss.label_iou, config.trainer.max_epochs = label_iou, 1
        run_training(config)
        assert ("every label is negative" in caplog.text) == is_warned

    def test_part_of_an_epoch_says_nothing_of_the_split(
        self, config: TrainConfig, caplog: pytest.LogCaptureFixture
    ) -> None:
        config.loss.label_iou, config.trainer.limit_train_batches = 1.0, 0.5
        config.trainer.max_epochs = 1
        run_training(config)
        assert "every label is negative" not in caplog.text

    @pytest.mark.parametrize("name", ["limit_train_batches", "limit_val_batches"])
    def test_a_share_of_less_than_a_batch_is_refused(self, config: TrainConfig, name: str) -> None:
        setattr(config.trainer, name, 0.01)
        with pytest.raises(ValueError, match=rf"trainer\.{name} is .* at least trainer\.{name}=0"):
            run_training(config)

    @pytest.mark.parametrize("name", ["csv", "wandb"])
    def test_a_debug_run_is_one_batch_and_writes_nothing(
        self, config: TrainConfig, caplog: pytest.LogCaptureFixture, name: str
    ) -> None:
        config.trainer.fast_dev_run, config.logger = True, LoggerConfig(name)
        with caplog.at_level(logging.INFO):
            run_training(config)
        assert not Path(config.paths.output_dir).exists()
        assert caplog.messages[0] == "logger: none, trainer.fast_dev_run writes nothing"

    def test_resuming_needs_the_optimisers_state_and_the_same_network(
        self, config: TrainConfig
    ) -> None:
        best_path = run_training(config)
        config.ckpt_path = str(best_path)
        with pytest.raises(ValueError, match=r"no state of the optimiser.*Use the run's last.ckpt"):
            run_training(config)
        config.selector.num_layers = 2
        with pytest.raises(ValueError, match=r"num_layers=1, selector.num_layers is 2"):
            run_training(config)

    def test_weights_and_biases_is_offline_when_nobody_is_logged_in(
        self,
        config: TrainConfig,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setenv("WANDB_MODE", "offline")
        monkeypatch.setenv("WANDB_SILENT", "true")
        for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            monkeypatch.setenv(name, "")
            monkeypatch.delenv(name)
        config.logger, config.trainer.max_epochs = LoggerConfig("wandb"), 1
        with caplog.at_level(logging.INFO):
            run_training(config)
        assert caplog.messages[0].startswith("logger: W&B, offline (WANDB_MODE)")
        assert list(Path(config.paths.output_dir).glob("wandb/offline-run-*/*.wandb"))

    def test_without_a_key_weights_and_biases_is_offline_and_asks_for_none(
        self,
        config: TrainConfig,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        tmp_path: Path,
    ) -> None:
        for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "NETRC"):
            monkeypatch.delenv(name, raising=False)
        for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            monkeypatch.setenv(name, str(tmp_path / "wandb"))
        monkeypatch.setenv("HOME", str(tmp_path))
        config.logger, config.trainer.max_epochs = LoggerConfig("wandb"), 1
        with caplog.at_level(logging.INFO):
            run_training(config)
        assert caplog.messages[0].startswith("logger: W&B, offline (nobody is logged in)")
        assert list(Path(config.paths.output_dir).glob("wandb/offline-run-*/*.wandb"))
        assert "WANDB_MODE" not in os.environ  # the next job of a sweep looks again


def test_tracks_of_expressions_are_learnt_from_and_measured_each_for_its_own(
    config: TrainConfig, write_tracks: WriteTracks, write_split: WriteSplit, letter_encoder: None
) -> None:
    meant = enumerate(("a", "b", "c", "ab", ""))
    own = {f"v{i}/{number}": letters for number, letters in meant for i in range(3)}
    own["v1/2"] = ""  # nothing was found: the one answer that is wrong
    for split in ("train", "valid_u"):
        write_split(split)
        write_tracks(split, "gdino", own)
    write_tracks("train", "gt", {"v0": "ab", "v1": "", "v2": "c"})
    config.data.train_sources, config.data.valid_sources = ["gdino", "gt"], ["gdino"]
    config.threshold, config.trainer.max_epochs = 0.0, 1  # every track of an expression is selected

    _, provenance = load_selector(run_training(config))

    assert provenance["metrics"]["valid/J"] == pytest.approx(14 / 15)
    assert provenance["metrics"]["valid/F"] == pytest.approx(14 / 15)
    assert provenance["metrics"]["valid/loss"] > 0
    assert provenance["train_sources"] == ["gdino", "gt"]
    folders = [Path(folder).parts[-3:-1] for folder in provenance["tracks"]]
    assert folders == [("train", "gt"), ("train", "gdino"), ("valid_u", "gdino")]


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda c: setattr(c.logger, "name", "paper"), "logger.name=paper: not known"),
        (lambda c: setattr(c.optimizer, "schedule", "up"), "optimizer.schedule=up: not known"),
        (lambda c: setattr(c.loss, "empty_frames", "drop"), "empty_frames is 'drop'"),
    ],
)
def test_a_users_mistake_is_one_clear_message(
    config: TrainConfig,
    break_it: Callable[[TrainConfig], None],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    broken = dataclasses.replace(config)
    break_it(broken)
    with pytest.raises(ValueError, match=message):
        run_training(broken)
