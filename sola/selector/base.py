"""Selector, the base class of networks that score tracks; it can be saved to the model hub."""

import json
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import Tensor, nn

from sola.errors import UserError

PROVENANCE_KEY = "sola"
"""Key of a checkpoint's provenance, in plain types."""


class Selector(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="sola",
    license="apache-2.0",
    paper_url="https://arxiv.org/abs/2412.01136",
):
    """A network that scores every candidate track of a video against an expression.

    Its constructor takes plain values, including ``token_dim`` and ``text_dim``. See
    docs/adding_a_selector.md for how to add one.
    """

    negative_tokens: Tensor | None
    """(K, E) targets of the tracks that an expression does not refer to; None: not used."""
    provenance: dict[str, Any]
    """Origin of the weights, see ``sola.selector.checkpoint.load_selector``."""

    def __init__(self) -> None:
        super().__init__()
        self.negative_tokens = None
        self.provenance = {}

    @property
    def kwargs(self) -> dict[str, Any]:
        """All constructor arguments, including defaults, as JSON values."""
        assert isinstance(self._hub_mixin_config, dict), "set by the mixin"
        arguments: dict[str, Any] = json.loads(json.dumps(self._hub_mixin_config))
        return arguments

    @property
    def description(self) -> dict[str, Any]:
        """The network as a ``_target_`` node; sola's own do not name their modules."""
        own = type(self)
        is_ours = own.__module__.startswith("sola.selector.")
        package = "sola.selector" if is_ours else own.__module__
        return {"_target_": f"{package}.{own.__qualname__}", **self.kwargs}

    def load_weights(self, weights: Mapping[str, Tensor], where: str) -> None:
        """Load a state dict.

        Args:
            weights: weights by name.
            where: name of the weights in messages.

        Raises:
            UserError: if names or shapes do not match this network.
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
        """Score all tracks of every sample.

        Several expressions about one video can share its tokens: pass V videos and B expressions,
        with V = 1 or with ``video_idx``. A score must depend only on the tracks of its video and on
        its expression, not on padding or on the rest of the batch.

        Training passes a ``Layout`` to a method that has an argument ``layout``.

        Args:
            tokens: (V, N, T, D) object tokens; V is B, 1, or the number of videos that
                ``video_idx`` indexes.
            text: (B, L, E) text tokens.
            track_mask: (V, N) bool, False for padding; None: no padding.
            frame_mask: (V, T) bool, False after the end of the video; None: no padding.
            text_mask: (B, L) bool, False for padding; None: no padding.
            video_idx: (B,) long, the video of each sample.

        Returns:
            Logits (B, N), whose sigmoid is the score, and track tokens (B, N, E). Values of padding
            are finite and meaningless; N may be 0.
        """

    def _save_pretrained(self, save_directory: Path) -> None:
        """Save the weights, and the arguments with the provenance, for the hub."""
        super()._save_pretrained(save_directory)
        provenance = {**self.provenance, "selector": self.description}
        content = {**self.kwargs, PROVENANCE_KEY: provenance}
        (save_directory / "config.json").write_text(json.dumps(content, indent=1, sort_keys=True))


@dataclass(frozen=True)
class Layout:
    """Groups of videos of equal shape in a padded batch.

    The shapes are plain numbers, so reading them does not wait for a GPU.
    """

    shapes: tuple[tuple[int, int, int, int], ...]
    """(R, N, T, S) of each group: R videos with N tracks, T frames and S samples each."""
    indices: Tensor
    """(K,) long: the R videos, R x N tracks and R x S samples of each group, one after another."""

    def groups(self) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
        """Yield T, and the indices of videos (R, 1), tracks (R, N) and samples (R, S)."""
        counts = [num_videos * each for num_videos, n, _, s in self.shapes for each in (1, n, s)]
        parts = iter(self.indices.split(counts))
        for num_videos, _, num_frames, _ in self.shapes:
            videos, tracks, samples = (next(parts).view(num_videos, -1) for _ in range(3))
            yield num_frames, videos, tracks, samples


def plan_layout(
    tokens: Tensor,
    num_samples: int,
    track_mask: Tensor | None,
    frame_mask: Tensor | None,
    video_idx: Tensor | None,
) -> Layout:
    """Group the videos of a batch by shape, without those that have no tracks, frames or samples.

    If the masks are on a GPU, this waits for it.

    Args:
        tokens: (V, N, T, D).
        num_samples: B.
        track_mask: see ``Selector.forward``.
        frame_mask: see ``Selector.forward``.
        video_idx: see ``Selector.forward``.

    Returns:
        The layout, on the device of the tokens.
    """
    num_videos, num_tracks, num_frames = tokens.shape[:3]
    if video_idx is None:
        video_idx = torch.arange(num_samples) if num_videos > 1 else torch.zeros(num_samples)
    exists = torch.ones(num_videos, num_tracks) if track_mask is None else track_mask.cpu()
    lengths = [num_frames] * num_videos if frame_mask is None else frame_mask.sum(dim=1).tolist()
    video_idx = video_idx.cpu()
    by_shape: dict[tuple[int, int, int], list[tuple[Tensor, ...]]] = defaultdict(list)
    for video, length in enumerate(lengths):
        tracks, samples = exists[video].nonzero()[:, 0], (video_idx == video).nonzero()[:, 0]
        shape = (len(tracks), length, len(samples))
        if all(shape):
            by_shape[shape].append((torch.tensor([video]), tracks, samples))
    parts = [p for videos in by_shape.values() for each in zip(*videos, strict=True) for p in each]
    indices = torch.cat(parts) if parts else torch.zeros(0, dtype=torch.long)
    shapes = tuple((len(videos), *shape) for shape, videos in by_shape.items())
    return Layout(shapes, indices.to(tokens.device))


def mean_of_existing(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Return the mean over unmasked tokens, (..., S, C) -> (..., C); 0 if all are masked.

    Args:
        tokens: (..., S, C).
        mask: (..., S) bool, False for padding; None: no padding.
    """
    if mask is None:
        return tokens.sum(dim=-2) / max(tokens.shape[-2], 1)
    total = tokens.masked_fill(~mask[..., None], 0).sum(dim=-2)
    return total / mask.sum(dim=-1, keepdim=True).clamp(min=1)
