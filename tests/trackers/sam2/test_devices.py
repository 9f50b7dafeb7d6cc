"""The tracker uses only its own device; sam2's encodings would choose one themselves."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pretend_gpu import PretendGpu
from small_tracker import small_tracker

from sola.trackers.sam2.builder import find_network


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
