"""What a generation logs: rates, what the rules dropped, and tracks to look at."""

import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from sola.config.entry_points import DashboardOptions
from sola.datasets import Split
from sola.evaluation.tracks import VideoTracks
from sola.generation.module import VideoReport
from sola.generation.summary import stage_seconds
from sola.prompts import PromptCounts
from sola.shards import ShardReader
from sola.visualization.dashboard.board import Board
from sola.visualization.dashboard.clips import count_tracks, draw_tracks_clip
from sola.visualization.dashboard.origin import artifact_of_tracks
from sola.visualization.dashboard.values import Clip, Distribution, Table, Value
from sola.visualization.overlays import evenly_spaced
from sola.visualization.report.videos import show_video

EXAMPLES = "generate/examples"
COLUMNS = ("video", "expression", "frames", "tracks", "masklets", "prompted on frames")

log = logging.getLogger(__name__)


class GenerationDashboard:
    """Logs a run of generation; of its first process alone.

    While it runs, rates are of the first process; what ``finish`` logs is of all.

    Args:
        board: of the run.
        config: how many videos are shown.
    """

    def __init__(self, board: Board, config: DashboardOptions) -> None:
        self.board, self.config = board, config
        self._num_logged = 0

    def progress(self, reports: Sequence[VideoReport]) -> None:
        """Logs what the last video took, and the rates so far.

        Args:
            reports: of the first process's videos.
        """
        last, counts = reports[-1], _prompts(reports)
        self.board.log(
            {
                "video/tracks": last.num_tracks,
                "video/frames": last.num_frames,
                "video/seconds": last.seconds,
                **_rates(reports, sum(report.seconds for report in reports), "first_process"),
                **{f"first_process/{name}": number for name, number in counts.items()},
            },
            step=self._num_logged,
        )
        self._num_logged += 1

    def finish(
        self, reports: Sequence[VideoReport], seconds: Sequence[float], num_failed: int
    ) -> None:
        """Logs the numbers of the whole run.

        Args:
            reports: of all processes' videos.
            seconds: that each process ran.
            num_failed: videos that cannot be tracked.
        """
        if not reports:
            return
        values: dict[str, Value] = {
            **_rates(reports, max(seconds), "generate"),
            "generate/failed_videos": num_failed,
            "generate/mebibytes": sum(report.num_bytes for report in reports) / 2**20,
            "generate/tracks_per_video": _distribution([r.num_tracks for r in reports]),
            **{f"rules/{name}": number for name, number in _prompts(reports).items()},
            **{f"stage_seconds/{k}": v for k, v in stage_seconds(reports, seconds).items()},
            "generate/per_video": _table(reports),
        }
        self.board.log(values, step=self._num_logged)

    def show_tracks(
        self, reader: ShardReader, dataset: Split, reports: Sequence[VideoReport]
    ) -> None:
        """Shows tracks of some videos, and names all of them as made by this run.

        Args:
            reader: of the finished tracks.
            dataset: the split.
            reports: of the videos to choose from.
        """
        self.board.make(artifact_of_tracks(reader.tracks_dir, reader.index))
        num_shown = self.config.num_examples if self.board.shows_pictures else 0
        chosen = [reports[idx] for idx in evenly_spaced(len(reports), num_shown)]
        if not chosen:
            return
        with tempfile.TemporaryDirectory() as folder:
            rows = [
                self._row(Path(folder) / f"{number}.mp4", reader, dataset, report.video_id)
                for number, report in enumerate(chosen)
            ]
            self.board.log({EXAMPLES: Table(COLUMNS, rows)}, step=self._num_logged)

    def _row(
        self, path: Path, reader: ShardReader, dataset: Split, video_id: str
    ) -> Sequence[str | float | Clip | None]:
        expression_id = ""
        if reader.is_by_expression:
            expression_id = next(
                e.expression_id for e in dataset.expressions if e.video_id == video_id
            )
        tracks = reader.read(video_id, expression_id)
        num_tracks, video = len(tracks.masklets), dataset.videos[video_id]
        all_tracks = VideoTracks(
            video_id=video_id,
            object_tokens=tracks.object_tokens,
            masklets=tracks.masklets,
            prompts=tracks.prompts,
            made_for=(expression_id,) * num_tracks,
            candidates={},
            size=tracks.size,
        )
        shown = show_video(0, video, all_tracks, {}, self.config.example_frames)
        clip = draw_tracks_clip(path, shown, count_tracks(num_tracks))
        prompted = ", ".join(str(prompt.frame_idx) for prompt in tracks.prompts)
        num_frames = len(video.frame_paths)
        return video_id, expression_id, num_frames, num_tracks, clip, prompted


def _rates(reports: Sequence[VideoReport], seconds: float, prefix: str) -> dict[str, float]:
    numbers = {
        "videos": len(reports),
        "frames": sum(report.num_frames for report in reports),
        "tracks": sum(report.num_tracks for report in reports),
    }
    rates = {f"{name}_per_s": number / max(seconds, 1e-9) for name, number in numbers.items()}
    return {f"{prefix}/{name}": value for name, value in {**numbers, **rates}.items()}


def _prompts(reports: Sequence[VideoReport]) -> Mapping[str, int]:
    """Prompts found, dropped by each rule, and tracked."""
    counts = asdict(sum((report.prompts for report in reports), start=PromptCounts()))
    return counts | {"tracked": 2 * counts["found"] - sum(counts.values())}


def _distribution(numbers: Sequence[int]) -> Distribution:
    """One interval a number, up to 100 of them."""
    top = max(numbers) + 1
    counts, edges = np.histogram(numbers, min(top, 100), (0, top))
    return Distribution(counts.astype(np.int64), edges.astype(np.float64))


def _table(reports: Sequence[VideoReport]) -> Table:
    rules = list(_prompts(reports))
    columns = ["video", "frames", "tracks", "seconds", "bytes", *rules]
    rows: list[Sequence[str | float | Clip | None]] = [
        (r.video_id, r.num_frames, r.num_tracks, r.seconds, r.num_bytes, *_prompts([r]).values())
        for r in reports
    ]
    return Table(columns, rows)
