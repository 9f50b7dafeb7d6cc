"""Generation on a simulated GPU gives the tracks of the CPU."""

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pretend_gpu import PretendGpu
from small_detector import GDINO
from small_runs import assert_equal, contents

from sola.errors import UserError
from sola.generation.run import run_generation
from sola.masks import decode
from sola.types import Tracks

Config = Callable[..., Any]
BF16 = "trainer.precision=bf16-mixed"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:GPU available but not used"),  # with trainer=cpu
]


@pytest.mark.parametrize(
    "words",
    [
        ("prompt_source=gt",),
        ("prompt_source=gt", BF16),
        ("prompt_source=grid",),
        ("prompt_source=gdino", *GDINO),
    ],
    ids=["gt", "gt in bf16", "grid", "gdino"],
)
def test_tracks_equal_those_of_the_cpu(
    config: Config, gpu: PretendGpu, tmp_path: Path, words: tuple[str, ...]
) -> None:
    found = {}
    for device in ("cpu", "gpu"):
        where = (f"trainer.accelerator={device}", f"data_root={tmp_path / device}")
        found[device] = contents(run_generation(config(*words, *where, num_videos=1)))
        assert gpu.is_initialized == (device == "gpu")
    assert sum(len(tracks.masklets) for tracks in found["gpu"]) > 0
    compare = _assert_close if BF16 in words else assert_equal
    compare(found["gpu"], found["cpu"])


def test_small_gpu_takes_fewer_objects_at_a_time(
    config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found, gpus = [], []
    for name in ("ample", "small"):
        capacity = gpus[0].peak[0] - 1 if gpus else None
        with PretendGpu(capacity=capacity) as gpu:
            where = ("trainer.accelerator=gpu", f"data_root={tmp_path / name}")
            found.append(contents(run_generation(config(*where, num_videos=2))))
            gc.collect()  # the networks are in reference cycles
        gpus.append(gpu)
    assert "objects at a time: using fewer" in caplog.text
    assert gpus[1].live == gpus[0].live, "memory of the failed attempt is still in use"
    _assert_close(*found)


def test_tracker_larger_than_the_gpu_is_reported(config: Config) -> None:
    with PretendGpu(capacity=1_000_000), pytest.raises(UserError, match=r"tracker=small: .*memory"):
        run_generation(config("trainer.accelerator=gpu", num_videos=1))


def _assert_close(ones: list[Tracks], others: list[Tracks]) -> None:
    """CUDA rounds to bfloat16 in other places than the CPU."""
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_allclose(one.object_tokens, other.object_tokens, rtol=0, atol=0.1)
        np.testing.assert_allclose(one.object_scores, other.object_scores, rtol=0, atol=0.1)
        for found, expected in zip(one.masklets, other.masklets, strict=True):
            assert (decode(found) != decode(expected)).mean() < 1e-3
