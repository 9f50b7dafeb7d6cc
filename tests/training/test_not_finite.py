"""A run whose numbers are no numbers ends at once, and its checkpoints stay as they were."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sola.config.entry_points import TrainConfig
from sola.errors import UserError
from sola.training import module
from sola.training.run import train


def break_loss(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Makes the loss of one training step NaN."""
    combine, calls = module.combine_terms, []

    def broken(*arguments: Any) -> dict[str, torch.Tensor]:
        loss = combine(*arguments)
        calls.append(torch.is_grad_enabled())
        if sum(calls) - 1 != step:
            return loss
        return dict.fromkeys(loss, loss["loss"] * torch.nan)

    monkeypatch.setattr(module, "combine_terms", broken)


@pytest.mark.fault
@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize("max_unread", [1, 4, 1000], ids="read every {} steps".format)
def test_non_finite_loss_ends_the_run(
    make_config: Callable[..., TrainConfig],
    monkeypatch: pytest.MonkeyPatch,
    max_unread: int,
    fault: Callable[..., None],
) -> None:
    monkeypatch.setitem(module.MAX_UNREAD, "cpu", max_unread)
    config = make_config("data.train_sources=[grid]", "trainer.max_epochs=1")
    train(config)
    folder = Path(config.paths.output_dir)
    before = {path: path.read_bytes() for path in folder.glob("*.ckpt")}
    assert {path.name for path in before} == {"best.ckpt", "last.ckpt"}
    num_steps = torch.load(folder / "last.ckpt", weights_only=True)["global_step"]
    resumed = make_config("data.train_sources=[grid]", "trainer.max_epochs=3", "resume=true")
    break_loss(monkeypatch, 1)

    message = rf"^step {num_steps + 1}: .*loss nan, bce nan, .* v\d/\d"
    with pytest.raises(UserError, match=message):
        train(resumed)
    assert {path: path.read_bytes() for path in folder.glob("*.ckpt")} == before
    happened = "step, parts of the loss and expressions are named, status 1; checkpoints stay"
    fault(
        "Training",
        "a loss that is NaN",
        happened,
        "nothing; steps since the last checkpoint are repeated",
    )


@pytest.mark.fault
@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize("ema_decay", [None, 0.5])
def test_non_finite_weights_are_not_saved(
    make_config: Callable[..., TrainConfig],
    monkeypatch: pytest.MonkeyPatch,
    ema_decay: float | None,
    fault: Callable[..., None],
) -> None:
    decay = f"callbacks.weight_averaging.decay={ema_decay or 'null'}"
    config = make_config("data.train_sources=[grid]", "trainer.max_epochs=1", decay)
    train(config)
    folder = Path(config.paths.output_dir)
    before = {path: path.read_bytes() for path in folder.glob("*.ckpt")}
    words = ("data.train_sources=[grid]", "trainer.max_epochs=2", decay, "resume=true")

    def spoil(self: module.SelectorModule, *unused: object) -> None:
        if self.trainer.is_last_batch:  # no further step can tell
            with torch.no_grad():
                self.selector.negative_tokens[0] = torch.nan

    monkeypatch.setattr(module.SelectorModule, "on_train_batch_end", spoil)
    with pytest.raises(UserError, match=r"^step \d+: .* NaN or infinite"):
        train(make_config(*words))
    assert {path: path.read_bytes() for path in folder.glob("*.ckpt")} == before
    fault(
        "Training",
        "weights that are NaN",
        "the step is named, status 1; checkpoints stay",
        "nothing; steps since the last checkpoint are repeated",
    )
