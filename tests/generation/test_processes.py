"""generate.py as users start and end it: signals, several processes, parts, nodes, full disks."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import ROOT, TWO_NODES, children_of, environments_of_nodes, has_ended, run_command
from small_runs import assert_equal, assert_nothing_left, contents, small_run

pytestmark = pytest.mark.slow

TRACKS = "tracks/moving_shapes/train/gt/small"
TWO = ("trainer.devices=2", "trainer.strategy=ddp")
NUM_VIDEOS = 6


def words(data_root: Path, *more: str) -> list[str]:
    """Of a command line; videos so long that a run can be met in their midst."""
    folders = (f"data_root={data_root}", f"hydra.run.dir={data_root / 'run'}")
    return ["generate.py", *small_run(NUM_VIDEOS, num_frames=12), *folders, *more]


def start(data_root: Path, *more: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words(data_root, *more)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def staged(data_root: Path) -> list[Path]:
    return list((data_root / TRACKS / "staging").glob("*.h5"))


def wait_for_staged(data_root: Path, number: int, process: subprocess.Popen[str]) -> None:
    while len(staged(data_root)) < number:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def end(process: subprocess.Popen[str]) -> str:
    """What it said, when it has ended."""
    return process.communicate(timeout=200)[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data of a run that nothing disturbed."""
    data_root = tmp_path_factory.mktemp("whole")
    outcome = run_command(*words(data_root))
    assert outcome.status == 0, outcome.errors
    return data_root


def goes_on(whole: Path, data_root: Path, *more: str) -> None:
    """The same command makes the rest."""
    outcome = run_command(*words(data_root, *more))
    assert outcome.status == 0, outcome.errors
    is_whole(whole, data_root)


def is_whole(whole: Path, data_root: Path) -> None:
    assert_equal(contents(whole / TRACKS), contents(data_root / TRACKS))
    assert_nothing_left(data_root / TRACKS)


@pytest.mark.fault
@pytest.mark.parametrize(
    "signum",
    [
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGUSR1,
    ],
)
def test_signal_ends_a_run_at_once(
    whole: Path, tmp_path: Path, signum: signal.Signals, fault: Callable[..., None]
) -> None:
    process = start(tmp_path)
    wait_for_staged(tmp_path, 1, process)
    process.send_signal(signum)
    begin = time.monotonic()
    said = end(process)
    assert time.monotonic() - begin < 30
    assert process.returncode == 128 + signum
    kept = len(staged(tmp_path))
    assert f"stopped by {signum.name}; {kept} of {NUM_VIDEOS} videos are kept" in said
    assert "Traceback" not in said
    assert not list((tmp_path / TRACKS).rglob("*.part"))
    goes_on(whole, tmp_path)
    fault(
        "Generation",
        f"{signum.name}",
        f"ends within 30 s with status {process.returncode}; the same command resumes",
        "nothing; the current video is processed again",
    )


@contextmanager
def small_disk(folder: Path, size_kib: int) -> Iterator[None]:
    folder.mkdir()
    options = ["mount", "-t", "tmpfs", "-o", f"size={size_kib}k", "tmpfs", str(folder)]
    if subprocess.run(options, capture_output=True).returncode:
        pytest.skip("this user may not mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.fault
@pytest.mark.parametrize("is_packing", [False, True])
def test_full_disk_gives_one_message_and_keeps_all_results(
    whole: Path, tmp_path: Path, is_packing: bool, fault: Callable[..., None]
) -> None:
    disk, root = tmp_path / "disk", f"dataset.root={whole / 'moving_shapes'}"
    shards_kib = sum(path.stat().st_size for path in (whole / TRACKS).glob("*.h5")) / 1024
    # staged files and what else a run writes take more than the shards; not both find room
    with small_disk(disk, int(shards_kib * (2.3 if is_packing else 1))):
        outcome = run_command(*words(disk, root))
        assert outcome.status == 1
        assert "No space left on device. Make room" in outcome.errors.splitlines()[-1]
        assert "Traceback" not in outcome.errors
        assert (len(staged(disk)) == NUM_VIDEOS) == is_packing
        assert not list(disk.rglob("*.part"))
        kept = {path.name: path.read_bytes() for path in staged(disk)}
        assert kept
        subprocess.run(["mount", "-o", "remount,size=20m", str(disk)], check=True)
        goes_on(whole, disk, root)
        subprocess.run(["rm", "-r", str(disk / "tracks")], check=True)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        outcome = run_command(*words(disk, root, f"hydra.run.dir={tmp_path / 'run'}"))
        assert outcome.status == 1
        assert outcome.errors.startswith(f"error: {disk / 'tracks'}: Read-only file system.")
    when = "while the shards are written" if is_packing else "while videos are made"
    lost = "nothing" if is_packing else "nothing; the current video is processed again"
    happened = "one message (No space left on device), status 1; with room the same command resumes"
    fault("Generation", f"a full disk, {when}", happened, lost)
    happened = "one message (Read-only file system) before the network is built, status 1"
    fault("Generation", "a folder that is read-only", happened)


@pytest.mark.fault
@pytest.mark.parametrize("victim", ["first", "second"])
def test_run_with_a_killed_process_ends_and_resumes(
    whole: Path, tmp_path: Path, victim: str, fault: Callable[..., None]
) -> None:
    process = start(tmp_path, *TWO)
    wait_for_staged(tmp_path, 2, process)
    (child,) = children_of(process)
    os.kill(process.pid if victim == "first" else child, signal.SIGKILL)
    said = end(process)  # both have ended when nobody holds their stderr
    assert process.returncode == (-signal.SIGKILL if victim == "first" else 1), said
    assert victim == "first" or f"stopped by process {child}" in said
    assert has_ended(child)
    again = start(tmp_path, *TWO)
    assert (end(again), again.returncode)[1] == 0
    is_whole(whole, tmp_path)
    fault(
        "Generation",
        f"the {victim} of two processes is killed (SIGKILL)",
        f"the other ends too, status {process.returncode}; the same command resumes",
        "nothing; the current video is processed again",
    )


@pytest.mark.fault
def test_signal_to_the_first_process_ends_all(
    whole: Path, tmp_path: Path, fault: Callable[..., None]
) -> None:
    process = start(tmp_path, *TWO)
    wait_for_staged(tmp_path, 2, process)
    (child,) = children_of(process)
    process.send_signal(signal.SIGTERM)
    assert "stopped by SIGTERM" in end(process)
    assert process.returncode == 128 + signal.SIGTERM
    assert has_ended(child)
    goes_on(whole, tmp_path)
    fault(
        "Generation",
        "SIGTERM to the first of two processes",
        f"both end, status {process.returncode}; the same command resumes",
        "nothing; the current video is processed again",
    )


@pytest.mark.devices
@pytest.mark.fault
def test_parts_share_the_videos_and_each_is_started_once(
    whole: Path, tmp_path: Path, fault: Callable[..., None]
) -> None:
    run_command(*words(tmp_path, "dataset.maker.num_videos={train: 6}"))  # the data set
    subprocess.run(["rm", "-r", str(tmp_path / "tracks")], check=True)
    first = start(tmp_path, "part=1", "num_parts=3")
    wait_for_staged(tmp_path, 1, first)
    first.send_signal(signal.SIGSTOP)  # it would be done before the next one has started
    parts = [first, start(tmp_path, "part=0", "num_parts=3")]
    again = run_command(*words(tmp_path, "part=1", "num_parts=3"))
    first.send_signal(signal.SIGCONT)
    assert again.status == 1
    assert f"part 1 is already being made (part 1 of 3, process {first.pid} on" in again.errors
    said = [end(part) for part in parts]
    assert [part.returncode for part in parts] == [0, 0]
    assert any(f"tracks of {NUM_VIDEOS} videos" in each for each in said)
    is_whole(whole, tmp_path)
    happened = f"refused, status {again.status}; the message names the process that makes it"
    fault("Generation", "the same part started twice", happened)


@pytest.mark.devices
def test_two_nodes_make_the_tracks_of_one(whole: Path, tmp_path: Path) -> None:
    subprocess.run(["cp", "-r", str(whole / "moving_shapes"), str(tmp_path)], check=True)
    nodes = [
        start(tmp_path, *TWO_NODES, f"hydra.run.dir={tmp_path / node['NODE_RANK']}", **node)
        for node in environments_of_nodes()
    ]
    said = [end(node) for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    is_whole(whole, tmp_path)


@pytest.mark.devices
def test_every_job_of_a_sweep_may_have_two_processes(whole: Path, tmp_path: Path) -> None:
    root = f"dataset.root={whole / 'moving_shapes'}"
    sweep = ("tracker.name=one,other", root, f"hydra.sweep.dir={tmp_path / 'sweep'}", "-m")
    process = start(tmp_path, *TWO, *sweep)
    assert (end(process), process.returncode)[1] == 0
    for name in ("one", "other"):
        folder = (tmp_path / TRACKS).with_name(name)
        assert_equal(contents(whole / TRACKS), contents(folder))
        assert_nothing_left(folder)
