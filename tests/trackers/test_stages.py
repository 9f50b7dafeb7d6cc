"""Seconds go to the innermost stage, and nowhere where nobody measures."""

import time

import pytest
import torch
from pretend_gpu import PretendGpu

from sola.trackers.stages import measure_stages, stage


def test_nested_stage_is_not_counted_twice() -> None:
    start = time.perf_counter()
    with measure_stages() as seconds:
        with stage("outer"):
            time.sleep(0.02)
            with stage("inner"):
                time.sleep(0.05)
        with stage("outer"):
            time.sleep(0.01)
    total = time.perf_counter() - start
    assert seconds["inner"] >= 0.05
    assert 0.03 <= seconds["outer"] <= total - seconds["inner"]
    assert sum(seconds.values()) <= total


def test_stage_that_fails_is_booked_and_left() -> None:
    with measure_stages() as seconds, stage("outer"):
        with pytest.raises(ValueError, match="no"), stage("inner"):
            raise ValueError("no")
        time.sleep(0.02)
    assert seconds["outer"] >= 0.02


def test_time_outside_stages_is_not_counted() -> None:
    with measure_stages() as seconds:
        pass
    with stage("later"):
        pass
    assert dict(seconds) == {}


def test_work_can_be_ended_before_a_stage() -> None:
    calls: list[str] = []

    def end_the_second() -> None:
        calls.append("asked")
        if len(calls) == 2:
            raise KeyboardInterrupt

    with measure_stages(end_the_second) as seconds:
        with stage("first"):
            pass
        with pytest.raises(KeyboardInterrupt), stage("second"):
            calls.append("begun")
    assert calls == ["asked", "asked"]
    assert list(seconds) == ["first"]


def test_stages_on_a_gpu_wait_for_it_once(gpu: PretendGpu) -> None:
    own = torch.ones(3, device="cuda")
    with gpu.region("stages") as counts:
        with measure_stages() as seconds, stage("outer"):
            time.sleep(0.02)
            with stage("inner"):
                own.sum()
                time.sleep(0.05)
            assert not counts.waits
        assert counts.waits.total() == 1
    assert seconds["inner"] >= 0.05
    assert 0.02 <= seconds["outer"] < 0.05


def test_many_stages_are_added_up_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sola.trackers.stages.MAX_EDGES", 4)
    with measure_stages() as seconds:
        for _ in range(5):
            with stage("outer"):
                time.sleep(0.01)
    assert 0.05 <= seconds["outer"] < 0.1
