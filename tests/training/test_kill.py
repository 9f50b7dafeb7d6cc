"""train.py killed at random moments resumes to the bits of a run that was never killed."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import ROOT, children_of, has_ended
from training_checkpoints import assert_same_end

TWO = ["trainer.devices=2", "trainer.strategy=ddp"]
# Imports what is heavy once; every run is a child of its own, and some children are killed at a
# random moment after they have changed last.ckpt.
DRIVER = """
import json, os, random, runpy, signal, sys, time
from pathlib import Path

import sola.training.run

command, folder, num_kills, seed = json.loads(sys.argv[1])
rng = random.Random(seed)


def start(name, *more):
    child = os.fork()
    if child == 0:
        sys.argv = ["train.py", *command, f"hydra.run.dir={folder}/{name}", *more]
        runpy.run_path("train.py", run_name="__main__")
        os._exit(0)
    return child


def finish(child):
    status = os.waitpid(child, 0)[1]
    assert status == 0, status


def changed(path):
    return path.stat().st_mtime_ns if path.exists() else 0


def wait_for_change(path, child):
    # whether the child has written it, and not ended
    before = changed(path)
    while changed(path) == before:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return False
        time.sleep(0.001)
    return True


child = start("whole")
assert wait_for_change(Path(folder, "whole", "last.ckpt"), child)
begin = time.monotonic()
finish(child)
duration = time.monotonic() - begin
last, is_over, kills = Path(folder, "killed", "last.ckpt"), False, 0
while not is_over:
    child = start("killed", *([f"ckpt_path={last}"] if kills else []))
    if kills < num_kills and wait_for_change(last, child):
        time.sleep(rng.uniform(0, 1.2 * duration / num_kills))
        os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    is_over = status != signal.SIGKILL
    kills += not is_over
assert status == 0, status
print(kills)
"""


def run_driver(folder: Path, command: list[str], *, num_kills: int, seed: int) -> None:
    arguments = json.dumps([command, str(folder), num_kills, seed])
    output, errors = folder / "output", folder / "errors"
    # files, not pipes: torch's DataLoader leaves a worker behind if its process dies within
    # milliseconds of starting it, and a pipe would stay open
    with output.open("w") as out, errors.open("w") as err:
        driver = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path[:0] = ['.']\n{DRIVER}", arguments],
            cwd=ROOT,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        status = driver.wait(580)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(driver.pid, signal.SIGKILL)
    assert status == 0, errors.read_text()
    assert 0 < int(output.read_text().split()[-1]) <= num_kills


OPTIONS = ["selector.dropout=0.2", "callbacks.last_checkpoint.every_n_steps=3"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.fault
def test_killed_run_resumes_bit_for_bit(
    tmp_path: Path, command: list[str], fault: Callable[..., None]
) -> None:
    command += [*OPTIONS, "trainer.max_epochs=4", "trainer.check_val_every_n_epoch=2"]
    run_driver(tmp_path, command, num_kills=2, seed=0)
    assert_same_end(tmp_path / "whole", tmp_path / "killed")
    happened = "resumes to the same bits of both checkpoints and the same rows of metrics.csv"
    fault(
        "Training",
        "killed (SIGKILL) at random moments",
        happened,
        "nothing; steps since the last checkpoint are repeated",
    )


@pytest.mark.slow
@pytest.mark.fault
def test_run_that_gets_sigterm_reports_it(
    tmp_path: Path, command: list[str], fault: Callable[..., None]
) -> None:
    run_dir = tmp_path / "run"
    words = [*command, "trainer.max_epochs=100000", f"hydra.run.dir={run_dir}"]
    process = subprocess.Popen(
        [sys.executable, "train.py", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while not (run_dir / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + signal.SIGTERM, said
    assert re.search(r"stopped by SIGTERM at step \d+\. The same command with resume=true", said)
    assert "Traceback" not in said
    happened = (
        f"ends after the current step with status {process.returncode}; resume=true continues"
    )
    fault("Training", "SIGTERM", happened, "nothing; steps since the last checkpoint are repeated")


@pytest.mark.fault
@pytest.mark.devices
@pytest.mark.slow
@pytest.mark.parametrize("victim", ["first", "second"])
def test_killed_process_of_two_ends_the_other(
    tmp_path: Path, command: list[str], fault: Callable[..., None], victim: str
) -> None:
    run_dir = tmp_path / "run"
    words = [*command, *TWO, "trainer.max_epochs=100000", f"hydra.run.dir={run_dir}"]
    process = subprocess.Popen(
        [sys.executable, "train.py", *words], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while not (run_dir / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    (child,) = children_of(process)
    os.kill(process.pid if victim == "first" else child, signal.SIGKILL)
    said = process.communicate(timeout=60)[1]  # both have ended when nobody holds their stderr
    assert process.returncode != 0, said
    assert has_ended(child)
    fault(
        "Training",
        f"the {victim} of two processes is killed (SIGKILL)",
        "the other ends too, status not 0; resume=true continues",
        "nothing; steps since the last checkpoint are repeated",
    )


DIES_BEHIND_A_CHECKPOINT = """
import os, runpy, sys

from sola.training.callbacks import WholeFileIO

write = WholeFileIO.save_checkpoint


def write_and_die(self, checkpoint, path, storage_options=None):
    write(self, checkpoint, path, storage_options)
    if checkpoint["global_step"] == 10:
        os._exit(9)


WholeFileIO.save_checkpoint = write_and_die
sys.argv = ["train.py", *sys.argv[1:]]
runpy.run_path("train.py", run_name="__main__")
"""


@pytest.mark.slow
def test_logged_rows_before_a_checkpoint_survive_a_crash(
    tmp_path: Path, command: list[str]
) -> None:
    command += [*OPTIONS[:1], "trainer.max_epochs=1", "callbacks.last_checkpoint.every_n_steps=10"]
    killed = [*command, f"hydra.run.dir={tmp_path / 'killed'}"]
    dying = ["-c", f"import sys; sys.path[:0] = ['.']\n{DIES_BEHIND_A_CHECKPOINT}", *killed]
    whole = ["train.py", *command, f"hydra.run.dir={tmp_path / 'whole'}"]
    for arguments, status in ((whole, 0), (dying, 9), (["train.py", *killed, "resume=true"], 0)):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == status, done.stderr
    assert_same_end(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "changes",
    [
        ["data.num_workers=2", "data.max_tokens=150", "scheduler.patience=0", "optimizer.lr=0.1"],
        ["scheduler=cosine", "scheduler.warmup_steps=5", "callbacks.weight_averaging.decay=0.9"],
        ["trainer.devices=2", "trainer.strategy=ddp", "callbacks.last_checkpoint.every_n_steps=1"],
    ],
    ids=" ".join,
)
def test_run_killed_many_times_resumes_bit_for_bit(
    tmp_path: Path, command: list[str], changes: list[str]
) -> None:
    command += [*OPTIONS, "trainer.max_epochs=6", *changes]
    run_driver(tmp_path, command, num_kills=8, seed=len(" ".join(changes)))
    assert_same_end(tmp_path / "whole", tmp_path / "killed")
