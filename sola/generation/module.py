"""The LightningModule that turns videos into staged tracks, one video a step."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import Dataset

from sola.config.schema import PromptSourceConfig, TrackerConfig
from sola.datasets import MeViS
from sola.datasets.frames import VideoFrames
from sola.generation.track_video import (
    PromptCounts,
    count_pixels,
    find_prompts,
    track_prompts,
)
from sola.shards import ShardWriter
from sola.tracking.mask_generator import MaskGenerator
from sola.tracking.propagation import SAM2Base, VideoTracker
from sola.types import Masklet, Video


@dataclasses.dataclass(frozen=True)
class VideoSample:
    """A video as it comes from disk."""

    video: Video
    frames: Sequence[np.ndarray]
    """T frames (H, W, 3) uint8 RGB, decoded when they are read."""
    ground_truth: Mapping[str, Masklet]
    """T masks of the frames' size per object; {} where the split has no ground truth."""


class VideoDataset(Dataset[VideoSample]):
    """The videos of a split."""

    def __init__(self, dataset: MeViS, videos: list[Video]) -> None:
        self.dataset, self.videos = dataset, videos

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> VideoSample:
        video = self.videos[index]
        masklets = self.dataset.ground_truth(video.video_id) if self.dataset.has_masks else {}
        return VideoSample(video, VideoFrames(video), masklets)


@dataclasses.dataclass(frozen=True)
class VideoReport:
    """What one video took."""

    video_id: str
    num_frames: int
    num_tracks: int
    prompts: PromptCounts
    seconds: float


class TrackGenerator(pl.LightningModule):
    """Prompts, tracks and stages one video a step; run it by ``Trainer.predict``."""

    def __init__(
        self,
        model: SAM2Base,
        rule: PromptSourceConfig,
        tracker: TrackerConfig,
        writer: ShardWriter,
        *,
        is_training_split: bool,
        on_video: Callable[[VideoReport], None] = lambda report: None,
    ) -> None:
        """Take a tracker to videos.

        Args:
            model: the tracker.
            rule: the prompt source.
            tracker: thresholds of the automatic masks, budget for features.
            writer: takes the tracks.
            is_training_split: grid prompts more frames of these.
            on_video: called after each video.
        """
        super().__init__()
        self.model, self.rule, self.writer = model, rule, writer
        self.tracker = tracker
        self.generator = MaskGenerator(model, tracker.mask_generator)
        self.is_training_split, self.on_video = is_training_split, on_video

    def transfer_batch_to_device(
        self, batch: VideoSample, device: torch.device, dataloader_idx: int
    ) -> VideoSample:
        """Frames stay uint8 in main memory; the tracker moves what it needs."""
        return batch

    def predict_step(self, sample: VideoSample) -> VideoReport:
        """Make and stage all tracks of a video."""
        start = time.monotonic()
        video_id = sample.video.video_id
        prompts = find_prompts(
            self.rule,
            sample.frames,
            sample.ground_truth,
            self.generator,
            is_training=self.is_training_split,
        )
        tracker = VideoTracker(
            self.model,
            sample.frames,
            feature_budget_mib=self.tracker.feature_budget_mib,
            fill_hole_area=self.tracker.fill_hole_area,
        )
        tracks, counts = track_prompts(video_id, tracker, prompts, self.rule)
        if sample.ground_truth or self.rule.name == "gt":
            labels = count_pixels(tracks.masklets, sample.ground_truth, tracker.num_frames)
            tracks = dataclasses.replace(tracks, labels=labels)
        self.writer.stage(tracks)
        report = VideoReport(
            video_id=video_id,
            num_frames=tracker.num_frames,
            num_tracks=len(tracks.masklets),
            prompts=counts,
            seconds=time.monotonic() - start,
        )
        self.on_video(report)
        return report
