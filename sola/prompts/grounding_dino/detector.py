"""What a detector does, whichever code the network is of."""

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


class Detector(nn.Module, ABC):
    """Boxes of what texts speak of.

    A frame goes through the network alone and in its own shape: beside others it would be padded,
    which moves its boxes. What depends on the frame alone is computed once for all texts.
    """

    def __init__(
        self, vocabulary: Vocabulary, thresholds: Thresholds, image_size: ImageSize
    ) -> None:
        """Take what does not depend on the network.

        Args:
            vocabulary: of the network's text encoder.
            thresholds: which boxes and words count.
            image_size: to which size frames are brought.
        """
        super().__init__()
        self.vocabulary, self.thresholds, self.image_size = vocabulary, thresholds, image_size

    @torch.inference_mode()
    def detect(self, frame: np.ndarray, texts: Sequence[str]) -> list[Detections]:
        """The boxes of each text on one frame.

        Always in float32: half precision moves boxes across the thresholds.

        Args:
            frame: (H, W, 3) uint8 RGB.
            texts: sentences, as they are written.

        Returns:
            One answer a text; none of them depends on the other texts.

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
            return [self._detect(features, frame.shape[:2], text) for text in texts]

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

    def _detect(self, features: Any, size: tuple[int, ...], text: str) -> Detections:
        token_ids = self.vocabulary.token_ids(text)
        logits, boxes = self.find_boxes(features, token_ids.to(next(self.parameters()).device))
        return keep_boxes(
            logits,
            boxes,
            (size[0], size[1]),
            self.thresholds,
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
                f"for {self.num_queries} boxes. Raise prompt_source.shortest_edge_px."
            )
