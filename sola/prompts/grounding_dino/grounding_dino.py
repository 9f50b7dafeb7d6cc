"""GroundingDINO as a detector, and its vocabulary."""

import hashlib
import importlib.util
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sola.checks import at_least, between, one_of
from sola.errors import UserError
from sola.files import is_there, sha256_of_file
from sola.hub import RANDOM_WEIGHTS, VOCABULARY_FILES, find_weights
from sola.prompts.base import Detections, Detector
from sola.text import quiet_transformers
from sola.trackers.stages import DETECTOR, stage
from sola.trackers.transfer import upload
from sola.weights_file import find_weights_file, refuse_stand_in

if TYPE_CHECKING:
    from transformers import BatchEncoding

    from sola.prompts.grounding_dino.network import DetectorNetwork

log = logging.getLogger(__name__)

ORIGINAL = "groundingdino"
MAX_TOKENS = 256
"""Largest number of tokens of a text."""
BERT = "hf://google-bert/bert-base-uncased@86b5e0934494bd15c9632b12f734a8a67f723594"
CHECKPOINT_KEY = "prompt_source.detector.checkpoint"
KEY = "prompt_source.detector.vocabulary"
DELIMITERS = {"[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
"""Tokens that separate phrases, with the ids in BERT's vocabulary that the network expects."""


@dataclass(frozen=True)
class NetworkShape:
    """Widths and layer counts of the network; defaults are those of the published Swin-T.

    It is used for a .pth file and for random weights; a folder of transformers has its own.
    """

    swin_dim: int = 96
    """Channels of the image encoder's first stage; each later stage doubles them."""
    swin_depths: tuple[int, ...] = (2, 2, 6, 2)
    """Blocks of each of the image encoder's four stages."""
    swin_heads: tuple[int, ...] = (3, 6, 12, 24)
    """Attention heads of each stage."""
    swin_window: int = 7
    """Width and height of an attention window, in patches of the image encoder."""
    hidden_dim: int = 256
    """Channels between the encoders and the boxes."""
    ffn_dim: int = 2048
    """Width of the feed-forward layers between the encoders and the boxes."""
    num_heads: int = 8
    """Attention heads between the encoders and the boxes; an even divisor of hidden_dim."""
    encoder_layers: int = 6
    """Layers in which image and text attend to each other."""
    decoder_layers: int = 6
    """Layers that predict boxes; at least 2."""
    num_queries: int = 900
    """Boxes proposed for a text, before the threshold."""
    bert_dim: int = 768
    """Width of the text encoder, a BERT."""
    bert_layers: int = 12
    """Layers of the text encoder."""
    bert_heads: int = 12
    """Attention heads of the text encoder; they must divide bert_dim."""
    bert_ffn_dim: int = 3072
    """Width of the text encoder's feed-forward layers."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: if one is out of range.
        """
        at_least(1, **{key: value for key, value in vars(self).items() if isinstance(value, int)})
        at_least(2, decoder_layers=self.decoder_layers)  # transformers ties the others to the first

    def swin(self) -> dict[str, Any]:
        """Return the arguments of the image encoder; both implementations use these names."""
        return {
            "embed_dim": self.swin_dim,
            "depths": list(self.swin_depths),
            "num_heads": list(self.swin_heads),
            "window_size": self.swin_window,
        }

    def bert(self) -> dict[str, Any]:
        """Return the arguments of ``transformers.BertConfig``."""
        return {
            "hidden_size": self.bert_dim,
            "num_hidden_layers": self.bert_layers,
            "num_attention_heads": self.bert_heads,
            "intermediate_size": self.bert_ffn_dim,
        }


class GroundingDino(Detector):
    """GroundingDINO (Liu et al., 2023), with the network of transformers or the original code.

    Args:
        checkpoint: weights of the original code (a file, or a folder with only one), a folder of
            transformers, ``owner/name`` of one on the hub (see ``sola.hub``), or "random".
        network: shape of the network of a .pth file or of random weights; None: that of Swin-T.
        implementation: transformers, or groundingdino (the original code, an extra, which reads
            .pth files only).
        vocabulary: folder, model name or "package:..." with a BERT vocabulary; None: that of the
            checkpoint's folder, or bert-base-uncased for a .pth file or random weights.
        text_threshold: a token with a score above this belongs to the phrase of a box.
        shortest_edge_px: a frame's shorter edge is resized to this many pixels, unless its longer
            edge would exceed longest_edge_px.
        longest_edge_px: upper limit of a frame's longer edge after resizing, in pixels.

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
        self._read: dict[str, _ReadText] = {}

    def check(self) -> dict[str, Path]:
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
        for path in self._weight_files():
            refuse_stand_in(path)
        is_folder = self._path.is_dir()
        self._words = Vocabulary(self.vocabulary or (str(self._path) if is_folder else BERT))
        found = {KEY: self._words.folder, CHECKPOINT_KEY: self._path}
        return {key: path for key, path in found.items() if is_there(path)}

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
            UserError: if a file is missing, or the weights belong to another network.
        """
        from transformers import GroundingDinoImageProcessorPil

        from sola.prompts.grounding_dino.network import load_original, load_transformers

        self.check()
        self._processor = GroundingDinoImageProcessorPil(do_pad=False)
        if self.checkpoint == RANDOM_WEIGHTS:
            log.warning("the detector has random weights: its boxes are meaningless")
        load = load_original if self.implementation == ORIGINAL else load_transformers
        self.loaded = load(str(self._path), self.network).to(device).eval()

    @torch.inference_mode()
    def detect(
        self, frame: np.ndarray, texts: Sequence[str], box_threshold: float
    ) -> list[Detections]:
        """See ``Detector.detect``. The image encoder runs once for all texts.

        The text encoder runs once per text, as long as the text is among those of the next frame.
        The network always runs in float32: half precision moves boxes across the thresholds. Frames
        are not batched: padding them to a common shape would move their boxes.
        """
        from torchvision.ops import box_convert

        assert self.loaded is not None, "load comes first"
        device, (height, width) = next(self.loaded.parameters()).device, frame.shape[:2]
        found = []
        with stage(DETECTOR), torch.autocast(device.type, enabled=False):
            image = upload(self.to_image(frame), device)
            self.loaded.encoder.features = None  # drop those of the previous frame
            self._read = {text: self._read.get(text) or self._read_text(text) for text in texts}
            for text in texts:
                scores, boxes = self._find(self._read[text], image, box_threshold)
                corners = box_convert(boxes, "cxcywh", "xyxy")
                corners *= torch.tensor([width, height, width, height])
                tokens = self._read[text].tokens
                phrases = [self._words.phrase(tokens, row > self.text_threshold) for row in scores]
                found.append(Detections(corners.numpy(), scores.numpy(), tuple(phrases)))
        return found

    def _read_text(self, text: str) -> "_ReadText":
        from transformers import BatchEncoding

        assert self.loaded is not None
        device, tokens = next(self.loaded.parameters()).device, self._words.tokens(text)
        uploaded = {key: upload(value, device) for key, value in tokens.items()}
        return _ReadText(tokens, BatchEncoding(uploaded))

    def _find(self, text: "_ReadText", image: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
        """Return scores (n, L) and boxes (n, 4) above a threshold, on the host."""
        assert self.loaded is not None
        self.loaded.text_encoder.features = text.features
        logits, boxes = self.loaded.find_boxes(image, text.on_device)
        text.features = self.loaded.text_encoder.features
        joined = torch.cat([logits.float().sigmoid(), boxes.float()], dim=1).cpu()  # one copy
        scores, boxes = joined[:, :-4], joined[:, -4:]
        is_kept = scores.amax(dim=1) > threshold
        return scores[is_kept], boxes[is_kept]

    def to_image(self, frame: np.ndarray) -> Tensor:
        """Return a (H, W, 3) uint8 RGB frame as (1, 3, H', W') float32, as in training.

        The size is that of the original code; transformers' may differ by a pixel.
        """
        height, width = frame.shape[:2]
        short, long = min(height, width), max(height, width)
        edge = min(self.shortest_edge_px, round(self.longest_edge_px * short / long))
        size = {"height": int(edge * height / short), "width": int(edge * width / short)}
        image: Tensor = self._processor(frame, size=size, return_tensors="pt").pixel_values
        return image

    @cached_property
    def _path(self) -> Path:
        path = find_weights(self.checkpoint, CHECKPOINT_KEY)
        if path.is_dir() and not (path / "config.json").is_file():
            return find_weights_file(self.checkpoint, CHECKPOINT_KEY)
        return path

    def _weight_files(self) -> list[Path]:
        path = self._path
        if path.is_dir() and self.implementation != ORIGINAL:
            return sorted(path.glob("*.safetensors"))
        return [path] if path.is_file() else []


@dataclass
class _ReadText:
    """A text, and what is kept of it for other frames."""

    tokens: "BatchEncoding"
    on_device: "BatchEncoding"
    features: Any = None
    """Output of the text encoder."""


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
        self.folder = folder = find_weights(path, KEY, VOCABULARY_FILES)
        expected = list(DELIMITERS.values())
        try:
            if not is_there(folder):
                raise ValueError("no such folder")
            with quiet_transformers():
                self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            ids = self.tokenizer.convert_tokens_to_ids(list(DELIMITERS))
            if ids != expected:
                raise ValueError(f"{list(DELIMITERS)} are tokens {ids}, expected {expected}")
        except (OSError, ValueError, ImportError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"{KEY}={path}: cannot be loaded ({reason}). Set it to {BERT} if that can be "
                "downloaded, or to a folder with its vocabulary."
            ) from error

    def tokens(self, text: str) -> "BatchEncoding":
        """Return the (1, L) tokens of a text in the spelling that the network was trained on.

        That is lower case, without spaces at the ends, with a full stop. A text of more than
        ``MAX_TOKENS`` tokens is truncated, with a warning.
        """
        spelt = text.lower().strip().removesuffix(".") + "."
        length = len(self.tokenizer(spelt, verbose=False).input_ids)
        tokens: BatchEncoding = self.tokenizer(
            spelt, return_tensors="pt", truncation=True, max_length=MAX_TOKENS
        )
        if length > MAX_TOKENS and text not in self._cut:
            self._cut.add(text)
            part = self.tokenizer.decode(tokens.input_ids[0], skip_special_tokens=True)
            log.warning("GroundingDINO reads %d of %d tokens, only: %s", MAX_TOKENS, length, part)
        return tokens

    def phrase(self, tokens: "BatchEncoding", is_word: Tensor) -> str:
        """Return the words of the marked tokens, without [CLS], [SEP] and full stops."""
        chosen = tokens.input_ids[0, is_word].tolist()
        return str(self.tokenizer.decode(chosen, skip_special_tokens=True)).replace(".", "").strip()
