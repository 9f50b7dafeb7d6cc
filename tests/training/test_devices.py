"""Several processes learn what one does, in a run and in every job of a sweep."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import ROOT, TWO_NODES, environments_of_nodes, run_command
from small_selectors import SEE_MOTION, SMALL, TRAINED

from sola.selector.checkpoint import load_selector

pytestmark = [pytest.mark.slow, pytest.mark.devices]

ALIKE = {"rtol": 1e-5, "atol": 5e-6}
TWO = ["trainer.devices=2", "trainer.strategy=ddp", "data.batch_size=1"]
# 15 expressions about 3 videos: the last step, and the last of validation, leave a process without
EQUAL = ["selector.dropout=0", "trainer.max_epochs=2", "optimizer.lr=1e-5"]


@pytest.fixture
def command(command: list[str]) -> list[str]:
    return [*command, "selector.attention_dropout=0"]


@pytest.fixture(params=SEE_MOTION)
def command_of_each(command: list[str], request: pytest.FixtureRequest) -> list[str]:
    if request.param == "TrackSelector":
        return command
    others = [word for word in command if not word.startswith("selector")]
    return [*others, *TRAINED[request.param]]


def start(command: list[str], *more: str) -> None:
    done = subprocess.run(
        [sys.executable, "train.py", *command, *EQUAL, *TWO, *more],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    assert "WARN" not in done.stderr
    assert done.stderr.count("logger: CSV") == done.stderr.count("on split valid_u") > 0


def train_alone(command: list[str], *more: str) -> None:
    outcome = run_command("train.py", *command, *EQUAL, "data.batch_size=2", *more)
    assert outcome.status == 0, outcome.errors


def numbers(run_dir: Path) -> dict[str, list[float]]:
    """Every column of metrics.csv, without the rows that lack it."""
    with (run_dir / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows if row[name]] for name in rows[0]}


def assert_alike(one: Path, other: Path) -> None:
    expected, found = numbers(one), numbers(other)
    assert found.keys() == expected.keys()
    assert {"valid/J&F", "valid/loss", "train/loss_epoch"} <= found.keys()
    for name, values in expected.items():
        assert found[name] == pytest.approx(values, rel=1e-5, abs=1e-7), name
    weights = [load_selector(d / "last.ckpt")[0].state_dict() for d in (one, other)]
    torch.testing.assert_close(*weights, **ALIKE)


def test_two_processes_match_one_with_twice_the_batch(
    tmp_path: Path, command_of_each: list[str]
) -> None:
    start(command_of_each, f"hydra.run.dir={tmp_path / 'two'}")
    train_alone(command_of_each, f"hydra.run.dir={tmp_path / 'one'}")
    assert_alike(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize("selector", SMALL)
def test_mean_gradient_of_processes_is_that_of_the_whole_step(
    tmp_path: Path, selector: str
) -> None:
    program = Path(__file__).with_name("device_gradients.py")
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path / "meeting"), selector],
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr


def test_every_job_of_a_sweep_has_processes_of_its_own(tmp_path: Path, command: list[str]) -> None:
    two = tmp_path / "two"
    sweep = ["seed=0,1", f"hydra.sweep.dir={two}", "hydra.sweep.subdir=job_${seed}"]
    start(["-m", *command], *sweep)
    for seed in (0, 1):
        train_alone(command, f"seed={seed}", f"hydra.run.dir={tmp_path / str(seed)}")
        assert_alike(tmp_path / str(seed), two / f"job_{seed}")
    assert sorted(path.name for path in two.iterdir() if path.is_dir()) == ["job_0", "job_1"]


def test_two_nodes_match_one_process(tmp_path: Path, command: list[str]) -> None:
    nodes = []
    for node in environments_of_nodes():
        # nodes share their folders, and the first one writes
        words = [
            *command,
            *EQUAL,
            *TWO_NODES,
            "data.batch_size=1",
            f"hydra.run.dir={tmp_path / 'two'}",
        ]
        nodes.append(
            subprocess.Popen(
                [sys.executable, "train.py", *words],
                cwd=ROOT,
                env=os.environ | node,
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
            )
        )
    said = [node.communicate(timeout=250)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said
    train_alone(command, f"hydra.run.dir={tmp_path / 'one'}")
    assert_alike(tmp_path / "one", tmp_path / "two")
