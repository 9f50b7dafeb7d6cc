"""What a run of generate.py ends with, on two videos of two processes."""

from collections import Counter

import pytest

from sola.generation.reporting import REST, RULES, VideoReport, measure_run, show_summary

FIRST = Counter(frames=10, tracks=3, bytes=2**20, found=9, not_kept=4, over_cap=2)
SECOND = Counter(frames=30, tracks=1, bytes=2**20, found=2, empty=1)
REPORTS = [
    VideoReport("a", FIRST, 3.0, {"labels": 1.0}),
    VideoReport("b", SECOND, 4.0, {"propagation": 3.0}),
]


def test_counts_and_seconds_add_up() -> None:
    numbers = measure_run(REPORTS, [4.0, 2.0], num_failed=1)
    assert numbers["generate/videos"] == 2
    assert numbers["generate/failed_videos"] == 1
    assert numbers["generate/tracks"] == 4
    assert numbers["generate/bytes"] == 2**21
    assert numbers["generate/found"] == 11
    assert [numbers[f"generate/{rule}"] for rule in RULES] == [1, 4, 0, 2]
    assert numbers["generate/tracks_per_s"] == 1.0
    assert numbers["generate/frames_per_s"] == 10.0
    stages = {name: n for name, n in numbers.items() if name.startswith("stage_seconds/")}
    expected = {"labels": 1.0, "propagation": 3.0, REST: 2.0}
    assert stages == {f"stage_seconds/{name}": spent for name, spent in expected.items()}


def test_summary_prints_numbers_and_failures(capsys: pytest.CaptureFixture[str]) -> None:
    show_summary(measure_run(REPORTS, [4.0, 2.0], num_failed=1), {"c": "c.jpg: not found."})
    made, prompts, seconds, failure = capsys.readouterr().out.splitlines()
    assert made == "2 videos, 40 frames, 4 tracks; 10.0 frames/s"
    assert prompts == "prompts: 11 found; dropped: 1 empty, 4 not_kept, 2 over_cap"
    assert seconds == f"seconds: propagation 3.0, {REST} 2.0, labels 1.0"
    assert failure == "video c: c.jpg: not found."
