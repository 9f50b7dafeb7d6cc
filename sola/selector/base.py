"""Selector: base class of the networks that score tracks, with save and load for the model hub."""

import json
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from sola.errors import UserError

PROVENANCE_KEY = "sola"
"""Where a checkpoint says what it is, in plain types."""


class Selector(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="sola",
    license="apache-2.0",
    paper_url="https://arxiv.org/abs/2412.01136",
):
    """A network that scores every candidate track of a video against an expression.

    Its constructor takes plain values, ``token_dim`` and ``text_dim`` among them.
    docs/adding_a_selector.md shows how to add one.
    """

    negative_tokens: Tensor | None
    """(K, E), to which tracks that are not meant are drawn; None: the selector has none."""
    provenance: dict[str, Any]
    """Where the weights come from, see ``sola.selector.checkpoint.load_selector``."""

    def __init__(self) -> None:
        super().__init__()
        self.negative_tokens = None
        self.provenance = {}

    @property
    def kwargs(self) -> dict[str, Any]:
        """The constructor's arguments, those with default values included, as JSON holds them."""
        assert isinstance(self._hub_mixin_config, dict), "set by the mixin"
        arguments: dict[str, Any] = json.loads(json.dumps(self._hub_mixin_config))
        return arguments

    @property
    def description(self) -> dict[str, Any]:
        """The network as a ``_target_`` node; one of ours whatever its module is called."""
        own = type(self)
        is_ours = own.__module__.startswith("sola.selector.")
        package = "sola.selector" if is_ours else own.__module__
        return {"_target_": f"{package}.{own.__qualname__}", **self.kwargs}

    def load_weights(self, weights: Mapping[str, Tensor], where: str) -> None:
        """Load a state dict.

        Args:
            weights: by name.
            where: names them in a message.

        Raises:
            UserError: if names or shapes are not those of this network.
        """
        try:
            self.load_state_dict(weights)
        except (TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:240].rstrip(".")
            raise UserError(
                f"{where}: do not fit the network ({reason}). Use a network with the number of "
                "layers and the widths of the weights."
            ) from error

    @abstractmethod
    def forward(
        self,
        tokens: Tensor,
        text: Tensor,
        track_mask: Tensor | None = None,
        frame_mask: Tensor | None = None,
        text_mask: Tensor | None = None,
        *,
        video_idx: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Scores all tracks of every sample.

        Several expressions about one video can share its tokens: give V videos and B expressions,
        with V = 1, or with ``video_idx``. A score depends on the video's own tracks and its own
        expression only: not on padding, nor on what else is in the batch.

        Args:
            tokens: (V, N, T, D), object tokens; V is B, 1, or what ``video_idx`` points into.
            text: (B, L, E), text tokens.
            track_mask: (V, N) bool, True for tracks that exist; None: all.
            frame_mask: (V, T) bool, True up to the video's end; None: all.
            text_mask: (B, L) bool, True for text tokens that exist; None: all.
            video_idx: (B,) long, the video of every sample.

        Returns:
            Logits (B, N), whose sigmoid is the score, and track tokens (B, N, E). Rows of
            tracks that do not exist are finite and mean nothing; N may be 0.
        """

    def _save_pretrained(self, save_directory: Path) -> None:
        """Weights, and arguments with the provenance beside them, for the hub."""
        super()._save_pretrained(save_directory)
        provenance = {**self.provenance, "selector": self.description}
        content = {**self.kwargs, PROVENANCE_KEY: provenance}
        (save_directory / "config.json").write_text(json.dumps(content, indent=1, sort_keys=True))


def mean_of_existing(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """(..., S, C) -> (..., C), the mean over those of S that exist; 0 where none does.

    Args:
        tokens: (..., S, C).
        mask: (..., S) bool, True for what exists; None: all.
    """
    if mask is None:
        return tokens.sum(dim=-2) / max(tokens.shape[-2], 1)
    total = tokens.masked_fill(~mask[..., None], 0).sum(dim=-2)
    return total / mask.sum(dim=-1, keepdim=True).clamp(min=1)
