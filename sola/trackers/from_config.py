"""Trackers of configurations."""

import dataclasses

from sola.config.schema import TrackerConfig
from sola.trackers.base import Tracker
from sola.trackers.sam2 import MaskGeneratorConfig, Sam2Tracker


def build_tracker(config: TrackerConfig) -> Tracker:
    """Return the tracker of a configuration; its weights are not loaded yet.

    Raises:
        UserError: if an argument is invalid.
    """
    return Sam2Tracker(
        name=config.name,
        network=config.packaged_model,
        checkpoint=config.checkpoint,
        token_dim=config.token_dim,
        fill_hole_area=config.fill_hole_area,
        feature_budget_mib=config.feature_budget_mib,
        compile=config.compile,
        mask_generator=MaskGeneratorConfig(**dataclasses.asdict(config.mask_generator)),
    )
