"""How tracks are made: what must be the same for two runs to make the same ones."""

import dataclasses
from functools import cached_property
from typing import Any

import pytorch_lightning as pl
import torch

from sola.checks import one_of
from sola.config.device import check_precision, pick_device
from sola.config.entry_points import PRECISIONS
from sola.config.targets import Later
from sola.datasets import Split
from sola.prompts import PromptSource
from sola.shards import PROMPTS_VERSION
from sola.trackers import RANDOM_WEIGHTS, Tracker

STRATEGIES = ("auto", "ddp")
NO_WEIGHTS = "none"
"""``checkpoint_sha256`` of a tracker that has no weights."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Prompts, tracker and arithmetic, whatever the videos are."""

    source: PromptSource
    tracker: Tracker
    trainer: Later[pl.Trainer]
    seed: int
    """Of weights that are random."""
    token_dtype: str = "auto"
    """Of object tokens on disk, see ``GenerateConfig``."""
    num_threads: int = 0
    """CPU threads of torch; 0: its choice."""

    @property
    def precision(self) -> str:
        """Of the networks."""
        return str(self.trainer.node.get("precision") or PRECISIONS[0])

    def check(self) -> None:
        """Look for what it needs, before anything is written.

        Raises:
            UserError: if a checkpoint, a vocabulary or the prompt source is missing, a GPU is
                required and missing, or the trainer cannot generate.
        """
        device = pick_device(str(self.trainer.node.get("accelerator", "auto")))
        strategy = self.trainer.node.get("strategy", "auto")
        one_of(PRECISIONS, **{"trainer.precision": self.precision})
        one_of(STRATEGIES, **{"trainer.strategy": strategy})
        check_precision(self.precision, device)
        self.tracker.check()
        self.source.check()

    def open_source(self, device: torch.device) -> None:
        """Load what the prompt source needs; random weights depend on the seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.source.open(device)

    def describe_tracks(self, dataset: Split) -> dict[str, Any]:
        """What must be the same for two runs to make the same tracks."""
        return {
            **self._describe_origin(dataset),
            **self.describe_tracker(),
            "token_dtype": self._stored_dtype,
            "config": {
                "prompt_source": self.source.description(),
                "tracker": self._tracker_settings,
                "precision": self.precision,
            },
        }

    def describe_tracker(self) -> dict[str, Any]:
        """What must be the same of all object tokens that one selector is used with."""
        return {
            "tracker": self.tracker.name,
            "token_dim": self.tracker.token_dim or 0,
            "checkpoint_sha256": self._weights["checkpoint_sha256"],
        }

    def describe_prompts(self, dataset: Split) -> dict[str, Any]:
        """What must be the same to find the same prompts, before caps and thresholds."""
        return {
            **self._describe_origin(dataset),
            "prompts_version": PROMPTS_VERSION,
            "config": {
                "prompt_source": self.source.settings(),
                "tracker": self._tracker_settings,
                "precision": self.precision,
            },
        }

    def _describe_origin(self, dataset: Split) -> dict[str, Any]:
        """Videos and weights."""
        return {
            "dataset": dataset.name,
            "split": dataset.split,
            "source": self.source.name,
            **self._weights,
            **self.source.code(),
            "annotations_sha256": dataset.annotations_sha256,
        }

    @cached_property
    def _weights(self) -> dict[str, str]:
        weights = {
            "checkpoint_sha256": self.tracker.describe().get("checkpoint_sha256", NO_WEIGHTS),
            **self.source.digests(),
        }
        return {
            key: f"random, seed {self.seed}" if sha256 == RANDOM_WEIGHTS else sha256
            for key, sha256 in weights.items()
        }

    @property
    def _stored_dtype(self) -> str:
        if self.token_dtype != "auto":
            return self.token_dtype
        return "float16" if self.precision == "bf16-mixed" else "float32"

    @property
    def _tracker_settings(self) -> dict[str, Any]:
        """The tracker's description without its weights, which have a key of their own."""
        settings = self.tracker.describe().items()
        return {key: value for key, value in settings if key != "checkpoint_sha256"}
