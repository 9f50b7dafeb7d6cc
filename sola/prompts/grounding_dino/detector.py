"""Detector: interface of what finds boxes for a sentence; and GroundingDINO's network."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sola.errors import UserError
from sola.prompts.grounding_dino.detections import Detections, Thresholds, keep_boxes
from sola.prompts.grounding_dino.image import ImageSize, to_image
from sola.prompts.grounding_dino.vocabulary import Vocabulary
from sola.trackers.stages import DETECTOR, stage


class Detector(ABC):
    """Finds boxes of what a sentence refers to, frame by frame.

    Constructors check their arguments and touch no file; ``load`` reads the weights.
    """

    def check(self) -> None:  # noqa: B027  # a detector without files needs nothing
        """Look for files and packages before anything is written.

        Raises:
            UserError: if something is missing.
        """

    def digests(self) -> dict[str, str]:
        """SHA-256 of the weights, by the name that index.json gives it."""
        return {}

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Values that decide what is found, without paths and thresholds on boxes."""

    def load(self, device: torch.device) -> None:  # noqa: B027
        """Load the weights; called once, before the first ``detect``."""

    @abstractmethod
    def detect(
        self, frame: np.ndarray, texts: Sequence[str], box_threshold: float
    ) -> list[Detections]:
        """The boxes of each text on one frame.

        Args:
            frame: (H, W, 3) uint8 RGB.
            texts: sentences, as they are written.
            box_threshold: boxes with a score above this are returned.

        Returns:
            One answer a text; none depends on the other texts.
        """


class DetectorNetwork(nn.Module, ABC):
    """GroundingDINO, whichever code the network is of.

    A frame goes through the network alone and in its own shape: beside others it would be padded,
    which moves its boxes. What depends on the frame alone is computed once for all texts.
    """

    def __init__(
        self, vocabulary: Vocabulary, text_threshold: float, image_size: ImageSize
    ) -> None:
        """Take what does not depend on the network.

        Args:
            vocabulary: of the network's text encoder.
            text_threshold: a token with a score above it belongs to a box's phrase.
            image_size: to which size frames are brought.
        """
        super().__init__()
        self.vocabulary, self.text_threshold, self.image_size = (
            vocabulary,
            text_threshold,
            image_size,
        )

    @torch.inference_mode()
    def detect(
        self, frame: np.ndarray, texts: Sequence[str], box_threshold: float
    ) -> list[Detections]:
        """See ``Detector.detect``.

        Always in float32: half precision moves boxes across the thresholds.

        Raises:
            UserError: if the image is too small for as many queries as the network has.
        """
        if not texts:
            return []
        device = next(self.parameters()).device
        with stage(DETECTOR), torch.autocast(device.type, enabled=False):
            image = to_image(frame, self.image_size).to(device)
            self._check_size(image)
            features = self.encode_image(image)
            size = frame.shape[:2]
            return [self._detect(features, size, text, box_threshold) for text in texts]

    @property
    @abstractmethod
    def num_queries(self) -> int:
        """Q, boxes that the network proposes for a text."""

    @abstractmethod
    def encode_image(self, image: Tensor) -> Any:
        """What the network makes of an image (1, 3, H', W') before it knows of a text."""

    @abstractmethod
    def find_boxes(self, features: Any, token_ids: Tensor) -> tuple[Tensor, Tensor]:
        """The network's boxes for one text.

        Args:
            features: from ``encode_image``; may be used for any number of texts.
            token_ids: (1, L) long, special tokens included.

        Returns:
            Logits (Q, L), and boxes (Q, 4) as centre x, centre y, width, height, shares of the
            image.
        """

    def _detect(
        self, features: Any, size: tuple[int, ...], text: str, box_threshold: float
    ) -> Detections:
        token_ids = self.vocabulary.token_ids(text)
        logits, boxes = self.find_boxes(features, token_ids.to(next(self.parameters()).device))
        return keep_boxes(
            logits,
            boxes,
            (size[0], size[1]),
            Thresholds(box_threshold, self.text_threshold),
            lambda is_word: self.vocabulary.phrase(token_ids[0], is_word),
        )

    def _check_size(self, image: Tensor) -> None:
        """The queries are the best of the feature maps' places: there must be as many of these."""
        sides = image.shape[-2:]
        places = [[-(-side // stride) for side in sides] for stride in (8, 16, 32, 64)]
        num_places = sum(height * width for height, width in places)
        if num_places < self.num_queries:
            raise UserError(
                f"an image of {sides[1]} x {sides[0]} px gives GroundingDINO {num_places} places "
                f"for {self.num_queries} boxes. Raise prompt_source.detector.shortest_edge_px."
            )
