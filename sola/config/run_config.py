"""Options that all commands share, and the fields that a run builds itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sola.checks import at_least
from sola.config.sections import Paths
from sola.config.targets import TARGET
from sola.errors import UserError

LATER, LATER_PARTIAL, LATER_BY_NAME = ({"later": how} for how in ("alone", "partial", "by_name"))
"""Metadata of fields that the run builds: a node, a node that needs more arguments, several."""
OWNED = {
    "logger": "the group logger",
    "callbacks": "the group callbacks",
    "enable_checkpointing": "callbacks.best_checkpoint and callbacks.last_checkpoint",
    "use_distributed_sampler": "data",
    "enable_progress_bar": "CI=1 in the environment for plain lines instead of a bar",
    "enable_model_summary": "callbacks with a ModelSummary",
    "inference_mode": "training, which validates as it needs to",
    "default_root_dir": "hydra.run.dir",
}
"""Arguments of the Trainer that the program sets, and what to use instead."""


@dataclass
class RunConfig:
    """Options of every command."""

    paths: Paths
    data_root: str = "data"
    """Folder of data sets, tracks, prompts and text tokens: everything but outputs of runs."""
    num_threads: int = 0
    """Number of torch's CPU threads in each process; 0: torch's default."""
    seed: int = 42
    """Seed of weights, orders and random choices."""

    def __post_init__(self) -> None:
        self.values: dict[str, Any] = {}
        """The resolved configuration in plain values, for loggers and checkpoints."""
        at_least(0, num_threads=self.num_threads)
        trainer = getattr(self, "trainer", None)
        for name in trainer.node if trainer is not None else ():
            if name in OWNED:
                raise UserError(f"trainer.{name}: is set by the program. Use {OWNED[name]}.")

    def refuse_trainer(self, used: Sequence[str], values: Mapping[str, object]) -> None:
        """Check that a command uses all configured arguments of the Trainer.

        Args:
            used: arguments that may have any value.
            values: further arguments, with the only value allowed for each.

        Raises:
            UserError: if an argument is not used, or has another value.
        """
        for name, value in self.trainer.node.items():  # type: ignore[attr-defined]
            if name not in (TARGET, *used) and (name not in values or value != values[name]):
                only = f"must be {values[name]}" if name in values else "has no effect"
                raise UserError(f"trainer.{name}: {only} in this command. Leave it out.")
