"""Training from tracks on disk to checkpoints."""

import csv
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sola.config.entry_points import TrainConfig
from sola.errors import UserError
from sola.selector.checkpoint import load_selector
from sola.training.run import train

UNTRAINED_LOSS = 2.5054993
"""valid/loss of the seeded network before it has learnt anything."""
UNCHANGED = ("optimizer.lr=1e-12", "scheduler=plateau")
WriteTracks = Callable[..., Path]
WriteSplit = Callable[[str], None]
MakeConfig = Callable[..., TrainConfig]


def read_metrics(run_dir: Path, name: str) -> list[float]:
    with (run_dir / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def output_dir(config: TrainConfig) -> Path:
    return Path(config.paths.output_dir)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("dataset")
class TestTraining:
    def test_selection_is_learnt_and_recorded_in_best_checkpoint(
        self, make_config: MakeConfig, caplog: pytest.LogCaptureFixture
    ) -> None:
        config = make_config("trainer.max_epochs=24")
        with caplog.at_level(logging.INFO):
            result = train(config)

        selector, provenance = load_selector(result.best_path)
        assert result.best_path == output_dir(config) / "best.ckpt"
        assert provenance["metrics"]["valid/J&F"] == pytest.approx(result.valid_jf)
        assert provenance["metrics"]["valid/J&F"] > 0.6
        for name in ("loss", "scheduler", "data"):
            assert provenance[name] == config.values[name]
        assert provenance["optimizer"] == {**config.values["optimizer"], "fused": True}
        chosen = {"accelerator", "strategy", "deterministic"}  # what the machine chose
        expected = {k: v for k, v in config.values["trainer"].items() if k not in chosen}
        assert expected.items() <= provenance["trainer"].items()
        named = {
            "dataset": "shapes",
            "tracker": "tiny",
            "checkpoint_sha256": "0123",
            "token_dim": 8,
            "text_encoder": "letters",
            "threshold": 0.5,
        }
        assert named.items() <= provenance.items()
        assert selector.kwargs["num_negatives"] == 3
        assert "logger: CSV" in caplog.messages[0]
        assert "valid/J&F" in caplog.messages[-1]
        assert "on split valid_u" in caplog.messages[-1]

    def test_same_seed_gives_same_weights(self, make_config: MakeConfig, tmp_path: Path) -> None:
        runs = []
        for name, seed in (("one", 1), ("again", 1), ("other", 2)):
            config = make_config(f"seed={seed}", f"paths.output_dir={tmp_path / name}")
            runs.append(load_selector(train(config).best_path)[0].state_dict())
        torch.testing.assert_close(runs[0], runs[1], rtol=0, atol=0)
        assert not torch.equal(runs[0]["negative_tokens"], runs[2]["negative_tokens"])

    @pytest.mark.parametrize(("group_by", "num_workers"), [("expression", 2), ("video", 0)])
    def test_workers_and_grouping_do_not_change_validation(
        self, make_config: MakeConfig, group_by: str, num_workers: int
    ) -> None:
        data = (f"data.group_by={group_by}", f"data.num_workers={num_workers}")
        config = make_config(*UNCHANGED, *data, "trainer.max_epochs=1")
        train(config)
        (loss,) = read_metrics(output_dir(config), "valid/loss")
        assert loss == pytest.approx(UNTRAINED_LOSS, rel=1e-4)

    def test_training_does_not_depend_on_number_of_workers(
        self, make_config: MakeConfig, tmp_path: Path
    ) -> None:
        checkpoints = []
        for num_workers in (0, 2):
            words = (
                f"data.num_workers={num_workers}",
                f"paths.output_dir={tmp_path}/{num_workers}",
            )
            config = make_config("selector.dropout=0.2", "data.batch_size=1", *words)
            checkpoints.append(load_selector(train(config).best_path))
        (one, of_one), (two, of_two) = checkpoints
        torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=0, atol=0)
        assert of_one["metrics"] == of_two["metrics"]

    def test_run_resumes_from_last_checkpoint_in_another_folder(
        self, make_config: MakeConfig, tmp_path: Path
    ) -> None:
        train(make_config())
        resumed = (f"ckpt_path={tmp_path}/run/last.ckpt", f"paths.output_dir={tmp_path}/more")

        train(make_config(*resumed, "trainer.max_epochs=3"))

        _, provenance = load_selector(tmp_path / "more" / "last.ckpt")
        assert provenance["epoch"] == 2
        assert len(read_metrics(tmp_path / "more", "valid/loss")) == 1

    def test_run_resumed_in_its_folder_keeps_its_best(
        self, make_config: MakeConfig, tmp_path: Path
    ) -> None:
        best_path = train(make_config("resume=true")).best_path  # nothing to resume from yet
        before = best_path.read_bytes()
        worse = ("resume=true", "threshold=1.0", "trainer.max_epochs=3")  # nothing is selected

        best_path = train(make_config(*worse)).best_path

        assert best_path.read_bytes() == before
        assert len(read_metrics(tmp_path / "run", "valid/loss")) == 3
        assert train(make_config(*worse)).best_path.read_bytes() == before  # a run that is over
        elsewhere = (f"ckpt_path={tmp_path}/run/last.ckpt", f"paths.output_dir={tmp_path}/more")
        path = train(make_config(*elsewhere, "threshold=1.0", "trainer.max_epochs=4")).best_path
        _, provenance = load_selector(path)
        assert provenance["epoch"] == 3
        assert len(read_metrics(tmp_path / "more", "valid/loss")) == 1

    @pytest.mark.parametrize("logger", ["csv", "tensorboard"])
    def test_used_output_folder_is_refused_and_unchanged(
        self, make_config: MakeConfig, tmp_path: Path, logger: str
    ) -> None:
        train(make_config("trainer.max_epochs=1", f"logger={logger}"))
        before = contents(tmp_path / "run")

        with pytest.raises(UserError, match=r"/run: .*resume=true"):
            train(make_config("trainer.max_epochs=2", f"logger={logger}"))
        assert contents(tmp_path / "run") == before

        train(make_config("trainer.max_epochs=2", f"logger={logger}", "resume=true"))
        _, provenance = load_selector(tmp_path / "run" / "last.ckpt")
        assert provenance["epoch"] == 1

    def test_max_steps_within_an_epoch_ends_with_best_checkpoint(
        self, make_config: MakeConfig, tmp_path: Path
    ) -> None:
        words = ("trainer.max_steps=2", "data.group_by=expression", "data.batch_size=1")
        result = train(make_config(*words))

        assert result.best_path == tmp_path / "run" / "best.ckpt"
        _, provenance = load_selector(result.best_path)
        assert provenance["step"] == 2
        assert result.valid_jf is not None
        assert result.valid_jf == pytest.approx(provenance["metrics"]["valid/J&F"])

    def test_result_is_jf_whatever_is_monitored(self, make_config: MakeConfig) -> None:
        monitor = ("callbacks.best_checkpoint.monitor=valid/loss", "trainer.max_epochs=2")
        result = train(make_config(*monitor, "callbacks.best_checkpoint.mode=min"))

        _, provenance = load_selector(result.best_path)
        assert result.valid_jf == provenance["metrics"]["valid/J&F"]
        assert result.valid_jf != pytest.approx(provenance["metrics"]["valid/loss"])

    @pytest.mark.parametrize(
        ("key", "override"),
        [
            ("selector._target_", "selector={_target_:torch.nn.Identity}"),
            ("callbacks.mine._target_", "+callbacks.mine={_target_:torch.nn.Identity}"),
        ],
    )
    def test_object_of_another_kind_is_refused(
        self, make_config: MakeConfig, key: str, override: str
    ) -> None:
        with pytest.raises(UserError, match=f"{key}: must build a "):
            train(make_config(override))

    @pytest.mark.parametrize("steps", [("trainer.max_steps=1",), ()], ids=["step", "epoch"])
    def test_monitor_that_is_not_logged_is_refused(
        self, make_config: MakeConfig, steps: tuple[str, ...]
    ) -> None:
        with pytest.raises(UserError, match=r"monitor.*valid/JF"):
            train(make_config("callbacks.best_checkpoint.monitor=valid/JF", *steps))

    def test_limits_count_batches(self, make_config: MakeConfig, tmp_path: Path) -> None:
        words = ("data.group_by=expression", "data.batch_size=1", "trainer.max_epochs=1")
        train(make_config(*words, "trainer.limit_train_batches=1"))
        _, provenance = load_selector(tmp_path / "run" / "last.ckpt")
        assert provenance["step"] == 1

    def test_learning_rate_and_losses_are_logged(self, make_config: MakeConfig) -> None:
        config = make_config("trainer.max_epochs=6")
        train(config)
        rates = read_metrics(output_dir(config), "train/lr")
        assert rates
        assert max(rates) <= 1e-2
        for name in (
            "train/loss_epoch",
            "train/bce_epoch",
            "valid/alignment",
            "valid/J",
            "valid/F",
        ):
            assert len(read_metrics(output_dir(config), name)) == 6, name

    @pytest.mark.parametrize(
        ("overrides", "is_warned"),
        [
            ((), False),
            (("data.label_iou=1.0",), True),
        ],
        ids=["positives", "no positives"],
    )
    def test_labels_without_positives_are_warned_of(
        self,
        make_config: MakeConfig,
        caplog: pytest.LogCaptureFixture,
        overrides: tuple[str, ...],
        is_warned: bool,
    ) -> None:
        train(make_config("trainer.max_epochs=1", *overrides))
        assert ("every label is negative" in caplog.text) == is_warned

    @pytest.mark.parametrize("name", ["limit_train_batches", "limit_val_batches"])
    def test_limit_below_one_batch_is_refused(self, make_config: MakeConfig, name: str) -> None:
        with pytest.raises(UserError, match=rf"trainer.*{name}"):
            train(make_config(f"trainer.{name}=0.01"))

    @pytest.mark.parametrize("logger", ["csv", "wandb"])
    def test_fast_dev_run_writes_nothing(
        self, make_config: MakeConfig, caplog: pytest.LogCaptureFixture, logger: str
    ) -> None:
        config = make_config("trainer.fast_dev_run=true", f"logger={logger}")
        with caplog.at_level(logging.INFO):
            train(config)
        assert not output_dir(config).exists()
        assert "fast_dev_run" in caplog.messages[0]

    def test_resuming_needs_optimizer_state_and_same_network(
        self, make_config: MakeConfig, tmp_path: Path
    ) -> None:
        best_path = train(make_config()).best_path
        elsewhere = (f"ckpt_path={best_path}", f"paths.output_dir={tmp_path}/more")
        with pytest.raises(UserError, match=r"best\.ckpt: .*optimizer state.*last\.ckpt"):
            train(make_config(*elsewhere))
        with pytest.raises(UserError, match=r"num_layers=1.*selector\.num_layers=2"):
            train(make_config(*elsewhere, "selector.num_layers=2"))

    @pytest.mark.usefixtures("wandb_offline")
    def test_wandb_is_offline_when_wandb_mode_says_so(
        self, make_config: MakeConfig, caplog: pytest.LogCaptureFixture
    ) -> None:
        config = make_config("logger=wandb", "trainer.max_epochs=1")
        with caplog.at_level(logging.INFO):
            train(config)
        assert caplog.messages[0].startswith("logger: W&B, offline (WANDB_MODE)")
        assert list(output_dir(config).glob("wandb/offline-run-*/*.wandb"))

    def test_wandb_is_offline_without_a_login(
        self,
        make_config: MakeConfig,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        tmp_path: Path,
    ) -> None:
        for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "NETRC"):
            monkeypatch.delenv(name, raising=False)
        for name in ("WANDB_DIR", "WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR"):
            monkeypatch.setenv(name, str(tmp_path / "wandb"))
        monkeypatch.setenv("HOME", str(tmp_path))
        config = make_config("logger=wandb", "trainer.max_epochs=1")
        with caplog.at_level(logging.INFO):
            train(config)
        assert caplog.messages[0].startswith("logger: W&B, offline (nobody is logged in)")
        assert list(output_dir(config).glob("wandb/offline-run-*/*.wandb"))
        assert "WANDB_MODE" not in os.environ  # the next job of a sweep looks again


def test_tracks_of_expressions_are_trained_on_and_measured(
    make_config: MakeConfig, write_tracks: WriteTracks, write_split: WriteSplit
) -> None:
    meant = enumerate(("a", "b", "c", "ab", ""))
    own = {f"v{i}/{number}": letters for number, letters in meant for i in range(3)}
    own["v1/2"] = ""  # nothing was found: the one answer that is wrong
    for split in ("train", "valid_u"):
        write_split(split)
        write_tracks(split, "gdino", own)
    write_tracks("train", "gt", {"v0": "ab", "v1": "", "v2": "c"})
    sources = ("data.train_sources=[gdino,gt]", "data.valid_sources=[gdino]")
    every_track = ("threshold=0", "trainer.max_epochs=1")

    _, provenance = load_selector(train(make_config(*sources, *every_track)).best_path)

    assert provenance["metrics"]["valid/J"] == pytest.approx(14 / 15)
    assert provenance["metrics"]["valid/F"] == pytest.approx(14 / 15)
    assert provenance["metrics"]["valid/loss"] > 0
    assert provenance["train_sources"] == ["gdino", "gt"]
    folders = [Path(folder).parts[-3:-1] for folder in provenance["tracks"]]
    assert folders == [("train", "gt"), ("train", "gdino"), ("valid_u", "gdino")]


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("logger._target_=sola.paper", r"logger\._target_"),
        ("scheduler.warmup_steps=-1", r"scheduler\.warmup_steps"),
        ("data.empty_frames=drop", r"data\.empty_frames"),
        ("trainer.accelerator=gpu", r"trainer\.accelerator"),
        ("trainer.precision=16-mixed", r"trainer\.precision.*16-mixed"),
        ("trainer.precision=64-true", r"trainer\.precision"),
        ("optimizer.lr=-1", "optimizer"),
    ],
)
@pytest.mark.usefixtures("dataset")
def test_invalid_value_is_reported_with_its_key(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, override: str, key: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match=key):
        train(make_config(override))


@pytest.mark.usefixtures("dataset")
class TestOwnParts:
    """Parts of torch, Lightning or a user's own that the configuration names."""

    def test_own_loss_is_weighted_summed_and_logged(self, make_config: MakeConfig) -> None:
        terms = {"error": 1.0, "score": 0.5, "size": 2.0}
        config = make_config(
            *("loss=default", "loss._target_=own_parts.ThreeTerms", "~loss.positive_weight"),
            *("~loss.alignment_weight", "~loss.temperature", "+loss.size_weight=2"),
            *("trainer.max_epochs=1", "trainer.log_every_n_steps=1"),
        )

        _, provenance = load_selector(train(config).best_path)

        for prefix, suffix in (("train", "_step"), ("train", "_epoch"), ("valid", "")):
            found = {
                name: read_metrics(output_dir(config), f"{prefix}/{name}{suffix}")
                for name in ("loss", *terms)
            }
            assert len({len(values) for values in found.values()}) == 1
            assert found["loss"]
            for idx, total in enumerate(found["loss"]):
                parts = {name: found[name][idx] for name in terms}
                assert all(value > 0 for value in parts.values())
                expected = sum(weight * parts[name] for name, weight in terms.items())
                assert total == pytest.approx(expected, rel=1e-5)
        assert provenance["loss"]["_target_"] == "own_parts.ThreeTerms"

    def test_scheduler_of_torch_is_stepped_every_epoch(self, make_config: MakeConfig) -> None:
        config = make_config(
            *("scheduler=cosine", "scheduler._target_=torch.optim.lr_scheduler.StepLR"),
            *("~scheduler.warmup_steps", "+scheduler.step_size=1", "+scheduler.gamma=0.1"),
            *("trainer.max_epochs=3", "trainer.log_every_n_steps=1", "data.batch_size=1"),
        )
        train(config)
        rates = read_metrics(output_dir(config), "train/lr")
        num_steps = len(rates) // 3
        assert num_steps > 1
        expected = [rate for rate in (1e-2, 1e-3, 1e-4) for _ in range(num_steps)]
        assert rates == pytest.approx(expected)

    def test_argument_of_trainer_that_conf_lacks_is_passed_on(
        self, make_config: MakeConfig, caplog: pytest.LogCaptureFixture
    ) -> None:
        config: Any = make_config("+trainer.profiler=simple", "trainer.max_epochs=1")
        with caplog.at_level(logging.INFO):
            assert train(config).valid_jf is not None
        assert "Profiler Report" in caplog.text
