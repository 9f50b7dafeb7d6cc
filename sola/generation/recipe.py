"""How tracks are made: what must be the same for two runs to make the same ones."""

import dataclasses
from functools import cached_property
from typing import Any

import torch

from sola.config.device import pick_device
from sola.config.schema import PromptSourceConfig, TrackerConfig, TrainerConfig
from sola.datasets import Split
from sola.prompts.grounding_dino import (
    Detector,
    build_detector,
    check_detector,
    detector_sha256,
)
from sola.shards import PROMPTS_VERSION
from sola.tracking.builder import RANDOM_WEIGHTS, check_checkpoint, checkpoint_sha256

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed")
STRATEGIES = ("auto", "ddp")
DETECTION_KEYS = (
    "detector",
    "detector_network",
    "detector_vocabulary",
    "shortest_edge_px",
    "longest_edge_px",
    "text_threshold",
)
"""Values of source gdino that decide what is found; the others only drop some of it."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Prompts, tracker and arithmetic, whatever the videos are."""

    prompt_source: PromptSourceConfig
    tracker: TrackerConfig
    trainer: TrainerConfig
    seed: int
    """Of weights that are random."""
    token_dtype: str = "auto"
    """Of object tokens on disk, see ``GenerateConfig``."""

    def check(self) -> None:
        """Look for what it needs, before anything is written.

        Raises:
            ValueError: if a checkpoint or a vocabulary is missing, a GPU is asked for and none is
                there, or the trainer cannot generate.
        """
        pick_device(self.trainer.accelerator)
        for key, known in (("precision", PRECISIONS), ("strategy", STRATEGIES)):
            if getattr(self.trainer, key) not in known:
                raise ValueError(
                    f"trainer.{key}={getattr(self.trainer, key)}: tracks are not made with it; "
                    f"choose one of {', '.join(known)}."
                )
        check_checkpoint(self.tracker)
        if self.prompt_source.name == "gdino":
            check_detector(self.prompt_source)

    def build_detector(self) -> Detector:
        """The detector of source gdino; random weights depend on the seed alone."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            return build_detector(self.prompt_source)

    def describe_tracks(self, dataset: Split) -> dict[str, Any]:
        """What must be the same for two runs to make the same tracks."""
        return {
            **self._describe_origin(dataset),
            **self.describe_tracker(),
            "token_dtype": self._stored_dtype,
            "config": {
                "prompt_source": self._rule(),
                "tracker": self._network(),
                "precision": self.trainer.precision,
            },
        }

    def describe_tracker(self) -> dict[str, Any]:
        """What must be the same of all object tokens that one selector is used with."""
        return {
            "tracker": self.tracker.name,
            "token_dim": self.tracker.token_dim,
            "checkpoint_sha256": self._weights["checkpoint_sha256"],
        }

    def describe_prompts(self, dataset: Split) -> dict[str, Any]:
        """What must be the same to find the same prompts, before caps and thresholds."""
        keys = DETECTION_KEYS if self.prompt_source.name == "gdino" else ()
        rule = self._rule()
        return {
            **self._describe_origin(dataset),
            "prompts_version": PROMPTS_VERSION,
            "config": {
                "prompt_source": {key: rule[key] for key in keys},
                "tracker": self._network(),
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
            "annotations_sha256": dataset.annotations_sha256,
        }

    @cached_property
    def _weights(self) -> dict[str, str]:
        weights = {"checkpoint_sha256": checkpoint_sha256(self.tracker.checkpoint)}
        if self.prompt_source.name == "gdino":
            weights["detector_sha256"] = detector_sha256(self.prompt_source)
        return {
            key: f"random, seed {self.seed}" if sha256 == RANDOM_WEIGHTS else sha256
            for key, sha256 in weights.items()
        }

    @property
    def _stored_dtype(self) -> str:
        if self.token_dtype != "auto":
            return self.token_dtype
        return "float16" if self.trainer.precision == "bf16-mixed" else "float32"

    def _rule(self) -> dict[str, Any]:
        """All of a prompt source but where its weights lie: their contents count."""
        rule = dataclasses.asdict(self.prompt_source)
        del rule["detector_checkpoint"]
        if rule["detector_network"] is not None:
            del rule["detector_network"]["checkpoint"]
        return rule

    def _network(self) -> dict[str, Any]:
        """All of a tracker but where its weights lie and how much memory it may take."""
        network = dataclasses.asdict(self.tracker)
        del network["checkpoint"], network["feature_budget_mib"], network["name"]
        return network
