"""A run whose numbers are no numbers ends at once, and its checkpoints stay as they were."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from sola.config.schema import TrainConfig
from torch import Tensor

from sola.selector.losses import SelectionLoss
from sola.training import module
from sola.training.finite import MAX_UNREAD
from sola.training.run import run_training


@pytest.fixture
def dataset(
    write_tracks: Callable[..., Path], write_split: Callable[[str], None], letter_encoder: None
) -> None:
    """Both splits with tracks of one source."""
    for split in ("train", "valid_u"):
        write_split(split)
        write_tracks(split, "grid")


def break_loss(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Makes the loss of one training step NaN."""
    combine, calls = module.combine_losses, []

    def broken(*parts: Tensor, alignment_weight: float) -> SelectionLoss:
        loss = combine(*parts, alignment_weight=alignment_weight)
        calls.append(torch.is_grad_enabled())
        return loss if sum(calls) - 1 != step else SelectionLoss(*[loss.total * torch.nan] * 3)

    monkeypatch.setattr(module, "combine_losses", broken)


@pytest.mark.fault
@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize("max_unread", [1, 4, 1000], ids="read every {} steps".format)
def test_a_loss_that_is_no_number_ends_the_run(
    config: TrainConfig,
    monkeypatch: pytest.MonkeyPatch,
    max_unread: int,
    fault: Callable[..., None],
) -> None:
    monkeypatch.setitem(MAX_UNREAD, "cpu", max_unread)
    config.data.train_sources = ["grid"]
    config.trainer.max_epochs = 1
    run_training(config)
    folder = Path(config.paths.output_dir)
    before = {path: path.read_bytes() for path in folder.glob("*.ckpt")}
    assert {path.name for path in before} == {"best.ckpt", "last.ckpt"}
    num_steps = torch.load(folder / "last.ckpt", weights_only=True)["global_step"]
    config.trainer.max_epochs, config.resume = 3, True
    break_loss(monkeypatch, 1)

    message = rf"^step {num_steps + 1}: the loss is NaN or infinite \(total nan, .*\), of v\d/\d"
    with pytest.raises(ValueError, match=message):
        run_training(config)
    assert {path: path.read_bytes() for path in folder.glob("*.ckpt")} == before
    happened = "step, parts of the loss and expressions are named, status 1; checkpoints stay"
    fault(
        "Training",
        "a loss that is NaN",
        happened,
        "nothing; steps since the last checkpoint are made again",
    )


@pytest.mark.fault
@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize("ema_decay", [None, 0.5])
def test_weights_that_are_no_numbers_are_not_saved(
    config: TrainConfig,
    monkeypatch: pytest.MonkeyPatch,
    ema_decay: float | None,
    fault: Callable[..., None],
) -> None:
    config.data.train_sources = ["grid"]
    config.trainer.max_epochs, config.trainer.ema_decay = 1, ema_decay
    run_training(config)
    folder = Path(config.paths.output_dir)
    before = {path: path.read_bytes() for path in folder.glob("*.ckpt")}
    config.trainer.max_epochs, config.resume = 2, True

    def spoil(self: module.SelectorModule, *unused: object) -> None:
        if self.trainer.is_last_batch:  # no further step can tell
            with torch.no_grad():
                self.selector.negative_tokens[0] = torch.nan

    monkeypatch.setattr(module.SelectorModule, "on_train_batch_end", spoil)
    with pytest.raises(ValueError, match=r"^step \d+: .* NaN or infinite"):
        run_training(config)
    assert {path: path.read_bytes() for path in folder.glob("*.ckpt")} == before
    fault(
        "Training",
        "weights that are NaN",
        "the step is named, status 1; checkpoints stay",
        "nothing; steps since the last checkpoint are made again",
    )
