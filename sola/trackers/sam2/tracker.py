"""SAM 2 as a tracker. Importing this module imports neither sam2 nor torch."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sola.errors import UserError
from sola.files import is_there, refusals, sha256_of_file
from sola.trackers.base import RANDOM_WEIGHTS, Tracker
from sola.trackers.resources import path_of
from sola.trackers.sam2.settings import MaskGeneratorConfig

if TYPE_CHECKING:
    import torch

    from sola.trackers.sam2.session import Sam2Networks, Sam2Session

log = logging.getLogger(__name__)


class Sam2Tracker(Tracker):
    """SAM 2, of any size. Tracks match those of ``SAM2VideoPredictor``.

    Args:
        name: see ``Tracker``.
        network: YAML file inside the sam2 package (sam2.1/sam2.1_hiera_l.yaml), a path, or a
            resource of an installed package (pkg://sola.trackers.small/network.yaml).
        checkpoint: file in the format of SAM 2 ({"model": state dict}), a ``pkg://`` resource, or
            "random": weights drawn from the seed.
        token_dim: D, width of an object token; must be the network's.
        fill_hole_area: largest hole of a mask that is filled, in pixels of the decoder's masks
            (stride 4); 0 fills none. Above 0 it needs the CUDA extension of sam2.
        feature_budget_mib: memory for the image features of one video, MiB. Frames beyond it are
            encoded in every pass, with the same result.
        compile: compile the network with torch.compile. Takes minutes at the start; tracks change
            by rounding.
        mask_generator: settings of automatic masks; None: those of sam2.
    """

    def __init__(
        self,
        name: str,
        network: str,
        checkpoint: str,
        token_dim: int = 256,
        fill_hole_area: int = 0,
        feature_budget_mib: float = 4096,
        compile: bool = False,  # noqa: A002  # a key of the configuration
        mask_generator: MaskGeneratorConfig | None = None,
    ) -> None:
        super().__init__(name, token_dim)
        least = {"fill_hole_area": fill_hole_area, "feature_budget_mib": feature_budget_mib}
        for key, value in least.items():
            if value < 0:
                raise UserError(f"{key}: must be at least 0, got {value}")
        self.network, self.checkpoint = network, checkpoint
        self.fill_hole_area, self.feature_budget_mib = fill_hole_area, feature_budget_mib
        self.compile = compile
        self.mask_generator = mask_generator or MaskGeneratorConfig()
        self._networks: Sam2Networks | None = None

    def check(self) -> None:
        """See ``Tracker.check``."""
        from sola.trackers.sam2.builder import network_settings
        from sola.weights_file import refuse_stand_in

        network_settings(self.network)
        path = path_of(self.checkpoint)
        if self.checkpoint == RANDOM_WEIGHTS:
            return
        if not is_there(path):
            raise UserError(
                f"{path}: checkpoint of tracker {self.name} not found. Put the published file "
                f"{path.name} there, or set tracker.checkpoint=<file> (random to try mechanics)."
            )
        refuse_stand_in(path)

    def describe(self) -> dict[str, Any]:
        """See ``Tracker.describe``."""
        return {
            "network_sha256": self._network_sha256,
            "checkpoint_sha256": self._checkpoint_sha256,
            "fill_hole_area": self.fill_hole_area,
            "compile": self.compile,
            "mask_generator": asdict(self.mask_generator),
        }

    def load(self, device: "torch.device", seed: int) -> None:
        """See ``Tracker.load``. Also logs the attention kernels of a GPU, and compiles if asked."""
        import torch

        from sola.trackers.sam2.session import Sam2Networks

        with torch.random.fork_rng(devices=[]), torch.autocast(device.type, enabled=False):
            torch.manual_seed(seed)
            model = self.build().to(device)
        self._networks = Sam2Networks(model, self.mask_generator)
        self._networks.warm_up(is_compiled=self.compile)

    def build(self, target: str | None = None) -> Any:
        """Return the network with its weights, in evaluation mode, on the CPU.

        Args:
            target: class of sam2, see ``build_network``; None: the one that tracks here.

        Raises:
            UserError: if the weights or ``token_dim`` do not fit the network.
        """
        from sola.trackers.sam2.builder import (
            NETWORK,
            build_network,
            load_weights,
            network_settings,
        )

        settings = network_settings(self.network)
        model = build_network(settings, target or NETWORK, fill_hole_area=self.fill_hole_area)
        if model.hidden_dim != self.token_dim:
            raise UserError(
                f"token_dim: got {self.token_dim}, the object tokens of {self.network} are "
                f"{model.hidden_dim} wide. Set tracker.token_dim={model.hidden_dim}."
            )
        if self.checkpoint == RANDOM_WEIGHTS:
            log.warning("tracker %s has random weights: its masks mean nothing", self.name)
        else:
            load_weights(model, path_of(self.checkpoint))
        return model

    def open(self, frames: Sequence[np.ndarray]) -> "Sam2Session":
        """See ``Tracker.open``."""
        from sola.trackers.sam2.session import Sam2Session

        assert self._networks is not None, "load comes first"
        return Sam2Session(
            self._networks,
            frames,
            feature_budget_mib=self.feature_budget_mib,
            fill_hole_area=self.fill_hole_area,
        )

    @cached_property
    def _network_sha256(self) -> str:
        from sola.trackers.sam2.builder import network_sha256

        return network_sha256(self.network)

    @cached_property
    def _checkpoint_sha256(self) -> str:
        if self.checkpoint == RANDOM_WEIGHTS:
            return RANDOM_WEIGHTS
        path = path_of(self.checkpoint)
        with refusals(path):
            return sha256_of_file(path)
