"""Who tracks which video: the order, and locks that outlive no process."""

import errno
import fcntl
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from dataset_trees import write_mevis
from small_tracker import small_tracker

from sola.datasets import MeViS
from sola.errors import UserError
from sola.generation.generator import Recipe, TrackGenerator
from sola.generation.job import Job, Share, SharedVideos
from sola.generation.stop import StopSignals
from sola.prompts import DetectorBoxes, Grid, GroundTruth, PromptSource
from sola.prompts.grounding_dino import GroundingDino
from sola.shards import PromptStore, ShardWriter

VIDEOS = ["long", "middle", "short"]


def make_job(folder: Path, part: int = 0, num_parts: int = 2, **settings: str) -> Job:
    """A job on three videos, none of which has tracks."""
    writer = ShardWriter(folder, {"source": "grid", **settings})
    entries = [(name, "") for name in VIDEOS]
    return Job(writer, entries, Share(part, num_parts), num_processes=1, is_leader=True)


def take_from(folder: Path, monkeypatch: pytest.MonkeyPatch, done: set[str]) -> Iterator[str]:
    job = make_job(folder)
    monkeypatch.setattr(job, "is_settled", done.__contains__)
    return iter(SharedVideos(job, VIDEOS))


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


@pytest.mark.parametrize(
    ("source", "costs"),
    [
        (GroundTruth(), [6, 2]),
        (Grid(), [3, 2]),
        (DetectorBoxes(GroundingDino("random")), [9, 2]),
    ],
)
def test_most_expensive_video_is_taken_first(
    tmp_path: Path, source: PromptSource, costs: list[int]
) -> None:
    write_mevis(tmp_path, "train")
    dataset, tracker = MeViS(tmp_path, "train"), small_tracker()
    entries = [(video_id, "") for video_id in reversed(dataset.videos)]
    writer = ShardWriter(tmp_path / "tracks", {})
    job = Job(writer, entries, Share(), num_processes=1, is_leader=True)
    recipe = Recipe(source, tracker, 0, "32-true")
    store = PromptStore(tmp_path, {"dataset": "d", "split": "train", "source": "s"})
    stop = StopSignals(is_child=False)
    module = TrackGenerator(recipe, dataset, job, store, stop, is_training_split=True)
    assert [module._cost(video_id) for video_id in module.videos.video_ids] == costs


def test_processes_take_every_video_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: set[str] = set()
    one, other = (take_from(tmp_path, monkeypatch, done) for _ in range(2))
    assert [next(one), next(other)] == ["long", "middle"]
    done.add("middle")
    assert next(other) == "short"
    done.add("short")
    assert list(other) == []  # "long" is being made
    done.add("long")
    assert list(one) == []


def test_video_that_fails_between_look_and_claim_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, job = iter([False, True, True, True]), make_job(tmp_path)
    monkeypatch.setattr(job, "is_settled", lambda _: next(answers))
    assert list(SharedVideos(job, VIDEOS)) == []


@pytest.mark.fault
def test_dead_process_leaves_its_video_to_others(
    tmp_path: Path,
    dying: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[..., None],
) -> None:
    child = dying(lambda: [(claim := make_job(tmp_path).claim("long")), claim.__enter__()])
    done = {"middle"}
    videos = take_from(tmp_path, monkeypatch, done)
    assert next(videos) == "short"
    done.add("short")
    end(child)
    assert list(videos) == ["long"]  # in a second look at the list
    happened = "its lock is gone with it; another process takes the video"
    fault(
        "Generation",
        "a process that dies with a claim on a video",
        happened,
        "nothing; the current video is processed again",
    )


@pytest.mark.fault
def test_part_is_made_once_at_a_time(
    tmp_path: Path, dying: Callable[..., int], fault: Callable[..., None]
) -> None:
    child = dying(lambda: make_job(tmp_path, 1).__enter__())
    with pytest.raises(UserError, match=f"process {child}"), make_job(tmp_path, 1):
        pass
    with make_job(tmp_path, 0):
        pass
    lock = next((tmp_path / "staging/claims").glob("part-1*"))
    for mtime in (0, 2**33):  # what clocks say does not matter
        os.utime(lock, (mtime, mtime))
        with pytest.raises(UserError, match="part 1"), make_job(tmp_path, 1):
            pass
    end(child)
    with make_job(tmp_path, 1):
        pass
    happened = "nothing: locks depend on no clock"
    fault("Generation", "a clock that jumps, back to 1970 or on to 2242", happened)


def test_running_jobs_keep_other_settings_out(tmp_path: Path, dying: Callable[..., int]) -> None:
    child = dying(lambda: make_job(tmp_path, 1, tracker="one").__enter__())
    with pytest.raises(UserError, match="tracker=one"), make_job(tmp_path, 0, tracker="other"):
        pass
    with make_job(tmp_path, 0, tracker="one"):
        pass
    end(child)
    with make_job(tmp_path, 0, tracker="other"):  # nothing was staged
        pass


def test_failed_videos_are_retried_by_the_next_run(tmp_path: Path) -> None:
    with make_job(tmp_path) as job:
        job.fail("long", "why")
        assert job.is_settled("long")
        assert job.failures() == {"long": "why"}
        with make_job(tmp_path, 1) as other:
            assert not other.is_settled("long")


def test_part_that_waits_to_pack_ends_well_after_another_has_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Job, "unstaged", lambda _: [])
    first, second = make_job(tmp_path), make_job(tmp_path, 1)
    with first, second, ThreadPoolExecutor(1) as pool:
        with first._lock("pack", wait=True):
            waiting = pool.submit(second.finish)
            time.sleep(0.2)
            assert not waiting.done()
            (tmp_path / "index.json").write_text("{}")
            first.writer.discard_staging()
        waiting.result(timeout=10)


def test_settings_are_kept_while_a_process_on_another_node_works(tmp_path: Path) -> None:
    rank = Job(
        ShardWriter(tmp_path, {"source": "grid"}),
        [("long", "")],
        Share(),
        num_processes=2,
        is_leader=False,
    )
    with make_job(tmp_path, num_parts=1):
        rank.join()
    with rank, pytest.raises(UserError, match="source"), make_job(tmp_path, source="gt"):
        pass


def test_one_process_works_on_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(UserError, match="num_parts=1"), make_job(tmp_path):
        pass
    with make_job(tmp_path, num_parts=1) as alone, alone.claim("long") as is_ours:
        assert is_ours
    assert "second process" in caplog.text
