"""GroundingDINO as a detector of the configuration: which weights, which code, which size."""

import hashlib
import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sola.checks import at_least, between, one_of
from sola.errors import UserError
from sola.prompts.grounding_dino.detections import Detections
from sola.prompts.grounding_dino.detector import Detector, DetectorNetwork
from sola.prompts.grounding_dino.image import ImageSize
from sola.prompts.grounding_dino.shape import NetworkShape
from sola.prompts.grounding_dino.vocabulary import Vocabulary

log = logging.getLogger(__name__)

RANDOM_WEIGHTS = "random"
BERT = "bert-base-uncased"
ORIGINAL = "groundingdino"
IMPLEMENTATIONS = ("transformers", ORIGINAL)
ORIGINAL_INSTALL = "pip install rf-groundingdino"


class GroundingDino(Detector):
    """GroundingDINO (Liu et al., 2023), the network of transformers or the original code.

    Args:
        checkpoint: a .pth file of the original code, a folder of transformers, or "random"
            (untrained).
        network: shape of the network of a .pth file or of random weights; None: that of Swin-T.
        implementation: transformers, or groundingdino (the original code, an extra).
        vocabulary: folder, model name or "package:..." with a BERT vocabulary; None: that of the
            checkpoint's folder, and bert-base-uncased for a .pth file or random weights.
        text_threshold: a token with a score above this belongs to the phrase of a box.
        shortest_edge_px: a frame's shorter edge is resized to so many pixels, ...
        longest_edge_px: ... or its longer edge to so many, whichever makes the frame smaller.

    Raises:
        UserError: if a value is unknown or out of range.
    """

    def __init__(
        self,
        checkpoint: str,
        network: NetworkShape | None = None,
        implementation: str = "transformers",
        vocabulary: str | None = None,
        *,
        text_threshold: float = 0.25,
        shortest_edge_px: int = 800,
        longest_edge_px: int = 1333,
    ) -> None:
        one_of(IMPLEMENTATIONS, implementation=implementation)
        between(0, 1, text_threshold=text_threshold)
        at_least(1, shortest_edge_px=shortest_edge_px)
        at_least(shortest_edge_px, longest_edge_px=longest_edge_px)
        self.checkpoint, self.network = str(checkpoint), network or NetworkShape()
        self.implementation, self.vocabulary = implementation, vocabulary
        self.text_threshold = text_threshold
        self.image_size = ImageSize(shortest_edge_px, longest_edge_px)
        self.loaded: DetectorNetwork | None = None

    def check(self) -> None:
        """See ``Detector.check``."""
        path = Path(self.checkpoint)
        if self.checkpoint != RANDOM_WEIGHTS and not path.exists():
            raise UserError(
                f"{path}: checkpoint of the detector not found. Put GroundingDINO's published "
                "file there, or set prompt_source.detector.checkpoint to a file or a folder of "
                "transformers (or random to try mechanics); with video=..., "
                "prompt_sources.gdino.detector.checkpoint."
            )
        if path.is_dir() and not self._weight_files():
            raise UserError(
                f"{path}: no *.safetensors in the folder. Save it again with transformers' "
                "save_pretrained, or name another folder or file."
            )
        Vocabulary(self._vocabulary)
        if self.implementation == ORIGINAL and importlib.util.find_spec(ORIGINAL) is None:
            raise UserError(
                f"prompt_source.detector.implementation={ORIGINAL}: the package is not installed. "
                f"Run {ORIGINAL_INSTALL}, or set it to transformers."
            )

    def digests(self) -> dict[str, str]:
        """See ``Detector.digests``; "random" for random weights."""
        if self.checkpoint == RANDOM_WEIGHTS:
            return {"detector_sha256": RANDOM_WEIGHTS}
        digest = hashlib.sha256()
        for path in self._weight_files():
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return {"detector_sha256": digest.hexdigest()}

    def describe(self) -> dict[str, Any]:
        """See ``Detector.describe``."""
        return {
            "name": "GroundingDINO",
            "implementation": self.implementation,
            "network": asdict(self.network),
            "vocabulary": self.vocabulary,
            "text_threshold": self.text_threshold,
            **asdict(self.image_size),
        }

    def load(self, device: torch.device) -> None:
        """See ``Detector.load``.

        Raises:
            UserError: if something is missing, or the weights are of another network.
        """
        self.check()
        self.loaded = self._build().to(device)

    def detect(
        self, frame: np.ndarray, texts: Sequence[str], box_threshold: float
    ) -> list[Detections]:
        """See ``Detector.detect``.

        Raises:
            UserError: if the image is too small for as many queries as the network has.
        """
        assert self.loaded is not None, "loaded before"
        return self.loaded.detect(frame, texts, box_threshold)

    def _build(self) -> DetectorNetwork:
        shared = (Vocabulary(self._vocabulary), self.text_threshold, self.image_size)
        if self.checkpoint == RANDOM_WEIGHTS:
            log.warning("the detector has random weights: its boxes mean nothing")
        if self.implementation == ORIGINAL:
            from sola.prompts.grounding_dino import original_detector as original

            network = original.load(self.checkpoint, self.network)
            return original.OriginalDetector(network, *shared).eval()
        from sola.prompts.grounding_dino import transformers_detector as ported

        if self.checkpoint == RANDOM_WEIGHTS:
            return ported.TransformersDetector(ported.random_network(self.network), *shared).eval()
        path = Path(self.checkpoint)
        loaded = (
            ported.load_folder(path) if path.is_dir() else ported.load_original(path, self.network)
        )
        return ported.TransformersDetector(loaded, *shared).eval()

    def _weight_files(self) -> list[Path]:
        path = Path(self.checkpoint)
        return sorted(path.glob("*.safetensors")) if path.is_dir() else [path]

    @property
    def _vocabulary(self) -> str:
        if self.vocabulary is not None:
            return self.vocabulary
        return self.checkpoint if Path(self.checkpoint).is_dir() else BERT
