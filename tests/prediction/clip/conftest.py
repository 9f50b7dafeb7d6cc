"""predict.py on a clip that was tracked before, so that a test tracks only what it is about."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from clip_files import make_frames, write_video
from hydra.core.global_hydra import GlobalHydra
from reference_weights import reference_state_dict

from sola.config import compose as compose_config
from sola.prediction.clip.run import run_clip
from sola.selector import TrackSelector

UNEVEN_S = (0.0, 0.04, 0.1, 0.5, 0.52, 1.3)
SIZE = (37, 51)


def _compose(root: Path, clips: Path, path: Path, texts: tuple[str, ...], values: Any) -> Any:
    quoted = ",".join(f'"{text}"' for text in texts)
    folders = [f"data_root={root / 'data'}", f"paths.output_dir={root / 'output'}"]
    given = [f"ckpt_path={clips / 'selector.pth'}", f"video={path}", f"expressions=[{quoted}]"]
    overrides = [f"{key}={value}" for key, value in values.items()]
    return compose_config("predict", [*folders, *given, *overrides])


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A selector, a clip of an odd size and uneven times, and a data folder with its tracks."""
    clips = tmp_path_factory.mktemp("clips")
    torch.manual_seed(0)
    weights = reference_state_dict(TrackSelector(128, 384, num_negatives=8))
    torch.save(weights, clips / "selector.pth")
    frames, path = make_frames(6, SIZE), clips / "odd.webm"
    write_video(path, frames, codec="libvpx-vp9", times_s=UNEVEN_S, clock=100)
    run_clip(_compose(clips, clips, path, ("the white block",), {}))
    GlobalHydra.instance().clear()
    return clips


@pytest.fixture
def odd_clip(clips: Path) -> Path:
    """An odd size, uneven times."""
    return clips / "odd.webm"


@pytest.fixture
def clip_config(clips: Path, compose: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """``clip_config(path, "a sentence", ..., threshold=0)``: predict.py's configuration."""
    shutil.copytree(clips / "data", tmp_path / "data", dirs_exist_ok=True)
    return lambda path, *texts, **values: _compose(tmp_path, clips, path, texts, values)
