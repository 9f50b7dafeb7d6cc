"""Training on a simulated GPU: the results of the CPU, and what a step costs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pretend_gpu import PretendGpu

from sola.config.entry_points import TrainConfig
from sola.selector.checkpoint import load_selector
from sola.training.run import train

MakeConfig = Callable[..., TrainConfig]
DEVICES = ("cpu", "gpu")
EMA = "callbacks.weight_averaging.decay=0.9"
BY_EXPRESSION = ("data.group_by=expression", "selector.dropout=0.2")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("dataset"),
    pytest.mark.filterwarnings("ignore:GPU available but not used"),  # with trainer=cpu
]


@pytest.fixture
def train_on(make_config: MakeConfig, gpu: PretendGpu, tmp_path: Path) -> Callable[..., Any]:
    """``train_on("gpu", "data.batch_size=1")``: weights and metrics after an epoch."""

    def train_on(device: str, *words: str) -> Any:
        where = (f"trainer.accelerator={device}", f"paths.output_dir={tmp_path / device}")
        config = make_config("trainer.max_epochs=1", *words, *where)
        selector, provenance = load_selector(train(config).best_path)
        return selector.state_dict(), provenance["metrics"]

    return train_on


@pytest.mark.parametrize(
    "words",
    [
        ("data.group_by=video",),
        BY_EXPRESSION,
        ("data.group_by=video", "data.max_tokens=100", "data.batch_size=1", EMA),
        ("data.group_by=video", "trainer.precision=bf16-mixed", EMA),
    ],
    ids=["by video", "by expression", "packed with EMA", "bf16 with EMA"],
)
def test_trained_weights_equal_those_of_the_cpu(
    train_on: Callable[..., Any], gpu: PretendGpu, words: tuple[str, ...]
) -> None:
    on_cpu, measured_on_cpu = train_on("cpu", *words)
    assert not gpu.is_initialized
    on_gpu, measured_on_gpu = train_on("gpu", *words)
    assert gpu.total.launches.total() > 0
    is_mixed = "trainer.precision=bf16-mixed" in words  # CUDA rounds in other places
    torch.testing.assert_close(on_gpu, on_cpu, rtol=0, atol=1e-3 if is_mixed else 0)
    # losses are summed in another order, as the GPU's are read less often
    assert measured_on_gpu == pytest.approx(measured_on_cpu, rel=1e-3 if is_mixed else 1e-6)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_optimizer_step_launches_one_operator_for_many_weights(
    train_on: Callable[..., Any], gpu: PretendGpu, precision: str
) -> None:
    train_on("gpu", f"trainer.precision={precision}")
    launches = gpu.total.launches
    assert launches["_fused_adamw_"] + launches["_foreach_addcdiv_"] > 0
    assert launches["addcdiv_"] == 0


@pytest.mark.parametrize(
    "words",
    [BY_EXPRESSION, ("data.max_tokens=100", "data.batch_size=1")],
    ids=["by expression", "packed"],
)
def test_training_step_does_not_wait_for_the_gpu(
    train_on: Callable[..., Any], gpu: PretendGpu, words: tuple[str, ...]
) -> None:
    train_on("gpu", *words)
    step = ("sola/selector/", "sola/training/batch.py", "training_step", "compute", "_totals")
    places = [place for _, place in gpu.total.waits if any(part in place for part in step)]
    assert not places
