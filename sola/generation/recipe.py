"""How tracks are made: what must be the same for two runs to make the same ones."""

import dataclasses
from functools import cached_property
from typing import Any

import torch

from sola.config.by_name import file_of
from sola.config.device import pick_device
from sola.config.schema import PromptSourceConfig, TrainerConfig
from sola.datasets import Split
from sola.errors import UserError
from sola.prompts import PromptSource, build_source
from sola.shards import PROMPTS_VERSION
from sola.trackers import RANDOM_WEIGHTS, Tracker

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
STRATEGIES = ("auto", "ddp")
NO_WEIGHTS = "none"
"""``checkpoint_sha256`` of a tracker that has no weights."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Prompts, tracker and arithmetic, whatever the videos are."""

    prompt_source: PromptSourceConfig
    tracker: Tracker
    trainer: TrainerConfig
    seed: int
    """Of weights that are random."""
    token_dtype: str = "auto"
    """Of object tokens on disk, see ``GenerateConfig``."""

    def check(self) -> None:
        """Look for what it needs, before anything is written.

        Raises:
            UserError: if a checkpoint, a vocabulary or the prompt source is missing, a GPU is
                asked for and none is there, or the trainer cannot generate.
        """
        pick_device(self.trainer.accelerator)
        for key, known in (("precision", PRECISIONS), ("strategy", STRATEGIES)):
            if getattr(self.trainer, key) not in known:
                raise UserError(
                    f"trainer.{key}={getattr(self.trainer, key)}: tracks are not made with it; "
                    f"choose one of {', '.join(known)}."
                )
        self.tracker.check()
        self.source.check()

    @cached_property
    def source(self) -> PromptSource:
        """The prompt source; see ``build_source``."""
        return build_source(self.prompt_source)

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
                "precision": self.trainer.precision,
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
                "precision": self.trainer.precision,
            },
        }

    def _describe_origin(self, dataset: Split) -> dict[str, Any]:
        """Videos and weights."""
        return {
            "dataset": dataset.name,
            "split": dataset.split,
            "source": self.prompt_source.name,
            **self._weights,
            **self.source.code(),
            "annotations_sha256": dataset.annotations_sha256,
        }

    @cached_property
    def _weights(self) -> dict[str, str]:
        weights = {
            "checkpoint_sha256": self.tracker.describe().get("checkpoint_sha256", NO_WEIGHTS),
            **self._digests,
        }
        return {
            key: f"random, seed {self.seed}" if sha256 == RANDOM_WEIGHTS else sha256
            for key, sha256 in weights.items()
        }

    @property
    def _digests(self) -> dict[str, str]:
        digests: Any = self.source.digests()
        if isinstance(digests, dict):
            return digests
        raise UserError(
            f"{file_of(type(self.source))}: digests gave a {type(digests).__name__}; needed is a "
            "dict of SHA-256 by name."
        )

    @property
    def _stored_dtype(self) -> str:
        if self.token_dtype != "auto":
            return self.token_dtype
        return "float16" if self.trainer.precision == "bf16-mixed" else "float32"

    @property
    def _tracker_settings(self) -> dict[str, Any]:
        """The tracker's description without its weights, which have a key of their own."""
        settings = self.tracker.describe().items()
        return {key: value for key, value in settings if key != "checkpoint_sha256"}
