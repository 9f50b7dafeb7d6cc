"""The tracker uses only its own device; sam2's encodings would choose one themselves."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pretend_gpu import PretendGpu
from small_tracker import small_tracker

from sola.trackers.sam2.builder import find_network
from sola.trackers.stages import measure_stages


@pytest.mark.parametrize("device", ["cpu", "cuda:0", "cuda:1"])
def test_tracker_uses_only_its_own_device(tmp_path: Path, device: str) -> None:
    path = tmp_path / "network.yaml"
    text = find_network("pkg://sola.trackers.small/network.yaml").read_text()
    path.write_text(text.replace("warmup_cache: false", "warmup_cache: true"))
    frames = np.zeros((3, 128, 128, 3), np.uint8)
    frames[:, 20:60, 20:60] = 255
    with PretendGpu(num_devices=2) as gpu:
        tracker = small_tracker(network=str(path))
        tracker.load(torch.device(device), 0)
        tracker.open(frames).propagate(0, frames[:1, ..., 0] > 0)
    assert {f"cuda:{index}" for index in gpu.peak} == {device} - {"cpu"}
    assert gpu.is_initialized == (device != "cpu")
    assert not [kind for kind, _ in gpu.total.copied_bytes if kind == "GPU to GPU"]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_propagation_waits_for_the_gpu_once(gpu: PretendGpu, precision: torch.dtype) -> None:
    frames = np.zeros((4, 160, 128, 3), np.uint8)
    frames[:, 20:60, 20:60] = 255
    found = {}
    for device in ("cpu", "cuda"):
        tracker = small_tracker()
        tracker.load(torch.device(device, 0), 0)
        session, masks = tracker.open(frames), np.repeat(frames[:1, ..., 0] > 0, 2, axis=0)
        with torch.autocast(device, precision, enabled=precision != torch.float32):
            session.propagate(0, masks)  # moves sam2's encodings to the GPU
            with gpu.region(device) as counts, measure_stages():
                found[device] = session.propagate(1, masks)
    assert counts.waits.total() <= 2, f"one for the tracks, one for the times\n{counts.table()}"
    if precision == torch.float32:  # CUDA rounds to bfloat16 in other places than the CPU
        assert found["cuda"].masklets == found["cpu"].masklets
        np.testing.assert_array_equal(found["cuda"].object_tokens, found["cpu"].object_tokens)
        np.testing.assert_array_equal(found["cuda"].object_scores, found["cpu"].object_scores)
