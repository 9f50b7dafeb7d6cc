"""Ctrl-C at different moments: one line and status 130."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TRACKS = ("dataset.maker.num_videos={train: 4, valid_u: 2}", "dataset.maker.num_frames=6")

pytestmark = pytest.mark.slow


def start(folder: Path, command: str, *words: str) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    with (folder / "errors").open("w") as errors:
        return subprocess.Popen(
            [sys.executable, str(ROOT / f"{command}.py"), *TRACKS, *words],
            cwd=folder,
            env=environment | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )


def interrupt(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Send Ctrl-C; returns what the process said."""
    process.send_signal(signal.SIGINT)
    status = process.wait(60)
    errors = (folder / "errors").read_text()
    assert status == 130, errors
    assert "Traceback" not in errors
    return errors


@pytest.mark.parametrize("delay_s", [0.5, 1.5, 5.0])
def test_ctrl_c_during_start_up(tmp_path: Path, delay_s: float) -> None:
    process = start(tmp_path, "generate", "split=train", "prompt_source=gt")
    time.sleep(delay_s)
    assert interrupt(process, tmp_path).splitlines()[-1:] == ["interrupted"]


def test_ctrl_c_in_generation_and_training(tmp_path: Path) -> None:
    generate = ("generate", "split=train", "prompt_source=grid")
    process = start(tmp_path, *generate)
    staging = tmp_path / "data/tracks/moving_shapes/train/grid/small/staging"
    _wait(process, lambda: any(staging.glob("*.h5")))
    assert "of 4 videos are kept" in interrupt(process, tmp_path)
    for words in (generate, ("generate", "split=valid_u", "prompt_source=grid")):
        process = start(tmp_path, *words)
        assert process.wait(250) == 0
    train = ("train", "experiment=demo", "data.train_sources=[grid]", "trainer.max_epochs=500")
    process = start(tmp_path, *train, "hydra.run.dir=run")
    _wait(process, (tmp_path / "run" / "last.ckpt").is_file)
    errors = interrupt(process, tmp_path)
    assert "resume=true" in errors.splitlines()[-1]


def _wait(process: subprocess.Popen[bytes], is_ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not is_ready():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
