"""Time and counts of a generation run: summary in the terminal, dashboard of the logger."""

import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sola.datasets import Split
from sola.shards import ShardReader
from sola.visualization.board import Board, Cell
from sola.visualization.overlays import evenly_spaced
from sola.visualization.videos import draw_tracks_clip, show_video

RULES = ("empty", "not_kept", "duplicates", "over_cap")
"""Rules that drop prompts: no pixels, the source's own rule, covered by a track, over the cap."""
STAGES, REST = "stage_seconds/", "everything else"


@dataclass(frozen=True)
class VideoReport:
    """Counts and times of one video."""

    video_id: str
    counts: Counter[str]
    """Number of ``frames``, ``tracks``, ``bytes`` of its tracks on disk, prompts ``found``, and
    prompts dropped by each of ``RULES``."""
    seconds: float
    stage_seconds: Mapping[str, float]
    """Seconds by stage; the rest of ``seconds`` belongs to no stage."""


def measure_run(
    reports: Sequence[VideoReport], seconds: Sequence[float], num_failed: int
) -> dict[str, float]:
    """Return the numbers of a run by name; seconds by stage come last.

    Args:
        reports: reports of the videos of all processes.
        seconds: run time of each process.
        num_failed: number of videos that cannot be tracked.
    """
    counts = Counter(dict.fromkeys(RULES, 0))
    counts.update(videos=len(reports), failed_videos=num_failed)
    stages: dict[str, float] = defaultdict(float)
    for report in reports:
        counts.update(report.counts)
        for name, spent in report.stage_seconds.items():
            stages[name] += spent
    stages[REST] = sum(seconds) - sum(stages.values())
    names = ("videos", "frames", "tracks")
    rates = {f"{name}_per_s": counts[name] / max(seconds) for name in names}
    numbers = {f"generate/{name}": number for name, number in (dict(counts) | rates).items()}
    return numbers | {f"{STAGES}{name}": spent for name, spent in stages.items()}


def show_summary(numbers: Mapping[str, float], failures: Mapping[str, str]) -> None:
    """Print the totals of a run, and why each failed video cannot be tracked.

    Args:
        numbers: see ``measure_run``.
        failures: reason by video.
    """
    run = {name.removeprefix("generate/"): number for name, number in numbers.items()}
    times = [(s, name.partition("/")[2]) for name, s in numbers.items() if STAGES in name]
    made = [f"{run.get(name, 0):,.0f} {name}" for name in ("videos", "frames", "tracks")]
    dropped = [f"{run[rule]:,.0f} {rule}" for rule in RULES if run[rule]]
    lines = [
        f"{', '.join(made)}; {run['frames_per_s']:.1f} frames/s",
        f"prompts: {run.get('found', 0):,.0f} found; dropped: {', '.join(dropped) or 'none'}",
        f"seconds: {', '.join(f'{name} {s:.1f}' for s, name in sorted(times, reverse=True))}",
    ]
    lines += [f"video {video_id}: {reason}" for video_id, reason in failures.items()]
    sys.stdout.write("\n".join([*lines, ""]))


class GenerationDashboard:
    """Logs a generation, in its first process only.

    Args:
        board: of the run.
        num_examples: videos shown with their tracks.
        num_frames: maximum number of frames of such a video.
    """

    def __init__(self, board: Board, num_examples: int, num_frames: int) -> None:
        self.board, self.num_frames = board, num_frames
        self.num_examples = num_examples if board.shows_pictures else 0
        self._step = 0

    def log_videos(self, reports: Sequence[VideoReport]) -> None:
        """Log those videos of the first process that were not logged yet."""
        for report in reports[self._step :]:
            counts = {f"video/{name}": number for name, number in report.counts.items()}
            self.board.log({**counts, "video/seconds": report.seconds}, self._step)
            self._step += 1

    def log_run(self, numbers: Mapping[str, float]) -> None:
        """Log the numbers of the whole run."""
        self.board.log(numbers, self._step)

    def show_tracks(
        self, reader: ShardReader, dataset: Split, reports: Sequence[VideoReport]
    ) -> None:
        """Log videos with their tracks.

        Args:
            reader: of the finished tracks.
            dataset: the split.
            reports: of the videos to choose from.
        """
        chosen = [reports[i].video_id for i in evenly_spaced(len(reports), self.num_examples)]
        with tempfile.TemporaryDirectory() as folder:
            rows = [self._row(Path(folder), reader, dataset, video_id) for video_id in chosen]
            if rows:
                self.board.log({"generate/examples": rows}, self._step)

    def _row(
        self, folder: Path, reader: ShardReader, dataset: Split, video_id: str
    ) -> dict[str, Cell]:
        own = (e.expression_id for e in dataset.expressions if e.video_id == video_id)
        expression_id = next(own) if reader.is_by_expression else ""
        tracks, video = reader.read(video_id, expression_id), dataset.videos[video_id]
        shown = show_video(video, tracks.size, self.num_frames, tracks.masklets, {})
        caption = f"tracks: {len(tracks.masklets)}"
        return {
            "video": video_id,
            "expression": expression_id,
            "tracks": len(tracks.masklets),
            "masklets": draw_tracks_clip(folder / f"{video_id}.mp4", shown, caption),
        }
