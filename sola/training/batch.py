"""Training samples, and padded batches of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sola.selector.base import Layout, plan_layout
from sola.types import Expression


@dataclass(frozen=True)
class Sample:
    """N tracks of one video, and X expressions that share them."""

    tokens: Tensor
    """(N, T, D) float32; other samples may share it, so do not write to it."""
    texts: tuple[Tensor, ...]
    """Text tokens of each expression: X arrays (L, E) float32."""
    labels: Tensor
    """(X, N) bool, True for tracks that the expression refers to."""
    expressions: tuple[Expression, ...]
    """The X expressions."""


@dataclass(frozen=True)
class Batch:
    """V samples, padded for the selector: V sets of tracks and B expressions."""

    tokens: Tensor
    """(V, N, T, D) float32, zero where padded."""
    text: Tensor
    """(B, L, E) float32, zero where padded."""
    labels: Tensor
    """(B, N) bool, False where padded."""
    has_tracks: Tensor
    """(B,) bool, whether the expression has any track."""
    expressions: tuple[Expression, ...]
    """The B expressions."""
    num_tracks: tuple[int, ...]
    """Number of tracks of each of the B expressions; the rest of a row is padding."""
    layout: Layout
    """Shapes of the V samples, for selectors that score samples of equal shape together."""
    track_mask: Tensor | None = None
    """(V, N) bool, False where padded; None: no padding. The other masks are the same."""
    frame_mask: Tensor | None = None
    """(V, T) bool."""
    text_mask: Tensor | None = None
    """(B, L) bool."""
    label_mask: Tensor | None = None
    """(B, N) bool, the row of ``track_mask`` of each expression."""
    video_idx: Tensor | None = None
    """(B,) long, sample of each expression; None: V is 1, or each sample has one expression."""

    def to(self, device: torch.device | str) -> "Batch":
        """Return the batch on another device; pinned memory is copied to a GPU without waiting."""
        is_async = torch.device(device).type == "cuda"
        return self._map(lambda tensor: tensor.to(device, non_blocking=is_async))

    def pin_memory(self) -> "Batch":
        """Return the batch in pinned memory, which a GPU can copy asynchronously."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        tensors = {name: each for name, each in vars(self).items() if isinstance(each, Tensor)}
        moved: dict[str, Any] = {name: function(tensor) for name, tensor in tensors.items()}
        layout = replace(self.layout, indices=function(self.layout.indices))
        return replace(self, **moved, layout=layout)


def collate(samples: Sequence[Sample]) -> Batch:
    """Pad samples into a batch; a mask is None if it would mask nothing.

    Without samples the batch is empty.
    """
    if not samples:
        no_flags, no_indices = torch.zeros(0, 0, dtype=torch.bool), torch.zeros(0, dtype=torch.long)
        no_tokens = torch.zeros(0, 0, 0, 0), torch.zeros(0, 0, 0)
        return Batch(*no_tokens, no_flags, no_flags.flatten(), (), (), Layout((), no_indices))
    texts = [text for sample in samples for text in sample.texts]
    counts = [len(sample.texts) for sample in samples]
    num_tracks, num_frames = torch.tensor([sample.tokens.shape[:2] for sample in samples]).T
    longest = (int(num_tracks.max()), int(num_frames.max()))
    tokens = torch.stack([_pad(sample.tokens, longest) for sample in samples])
    track_mask, frame_mask = _mask(num_tracks), _mask(num_frames)
    video_idx = torch.arange(len(samples)).repeat_interleave(torch.tensor(counts))
    return Batch(
        tokens=tokens,
        text=nn.utils.rnn.pad_sequence(texts, batch_first=True),
        labels=torch.cat([_pad(s.labels, (len(s.labels), longest[0])) for s in samples]),
        has_tracks=num_tracks[video_idx] > 0,
        expressions=tuple(e for sample in samples for e in sample.expressions),
        num_tracks=tuple(num_tracks[video_idx].tolist()),
        layout=plan_layout(tokens, len(texts), track_mask, frame_mask, video_idx),
        track_mask=track_mask,
        frame_mask=frame_mask,
        text_mask=_mask(torch.tensor([len(text) for text in texts])),
        label_mask=None if track_mask is None else track_mask[video_idx],
        video_idx=None if len(samples) == 1 or set(counts) == {1} else video_idx,
    )


def _mask(lengths: Tensor) -> Tensor | None:
    """Return the mask of R padded rows, (R, longest) bool; None if all are equally long."""
    longest = int(lengths.max())
    return None if (lengths == longest).all() else torch.arange(longest) < lengths[:, None]


def _pad(tensor: Tensor, shape: tuple[int, int]) -> Tensor:
    """Pad the first two dimensions with zeros at the end; nothing is copied if they fit."""
    missing = [0, shape[1] - tensor.shape[1], 0, shape[0] - tensor.shape[0]]
    return F.pad(tensor, [0, 0] * (tensor.dim() - 2) + missing) if any(missing) else tensor
