"""The LightningModule that turns videos into staged tracks, one video a step."""

import dataclasses
import logging
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytorch_lightning as pl
import torch
import torch.distributed as dist

from sola.datasets import Split
from sola.datasets.frames import VideoFrames
from sola.errors import UserError
from sola.generation.find_prompts import PromptFinder
from sola.generation.job import Job
from sola.generation.plan import SharedVideos, estimated_costs, longest_first
from sola.generation.recipe import Recipe
from sola.generation.stop import StopSignals
from sola.generation.track_video import refuse_nan, track_prompts
from sola.metrics import count_pixels
from sola.prompts import WHOLE_VIDEO, KeptPrompts, PromptCounts, PromptedVideo, SettingsError
from sola.shards import PromptStore
from sola.trackers.stages import FILES, FRAMES, LABELS, measure_stages, stage
from sola.types import Expression, Video

log = logging.getLogger(__name__)

PATIENCE = timedelta(days=2)
"""How long a process that is done waits for the others, whose videos may be longer."""


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
    """Prompts, tracks and stages one video a step; run it with ``Trainer.predict``.

    A video that cannot be tracked (damaged files, too large for the GPU) is recorded and skipped;
    other errors end the run.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Split,
        job: Job,
        store: PromptStore,
        stop: StopSignals,
        *,
        is_training_split: bool,
    ) -> None:
        """Take a tracker to videos.

        Args:
            recipe: tracker and prompt source; loaded when the run starts.
            dataset: the split.
            job: takes the tracks, and shares the videos with other processes.
            store: of prompts that were found before, and will be.
            stop: ends the run when a signal arrives.
            is_training_split: the source may prompt more frames of these videos.
        """
        super().__init__()
        self.recipe, self.dataset, self.job, self.stop = recipe, dataset, job, stop
        self.finder = PromptFinder(recipe, store)
        self.is_training_split = is_training_split
        missing = set(job.unstaged())
        order = longest_first(estimated_costs(recipe.source, dataset))
        self.videos = SharedVideos(job, [name for name in order if name in missing])
        self.reports: list[VideoReport] = []
        """Of this process's videos."""
        self.seconds = 0.0
        """From the first video to the last, in this process."""
        self._expressions: dict[str, list[Expression]] = {}
        for expression in dataset.expressions:
            self._expressions.setdefault(expression.video_id, []).append(expression)
        self.group: Any = None
        """The processes, connected as long as the longest video may take; None: this one only."""
        self._reasons: set[str] = set()

    def predict_dataloader(self) -> SharedVideos:
        """Return the ids of this process's videos, possibly none."""
        return self.videos

    def on_predict_start(self) -> None:
        """Load the tracker, start the clock."""
        self.stop.listen()
        self.stop.adopt(getattr(self.trainer.strategy.launcher, "procs", []))
        self.job.join()
        self.job.writer.refuse_others()  # another node may have been started differently
        if dist.is_initialized():
            self.group = dist.new_group(backend="gloo", timeout=PATIENCE)
        precision = self.trainer.precision_plugin.predict_step_context()
        with torch.inference_mode(mode=False), precision:
            self.recipe.tracker.load(self.device, self.recipe.seed)
        self._start = time.perf_counter()

    def on_predict_end(self) -> None:
        """Stop the clock."""
        self.seconds = time.perf_counter() - self._start

    def predict_step(self, video_id: str) -> str:
        """Make and stage all tracks of a video, or record why not; returns its id."""
        try:
            self.reports.append(self._make_tracks(video_id))
        except torch.OutOfMemoryError as error:
            self._skip(video_id, _too_large(self.dataset.videos[video_id]), error)
        except SettingsError:  # the same for every video
            raise
        except UserError as error:
            self._skip(video_id, str(error), error)
        return video_id

    def _skip(self, video_id: str, reason: str, error: Exception) -> None:
        if self.job.share.is_strict or reason in self._reasons:  # twice: no fault of the video
            raise UserError(reason) from error
        self._reasons.add(reason)
        self.job.fail(video_id, reason)
        log.warning("video %s cannot be tracked: %s", video_id, reason)

    def _make_tracks(self, video_id: str) -> VideoReport:
        start = time.perf_counter()
        counts, num_tracks, num_bytes = PromptCounts(), 0, 0
        with measure_stages(self.stop.check) as stage_seconds:
            video = self._open(video_id)
            for expression_id, kept in self._find_prompts(video):
                tracks, tracked = track_prompts(
                    video_id,
                    video.session,
                    kept,
                    self.recipe.source,
                    expression_id,
                    token_dim=self.recipe.tracker.token_dim,
                )
                refuse_nan(tracks)
                if video.ground_truth or self.recipe.source.needs_ground_truth:
                    with stage(LABELS):
                        labels = count_pixels(
                            tracks.masklets, video.ground_truth, video.session.num_frames
                        )
                    tracks = dataclasses.replace(tracks, labels=labels)
                with stage(FILES):
                    num_bytes += self.job.writer.stage(tracks)
                counts, num_tracks = counts + tracked, num_tracks + len(tracks.masklets)
        return VideoReport(
            video_id=video_id,
            num_frames=video.session.num_frames,
            num_tracks=num_tracks,
            prompts=counts,
            num_bytes=num_bytes,
            seconds=time.perf_counter() - start,
            stage_seconds=dict(stage_seconds),
        )

    def _open(self, video_id: str) -> PromptedVideo:
        video = self.dataset.videos[video_id]
        ground_truth = self.dataset.ground_truth(video_id) if self.dataset.has_masks else {}
        with stage(FRAMES):  # the first frame tells their size
            session = self.recipe.tracker.open(VideoFrames(video))
        return PromptedVideo(
            video,
            session,
            tuple(self._expressions.get(video_id, ())),
            ground_truth,
            is_training_split=self.is_training_split,
        )

    def _find_prompts(self, video: PromptedVideo) -> Iterator[tuple[str, KeptPrompts]]:
        """Yield prompts by expression that is not staged yet, or by "" if they are the video's."""
        if not self.recipe.source.is_by_expression:
            yield "", self.finder.find(video, [WHOLE_VIDEO], self.device)[WHOLE_VIDEO]
            return
        texts = [expression.text for expression in video.expressions]
        by_text = self.finder.find(video, texts, self.device)
        for expression in video.expressions:
            if not self.job.writer.has(video.video_id, expression.expression_id):
                yield expression.expression_id, by_text[expression.text]


def _too_large(video: Video) -> str:
    return (
        f"video {video.video_id}, {len(video.frame_paths)} frames: one object at a time takes more "
        f"memory than the GPU has. Free the GPU of other processes, or use a smaller tracker."
    )
