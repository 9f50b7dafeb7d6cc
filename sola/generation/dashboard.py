"""Log rates, the prompts that each rule dropped, and tracks to look at."""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from sola.datasets import Split
from sola.generation.module import VideoReport
from sola.generation.summary import stage_seconds
from sola.prompts import PromptCounts
from sola.shards import ShardReader
from sola.visualization.dashboard.board import Board, Cell, Histogram, Value, record_tracks
from sola.visualization.overlays import evenly_spaced
from sola.visualization.videos import draw_tracks_clip, show_video


class GenerationDashboard:
    """Logs a generation, in its first process only.

    Rates are those of the first process, until ``finish`` logs those of all processes.

    Args:
        board: of the run.
        num_examples: videos shown with their tracks.
        num_frames: maximum number of frames of such a video.
    """

    def __init__(self, board: Board, num_examples: int, num_frames: int) -> None:
        self.board, self.num_frames = board, num_frames
        self.num_examples = num_examples if board.shows_pictures else 0
        self._num_logged = 0

    def progress(self, reports: Sequence[VideoReport]) -> None:
        """Log the last video, and the rates so far.

        Args:
            reports: of the videos of the first process.
        """
        last, counts = reports[-1], _prompts(reports)
        values: dict[str, Value] = {"video/tracks": last.num_tracks, "video/seconds": last.seconds}
        values |= {"video/frames": last.num_frames}
        values |= _rates("first_process", reports, sum(report.seconds for report in reports))
        values |= {f"first_process/{name}": number for name, number in counts.items()}
        self.board.log(values, step=self._num_logged)
        self._num_logged += 1

    def finish(
        self, reports: Sequence[VideoReport], seconds: Sequence[float], num_failed: int
    ) -> None:
        """Log the numbers of the whole run.

        Args:
            reports: of the videos of all processes.
            seconds: run time of each process.
            num_failed: videos that cannot be tracked.
        """
        if not reports:
            return
        numbers = [report.num_tracks for report in reports]
        top = max(numbers) + 1
        values: dict[str, Value] = {
            "generate/failed_videos": num_failed,
            "generate/mebibytes": sum(report.num_bytes for report in reports) / 2**20,
            "generate/tracks_per_video": Histogram(*np.histogram(numbers, min(top, 100), (0, top))),
            "generate/per_video": [_row_of(report) for report in reports],
        }
        values |= _rates("generate", reports, max(seconds))
        values |= {f"rules/{name}": number for name, number in _prompts(reports).items()}
        values |= {f"stage_seconds/{k}": v for k, v in stage_seconds(reports, seconds).items()}
        self.board.log(values, step=self._num_logged)

    def show_tracks(
        self, reader: ShardReader, dataset: Split, reports: Sequence[VideoReport]
    ) -> None:
        """Log videos with their tracks, and record all tracks as made by this run.

        Args:
            reader: of the finished tracks.
            dataset: the split.
            reports: of the videos to choose from.
        """
        record_tracks(self.board, reader.tracks_dir, reader.index)
        chosen = [reports[i].video_id for i in evenly_spaced(len(reports), self.num_examples)]
        with tempfile.TemporaryDirectory() as folder:
            rows = [
                self._row(Path(folder) / f"{number}.mp4", reader, dataset, video_id)
                for number, video_id in enumerate(chosen)
            ]
            if rows:
                self.board.log({"generate/examples": rows}, step=self._num_logged)

    def _row(
        self, path: Path, reader: ShardReader, dataset: Split, video_id: str
    ) -> dict[str, Cell]:
        own = (e.expression_id for e in dataset.expressions if e.video_id == video_id)
        expression_id = next(own) if reader.is_by_expression else ""
        tracks, video = reader.read(video_id, expression_id), dataset.videos[video_id]
        shown = show_video(video, tracks.size, self.num_frames, tracks.masklets, {})
        clip = draw_tracks_clip(path, shown, f"tracks: {len(tracks.masklets)}")
        prompted = ", ".join(str(prompt.frame_idx) for prompt in tracks.prompts)
        row: dict[str, Cell] = {"video": video_id, "expression": expression_id}
        row |= {"frames": len(video.frame_paths), "tracks": len(tracks.masklets)}
        return row | {"masklets": clip, "prompted on frames": prompted}


def _row_of(report: VideoReport) -> dict[str, Cell]:
    row: dict[str, Cell] = {"video": report.video_id, "frames": report.num_frames}
    row |= {"tracks": report.num_tracks, "seconds": report.seconds, "bytes": report.num_bytes}
    return row | _prompts([report])


def _rates(prefix: str, reports: Sequence[VideoReport], seconds: float) -> dict[str, Value]:
    """Videos, frames and tracks, and each of them per second."""
    counts = {"videos": len(reports), "frames": sum(report.num_frames for report in reports)}
    counts |= {"tracks": sum(report.num_tracks for report in reports)}
    rates = {f"{name}_per_s": number / max(seconds, 1e-9) for name, number in counts.items()}
    return {f"{prefix}/{name}": number for name, number in {**counts, **rates}.items()}


def _prompts(reports: Sequence[VideoReport]) -> dict[str, int]:
    """Prompts found, dropped by each rule, and tracked."""
    counts = asdict(sum((report.prompts for report in reports), start=PromptCounts()))
    dropped = sum(number for name, number in counts.items() if name != "found")
    return counts | {"tracked": counts["found"] - dropped}
