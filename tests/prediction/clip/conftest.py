"""What predict.py needs beside a clip."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sola.selector import TrackSelector


@pytest.fixture
def clip_config(compose: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """``clip_config(path, "a sentence", ..., threshold=0)``: predict.py's configuration."""
    ckpt_path = tmp_path / "selector.pth"
    torch.manual_seed(0)
    torch.save(TrackSelector(128, 384, num_negatives=8).reference_state_dict(), ckpt_path)

    def make(path: Path, *texts: str, **values: Any) -> Any:
        quoted = ",".join(f'"{text}"' for text in texts)
        overrides = [f"{key}={value}" for key, value in values.items()]
        return compose(
            "predict",
            f"ckpt_path={ckpt_path}",
            f"video={path}",
            f"expressions=[{quoted}]",
            *overrides,
        )

    return make
