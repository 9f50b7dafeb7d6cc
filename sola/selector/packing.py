"""Tokens of videos of different sizes, one after the other in one tensor: nothing is padded.

A projection works on all tokens of a batch at once. Attention and normalisation, which look at the
tokens of one frame, track or sample, work on blocks: videos of equal shape, which are dense.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

Shapes = tuple[tuple[int, ...], ...]
"""Leading sizes of every block. (A, S): A sets of S tokens that are looked at together."""


def split(packed: Tensor, shapes: Shapes) -> list[Tensor]:
    """The blocks (*shape, C) of packed tokens (S, C), as views."""
    if len(shapes) == 1:  # a split of one is a copy on the way back
        return [packed.unflatten(0, shapes[0])]
    blocks = packed.split([math.prod(shape) for shape in shapes])
    return [block.unflatten(0, shape) for block, shape in zip(blocks, shapes, strict=True)]


def join(blocks: Sequence[Tensor]) -> Tensor:
    """Packed tokens (S, C) of blocks (..., C)."""
    flat = [block.flatten(0, -2) for block in blocks]
    return flat[0] if len(flat) == 1 else torch.cat(flat)


@dataclass(frozen=True, eq=False)
class Block:
    """R rows of N tracks of T frames, and B samples, each of which is about one row."""

    num_rows: int
    num_tracks: int
    num_frames: int
    num_samples: int
    row_idx: Tensor | None = None
    """(B,) long, the row of each sample; None: one row a sample, or one for all."""
    tracks: Tensor | None = None
    """(R, N) long, where the tracks are among the V * N of the batch; None: all, in their order."""
    samples: Tensor | None = None
    """(B,) long, which of the batch's samples these are; None: all, in their order."""

    def spread(self, per_row: Tensor) -> Tensor:
        """(B, ...), one a sample, from (R, ...), one a row."""
        if self.row_idx is not None:
            return per_row.index_select(0, self.row_idx)
        return per_row.expand(self.num_samples, *per_row.shape[1:])

    def of_samples(self) -> "Block":
        """The block with one row a sample, as ``spread`` makes it of its tokens."""
        tracks = None if self.tracks is None else self.spread(self.tracks)
        return replace(self, num_rows=self.num_samples, row_idx=None, tracks=tracks)

    def take(self, tokens: Tensor) -> Tensor:
        """The block's (R, N, T, D) of a batch (V, N, T, D)."""
        if self.tracks is None:
            return tokens
        return tokens.flatten(0, 1)[self.tracks][:, :, : self.num_frames]

    def put(self, values: Tensor, out: Tensor) -> None:
        """Writes (R, N, ...), a row a sample, where the tracks are in the batch's (B, N, ...)."""
        assert self.tracks is not None, "the block is the batch"
        assert self.samples is not None, "the block is the batch"
        out[self.samples[:, None], self.tracks % out.shape[1]] = values


@dataclass(frozen=True)
class Layout:
    """How the tokens of blocks lie: block after block, (R, N, T) in each."""

    blocks: tuple[Block, ...]

    @property
    def shapes(self) -> Shapes:
        """(R, N, T)."""
        return tuple((b.num_rows, b.num_tracks, b.num_frames) for b in self.blocks)

    @property
    def tracks(self) -> Shapes:
        """(R * N, T): the frames of each track are a set."""
        return tuple((r * n, t) for r, n, t in self.shapes)

    @property
    def frames(self) -> Shapes:
        """(R * T, N): the tracks of each frame are a set; of frame-major tokens."""
        return tuple((r * t, n) for r, n, t in self.shapes)

    @property
    def rows(self) -> Shapes:
        """(R, N * T): all tokens of a row are a set."""
        return tuple((r, n * t) for r, n, t in self.shapes)

    def frame_major(self, packed: Tensor) -> Tensor:
        """(R, T, N) in each block instead of (R, N, T)."""
        return join([block.transpose(1, 2) for block in split(packed, self.shapes)])

    def track_major(self, packed: Tensor) -> Tensor:
        """The inverse of ``frame_major``."""
        shapes = tuple((r, t, n) for r, n, t in self.shapes)
        return join([block.transpose(1, 2) for block in split(packed, shapes)])

    def with_frames(self, num_frames: Sequence[int]) -> "Layout":
        """The same tracks with other numbers of frames, one a block."""
        pairs = zip(self.blocks, num_frames, strict=True)
        return Layout(tuple(replace(block, num_frames=length) for block, length in pairs))

    def of_samples(self) -> "Layout":
        """One row a sample, as behind ``Block.spread``."""
        return Layout(tuple(block.of_samples() for block in self.blocks))


def plan_layout(
    tokens: Tensor,
    num_samples: int,
    track_mask: Tensor | None,
    frame_mask: Tensor | None,
    video_idx: Tensor | None,
) -> Layout:
    """Groups the videos of a padded batch by their own numbers of tracks and frames.

    Args:
        tokens: (V, N, T, D).
        num_samples: B.
        track_mask: (V, N) bool, True for tracks that exist; None: all.
        frame_mask: (V, T) bool, True up to a video's end; None: all.
        video_idx: (B,) long, the video of every sample; None: V is B, or 1.

    Returns:
        The blocks; what has no tracks, no frames or no sample is in none.
    """
    num_videos, num_tracks, num_frames = tokens.shape[:3]
    if track_mask is None and frame_mask is None:
        block = Block(num_videos, num_tracks, num_frames, num_samples, video_idx)
        return Layout((block,) if tokens.shape[:3].numel() and num_samples else ())
    # masks are read by the host: shapes are needed to start anything
    tracks = [list(range(num_tracks))] * num_videos
    if track_mask is not None:
        tracks = [[n for n, exists in enumerate(row) if exists] for row in track_mask.tolist()]
    lengths = [num_frames] * num_videos if frame_mask is None else frame_mask.sum(dim=1).tolist()
    videos = _video_of_samples(num_videos, num_samples, video_idx)
    samples: dict[tuple[int, int], list[int]] = {}
    for sample, video in enumerate(videos):
        samples.setdefault((len(tracks[video]), lengths[video]), []).append(sample)
    places = [[video * num_tracks + n for n in own] for video, own in enumerate(tracks)]
    return Layout(
        tuple(
            _make_block(length, of_block, videos, places, tokens.device)
            for (count, length), of_block in samples.items()
            if count and length
        )
    )


def _video_of_samples(num_videos: int, num_samples: int, video_idx: Tensor | None) -> list[int]:
    if video_idx is not None:
        return [int(video) for video in video_idx.tolist()]
    return list(range(num_samples)) if num_videos == num_samples else [0] * num_samples


def _make_block(
    num_frames: int,
    samples: list[int],
    videos: list[int],
    places: list[list[int]],
    device: torch.device,
) -> Block:
    """The block of some samples whose videos have one shape.

    Args:
        num_frames: T of the videos.
        samples: B of the batch's samples.
        videos: the video of each of the batch's samples.
        places: where the tracks of each of the batch's videos are.
        device: of the tokens.
    """
    row_of = {video: row for row, video in enumerate(dict.fromkeys(videos[s] for s in samples))}
    tracks = torch.tensor([places[video] for video in row_of], device=device)
    rows = [row_of[videos[sample]] for sample in samples]
    return Block(
        num_rows=len(row_of),
        num_tracks=tracks.shape[1],
        num_frames=num_frames,
        num_samples=len(samples),
        row_idx=None if len(row_of) == 1 else torch.tensor(rows, device=device),
        tracks=tracks,
        samples=torch.tensor(samples, device=device),
    )
