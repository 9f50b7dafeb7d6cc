"""predict.py video=... killed at many moments: whatever has its final name is whole."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from clip_files import make_frames, write_video

from sola.config.sections import ClipOptions
from sola.datasets.frames import read_frame
from sola.prediction.clip.footage import open_clip

pytestmark = pytest.mark.slow

TESTS_DIR = Path(__file__).parents[1]
NUM_KILLS = 25
# A process of its own ends itself before one of the operations on files, another one every time.
DRIVER = """
import os, signal, sys
from pathlib import Path

from sola.config.sections import ClipOptions
from sola.prediction.clip.footage import open_clip

OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")
path, folder, num_kills = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
count, moment = 0, 0


def note(event, _):
    global count
    count += event in OPERATIONS
    if moment and count == moment:
        os.kill(os.getpid(), signal.SIGKILL)


def read(clips_dir):
    child = os.fork()  # before this process decodes anything: decoders have threads
    if child == 0:
        open_clip(path, clips_dir, ClipOptions())
        (folder / "count").write_text(str(count))
        os._exit(0)
    os.waitpid(child, 0)


sys.addaudithook(note)
read(folder / "whole")
total = int((folder / "count").read_text())
for number in range(num_kills):
    count, moment = 0, 1 + number * total // num_kills
    read(folder / "killed" / str(number))
"""


@pytest.mark.fault
def test_kill_leaves_no_clip_that_looks_finished(
    tmp_path: Path, fault: Callable[..., None]
) -> None:
    path = write_video(tmp_path / "clip.mp4", make_frames(20))

    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(path), str(tmp_path), str(NUM_KILLS)],
        cwd=TESTS_DIR.parent,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    (whole,) = (tmp_path / "whole").iterdir()
    left = [item for folder in (tmp_path / "killed").iterdir() for item in folder.iterdir()]
    assert len([item for item in left if item.suffix == ".part"]) > NUM_KILLS // 2
    for item in left:
        if item.suffix == ".part":
            continue
        content = json.loads((item / "clip.json").read_text())
        assert item.name == whole.name
        assert len([read_frame(frame) for frame in (item / "frames").iterdir()]) == 20
        assert content["num_frames"] == 20
    for folder in (tmp_path / "killed").iterdir():
        assert open_clip(path, folder, ClipOptions()).num_frames == 20
    happened = "frames are whole or missing; the next start extracts them again"
    fault("Prediction", f"killed (SIGKILL) {NUM_KILLS} times while a clip is unpacked", happened)
