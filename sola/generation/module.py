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
    find_text_prompts,
    track_prompts,
)
from sola.prompts.grounding_dino import Detector
from sola.shards import ShardWriter
from sola.tracking.box_masks import BoxMasker
from sola.tracking.mask_generator import MaskGenerator
from sola.tracking.propagation import SAM2Base, VideoTracker
from sola.types import Expression, Masklet, Prompt, Video


@dataclasses.dataclass(frozen=True)
class VideoSample:
    """A video as it comes from disk."""

    video: Video
    frames: Sequence[np.ndarray]
    """T frames (H, W, 3) uint8 RGB, decoded when they are read."""
    ground_truth: Mapping[str, Masklet]
    """T masks of the frames' size per object; {} where the split has no ground truth."""
    expressions: tuple[Expression, ...]
    """Of the video."""


class VideoDataset(Dataset[VideoSample]):
    """The videos of a split."""

    def __init__(self, dataset: MeViS, videos: list[Video]) -> None:
        self.dataset, self.videos = dataset, videos
        self.expressions: dict[str, list[Expression]] = {}
        for expression in dataset.expressions:
            self.expressions.setdefault(expression.video_id, []).append(expression)

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> VideoSample:
        video = self.videos[index]
        masklets = self.dataset.ground_truth(video.video_id) if self.dataset.has_masks else {}
        expressions = tuple(self.expressions.get(video.video_id, ()))
        return VideoSample(video, VideoFrames(video), masklets, expressions)


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
        detector: Detector | None = None,
        on_video: Callable[[VideoReport], None] = lambda report: None,
    ) -> None:
        """Take a tracker to videos.

        Args:
            model: the tracker.
            rule: the prompt source.
            tracker: thresholds of the automatic masks, budget for features.
            writer: takes the tracks.
            is_training_split: grid prompts more frames of these.
            detector: needed by source gdino, and by it alone.
            on_video: called after each video.
        """
        super().__init__()
        self.model, self.rule, self.writer = model, rule, writer
        self.tracker, self.detector = tracker, detector
        self.generator = MaskGenerator(model, tracker.mask_generator)
        self.masker = BoxMasker(model)
        self.is_training_split, self.on_video = is_training_split, on_video

    def transfer_batch_to_device(
        self, batch: VideoSample, device: torch.device, dataloader_idx: int
    ) -> VideoSample:
        """Frames stay uint8 in main memory; the tracker moves what it needs."""
        return batch

    def predict_step(self, sample: VideoSample) -> VideoReport:
        """Make and stage all tracks of a video."""
        start = time.monotonic()
        tracker = VideoTracker(
            self.model,
            sample.frames,
            feature_budget_mib=self.tracker.feature_budget_mib,
            fill_hole_area=self.tracker.fill_hole_area,
        )
        num_tracks, counts = 0, PromptCounts()
        for expression_id, prompts in self._find_prompts(sample).items():
            more_tracks, more_counts = self._track(sample, tracker, prompts, expression_id)
            num_tracks, counts = num_tracks + more_tracks, counts + more_counts
        report = VideoReport(
            video_id=sample.video.video_id,
            num_frames=tracker.num_frames,
            num_tracks=num_tracks,
            prompts=counts,
            seconds=time.monotonic() - start,
        )
        self.on_video(report)
        return report

    def _find_prompts(self, sample: VideoSample) -> dict[str, list[Prompt]]:
        """By expression, of those that are not staged yet; by "" where they are the video's."""
        if self.detector is None:
            prompts = find_prompts(
                self.rule,
                sample.frames,
                sample.ground_truth,
                self.generator,
                is_training=self.is_training_split,
            )
            return {"": prompts}
        texts = {
            expression.expression_id: expression.text
            for expression in sample.expressions
            if not self.writer.has(expression.video_id, expression.expression_id)
        }
        by_text = find_text_prompts(
            self.rule, sample.frames, list(texts.values()), self.detector, self.masker
        )
        return {expression_id: by_text[text] for expression_id, text in texts.items()}

    def _track(
        self, sample: VideoSample, tracker: VideoTracker, prompts: list[Prompt], expression_id: str
    ) -> tuple[int, PromptCounts]:
        video_id = sample.video.video_id
        tracks, counts = track_prompts(video_id, tracker, prompts, self.rule, expression_id)
        if sample.ground_truth or self.rule.name == "gt":
            labels = count_pixels(tracks.masklets, sample.ground_truth, tracker.num_frames)
            tracks = dataclasses.replace(tracks, labels=labels)
        self.writer.stage(tracks)
        return len(tracks.masklets), counts
