"""How tracks are made: what must be the same for two runs to make the same ones."""

import dataclasses
from functools import cached_property
from typing import Any

import torch

from sola.datasets import Split
from sola.files import sha256_of_code
from sola.prompts import PromptSource
from sola.shards import PROMPTS_VERSION
from sola.trackers import RANDOM_WEIGHTS, Tracker

NO_WEIGHTS = "none"
"""``checkpoint_sha256`` of a tracker that has no weights."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Prompts, tracker and arithmetic, whatever the videos are."""

    source: PromptSource
    tracker: Tracker
    seed: int
    """Of weights that are random."""
    precision: str
    """Of the networks."""
    token_dtype: str = "auto"
    """Of object tokens on disk, see ``GenerateConfig``."""

    def open_source(self, device: torch.device) -> None:
        """Load what the prompt source needs; random weights depend on the seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.source.open(device)

    def describe_tracks(self, dataset: Split) -> dict[str, Any]:
        """Return what must be the same for two runs to make the same tracks."""
        found_dtype = "float16" if self.precision == "bf16-mixed" else "float32"
        return {
            **self._describe(dataset, self.source.describe()),
            **self.describe_tracker(),
            "token_dtype": found_dtype if self.token_dtype == "auto" else self.token_dtype,
        }

    def describe_tracker(self) -> dict[str, Any]:
        """Return what must be the same of all object tokens that one selector is used with."""
        return {
            "tracker": self.tracker.name,
            "token_dim": self.tracker.token_dim or 0,
            "checkpoint_sha256": self._weights["checkpoint_sha256"],
        }

    def describe_prompts(self, dataset: Split) -> dict[str, Any]:
        """Return what must be the same to find the same prompts, before caps and thresholds."""
        settings = self.source.describe_search()
        return {**self._describe(dataset, settings), "prompts_version": PROMPTS_VERSION}

    def _describe(self, dataset: Split, of_source: dict[str, Any]) -> dict[str, Any]:
        of_tracker = dict(self.tracker.describe())
        of_tracker.pop("checkpoint_sha256", None)  # among the weights
        config = {"prompt_source": of_source, "tracker": of_tracker, "precision": self.precision}
        return {
            "dataset": dataset.name,
            "split": dataset.split,
            "source": self.source.name,
            **self._weights,
            "prompt_source_code_sha256": sha256_of_code(type(self.source)),
            "annotations_sha256": dataset.annotations_sha256,
            "config": config,
        }

    @cached_property
    def _weights(self) -> dict[str, str]:
        found = self.tracker.describe().get("checkpoint_sha256", NO_WEIGHTS)
        weights = {"checkpoint_sha256": found, **self.source.digests()}
        return {
            key: f"random, seed {self.seed}" if sha256 == RANDOM_WEIGHTS else sha256
            for key, sha256 in weights.items()
        }
