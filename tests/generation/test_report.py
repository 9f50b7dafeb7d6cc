"""What a run of generate.py ends with, on two videos of two processes."""

from collections import Counter

import pytest

from sola.generation.report import REST, VideoReport, show_summary, stage_seconds

FIRST = Counter(frames=10, tracks=3, bytes=2**20, found=9, not_kept=4, over_cap=2)
SECOND = Counter(frames=30, tracks=1, bytes=2**20, found=2, empty=1)
REPORTS = [
    VideoReport("a", FIRST, 3.0, {"labels": 1.0}),
    VideoReport("b", SECOND, 4.0, {"propagation": 3.0}),
]


def test_seconds_of_no_stage_are_told_too() -> None:
    spent = stage_seconds(REPORTS, [4.0, 2.0])
    assert list(spent.items()) == [("propagation", 3.0), ("labels", 1.0), (REST, 2.0)]


def test_the_summary_adds_up(capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(REPORTS, [4.0, 2.0], {"c": "c.jpg: not found."})
    text = capsys.readouterr().out
    assert "2 videos, 4 tracks, 2.0 MiB in 4 s: 1.0 tracks/s, 10.0 frames/s" in text
    assert (
        "11 prompts found, 4 tracked; dropped: 1 empty, 4 by the source's own rule, 2 over" in text
    )
    assert "50% to the networks" in text
    assert "video c: c.jpg: not found." in text
