"""Generation killed at random moments and started again: the same shards, nothing left behind."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_runs import assert_equal, assert_nothing_left, contents

TESTS_DIR = Path(__file__).parents[1]
NUM_VIDEOS, NUM_KILLS = 4, 20
# A process of its own ends itself before one of the operations on files of a run, drawn at random,
# each kind as often as the others; or the parent ends it at a random time.
DRIVER = """
import json, os, random, signal, sys, time
from pathlib import Path

import torch
from small_runs import small_run

from sola.config import compose
from sola.generation.run import run_generation
from sola.shards import ShardWriter

OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")
folder, num_kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
NUM_VIDEOS = int(sys.argv[4])
torch.set_num_threads(1)
rng = random.Random(seed)
operations, moment, made = [], 0, None
stage = ShardWriter.stage


def note(event, _):
    if event in OPERATIONS:
        operations.append(event)
        if len(operations) == moment:
            os.kill(os.getpid(), signal.SIGKILL)


def counted(writer, tracks):
    with open(made, "a") as file:  # before: a kill in between must not lose the line
        file.write(tracks.video_id + chr(10))
    return stage(writer, tracks)


def start(name):
    child = os.fork()  # the parent tracks nothing: trackers have threads
    if child == 0:
        global made
        made = folder / f"{name}.made"
        ShardWriter.stage = counted
        config = compose("generate", [
            *small_run(NUM_VIDEOS),
            f"data_root={folder / name}",
            f"dataset.root={folder / 'moving_shapes'}",
            f"paths.output_dir={folder / 'output'}",
        ])
        operations.clear()
        run_generation(config)
        (folder / "operations.json").write_text(json.dumps(operations))
        os._exit(0)
    return child


sys.addaudithook(note)
assert os.waitpid(start("first"), 0)[1] == 0  # makes the data set, too
begin = time.monotonic()
assert os.waitpid(start("whole"), 0)[1] == 0
took_s = time.monotonic() - begin
moments = {}
for number, event in enumerate(json.loads((folder / "operations.json").read_text())):
    moments.setdefault(event, []).append(number + 1)
for number in range(num_kills):
    at_operation = number % 4 != 3
    moment = rng.choice(moments[rng.choice(list(moments))]) if at_operation else 0
    child = start(f"killed_{number}")
    if not at_operation:
        time.sleep(rng.uniform(0.2, 1) * took_s)
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    moment = 0
    assert os.waitpid(start(f"killed_{number}"), 0)[1] == 0, number
"""


@pytest.mark.fault
@pytest.mark.timeout(1600)
@pytest.mark.slow
def test_killed_run_resumes_with_equal_results(tmp_path: Path, fault: Callable[..., None]) -> None:
    code = f"import sys; sys.path[:0] = [{str(TESTS_DIR)!r}]\n{DRIVER}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(NUM_KILLS), "0", str(NUM_VIDEOS)],
        cwd=TESTS_DIR.parent,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    assert done.returncode == 0, done.stderr
    tracks = "tracks/moving_shapes/train/gt/small"
    whole = contents(tmp_path / "whole" / tracks)
    assert len(whole) == NUM_VIDEOS
    assert json.loads((tmp_path / "operations.json").read_text())
    for number in range(NUM_KILLS):
        folder = tmp_path / f"killed_{number}" / tracks
        assert_equal(whole, contents(folder))
        assert_nothing_left(folder)
        made = (tmp_path / f"killed_{number}.made").read_text().split()
        assert set(made) == {one.video_id for one in whole}
        assert len(made) <= NUM_VIDEOS + 1, "more than the current video was made again"
    fault(
        "Generation",
        "killed (SIGKILL) at random moments, at operations on files and between",
        "the same command resumes: equal shards, no file left behind, no video made twice",
        "nothing; the current video is processed again",
    )
