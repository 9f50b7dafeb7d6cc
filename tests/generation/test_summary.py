"""What a run of generate.py ends with, on two videos of two processes."""

import io

from rich.console import Console

from sola.generation.module import VideoReport
from sola.generation.summary import REST, show_summary, stage_seconds
from sola.prompts import PromptCounts

REPORTS = [
    VideoReport("a", 10, 3, PromptCounts(9, parts=4, over_cap=2), 2**20, 3.0, {"labels": 1.0}),
    VideoReport("b", 30, 1, PromptCounts(2, unstable=1), 2**20, 4.0, {"propagation": 3.0}),
]


def test_seconds_of_no_stage_are_told_too() -> None:
    spent = stage_seconds(REPORTS, [4.0, 2.0])
    assert list(spent.items()) == [("propagation", 3.0), ("labels", 1.0), (REST, 2.0)]


def test_the_summary_adds_up() -> None:
    console = Console(file=io.StringIO(), width=100)
    show_summary(REPORTS, [4.0, 2.0], {"c": "c.jpg: not found."}, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "2 videos, 4 tracks, 2.0 MiB in 4 s: 1.0 tracks/s, 10.0 frames/s" in text
    assert "11 prompts found, 4 tracked; dropped: 1 unstable, 4 parts of another, 2 over" in text
    assert "50% to the networks" in text
    assert "video c: c.jpg: not found." in text
