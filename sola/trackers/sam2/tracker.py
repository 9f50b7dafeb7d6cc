"""SAM 2 as a tracker. Importing this module does not import sam2, which starts Hydra."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from sola.checks import at_least, between
from sola.errors import UserError
from sola.files import is_there, sha256_of_file
from sola.hub import RANDOM_WEIGHTS
from sola.trackers.base import Tracker
from sola.trackers.sam2 import builder
from sola.weights_file import find_weights_file, refuse_stand_in

if TYPE_CHECKING:
    from sola.trackers.sam2.propagation import Sam2Session

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MaskGeneratorConfig:
    """Settings of automatic masks, for prompt_source=grid; the defaults are those of sam2."""

    points_per_side: int = 32
    """A frame is prompted at points_per_side x points_per_side points."""
    points_per_batch: int = 64
    """Points decoded together; a larger number is faster and needs more memory."""
    pred_iou_thresh: float = 0.8
    """A mask is kept if its predicted IoU is above this, 0 to 1; 0 keeps all."""
    stability_score_thresh: float = 0.95
    """A mask is kept if its stability score is at least this, 0 to 1; 0 keeps all."""
    stability_score_offset: float = 1.0
    """The stability score is the IoU of the masks at this logit and at its negative."""
    box_nms_thresh: float = 0.7
    """If the boxes of two masks have an IoU above this, 0 to 1, the mask with the lower predicted
    IoU is dropped."""
    multimask_output: bool = True
    """Whether each point gives three masks (of different extent) or one."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: if one is out of range.
        """
        at_least(1, points_per_side=self.points_per_side, points_per_batch=self.points_per_batch)
        between(0, 1, pred_iou_thresh=self.pred_iou_thresh, box_nms_thresh=self.box_nms_thresh)
        between(0, 1, stability_score_thresh=self.stability_score_thresh)


class Sam2Tracker(Tracker):
    """SAM 2, of any size. Tracks match those of ``SAM2VideoPredictor``.

    Args:
        name: see ``Tracker``.
        network: YAML file inside the sam2 package (sam2.1/sam2.1_hiera_l.yaml), a path, or a
            resource of an installed package (pkg://sola.trackers.small/network.yaml).
        checkpoint: weights of SAM 2: a file, a folder or repository with only one, ``pkg://`` or
            ``hf://``, see ``sola.hub``; or "random": weights drawn from the seed.
        token_dim: D, width of an object token; must match the network.
        feature_budget_mib: memory for the image features of one video, in MiB. Frames beyond it are
            encoded again in every pass, with the same result.
        compile: whether to compile the network with torch.compile, which takes minutes in the first
            video. Tracks change only by rounding.
        mask_generator: settings of automatic masks; None: those of sam2.
    """

    def __init__(
        self,
        name: str,
        network: str,
        checkpoint: str,
        token_dim: int = 256,
        feature_budget_mib: float = 4096,
        compile: bool = False,  # noqa: A002  # a key of the configuration
        mask_generator: MaskGeneratorConfig | None = None,
    ) -> None:
        super().__init__(name, token_dim)
        at_least(0, feature_budget_mib=feature_budget_mib)
        self.network, self.checkpoint = network, checkpoint
        self.feature_budget_mib, self.compile = feature_budget_mib, compile
        self.mask_generator = mask_generator or MaskGeneratorConfig()

    def check(self) -> dict[str, Path]:
        """See ``Tracker.check``."""
        builder.network_settings(self.network)
        if self.checkpoint == RANDOM_WEIGHTS:
            return {}
        if not is_there(self._path):
            raise UserError(
                f"{self._path}: checkpoint of tracker {self.name} not found. Put the published "
                f"file there, or set tracker.checkpoint=<file> (random for a dry run)."
            )
        refuse_stand_in(self._path)
        return {"tracker.checkpoint": self._path}

    def describe(self) -> dict[str, Any]:
        """See ``Tracker.describe``."""
        return {
            "network_sha256": builder.network_sha256(self.network),
            "checkpoint_sha256": self._checkpoint_sha256,
            "fill_hole_area": 0,  # filling holes needs sam2's CUDA extension
            "compile": self.compile,
            "mask_generator": asdict(self.mask_generator),
        }

    def load(self, device: torch.device, seed: int) -> None:
        """See ``Tracker.load``. With ``compile``, compilation happens at the first frames."""
        from sola.trackers.sam2.mask_generator import MaskGenerator

        with torch.random.fork_rng(devices=[]), torch.autocast(device.type, enabled=False):
            torch.manual_seed(seed)
            precise = model = self.build()
        if torch.is_autocast_enabled(device.type):
            model = builder.with_cast_weights(model, torch.get_autocast_dtype(device.type))
        for network in {model, precise}:
            network.to(device)
            if self.compile:
                builder.compile_network(network)
        self._generator = MaskGenerator(model, self.mask_generator, precise)

    def build(self, target: str = builder.NETWORK) -> Any:
        """Return the network with its weights, in evaluation mode, on the CPU.

        Args:
            target: class of sam2, see ``build_network``.

        Raises:
            UserError: if the weights or ``token_dim`` do not fit the network.
        """
        settings = builder.network_settings(self.network)
        model: Any = builder.build_network(settings, target)
        if model.hidden_dim != self.token_dim:
            raise UserError(
                f"token_dim: must be {model.hidden_dim}, the width of {self.network}, got "
                f"{self.token_dim}. Set tracker.token_dim={model.hidden_dim}."
            )
        if self.checkpoint == RANDOM_WEIGHTS:
            log.warning("tracker %s has random weights: its masks are meaningless", self.name)
        else:
            builder.load_weights(model, self._path)
        return model

    def open(self, frames: Sequence[np.ndarray]) -> "Sam2Session":
        """See ``Tracker.open``."""
        from sola.trackers.sam2.propagation import Sam2Session

        return Sam2Session(self._generator, frames, self.feature_budget_mib)

    @cached_property
    def _checkpoint_sha256(self) -> str:
        if self.checkpoint == RANDOM_WEIGHTS:
            return RANDOM_WEIGHTS
        return sha256_of_file(self._path)

    @cached_property
    def _path(self) -> Path:
        return find_weights_file(self.checkpoint, "tracker.checkpoint")
