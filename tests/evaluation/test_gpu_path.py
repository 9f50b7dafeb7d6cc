"""Evaluation on a simulated GPU gives the scores of the CPU."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pretend_gpu import PretendGpu

from sola.config.sections import Paths
from sola.evaluation.run import SCORES_FILE, run_evaluation


@pytest.mark.slow
def test_scores_equal_those_of_the_cpu(
    evaluate_config: Callable[..., Any], gpu: PretendGpu, tmp_path: Path
) -> None:
    found = {}
    for device in ("cpu", "gpu"):
        paths = Paths(str(tmp_path / "data"), str(tmp_path / device))
        run_evaluation(evaluate_config(accelerator=device, paths=paths))
        assert gpu.is_initialized == (device == "gpu")
        found[device] = [
            json.loads((tmp_path / device / name).read_text())
            for name in (SCORES_FILE, "evaluation.json")
        ]
    assert found["gpu"] == found["cpu"]
