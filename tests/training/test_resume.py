"""A run that fails and resumes ends with the bits of an uninterrupted run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pretend_gpu import PretendGpu
from pytorch_lightning.callbacks import Checkpoint
from small_selectors import TRAINED
from training_checkpoints import assert_same_end

from sola.config.entry_points import TrainConfig
from sola.errors import UserError
from sola.training import run
from sola.training.run import train

pytestmark = pytest.mark.usefixtures("dataset")
MakeConfig = Callable[..., TrainConfig]
OPTIONS = (
    *("data.group_by=expression", "data.batch_size=2", "selector.dropout=0.2"),
    *("trainer.max_epochs=3", "callbacks.last_checkpoint.every_n_steps=3"),
    "trainer.log_every_n_steps=1",
)
"""8 steps an epoch."""


class Failure(Exception):
    """In place of a kill."""


class FailsAt(Checkpoint):
    """Fails after a step, a validation, or (negative) before an epoch; after last.ckpt is written.

    Draws from the global random state first, as any code may after the last checkpoint.
    """

    def __init__(self, step: int | None = None, epoch: int | None = None) -> None:
        self.step, self.epoch = step, epoch

    def on_train_batch_end(self, trainer: Any, *unused: Any) -> None:
        if trainer.global_step == self.step:
            torch.rand(1)
            raise Failure

    def on_validation_end(self, trainer: Any, *unused: Any) -> None:
        if trainer.current_epoch == self.epoch and not trainer.sanity_checking:
            raise Failure

    def on_train_epoch_start(self, trainer: Any, *unused: Any) -> None:
        if self.epoch is not None and trainer.current_epoch == -self.epoch:
            raise Failure


@pytest.fixture
def train_and_fail(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Train in tmp_path/killed, and fail where the callback says."""
    build = run._build_trainer

    def train_and_fail(failure: FailsAt, *words: str) -> None:
        def with_failure(config: Any, logger: Any, callbacks: Any, **options: Any) -> Any:
            return build(config, logger, [*callbacks, failure], **options)

        config = make_config(*words, f"paths.output_dir={tmp_path / 'killed'}")
        with monkeypatch.context() as patch:
            patch.setattr(run, "_build_trainer", with_failure)
            with pytest.raises(Failure):
                train(config)

    return train_and_fail


@pytest.mark.parametrize(
    ("failures", "changes"),
    [
        pytest.param([FailsAt(step=5), FailsAt(step=13)], [], id="within epochs"),
        pytest.param(
            [FailsAt(step=16), FailsAt(epoch=1)],
            ["scheduler=plateau", "scheduler.patience=0"],
            id="in validation",
        ),
        pytest.param(
            [FailsAt(epoch=-1)],
            ["scheduler=plateau", "scheduler.patience=0", "optimizer.lr=0.1"],
            id="between epochs",
        ),
        pytest.param([FailsAt(step=5), FailsAt(epoch=1)], TRAINED["WordMatch"], id="WordMatch"),
        pytest.param([FailsAt(step=12)], ["callbacks.weight_averaging.decay=0.9"], id="averaged"),
        pytest.param(
            [FailsAt(epoch=1)],
            ["trainer.val_check_interval=4", "callbacks.last_checkpoint.every_n_steps=4"],
            id="in a validation within an epoch",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [FailsAt(step=7)],
            ["trainer.accumulate_grad_batches=2"],
            id="accumulated",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [FailsAt(step=11)],
            ["data.batch_size=1", "data.max_tokens=150"],
            id="packed",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [FailsAt(step=6)],
            ["trainer.limit_train_batches=5"],
            id="limited",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_resumed_run_matches_uninterrupted_run(
    make_config: MakeConfig,
    train_and_fail: Callable[..., None],
    tmp_path: Path,
    failures: list[FailsAt],
    changes: list[str],
) -> None:
    words = (*OPTIONS, *changes)
    train(make_config(*words, f"paths.output_dir={tmp_path / 'whole'}"))
    for failure in failures:
        train_and_fail(failure, *words, "resume=true")
    resumed = make_config(*words, "resume=true", f"paths.output_dir={tmp_path / 'killed'}")
    train(resumed)
    assert_same_end(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
def test_run_resumed_on_a_gpu_matches_uninterrupted_run(
    make_config: MakeConfig, train_and_fail: Callable[..., None], gpu: PretendGpu, tmp_path: Path
) -> None:
    averaged = "callbacks.weight_averaging.decay=0.9"
    words = (*OPTIONS, averaged, "trainer.max_epochs=1", "trainer.accelerator=gpu")
    train(make_config(*words, f"paths.output_dir={tmp_path / 'whole'}"))
    train_and_fail(FailsAt(step=5), *words)
    train(make_config(*words, "resume=true", f"paths.output_dir={tmp_path / 'killed'}"))
    assert gpu.total.launches["_fused_adamw_"] > 8
    assert_same_end(tmp_path / "whole", tmp_path / "killed")


def test_run_stopped_early_stays_over(make_config: MakeConfig, tmp_path: Path) -> None:
    words = (*OPTIONS, "optimizer.lr=1e-12", "callbacks.early_stopping.patience=1")
    train(make_config(*words))
    before = (tmp_path / "run" / "last.ckpt").read_bytes()
    train(make_config(*words, "resume=true"))
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == before


@pytest.mark.parametrize(
    "change", ["seed=3", "data.window=1", "data.batch_size=1", "data.max_videos=2"]
)
def test_resuming_within_an_epoch_of_another_order_is_refused(
    make_config: MakeConfig, train_and_fail: Callable[..., None], tmp_path: Path, change: str
) -> None:
    train_and_fail(FailsAt(step=5), *OPTIONS)
    folder = f"paths.output_dir={tmp_path / 'killed'}"
    with pytest.raises(UserError, match="within an epoch"):
        train(make_config(*OPTIONS, change, "resume=true", folder))


def test_run_with_only_a_best_checkpoint_is_not_overwritten(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    train(make_config("trainer.max_epochs=1"))
    (tmp_path / "run" / "last.ckpt").unlink()
    before = (tmp_path / "run" / "best.ckpt").read_bytes()
    with pytest.raises(UserError, match=r"/run: .*best\.ckpt.*last\.ckpt"):
        train(make_config("resume=true"))
    assert (tmp_path / "run" / "best.ckpt").read_bytes() == before
