"""The summary of a generation: tracks, dropped prompts, time by stage."""

import time
from collections.abc import Callable, Mapping, Sequence

import torch.distributed as dist
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from sola.config.console import table_console
from sola.errors import UserError
from sola.generation.module import TrackGenerator, VideoReport
from sola.prompts import PromptCounts
from sola.trackers.stages import NETWORKS

DROPPED = {
    "empty": "empty",
    "unstable": "unstable",
    "parts": "parts of another",
    "duplicates": "duplicates of a track",
    "over_cap": "over the cap",
}
"""Label of every rule of ``PromptCounts``."""
REST = "everything else"
LOOK_EVERY_S = 0.1


def of_all_processes(
    module: TrackGenerator, check: Callable[[], None]
) -> tuple[list[VideoReport], list[float]]:
    """Gather the reports of all processes, and the seconds each of them ran.

    Args:
        module: of this process, after its last video.
        check: called while this process waits for the others; may raise.

    Raises:
        UserError: if one of them has died.
    """
    own = module.reports, module.seconds
    if not dist.is_initialized():
        check()
        return own[0], [own[1]]
    gathered: list[tuple[list[VideoReport], float]] = [own] * dist.get_world_size()
    try:
        everyone = dist.barrier(module.group, async_op=True)
        while not everyone.is_completed():
            check()
            time.sleep(LOOK_EVERY_S)  # signals are not delivered while C++ waits
        dist.all_gather_object(gathered, own, module.group)
    except RuntimeError as error:
        if dist.get_rank():  # the first process says why the run ended
            raise SystemExit(1) from error
        raise UserError(
            "another process of this run has died. Run the same command again to resume."
        ) from error
    return [report for part, _ in gathered for report in part], [each for _, each in gathered]


def show_summary(
    reports: Sequence[VideoReport],
    seconds: Sequence[float],
    failures: Mapping[str, str],
    console: Console | None = None,
) -> None:
    """Prints what the videos of a run took.

    Args:
        reports: one a video.
        seconds: of each process.
        failures: videos that cannot be tracked, with their reasons.
        console: where to; None: standard output.
    """
    console = console or table_console()
    counts = sum((report.prompts for report in reports), start=PromptCounts())
    console.print(
        Group(
            Text(_totals(reports, seconds)),
            Text(_prompts(counts)),
            _stages(stage_seconds(reports, seconds)),
            *(Text(f"video {video_id}: {reason}") for video_id, reason in failures.items()),
        )
    )


def stage_seconds(reports: Sequence[VideoReport], seconds: Sequence[float]) -> dict[str, float]:
    """Seconds by stage, the longest first; what belongs to none comes last."""
    by_stage: dict[str, float] = {}
    for report in reports:
        for name, spent in report.stage_seconds.items():
            by_stage[name] = by_stage.get(name, 0.0) + spent
    rest = sum(seconds) - sum(by_stage.values())
    return dict(sorted(by_stage.items(), key=lambda item: -item[1])) | {REST: rest}


def _totals(reports: Sequence[VideoReport], seconds: Sequence[float]) -> str:
    tracks = sum(report.num_tracks for report in reports)
    frames = sum(report.num_frames for report in reports)
    mebibytes = sum(report.num_bytes for report in reports) / 2**20
    wall_s = max(seconds)
    return (
        f"{len(reports)} videos, {tracks} tracks, {mebibytes:.1f} MiB in {wall_s:.0f} s: "
        f"{tracks / wall_s:.1f} tracks/s, {frames / wall_s:.1f} frames/s"
    )


def _prompts(counts: PromptCounts) -> str:
    dropped = {label: getattr(counts, name) for name, label in DROPPED.items()}
    listed = ", ".join(f"{number} {label}" for label, number in dropped.items() if number)
    kept = counts.found - sum(dropped.values())
    return f"{counts.found} prompts found, {kept} tracked; dropped: {listed or 'none'}"


def _stages(by_stage: Mapping[str, float]) -> Table:
    total = sum(by_stage.values())
    of_networks = sum(by_stage.get(name, 0.0) for name in NETWORKS)
    title = f"where the time went: {of_networks / total:.0%} to the networks"
    table = Table(title=title, title_justify="left")
    table.add_column("stage")
    table.add_column("seconds", justify="right")
    table.add_column("share", justify="right")
    for name, spent in by_stage.items():
        label = f"{name} (network)" if name in NETWORKS else name
        table.add_row(label, f"{spent:.1f}", f"{spent / total:.1%}")
    return table
