"""The LightningModule that turns videos into staged tracks, one video a step."""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytorch_lightning as pl
import torch

from sola.datasets import Split
from sola.datasets.frames import VideoFrames
from sola.errors import UserError
from sola.generation.failures import Failures
from sola.generation.find_prompts import PromptFinder
from sola.generation.plan import SharedVideos
from sola.generation.track_video import refuse_nan, track_prompts
from sola.metrics import count_pixels
from sola.prompts import (
    WHOLE_VIDEO,
    KeptPrompts,
    PromptCounts,
    PromptedVideo,
    PromptSource,
    SettingsError,
)
from sola.shards import PromptStore, ShardWriter
from sola.trackers import Session, Tracker
from sola.trackers.stages import FILES, FRAMES, LABELS, measure_stages, stage
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


class VideoReader:
    """The videos of a split, by id."""

    def __init__(self, dataset: Split) -> None:
        self.dataset = dataset
        self.expressions: dict[str, list[Expression]] = {}
        for expression in dataset.expressions:
            self.expressions.setdefault(expression.video_id, []).append(expression)

    def read(self, video_id: str) -> VideoSample:
        """One video.

        Raises:
            UserError: if its ground truth is damaged.
        """
        video = self.dataset.videos[video_id]
        masklets = self.dataset.ground_truth(video_id) if self.dataset.has_masks else {}
        expressions = tuple(self.expressions.get(video_id, ()))
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
    """Prompts, tracks and stages one video a step; run it by ``Trainer.predict``.

    A video that cannot be tracked (damaged files, too large for the GPU) is written down and
    passed over; whatever else goes wrong ends the run.
    """

    def __init__(
        self,
        tracker: Tracker,
        dataset: Split,
        videos: SharedVideos,
        source: PromptSource,
        writer: ShardWriter,
        store: PromptStore,
        failures: Failures,
        *,
        is_training_split: bool,
        is_strict: bool,
        seed: int,
        open_source: Callable[[torch.device], None],
        on_start: Callable[[], None],
        on_stage: Callable[[], None],
        on_video: Callable[[VideoReport | None], None],
    ) -> None:
        """Take a tracker to videos.

        Args:
            tracker: follows the prompts; loaded when the run starts.
            dataset: the split.
            videos: those of it that this process gets.
            source: finds the prompts.
            writer: takes the tracks.
            store: takes the prompts that were found, and may hold some.
            failures: takes the videos that cannot be tracked.
            is_training_split: the source may prompt more frames of these.
            is_strict: the first video that cannot be tracked ends the run.
            seed: of the tracker's random weights.
            open_source: called before the source looks for prompts.
            on_start: called when all processes are there, before the first video.
            on_stage: called some times a frame; what it raises ends the run.
            on_video: called after each video; None stands for one that cannot be tracked.
        """
        super().__init__()
        self.tracker, self.videos, self.source, self.writer = tracker, videos, source, writer
        self.seed, self.on_start, self.on_video = seed, on_start, on_video
        self.failures, self.is_strict, self.on_stage = failures, is_strict, on_stage
        self.reader = VideoReader(dataset)
        self._reasons: set[str] = set()
        self._open_source, self._is_open = open_source, False
        self.is_training_split = is_training_split
        self.seconds = self._start = 0.0
        """From the first video to the last, in this process."""
        self.finder = PromptFinder(source, store, self._open)

    def predict_dataloader(self) -> SharedVideos:
        """Ids of this process's videos, which may be none."""
        return self.videos

    def on_predict_start(self) -> None:
        """Load the tracker, start the clock."""
        self.on_start()
        precision = self.trainer.precision_plugin.predict_step_context()
        with torch.inference_mode(mode=False), precision:
            self.tracker.load(self.device, self.seed)
        self._start = time.perf_counter()

    def on_predict_end(self) -> None:
        """Stop the clock."""
        self.seconds = time.perf_counter() - self._start

    def predict_step(self, video_id: str) -> str:
        """Make and stage all tracks of a video, or write down why not; gives back its id."""
        try:
            report = self._make_tracks(video_id)
        except torch.OutOfMemoryError as error:
            reason = _too_large(self.reader.dataset.videos[video_id])
            self._pass_over(video_id, reason, error)
        except SettingsError:  # the same for every video
            raise
        except UserError as error:
            self._pass_over(video_id, str(error), error)
        else:
            self.failures.discard(video_id)
            self.on_video(report)
        return video_id

    def _pass_over(self, video_id: str, reason: str, error: Exception) -> None:
        if self.is_strict or reason in self._reasons:  # the same twice: it is not the video's
            raise UserError(reason) from error
        self._reasons.add(reason)
        self.failures.add(video_id, reason)
        log.warning("video %s cannot be tracked: %s", video_id, reason)
        self.on_video(None)

    def _make_tracks(self, video_id: str) -> VideoReport:
        start = time.perf_counter()
        results = []
        with measure_stages(self.on_stage) as stage_seconds:
            sample = self.reader.read(video_id)
            with stage(FRAMES):  # the first one tells their size
                session = self.tracker.open(sample.frames)
            for expression_id, kept in self._find_prompts(sample, session).items():
                results.append(self._track(sample, session, kept, expression_id))
        return VideoReport(
            video_id=video_id,
            num_frames=session.num_frames,
            num_tracks=sum(staged.num_tracks for staged in results),
            prompts=sum((staged.prompts for staged in results), start=PromptCounts()),
            num_bytes=sum(staged.num_bytes for staged in results),
            seconds=time.perf_counter() - start,
            stage_seconds=dict(stage_seconds),
        )

    def _open(self) -> None:
        """Load what the source needs, when the first video has no prompts yet."""
        if self._is_open:
            return
        try:
            self._open_source(self.device)
        except UserError as error:
            raise SettingsError(str(error)) from error
        self._is_open = True

    def _find_prompts(self, sample: VideoSample, session: Session) -> dict[str, KeptPrompts]:
        """By expression, of those that are not staged yet; by "" where they are the video's."""
        video = PromptedVideo(
            sample.video,
            session,
            sample.expressions,
            sample.ground_truth,
            is_training_split=self.is_training_split,
        )
        if not self.source.is_by_expression:
            return {"": self.finder.find(video, [WHOLE_VIDEO])[WHOLE_VIDEO]}
        by_text = self.finder.find(video, [expression.text for expression in sample.expressions])
        return {
            expression.expression_id: by_text[expression.text]
            for expression in sample.expressions
            if not self.writer.has(video.video_id, expression.expression_id)
        }

    def _track(
        self, sample: VideoSample, session: Session, kept: KeptPrompts, expression_id: str
    ) -> StagedEntry:
        video_id = sample.video.video_id
        tracks, counts = track_prompts(
            video_id,
            session,
            kept,
            self.source,
            expression_id,
            token_dim=self.tracker.token_dim,
        )
        refuse_nan(tracks)
        if sample.ground_truth or self.source.needs_ground_truth:
            with stage(LABELS):
                labels = count_pixels(tracks.masklets, sample.ground_truth, session.num_frames)
            tracks = dataclasses.replace(tracks, labels=labels)
        with stage(FILES):
            num_bytes = self.writer.stage(tracks)
        return StagedEntry(len(tracks.masklets), counts, num_bytes)


def _too_large(video: Video) -> str:
    return (
        f"video {video.video_id}, {len(video.frame_paths)} frames: one object at a time takes more "
        f"memory than the GPU has. Free the GPU of other processes, or take a smaller tracker."
    )
