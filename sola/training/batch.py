"""Samples of selection and padded batches of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from sola.types import Expression


@dataclass(frozen=True)
class Sample:
    """Tracks of a video, and X expressions that choose among them."""

    tokens: Tensor
    """(N, T, D) float32; other samples may share it, so it is not to be written to."""
    texts: tuple[Tensor, ...]
    """X text token arrays (L, E) float32."""
    labels: Tensor
    """(X, N) bool, tracks that the expression means."""
    expressions: tuple[Expression, ...]
    """X."""


@dataclass(frozen=True)
class Batch:
    """V samples as the selector takes them: V sets of tracks, B expressions, padded."""

    tokens: Tensor
    """(V, N, T, D) float32, zero where padded."""
    text: Tensor
    """(B, L, E) float32, zero where padded."""
    labels: Tensor
    """(B, N) bool, False where padded."""
    has_tracks: Tensor
    """(B,) bool."""
    expressions: tuple[Expression, ...]
    """B."""
    num_tracks: tuple[int, ...]
    """B, tracks of each expression; those after them are padding."""
    track_mask: Tensor | None = None
    """(V, N) bool; None: nothing is padding. So are the other masks."""
    frame_mask: Tensor | None = None
    """(V, T) bool."""
    text_mask: Tensor | None = None
    """(B, L) bool."""
    video_idx: Tensor | None = None
    """(B,) long, each expression's sample; None: one for all, or one an expression."""

    @property
    def label_mask(self) -> Tensor | None:
        """(B, N) bool, tracks that exist, expression by expression."""
        if self.track_mask is None:
            return None
        if self.video_idx is None:
            return self.track_mask.expand(len(self.labels), -1)
        return self.track_mask[self.video_idx]

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> "Batch":
        """The same batch on a device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The same batch in memory from which a GPU can copy in the background."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        moved: dict[str, Any] = {name: function(tensor) for name, tensor in tensors.items()}
        return replace(self, **moved)


def collate(samples: Sequence[Sample]) -> Batch:
    """Pads samples into a batch; what needs no padding gets no mask, no samples an empty batch."""
    if not samples:
        return _nothing()
    tokens = [sample.tokens for sample in samples]
    texts = [text for sample in samples for text in sample.texts]
    counts = [len(sample.texts) for sample in samples]
    num_tracks = torch.tensor([len(array) for array in tokens])
    num_frames = torch.tensor([array.shape[1] for array in tokens])
    video_idx = torch.arange(len(samples)).repeat_interleave(torch.tensor(counts))
    text_lengths = torch.tensor([len(text) for text in texts])
    return Batch(
        tokens=_pad_tokens(tokens, int(num_tracks.max()), int(num_frames.max())),
        text=nn.utils.rnn.pad_sequence(texts, batch_first=True),
        labels=_pad_labels([sample.labels for sample in samples], int(num_tracks.max())),
        has_tracks=num_tracks[video_idx] > 0,
        expressions=tuple(e for sample in samples for e in sample.expressions),
        num_tracks=tuple(num_tracks[video_idx].tolist()),
        track_mask=_mask(num_tracks),
        frame_mask=_mask(num_frames),
        text_mask=_mask(text_lengths),
        video_idx=None if len(samples) == 1 or set(counts) == {1} else video_idx,
    )


def _nothing() -> Batch:
    no_text, no_flags = torch.zeros(0, 0, 0), torch.zeros(0, dtype=torch.bool)
    return Batch(torch.zeros(0, 0, 0, 0), no_text, no_flags[:, None], no_flags, (), ())


def _mask(lengths: Tensor) -> Tensor | None:
    """(R, longest) bool; None where all are equally long."""
    longest = lengths.max()
    if (lengths == longest).all():
        return None
    return torch.arange(int(longest)) < lengths[:, None]


def _pad_tokens(tokens: Sequence[Tensor], num_tracks: int, num_frames: int) -> Tensor:
    if len(tokens) == 1:
        return tokens[0][None]
    out = tokens[0].new_zeros(len(tokens), num_tracks, num_frames, tokens[0].shape[-1])
    for row, array in zip(out, tokens, strict=True):
        row[: array.shape[0], : array.shape[1]] = array
    return out


def _pad_labels(labels: Sequence[Tensor], num_tracks: int) -> Tensor:
    missing = [num_tracks - array.shape[1] for array in labels]
    return torch.cat(
        [nn.functional.pad(a, (0, width)) for a, width in zip(labels, missing, strict=True)]
    )
