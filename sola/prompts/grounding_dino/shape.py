"""Shape of a GroundingDINO network."""

from dataclasses import dataclass

from sola.checks import at_least
from sola.errors import UserError


@dataclass(frozen=True)
class NetworkShape:
    """Widths and counts; defaults are those of the published network with a Swin-T.

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
    """Layers in which picture and text see each other."""
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
            UserError: if one is out of range, or heads do not divide a width.
        """
        numbers = {name: value for name, value in vars(self).items() if isinstance(value, int)}
        at_least(1, **numbers)
        at_least(2, decoder_layers=self.decoder_layers)  # transformers ties the others to the first
        for name in ("swin_depths", "swin_heads"):
            if len(getattr(self, name)) != 4:
                raise UserError(f"{name}: must have 4 entries, got {list(getattr(self, name))}.")
        if self.num_heads % 2:  # half of them attend within the text
            raise UserError(f"num_heads: must be even, got {self.num_heads}.")
        for width, heads in (("hidden_dim", "num_heads"), ("bert_dim", "bert_heads")):
            if numbers[width] % numbers[heads]:
                raise UserError(
                    f"{heads}: must divide {width} ({numbers[width]}), got {numbers[heads]}."
                )
