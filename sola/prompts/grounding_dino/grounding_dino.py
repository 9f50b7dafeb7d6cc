"""GroundingDINO as a detector of the configuration."""

import hashlib
import importlib
import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sola.checks import at_least, between, one_of
from sola.errors import UserError
from sola.files import sha256_of_file
from sola.prompts.base import Detections, Detector
from sola.prompts.grounding_dino.network import DELIMITERS, DetectorNetwork, NetworkShape
from sola.text.encoder import quiet_transformers, resolve
from sola.trackers import RANDOM_WEIGHTS
from sola.trackers.stages import DETECTOR, stage

if TYPE_CHECKING:
    from transformers import BatchEncoding

log = logging.getLogger(__name__)

ORIGINAL = "groundingdino"
MAX_TOKENS = 256
"""Columns of the network's output for a text."""
BERT = "bert-base-uncased"
BERT_REVISION = "86b5e0934494bd15c9632b12f734a8a67f723594"
KEY = "prompt_source.detector.vocabulary"
PIXEL_MEAN = (0.485, 0.456, 0.406)
PIXEL_STD = (0.229, 0.224, 0.225)


class GroundingDino(Detector):
    """GroundingDINO (Liu et al., 2023), the network of transformers or the original code.

    Args:
        checkpoint: a .pth file of the original code, a folder of transformers, or "random"
            (untrained).
        network: shape of the network of a .pth file or of random weights; None: that of Swin-T.
        implementation: transformers, or groundingdino (the original code, an extra, which reads
            .pth files only).
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
        one_of(("transformers", ORIGINAL), implementation=implementation)
        between(0, 1, text_threshold=text_threshold)
        at_least(1, shortest_edge_px=shortest_edge_px)
        at_least(shortest_edge_px, longest_edge_px=longest_edge_px)
        self.checkpoint, self.network = str(checkpoint), network or NetworkShape()
        self.implementation, self.vocabulary = implementation, vocabulary
        self.text_threshold = text_threshold
        self.shortest_edge_px, self.longest_edge_px = shortest_edge_px, longest_edge_px
        self.loaded: DetectorNetwork | None = None

    def check(self) -> None:
        """See ``Detector.check``."""
        key = "prompt_source.detector"
        if self.checkpoint != RANDOM_WEIGHTS and not self._weight_files():
            raise UserError(
                f"{self.checkpoint}: no such file, or a folder without *.safetensors. Set "
                f"{key}.checkpoint to GroundingDINO's published .pth file or (not with "
                f"implementation={ORIGINAL}) to a folder of transformers. With video=..., the key "
                "is prompt_sources.gdino.detector.checkpoint."
            )
        if self.implementation == ORIGINAL and importlib.util.find_spec(ORIGINAL) is None:
            raise UserError(
                f"{key}.implementation={ORIGINAL}: the package is not installed. Run pip install "
                "rf-groundingdino, or set it to transformers."
            )
        Vocabulary(self._vocabulary)

    def digests(self) -> dict[str, str]:
        """See ``Detector.digests``; "random" for random weights."""
        if self.checkpoint == RANDOM_WEIGHTS:
            return {"detector_sha256": RANDOM_WEIGHTS}
        digests = [bytes.fromhex(sha256_of_file(path)) for path in self._weight_files()]
        return {"detector_sha256": hashlib.sha256(b"".join(digests)).hexdigest()}

    def describe(self) -> dict[str, Any]:
        """See ``Detector.describe``."""
        own = ("implementation", "vocabulary", "text_threshold", "shortest_edge_px")
        values = {name: getattr(self, name) for name in (*own, "longest_edge_px")}
        return {"name": "GroundingDINO", "network": asdict(self.network)} | values

    def load(self, device: torch.device) -> None:
        """See ``Detector.load``.

        Raises:
            UserError: if something is missing, or the weights are of another network.
        """
        self.check()
        self._words = Vocabulary(self._vocabulary)
        if self.checkpoint == RANDOM_WEIGHTS:
            log.warning("the detector has random weights: its boxes mean nothing")
        name = "original_code" if self.implementation == ORIGINAL else "transformers_code"
        code = importlib.import_module(f"sola.prompts.grounding_dino.{name}")
        self.loaded = code.load(self.checkpoint, self.network).to(device).eval()

    @torch.inference_mode()
    def detect(
        self, frame: np.ndarray, texts: Sequence[str], box_threshold: float
    ) -> list[Detections]:
        """See ``Detector.detect``. The image encoder runs once for all texts.

        Always in float32: half precision moves boxes across the thresholds. A frame goes through
        the network alone and in its own shape: padding beside others would move its boxes.
        """
        assert self.loaded is not None, "load comes first"
        device = next(self.loaded.parameters()).device
        found = []
        with stage(DETECTOR), torch.autocast(device.type, enabled=False):
            size = resized(
                frame.shape[0], frame.shape[1], self.shortest_edge_px, self.longest_edge_px
            )
            image = to_image(frame, size).to(device)
            self.loaded.encoder.features = None  # those of the frame before
            for text in texts:
                tokens = self._words.tokens(text)
                logits, boxes = self.loaded.find_boxes(image, tokens.to(device))
                scores = logits.float().sigmoid()
                is_kept = scores.amax(dim=1) > box_threshold
                found.append(self._detections(frame, tokens, scores[is_kept], boxes[is_kept]))
        return found

    def _detections(
        self, frame: np.ndarray, tokens: "BatchEncoding", scores: Tensor, boxes: Tensor
    ) -> Detections:
        is_word = (scores > self.text_threshold).tolist()
        return Detections(
            boxes=to_corners(boxes.float().cpu(), frame.shape[:2]).numpy(),
            token_scores=scores.cpu().numpy(),
            phrases=tuple(self._words.phrase(tokens, row) for row in is_word),
        )

    def _weight_files(self) -> list[Path]:
        path = Path(self.checkpoint)
        if not path.is_dir():
            return [path] * path.exists()
        return [] if self.implementation == ORIGINAL else sorted(path.glob("*.safetensors"))

    @property
    def _vocabulary(self) -> str:
        if self.vocabulary is not None:
            return self.vocabulary
        return self.checkpoint if Path(self.checkpoint).is_dir() else BERT


def resized(height: int, width: int, shortest_px: int, longest_px: int) -> tuple[int, int]:
    """Return the (H, W) to which a frame is resized; see ``GroundingDino``."""
    short, long = min(height, width), max(height, width)
    edge = min(shortest_px, round(longest_px * short / long))
    if height <= width:
        return edge, int(edge * width / height)
    return int(edge * height / width), edge


def to_image(frame: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Return a (H, W, 3) uint8 RGB frame as (1, 3, *size) float32, normalised as in training."""
    from torchvision.transforms.functional import normalize, to_tensor

    picture = Image.fromarray(frame).resize(size[::-1], Image.Resampling.BILINEAR)
    return normalize(to_tensor(picture), PIXEL_MEAN, PIXEL_STD)[None]


def to_corners(boxes: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return (n, 4) left, top, right, bottom in pixels.

    Args:
        boxes: (n, 4), centre x, centre y, width, height as shares of the frame.
        size: (H, W) in pixels.
    """
    from torchvision.ops import box_convert

    height, width = size
    return box_convert(boxes, "cxcywh", "xyxy") * torch.tensor([width, height, width, height])


class Vocabulary:
    """BERT's uncased vocabulary.

    Args:
        path: folder, model name, or "package:<name>" of a package that carries one.

    Raises:
        UserError: if it cannot be loaded, or is not that of BERT uncased.
    """

    def __init__(self, path: str) -> None:
        from transformers import AutoTokenizer

        self._cut: set[str] = set()
        folder, expected = resolve(path, KEY), list(DELIMITERS.values())
        try:
            with quiet_transformers():
                self.tokenizer = AutoTokenizer.from_pretrained(
                    folder,
                    local_files_only=Path(folder).is_dir(),
                    revision=BERT_REVISION if path == BERT else "main",
                )
            ids = self.tokenizer.convert_tokens_to_ids(list(DELIMITERS))
            if ids != expected:
                raise ValueError(f"{list(DELIMITERS)} are tokens {ids}, expected {expected}")
        except (OSError, ValueError, ImportError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"{KEY}={path}: cannot be loaded ({reason}). Set it to {BERT} where that can be "
                "downloaded, or to a folder with its vocabulary."
            ) from error

    def tokens(self, text: str) -> "BatchEncoding":
        """Return the (1, L) tokens of a text in the spelling that the network was trained on.

        That is lower case, no space at the ends, a full stop. A text of more than ``MAX_TOKENS`` is
        cut, with a warning.
        """
        spelt = text.lower().strip().removesuffix(".") + "."
        length = len(self.tokenizer(spelt, verbose=False).input_ids)
        if length > MAX_TOKENS and text not in self._cut:
            self._cut.add(text)
            log.warning("GroundingDINO reads %d of %d tokens of: %s", MAX_TOKENS, length, text)
        tokens: BatchEncoding = self.tokenizer(
            spelt, return_tensors="pt", truncation=True, max_length=MAX_TOKENS
        )
        return tokens

    def phrase(self, tokens: "BatchEncoding", is_word: Sequence[bool]) -> str:
        """Return the words of the marked tokens, without [CLS], [SEP] and full stops."""
        ids = tokens.input_ids[0].tolist()
        chosen = [idx for idx, counts in zip(ids, is_word, strict=True) if counts]
        return str(self.tokenizer.decode(chosen, skip_special_tokens=True)).replace(".", "").strip()
