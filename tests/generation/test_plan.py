"""Who tracks which video: the order, and locks that outlive no process."""

import errno
import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dataset_trees import write_mevis

from sola.datasets import MeViS
from sola.errors import UserError
from sola.generation.claims import Claims
from sola.generation.plan import SharedVideos, estimated_costs, longest_first
from sola.prompts import DetectorBoxes, Grid, GroundTruth, PromptSource
from sola.prompts.grounding_dino import GroundingDino

VIDEOS = ["long", "middle", "short"]


def make_claims(folder: Path, part: int = 0, *, is_alone: bool = False) -> Claims:
    return Claims(folder / "staging", part=part, num_parts=2, is_alone=is_alone)


def take_from(folder: Path, done: set[str]) -> Iterator[str]:
    videos = SharedVideos(VIDEOS, make_claims(folder), done.__contains__, max_length=3)
    return iter(videos)


@pytest.fixture
def dying() -> Iterator[Callable[[Callable[[], Any]], int]]:
    """``dying(take)``: a process that took something, holds it, and dies when it is killed."""
    children = []

    def start(take: Callable[[], Any]) -> int:
        read_end, write_end = os.pipe()
        child = os.fork()
        if child == 0:
            held = take()
            os.write(write_end, b"." if held else b"!")
            signal.pause()
        children.append(child)
        assert os.read(read_end, 1) == b"."
        os.close(read_end), os.close(write_end)
        return child

    yield start
    for child in children:
        end(child)


def end(child: int) -> None:
    try:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def test_the_longest_video_is_taken_first() -> None:
    assert longest_first({"a": 3, "b": 9, "c": 3}) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("source", "costs"),
    [
        (GroundTruth(), [6, 2]),
        (Grid(), [3, 2]),
        (DetectorBoxes(GroundingDino("random")), [9, 2]),
    ],
)
def test_costs_are_frames_times_tracks(
    tmp_path: Path, source: PromptSource, costs: list[float]
) -> None:
    write_mevis(tmp_path, "train")
    found = estimated_costs(source, MeViS(tmp_path, "train"))
    assert list(found.values()) == costs


def test_processes_take_every_video_once(tmp_path: Path) -> None:
    done: set[str] = set()
    one, other = take_from(tmp_path, done), take_from(tmp_path, done)
    assert [next(one), next(other)] == ["long", "middle"]
    done.add("middle")
    assert next(other) == "short"
    done.add("short")
    assert list(other) == []  # "long" is being made
    done.add("long")
    assert list(one) == []


def test_a_video_that_fails_between_look_and_claim_is_not_taken(tmp_path: Path) -> None:
    answers = iter([False, True, True, True])
    videos = SharedVideos(VIDEOS, make_claims(tmp_path), lambda _: next(answers), max_length=3)
    assert list(videos) == []


@pytest.mark.fault
def test_a_dead_process_leaves_its_video_to_others(
    tmp_path: Path, dying: Callable[..., int], fault: Callable[..., None]
) -> None:
    child = dying(lambda: make_claims(tmp_path).of_video("long").take())
    done = {"middle"}
    videos = take_from(tmp_path, done)
    assert next(videos) == "short"
    done.add("short")
    end(child)
    assert list(videos) == ["long"]  # in a second look at the list
    happened = "its lock is gone with it; another process takes the video"
    fault(
        "Generation",
        "a process that dies with a claim on a video",
        happened,
        "nothing; the video in work is made again",
    )


@pytest.mark.fault
def test_a_part_is_made_once_at_a_time(
    tmp_path: Path, dying: Callable[..., int], fault: Callable[..., None]
) -> None:
    child = dying(lambda: make_claims(tmp_path, 1).take_part())
    with pytest.raises(UserError, match=f"process {child}"):
        make_claims(tmp_path, 1).take_part()
    make_claims(tmp_path, 0).take_part().release()
    lock = next((tmp_path / "staging/claims").glob("part-1*"))
    for time in (0, 2**33):  # what clocks say does not matter
        os.utime(lock, (time, time))
        with pytest.raises(UserError, match="part 1"):
            make_claims(tmp_path, 1).take_part()
    end(child)
    make_claims(tmp_path, 1).take_part()
    happened = "nothing: who holds a part, and whether still, depends on no clock"
    fault("Generation", "a clock that jumps, back to 1970 or on to 2242", happened)


def test_without_locks_a_process_works_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ValueError, match=r"no file locks \(No locks available\).*num_parts=1"):
        make_claims(tmp_path).probe()
    alone = make_claims(tmp_path, is_alone=True)
    alone.probe()
    assert "start no second process" in caplog.text
    assert alone.of_video("long").take()
