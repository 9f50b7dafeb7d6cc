"""The LightningModule that turns videos into staged tracks, one video a step."""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from sola.config.schema import PromptSourceConfig, TrackerConfig
from sola.datasets import Split
from sola.datasets.frames import VideoFrames
from sola.generation.find_prompts import KeptPrompts, PromptCounts, PromptFinder, true_prompts
from sola.generation.track_video import track_prompts
from sola.metrics import count_pixels
from sola.prompts.grounding_dino import Detector
from sola.shards import PromptStore, ShardWriter
from sola.tracking.box_masks import BoxMasker
from sola.tracking.compiled import track_blank_video, warm_up
from sola.tracking.kernels import AttentionKernels
from sola.tracking.mask_generator import MaskGenerator
from sola.tracking.propagation import SAM2Base, VideoTracker
from sola.tracking.stages import DETECTOR, FILES, FRAMES, LABELS, measure_stages, stage
from sola.types import Expression, Masklet, Video

log = logging.getLogger(__name__)


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

    def __init__(self, dataset: Split, videos: list[Video]) -> None:
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
class StagedEntry:
    """The tracks of a video, or of one of its expressions, on disk."""

    num_tracks: int
    prompts: PromptCounts
    num_bytes: int


@dataclasses.dataclass(frozen=True)
class VideoReport:
    """What one video took."""

    video_id: str
    num_frames: int
    num_tracks: int
    prompts: PromptCounts
    num_bytes: int
    """Of its tracks, on disk."""
    seconds: float
    stage_seconds: Mapping[str, float]
    """Seconds by stage; what is left of ``seconds`` belongs to none."""


class TrackGenerator(pl.LightningModule):
    """Prompts, tracks and stages one video a step; run it by ``Trainer.predict``."""

    def __init__(
        self,
        model: SAM2Base,
        videos: VideoDataset,
        rule: PromptSourceConfig,
        tracker: TrackerConfig,
        writer: ShardWriter,
        store: PromptStore,
        *,
        is_training_split: bool,
        make_detector: Callable[[], Detector],
        on_video: Callable[[VideoReport], None] = lambda report: None,
    ) -> None:
        """Take a tracker to videos.

        Args:
            model: the tracker.
            videos: to be tracked.
            rule: the prompt source.
            tracker: thresholds of the automatic masks, budget for features.
            writer: takes the tracks.
            store: takes the prompts that were found, and may hold some.
            is_training_split: grid prompts more frames of these.
            make_detector: called by source gdino where boxes are to be looked for.
            on_video: called after each video.
        """
        super().__init__()
        self.model, self.videos, self.rule, self.writer = model, videos, rule, writer
        self.tracker, self.on_video = tracker, on_video
        self._make_detector = make_detector
        self._detector: Detector | None = None
        # of the last videos of a run there may be fewer than processes
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self.seconds = self._start = 0.0
        """From the first video to the last, in this process."""
        self.finder = PromptFinder(
            rule,
            store,
            is_training_split=is_training_split,
            generator=MaskGenerator(model, tracker.mask_generator),
            masker=BoxMasker(model),
            open_detector=self._open_detector,
        )

    def predict_dataloader(self) -> DataLoader[VideoSample]:
        """This process's share of the videos, which may be none."""
        share = range(self.trainer.global_rank, len(self.videos), self.trainer.world_size)
        return DataLoader(Subset(self.videos, share), batch_size=None)

    def transfer_batch_to_device(
        self, batch: VideoSample, device: torch.device, dataloader_idx: int
    ) -> VideoSample:
        """Frames stay uint8 in main memory; the tracker moves what it needs."""
        return batch

    def on_predict_start(self) -> None:
        """Say with which kernels a GPU attends, compile if asked, start the clock."""
        with self.trainer.precision_plugin.predict_step_context():
            if self.device.type == "cuda":
                with AttentionKernels() as kernels:
                    track_blank_video(self.model, 1)
                log.info("attention: %s", "; ".join(kernels.summary()))
            if self.tracker.compile:
                log.info("compiled in %.0f s", warm_up(self.model))
        self._start = time.perf_counter()

    def on_predict_end(self) -> None:
        """Stop the clock."""
        self.seconds = time.perf_counter() - self._start

    def predict_step(self, sample: VideoSample) -> VideoReport:
        """Make and stage all tracks of a video."""
        start = time.perf_counter()
        results = []
        with measure_stages() as stage_seconds:
            tracker = self._open_video(sample)
            for expression_id, kept in self._find_prompts(sample, tracker.size).items():
                results.append(self._track(sample, tracker, kept, expression_id))
        report = VideoReport(
            video_id=sample.video.video_id,
            num_frames=tracker.num_frames,
            num_tracks=sum(staged.num_tracks for staged in results),
            prompts=sum((staged.prompts for staged in results), start=PromptCounts()),
            num_bytes=sum(staged.num_bytes for staged in results),
            seconds=time.perf_counter() - start,
            stage_seconds=dict(stage_seconds),
        )
        self.on_video(report)
        return report

    def _open_video(self, sample: VideoSample) -> VideoTracker:
        with stage(FRAMES):  # the first one tells their size
            return VideoTracker(
                self.model,
                sample.frames,
                feature_budget_mib=self.tracker.feature_budget_mib,
                fill_hole_area=self.tracker.fill_hole_area,
            )

    def _open_detector(self) -> Detector:
        """The detector, loaded when the first frame has no prompts yet."""
        with stage(DETECTOR):
            self._detector = self._detector or self._make_detector().to(self.device)
        return self._detector

    def _find_prompts(self, sample: VideoSample, size: tuple[int, int]) -> dict[str, KeptPrompts]:
        """By expression, of those that are not staged yet; by "" where they are the video's."""
        if self.rule.name == "gt":
            return true_prompts(self.rule, sample.ground_truth)
        video_id = sample.video.video_id
        if self.rule.name == "grid":
            return self.finder.find(video_id, sample.frames, size)
        texts = [expression.text for expression in sample.expressions]
        by_text = self.finder.find(video_id, sample.frames, size, texts)
        return {
            expression.expression_id: by_text[expression.text]
            for expression in sample.expressions
            if not self.writer.has(video_id, expression.expression_id)
        }

    def _track(
        self, sample: VideoSample, tracker: VideoTracker, kept: KeptPrompts, expression_id: str
    ) -> StagedEntry:
        video_id = sample.video.video_id
        tracks, counts = track_prompts(video_id, tracker, kept, self.rule, expression_id)
        if sample.ground_truth or self.rule.name == "gt":
            with stage(LABELS):
                labels = count_pixels(tracks.masklets, sample.ground_truth, tracker.num_frames)
            tracks = dataclasses.replace(tracks, labels=labels)
        with stage(FILES):
            num_bytes = self.writer.stage(tracks)
        return StagedEntry(len(tracks.masklets), counts, num_bytes)
