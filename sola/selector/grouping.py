"""Groups of equal videos: what a padded batch holds, without its padding.

The network works on dense tensors. Videos with the same numbers of tracks and frames run through it
together, others one after the other, so nothing is computed for padding.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Group:
    """R videos of N tracks of T frames, and B samples, each of which is about one of these."""

    tracks: Tensor
    """(R, N) long, where the tracks of each video are among the V * N of the batch."""
    num_frames: int
    """T."""
    samples: Tensor
    """(B,) long, which of the batch's samples these are."""
    videos: Tensor
    """(B,) long, the video of each sample, in 0..R-1."""

    def spread(self, per_video: Tensor) -> Tensor:
        """(B, ...), one a sample, from (R, ...), one a video."""
        if len(per_video) == 1:  # a view, where indexing would copy
            return per_video.expand(len(self.videos), *per_video.shape[1:])
        return per_video[self.videos]

    def take(self, tokens: Tensor) -> Tensor:
        """The group's (R, N, T, D) of a batch (V, N, T, D)."""
        return tokens.flatten(0, 1)[self.tracks][:, :, : self.num_frames]

    def put(self, values: Tensor, out: Tensor) -> None:
        """Write (B, N, ...) where the tracks are in the batch's (B, N, ...)."""
        out[self.samples[:, None], self.spread(self.tracks) % out.shape[1]] = values


def group_by_shape(
    tokens: Tensor,
    num_samples: int,
    track_mask: Tensor | None,
    frame_mask: Tensor | None,
    video_idx: Tensor | None,
) -> list[Group]:
    """Group the videos of a padded batch by their own numbers of tracks and frames.

    Args:
        tokens: (V, N, T, D).
        num_samples: B.
        track_mask: (V, N) bool, True for tracks that exist; None: all.
        frame_mask: (V, T) bool, True up to a video's end; None: all.
        video_idx: (B,) long, the video of every sample; None: V is B, or 1.

    Returns:
        The groups; videos without tracks, frames or samples are in none.
    """
    num_videos, num_tracks, num_frames = tokens.shape[:3]
    # masks are read by the host: shapes are needed to start anything
    places = torch.arange(num_videos * num_tracks).view(num_videos, num_tracks)
    exists = torch.ones_like(places, dtype=torch.bool) if track_mask is None else track_mask.cpu()
    tracks = [own[mask] for own, mask in zip(places, exists, strict=True)]
    lengths = [num_frames] * num_videos if frame_mask is None else frame_mask.sum(dim=1).tolist()
    videos = list(range(num_samples)) if num_videos == num_samples else [0] * num_samples
    if video_idx is not None:
        videos = video_idx.tolist()
    by_shape: dict[tuple[int, int], list[int]] = {}
    for sample, video in enumerate(videos):
        by_shape.setdefault((len(tracks[video]), lengths[video]), []).append(sample)
    groups = []
    for (count, length), samples in by_shape.items():
        own = [videos[sample] for sample in samples]
        distinct = list(dict.fromkeys(own))
        group = Group(
            tracks=torch.stack([tracks[video] for video in distinct]).to(tokens.device),
            num_frames=length,
            samples=torch.tensor(samples, device=tokens.device),
            videos=torch.tensor([distinct.index(video) for video in own], device=tokens.device),
        )
        groups += [group] if count and length else []
    return groups
