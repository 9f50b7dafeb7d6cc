"""LightningModule that generates tracks, one video per step, and the recipe that it follows."""

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed as dist

from sola.datasets import Split
from sola.datasets.frames import VideoFrames
from sola.errors import UserError
from sola.files import sha256_of_code
from sola.generation.job import Job, SharedVideos
from sola.generation.reporting import VideoReport
from sola.generation.stop import StopSignals
from sola.masks import decode
from sola.metrics import count_pixels, detection_evidence
from sola.prompts import WHOLE_VIDEO, PromptedVideo, PromptQueue, PromptSource
from sola.shards import PROMPTS_VERSION, PromptStore
from sola.trackers import RANDOM_WEIGHTS, Tracker
from sola.trackers.batches import is_out_of_memory
from sola.trackers.stages import FILES, FRAMES, measure_stages, stage
from sola.types import Expression, FoundPrompts, Masklet, Prompt, Tracks

log = logging.getLogger(__name__)

PATIENCE = timedelta(days=2)
"""Longest time that a process that has finished waits for the others."""
LOOK_EVERY_S = 0.1
OUT_OF_MEMORY = "out of GPU memory"
FREE_MEMORY = "Free the GPU of other processes, or use a smaller tracker."
NO_WEIGHTS = "none"
"""``checkpoint_sha256`` of a tracker without weights."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the tracks, apart from the videos."""

    source: PromptSource
    tracker: Tracker
    seed: int
    """Seed of random weights."""
    precision: str
    """Precision of the networks."""
    token_dtype: str = "auto"
    """Data type of object tokens on disk, see ``GenerateConfig``."""

    def open_source(self, device: torch.device) -> None:
        """Load what the prompt source needs; random weights depend only on the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.source.open(device)

    def describe_tracks(self, dataset: Split) -> dict[str, Any]:
        """Return the settings that decide the tracks: equal settings, equal tracks."""
        found_dtype = "float16" if self.precision == "bf16-mixed" else "float32"
        return {
            **self._describe(dataset, self.source.describe()),
            **self.describe_tracker(),
            "token_dtype": found_dtype if self.token_dtype == "auto" else self.token_dtype,
        }

    def describe_tracker(self) -> dict[str, Any]:
        """Return the settings that must match for one selector to use all object tokens."""
        return {
            "tracker": self.tracker.name,
            "token_dim": self.tracker.token_dim or 0,
            "checkpoint_sha256": self._weights["checkpoint_sha256"],
        }

    def describe_prompts(self, dataset: Split) -> dict[str, Any]:
        """Return the settings that decide the prompts found, before caps and thresholds."""
        settings = self.source.describe_search()
        return {**self._describe(dataset, settings), "prompts_version": PROMPTS_VERSION}

    def _describe(self, dataset: Split, of_source: dict[str, Any]) -> dict[str, Any]:
        of_tracker = dict(self.tracker.describe())
        of_tracker.pop("checkpoint_sha256", None)  # already in self._weights
        config = {"prompt_source": of_source, "tracker": of_tracker, "precision": self.precision}
        return {
            "dataset": dataset.name,
            "split": dataset.split,
            "source": self.source.name,
            **self._weights,
            "prompt_source_code_sha256": sha256_of_code(type(self.source)),
            "annotations_sha256": dataset.annotations_sha256,
            "config": config,
        }

    @cached_property
    def _weights(self) -> dict[str, str]:
        found = self.tracker.describe().get("checkpoint_sha256", NO_WEIGHTS)
        weights = {"checkpoint_sha256": found, **self.source.digests()}
        return {
            key: f"random, seed {self.seed}" if sha256 == RANDOM_WEIGHTS else sha256
            for key, sha256 in weights.items()
        }


class TrackGenerator(pl.LightningModule):
    """Prompts, tracks and stages one video per step; run it with ``Trainer.predict``.

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
        """Prepare a run; nothing is loaded yet.

        Args:
            recipe: tracker and prompt source; loaded when the run starts.
            dataset: the split.
            job: stores the tracks, and shares the videos with other processes.
            store: cache of the prompts found.
            stop: ends the run when a signal arrives.
            is_training_split: whether the source may prompt more frames, as it may in training.
        """
        super().__init__()
        self.recipe, self.dataset, self.job, self.stop = recipe, dataset, job, stop
        self.store, self.is_training_split = store, is_training_split
        self._expressions: dict[str, list[Expression]] = defaultdict(list)
        for expression in dataset.expressions:
            self._expressions[expression.video_id].append(expression)
        self.videos = SharedVideos(job, sorted(job.unstaged(), key=self._cost, reverse=True))
        """Most expensive videos first."""
        self.reports: list[VideoReport] = []
        """Reports of this process's videos."""
        self._seconds = 0.0
        """Seconds that this process took, from its first video to its last."""
        self._group: Any = None
        """Process group that waits up to ``PATIENCE``; None: there is only this process."""
        self._causes: set[str] = set()
        """Why videos were skipped; ``OUT_OF_MEMORY`` only until one is tracked."""
        self._has_source = False
        """Whether the source is open; it is opened before the first search for prompts."""

    def predict_dataloader(self) -> SharedVideos:
        """Return the ids of this process's videos, possibly none."""
        return self.videos

    def on_predict_start(self) -> None:
        """Load the tracker and start the clock."""
        self.stop.listen()
        self.stop.adopt(getattr(self.trainer.strategy.launcher, "procs", []))
        self.job.join()
        self.job.writer.refuse_others()  # another node may have been started differently
        if dist.is_initialized():
            self._group = dist.new_group(backend="gloo", timeout=PATIENCE)
        precision = self.trainer.precision_plugin.predict_step_context()
        tracker = self.recipe.tracker
        try:
            with torch.inference_mode(mode=False), precision:
                tracker.load(self.device, self.recipe.seed)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            reason = "its weights need more memory than the GPU has free"
            raise UserError(f"tracker={tracker.name}: {reason}. {FREE_MEMORY}") from error
        self._start = time.perf_counter()

    def on_predict_end(self) -> None:
        """Stop the clock."""
        self._seconds = time.perf_counter() - self._start

    def predict_step(self, video_id: str) -> str:
        """Make and stage all tracks of a video, or record why it failed; return its id."""
        try:
            self.reports.append(self._track_video(video_id))
            self._causes.discard(OUT_OF_MEMORY)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            stages, num_frames = getattr(error, "__notes__", ()), self._num_frames(video_id)
            reason = (
                f"video {video_id}, {num_frames} frames: {OUT_OF_MEMORY} ({', '.join(stages)}) in "
                f"the smallest batches. {FREE_MEMORY}"
            )
            self._skip(video_id, reason, error, OUT_OF_MEMORY)
        except UserError as error:
            self._skip(video_id, str(error), error, str(error))
        return video_id

    def gather_reports(self) -> tuple[list[VideoReport], list[float]]:
        """Return the reports of all processes, and the seconds that each process ran.

        Call it after the last video of this process.

        Raises:
            UserError: if another process has died.
            Stopped: if a signal arrives while this process waits for the others.
        """
        own = self.reports, self._seconds
        gathered: list[tuple[list[VideoReport], float]] = [own]
        self.stop.check()
        if dist.is_initialized():
            gathered *= dist.get_world_size()
            try:
                everyone = dist.barrier(self._group, async_op=True)
                while not everyone.is_completed():
                    self.stop.check()
                    time.sleep(LOOK_EVERY_S)  # signals are not delivered while C++ waits
                dist.all_gather_object(gathered, own, self._group)
            except RuntimeError as error:
                if dist.get_rank():  # the first process says why the run ended
                    raise SystemExit(1) from error
                raise UserError(
                    "another process of this run has died. Run the same command again to resume."
                ) from error
        return [report for part, _ in gathered for report in part], [each for _, each in gathered]

    def _cost(self, video_id: str) -> int:
        """Return frames x tracks, an estimate of the relative time that a video takes."""
        num_tracks = self.recipe.source.num_tracks(self._expressions[video_id])
        return self._num_frames(video_id) * max(1, num_tracks)

    def _num_frames(self, video_id: str) -> int:
        return len(self.dataset.videos[video_id].frame_paths)

    def _skip(self, video_id: str, reason: str, error: Exception, cause: str) -> None:
        if self.job.share.is_strict or cause in self._causes:  # twice: not the video's fault
            raise UserError(reason) from error
        self._causes.add(cause)
        self.job.fail(video_id, reason)
        log.warning("video %s cannot be tracked: %s", video_id, reason)

    def _track_video(self, video_id: str) -> VideoReport:
        start, source = time.perf_counter(), self.recipe.source
        with measure_stages(self.stop.check) as stage_seconds:
            video = self._open(video_id)
            counts = Counter(frames=video.num_frames)
            for expression_id, found in self._find_prompts(video):
                token_dim = self.recipe.tracker.token_dim
                tracks, prompts = track_prompts(
                    video, found, source, expression_id, token_dim=token_dim
                )
                with stage(FILES):
                    num_bytes = self.job.writer.stage(tracks)
                counts += prompts + Counter(tracks=len(tracks.masklets), bytes=num_bytes)
        return VideoReport(video_id, counts, time.perf_counter() - start, dict(stage_seconds))

    def _open(self, video_id: str) -> PromptedVideo:
        with stage(FRAMES):  # the frame size is read from the first frame
            session = self.recipe.tracker.open(VideoFrames(self.dataset.videos[video_id]))
        return PromptedVideo(
            self.dataset.videos[video_id],
            session,
            tuple(self._expressions[video_id]),
            self.dataset.ground_truth(video_id) if self.dataset.has_masks else {},
            is_training_split=self.is_training_split,
        )

    def _find_prompts(self, video: PromptedVideo) -> Iterator[tuple[str, Sequence[Prompt]]]:
        """Yield (expression id, prompts) of each entry that is not staged yet.

        The id is "" for prompts of the whole video. Found prompts are cached before any rule drops
        some of them; a later run reads them from the cache.
        """
        source, texts, found = self.recipe.source, {"": WHOLE_VIDEO}, None
        if source.is_by_expression:
            texts = {expression.expression_id: expression.text for expression in video.expressions}
        frame_idxs, threshold = tuple(map(int, source.frame_idxs(video))), source.found_threshold
        wanted = FoundPrompts(video.size, frame_idxs, threshold, dict.fromkeys(texts.values(), ()))
        if source.is_kept:
            with stage(FILES):
                found = self.store.read(video.video_id, wanted)
        if found is None:
            if not self._has_source:
                self.recipe.open_source(self.device)
                self._has_source = True
            by_text = source.find(video, frame_idxs, tuple(wanted.by_text))
            found = replace(wanted, by_text={each: tuple(by_text[each]) for each in wanted.by_text})
            if source.is_kept:
                with stage(FILES):
                    self.store.write(video.video_id, found)
        for expression_id, text in texts.items():
            if not self.job.writer.has(video.video_id, expression_id):
                yield expression_id, found.by_text[text]


def track_prompts(
    video: PromptedVideo,
    found: Sequence[Prompt],
    source: PromptSource,
    expression_id: str = "",
    *,
    token_dim: int | None,
) -> tuple[Tracks, Counter[str]]:
    """Propagate the prompts of a video, or of one expression, in the order of ``PromptQueue``.

    Empty prompts, and those that the source does not keep, are dropped first. Without prompts the
    result is valid and has no tracks. If the tracker has no tokens (``token_dim`` None), the width
    of ``object_tokens`` is 0.

    Returns:
        The tracks, and the number of prompts found and of those dropped by each rule.
    """
    session, num_frames = video.session, video.num_frames
    visible = [prompt for prompt in found if prompt.area > 0]
    kept = source.keep(visible)
    queue = PromptQueue(kept, source.rule, num_frames, source.choose_group)
    tracked: list[Prompt] = []
    masklets: list[Masklet] = []
    tokens = [np.zeros((0, num_frames, token_dim or 0), np.float32)]
    scores = [np.zeros((0, num_frames), np.float32)]
    while group := queue.next_group():
        masks = decode([prompt.mask for prompt in group])
        result = session.propagate(group[0].frame_idx, masks)
        queue.drop_duplicates(result.masklets)
        tracked += group
        masklets += result.masklets
        if result.object_tokens is not None:
            tokens.append(result.object_tokens)
        scores.append(result.object_scores)
    has_labels = bool(video.ground_truth) or source.needs_ground_truth
    evidence = None  # only a detector's scored boxes for one sentence give evidence
    if source.is_by_expression and all(prompt.token_scores for prompt in kept):
        frame_idxs, duplicate_iou = source.frame_idxs(video), source.rule.duplicate_iou
        evidence = detection_evidence(tracked, masklets, kept, frame_idxs, duplicate_iou)
    tracks = Tracks(
        video_id=video.video_id,
        expression_id=expression_id,
        object_tokens=np.concatenate(tokens).reshape(len(tracked), num_frames, token_dim or 0),
        object_scores=np.concatenate(scores),
        masklets=tuple(masklets),
        prompts=tuple(tracked),
        size=video.size,
        labels=count_pixels(masklets, video.ground_truth, num_frames) if has_labels else None,
        evidence=evidence,
    )
    counts = Counter(
        found=len(found),
        empty=len(found) - len(visible),
        not_kept=len(visible) - len(kept),
        duplicates=queue.num_duplicates,
        over_cap=queue.num_over_cap,
    )
    return tracks, counts
