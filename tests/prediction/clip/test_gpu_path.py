"""A prediction on a clip on a simulated GPU: tracks, text tokens and answers are the CPU's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pretend_gpu import PretendGpu

from sola.prediction.clip.run import run_clip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:GPU available but not used")
def test_answers_equal_those_of_the_cpu(
    clip_config: Callable[..., Any], odd_clip: Path, gpu: PretendGpu, tmp_path: Path
) -> None:
    found = {}
    for device in ("cpu", "gpu"):
        config = clip_config(odd_clip, "the white block", **{"trainer.accelerator": device})
        for name in ("tracks", "prompts", "text"):
            shutil.rmtree(tmp_path / "data" / name, ignore_errors=True)
        record = json.loads(run_clip(config).read_text())
        assert gpu.is_initialized == (device == "gpu")
        found[device] = {name: record[name] for name in ("tracks", "expressions")}
    assert found["gpu"]["tracks"]
    assert found["gpu"] == found["cpu"]
