"""predict.py killed at random moments: whatever has its final name is whole."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from sola.datasets import MeViS
from sola.evaluation.predictions import find_faults, wanted_masks

pytestmark = pytest.mark.slow

TESTS_DIR = Path(__file__).parents[1]
NUM_KILLS = 40
FINAL = {"masks", "overlays", "submission.zip", "prediction.json", "scores.json"}
# A kill comes up to 3 ms after one of the operations on files of two runs into the same folder,
# drawn at random.
DRIVER = """
import os, random, signal, sys, time
from pathlib import Path

import drawn_split as drawn

from sola.config.entry_points import PredictConfig
from sola.evaluation import run as evaluation_run
from sola.prediction.run import run_predict

OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree")


operations, moment, pipe = [], 0, None


def note(event, _):
    if event in OPERATIONS:
        operations.append(event)
        if len(operations) == moment:
            os.write(pipe, b".")


evaluation_run.TextTokens = drawn.LetterTokens
folder, rng = Path(sys.argv[1]), random.Random(0)
config = drawn.make_config(PredictConfig, folder, submission=True, num_overlays=3)
sys.addaudithook(note)
run_predict(config)
run_predict(config)
moments = {}
for number, event in enumerate(operations):
    moments.setdefault(event, []).append(number + 1)
for number in range(int(sys.argv[2])):
    config.paths.output_dir = str(folder / "killed" / str(number))
    chosen = rng.choice(moments[rng.choice(list(moments))])  # each kind as often as the others
    operations.clear()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        moment, pipe = chosen, write_end
        while True:
            run_predict(config)
    os.read(read_end, 1)
    time.sleep(rng.choice([0, rng.uniform(0, 0.003)]))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read_end), os.close(write_end)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed_predict")
    code = f"import sys; sys.path[:0] = [{str(TESTS_DIR)!r}]\n{DRIVER}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(NUM_KILLS)],
        cwd=TESTS_DIR.parent,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.fault
def test_final_name_is_only_given_to_complete_results(
    folder: Path, fault: Callable[..., None]
) -> None:
    wanted = wanted_masks(MeViS(folder / "drawn", "valid_u"))
    for output_dir in (folder / "killed").iterdir():
        there = {item.name for item in output_dir.iterdir()}
        assert {n for n in there - FINAL if not n.endswith(".part")} == set()
        if "prediction.json" in there:
            assert there >= FINAL, output_dir
        for name in there & {"masks", "submission.zip"}:
            assert find_faults(output_dir / name, wanted, "") == []
        for name in there & {"prediction.json", "scores.json"}:
            json.loads((output_dir / name).read_text())
        if "overlays" in there:
            overlays = list((output_dir / "overlays").iterdir())
            assert len(overlays) == 3
            assert all(cv2.imread(str(path)) is not None for path in overlays)
    happened = (
        "masks, overlays and submission.zip are whole or missing; after a restart all are there"
    )
    fault("Prediction", f"killed (SIGKILL) {NUM_KILLS} times", happened)


def test_kills_came_at_all_stages(folder: Path) -> None:
    stages = {
        frozenset(item.name for item in output_dir.iterdir()) & FINAL
        for output_dir in (folder / "killed").iterdir()
    }

    assert {frozenset(["scores.json"]), frozenset(FINAL)} <= stages
    assert any(list(d.glob("unfinished.part/masks")) for d in (folder / "killed").iterdir())
