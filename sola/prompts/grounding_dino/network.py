"""Code shared by the two implementations of GroundingDINO's network."""

import copy
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from sola.checks import at_least
from sola.errors import UserError
from sola.weights_file import read_weights

if TYPE_CHECKING:
    from transformers import BatchEncoding

DELIMITERS = {"[CLS]": 101, "[SEP]": 102, ".": 1012, "?": 1029}
"""Tokens that separate phrases; the network knows them by their ids in BERT's vocabulary."""
NOT_LOADED = re.compile(
    r"label_enc\..*|bert\.pooler\..*|bert\.embeddings\.position_ids|.*\.relative_position_index"
)
"""Weights of the training only, and what follows from the shape."""


@dataclass(frozen=True)
class NetworkShape:
    """Widths and counts. Defaults are those of the published network with a Swin-T.

    Used for a .pth file and for random weights; a folder of transformers has its own.
    """

    swin_dim: int = 96
    """Channels of the image encoder's first stage, doubled in each of the other three."""
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
    """Attention heads there; an even number that divides hidden_dim."""
    encoder_layers: int = 6
    """Layers in which image and text attend to each other."""
    decoder_layers: int = 6
    """Layers that make boxes; at least 2."""
    num_queries: int = 900
    """Boxes proposed for a text, before the threshold."""
    bert_dim: int = 768
    """Width of the text encoder, a BERT."""
    bert_layers: int = 12
    """Its layers."""
    bert_heads: int = 12
    """Its attention heads; they divide bert_dim."""
    bert_ffn_dim: int = 3072
    """Width of its feed-forward layers."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UserError: if one is out of range.
        """
        at_least(1, **{key: value for key, value in vars(self).items() if isinstance(value, int)})
        at_least(2, decoder_layers=self.decoder_layers)  # transformers ties the others to the first
        for key in ("swin_depths", "swin_heads"):
            if len(getattr(self, key)) != 4:
                raise UserError(f"{key}: must have 4 entries, got {list(getattr(self, key))}.")
        if self.num_heads % 2 or self.hidden_dim % self.num_heads:
            raise UserError(f"num_heads: must be even and divide hidden_dim, got {self.num_heads}.")
        if self.bert_dim % self.bert_heads:
            raise UserError(f"bert_heads: must divide bert_dim, got {self.bert_heads}.")

    def swin(self) -> dict[str, Any]:
        """Return the arguments of the image encoder, by the names of both codes."""
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


class KeptFeatures(nn.Module):
    """An image encoder that runs once per frame: its features are returned for every text."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.features = encoder, None

    def forward(self, *inputs: Any) -> Any:
        """Return the kept features, or those of the inputs if none are kept."""
        if self.features is None:
            self.features = self.encoder(*inputs)
        return copy.copy(self.features)  # networks add levels to the list


class DetectorNetwork(nn.Module, ABC):
    """GroundingDINO's network, in either code.

    Args:
        network: of transformers or of the original code.
        encoder: its image encoder, already in its place inside the network.
    """

    def __init__(self, network: nn.Module, encoder: KeptFeatures) -> None:
        super().__init__()
        self.network: Any = network.eval().requires_grad_(False)
        self.encoder = encoder

    @abstractmethod
    def find_boxes(self, image: Tensor, tokens: "BatchEncoding") -> tuple[Tensor, Tensor]:
        """Return the boxes of one text on one image.

        Args:
            image: (1, 3, H', W'). Reset ``encoder.features`` to None for another image.
            tokens: (1, L) each, special tokens included.

        Returns:
            Logits (Q, L), and boxes (Q, 4) as centre x, centre y, width, height, shares of the
            image.
        """


def read_original(path: Path) -> dict[str, Tensor]:
    """Return the weights of a .pth file under their original names.

    Raises:
        UserError: if the file is no checkpoint of GroundingDINO.
    """
    content = read_weights(path)
    weights = content.get("model") if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise UserError(
            f'{path}: not a checkpoint of GroundingDINO, expected a file of {{"model": weights}}. '
            "Choose another file: prompt_source.detector.checkpoint=<file>."
        )
    named = {name.removeprefix("module."): value for name, value in weights.items()}
    return {name: value for name, value in named.items() if not NOT_LOADED.fullmatch(name)}


def refuse_other_weights(path: Path, wrong: Sequence[str]) -> None:
    """Raise ``UserError`` if weights do not fit the network; ``wrong`` says which, or why."""
    if wrong:
        raise UserError(
            f"{path}: does not fit the network ({len(wrong)} differences, such as "
            f"{wrong[0].strip()[:120]}). Choose the detector that belongs to the file, such as "
            "detector@prompt_source.detector=swin_b."
        )
