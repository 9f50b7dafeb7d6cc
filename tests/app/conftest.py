"""``sola app`` with small networks, and a clip to upload."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from clip_files import make_frames, write_images, write_video
from reference_weights import reference_state_dict

from sola.interrupts import INTERRUPTED
from sola.selector import TrackSelector

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def app_words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Overrides of small networks that need no download."""
    folder = tmp_path_factory.mktemp("app")
    torch.manual_seed(0)
    weights = reference_state_dict(TrackSelector(128, 384, num_negatives=8))
    torch.save(weights, folder / "selector.pth")
    given = ["dataset=moving_shapes", f"data_root={folder / 'data'}", "threshold=0.5"]
    return [*given, f"ckpt_path={folder / 'selector.pth'}"]


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video with a name that Hydra's syntax would not allow."""
    path = tmp_path_factory.mktemp("clip") / "a, [b] = ${c}.mp4"
    return write_video(path, make_frames(6, (120, 160)))


@pytest.fixture(scope="session")
def clips_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips, with links out of it."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "secret.txt").write_text("secret")
    inside = folder / "inside"
    inside.mkdir()
    write_video(inside / "one.mp4", make_frames(3))
    write_images(inside / "images", make_frames(3))
    write_images(inside / "odd images", make_frames(3))
    (inside / "odd images" / "9.png").symlink_to(folder / "secret.txt")
    (inside / "link.mp4").symlink_to(folder / "secret.txt")
    (inside / ".hidden").write_text("hidden")
    return inside


@pytest.fixture(scope="module")
def server(
    app_words: list[str], clips_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """Address of a running ``sola app``, and the folder of its temporary files."""
    if find_spec("gradio") is None:
        pytest.skip("needs gradio: pip install 'sola-rvos[app]'")
    folder = tmp_path_factory.mktemp("server")
    words = [*app_words, f"app.folder={clips_dir}", "app.port=0", "app.max_mb=1"]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    process = subprocess.Popen(
        [sys.executable, "-m", "sola.cli", "app", *words],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": path},
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("sola app: "), line
        yield line.split()[2], folder
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert process.returncode == INTERRUPTED
        assert not list(folder.iterdir()), "temporary files are left"
