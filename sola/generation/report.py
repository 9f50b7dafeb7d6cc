"""What a generation took: on the terminal, in W&B and in TensorBoard."""

import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sola.datasets import Split
from sola.shards import ShardReader
from sola.trackers.stages import NETWORKS
from sola.visualization.dashboard import Board, Cell, Value
from sola.visualization.overlays import evenly_spaced
from sola.visualization.videos import draw_tracks_clip, show_video

RULES = {
    "empty": "empty",
    "not_kept": "by the source's own rule",
    "duplicates": "duplicates of a track",
    "over_cap": "over the cap",
}
"""Label of each rule that drops prompts."""
REST = "everything else"


@dataclass(frozen=True)
class VideoReport:
    """What one video took."""

    video_id: str
    counts: Counter[str]
    """Numbers of ``frames``, ``tracks`` and ``bytes`` of its tracks on disk; of prompts ``found``,
    and of those dropped by each of ``RULES``."""
    seconds: float
    stage_seconds: Mapping[str, float]
    """Seconds by stage; what is left of ``seconds`` belongs to none."""


def total(reports: Sequence[VideoReport]) -> Counter[str]:
    """Return the counts of some videos together, and their number as ``videos``."""
    return sum((report.counts for report in reports), Counter(videos=len(reports)))


def stage_seconds(reports: Sequence[VideoReport], seconds: Sequence[float]) -> dict[str, float]:
    """Return the seconds by stage, the longest first; what belongs to none comes last."""
    names = {name for report in reports for name in report.stage_seconds}
    by_stage = {name: sum(r.stage_seconds.get(name, 0.0) for r in reports) for name in names}
    rest = sum(seconds) - sum(by_stage.values())
    return dict(sorted(by_stage.items(), key=lambda item: -item[1])) | {REST: rest}


def show_summary(
    reports: Sequence[VideoReport], seconds: Sequence[float], failures: Mapping[str, str]
) -> None:
    """Print what the videos of a run took.

    Args:
        reports: one a video.
        seconds: of each process.
        failures: videos that cannot be tracked, with their reasons.
    """
    counts, by_stage, wall_s = total(reports), stage_seconds(reports, seconds), max(seconds)
    dropped = [f"{counts[name]} {label}" for name, label in RULES.items() if counts[name]]
    of_networks = sum(by_stage.get(name, 0.0) for name in NETWORKS) / sum(seconds)
    lines = [
        f"{counts['videos']} videos, {counts['tracks']} tracks, {counts['bytes'] / 2**20:.1f} MiB "
        f"in {wall_s:.0f} s: {counts['tracks'] / wall_s:.1f} tracks/s, "
        f"{counts['frames'] / wall_s:.1f} frames/s",
        f"{counts['found']} prompts found, {counts['tracks']} tracked; dropped: "
        f"{', '.join(dropped) or 'none'}",
        f"where the time went: {of_networks:.0%} to the networks",
    ]
    for name, spent in by_stage.items():
        label = f"{name} (network)" if name in NETWORKS else name
        lines.append(f"  {label:<24}{spent:>9.1f} s{spent / sum(seconds):>8.1%}")
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

    def log_run(
        self, reports: Sequence[VideoReport], seconds: Sequence[float], num_failed: int
    ) -> None:
        """Log the numbers of the whole run.

        Args:
            reports: of the videos of all processes.
            seconds: run time of each process.
            num_failed: videos that cannot be tracked.
        """
        counts, by_stage = total(reports), stage_seconds(reports, seconds)
        names = ("videos", "frames", "tracks")
        rates = {f"{name}_per_s": counts[name] / max(seconds) for name in names}
        numbers = {"failed_videos": num_failed} | dict.fromkeys(RULES, 0) | counts | rates
        values: dict[str, Value] = {f"generate/{name}": each for name, each in numbers.items()}
        values |= {f"stage_seconds/{name}": spent for name, spent in by_stage.items()}
        self.board.log(values, self._step)

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
