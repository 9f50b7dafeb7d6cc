"""The simulated GPU of tests/pretend_gpu.py refuses and counts what CUDA would."""

import copy
import io
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pretend_gpu import Counts, DeviceMixUp, PretendGpu
from torch import Tensor, nn

HERE = "tests/test_pretend_gpu.py"


def by_kind(counter: Counter[tuple[str, str]]) -> dict[str, int]:
    """The numbers of all places together."""
    found = Counter[str]()
    for (kind, _), number in counter.items():
        found[kind] += number
    return dict(+found)


def waits(counts: Counts) -> dict[str, int]:
    return by_kind(counts.waits)


def copied(counts: Counts) -> dict[str, int]:
    return by_kind(counts.copied_bytes)


@pytest.mark.parametrize(
    "mix",
    [
        lambda own, host: own + host,
        lambda own, host: host @ own.T,
        lambda own, host: torch.cat([own, host]),
        lambda own, host: torch.stack([own.sum(), host.sum()]),
        lambda own, host: torch.where(host > 0, own, own),
        lambda own, host: own.add_(host),
        lambda own, host: host.add_(own.sum()),
        lambda own, host: host[own > 0],
        lambda own, host: F.linear(own, host),
        lambda own, host: own + own.to("cuda:1"),
    ],
    ids=["add", "matmul", "cat", "stack", "where", "add_", "add_ number", "mask", "linear", "gpus"],
)
def test_tensors_of_two_devices_are_refused(mix: Callable[[Tensor, Tensor], Any]) -> None:
    with PretendGpu(num_devices=2), pytest.raises(DeviceMixUp, match="on the same device"):
        mix(torch.ones(3, 4, device="cuda"), torch.ones(3, 4))


def test_numpy_and_missing_gpus_are_refused(gpu: PretendGpu) -> None:
    own = torch.ones(3, device="cuda")
    for convert in (Tensor.numpy, np.asarray):
        with pytest.raises(TypeError, match="cuda:0 device type tensor"):
            convert(own)  # type: ignore[operator]
    with pytest.raises(RuntimeError, match="invalid device ordinal"):
        own.to("cuda:1")
    with pytest.raises(RuntimeError, match="only CPU tensors can be pinned"):
        own.pin_memory()


def test_results_are_those_of_the_cpu(gpu: PretendGpu) -> None:
    host = torch.randn(3, 4)
    own = host.to("cuda")
    assert own.device == torch.device("cuda:0")
    assert own.is_cuda
    assert own.to("cuda") is own
    assert torch.equal((own @ own.T + torch.tensor(2.0)).cpu(), host @ host.T + 2)
    assert own[[0, 2]].tolist() == host[[0, 2]].tolist()
    assert torch.zeros_like(own).device == own.new_tensor([1.0]).device == own.device
    images = torch.randn(1, 2, 5, 5)
    resize = {"size": (9, 9), "mode": "bilinear", "antialias": True}
    resized = F.interpolate(images.cuda(), **resize)  # type: ignore[arg-type]
    assert torch.equal(resized.cpu(), F.interpolate(images, **resize))  # type: ignore[arg-type]
    own[own > 0] = 0.0
    assert own.max().item() <= 0


def test_waits_are_counted_where_they_happen(gpu: PretendGpu) -> None:
    own = torch.ones(4, device="cuda")
    with gpu.region("all") as counts, gpu.region("item") as item:
        own.sum().item()
    with gpu.region("all"):
        if own.max() > 0:
            own.nonzero()
        own[own > 0]
        own[own > 0] = 0  # a fill needs no count
        torch.cuda.synchronize()
        own[:2] + own[2:]
    assert waits(item) == {"item": 1}
    assert waits(counts) == {"item": 2, "nonzero": 1, "boolean mask": 1, "synchronize": 1}
    assert all(place.startswith(HERE) for _, place in counts.waits)
    assert len(counts.waits) == 5, "one for each line"
    assert "5.00 waits" in counts.table()
    assert gpu.total.waits.total() == 5


@pytest.mark.parametrize("is_inference", [False, True])
def test_copies_count_their_bytes(gpu: PretendGpu, is_inference: bool) -> None:
    host = torch.zeros(1000)
    with torch.inference_mode(is_inference):
        with gpu.region("up") as up:
            own = host.to("cuda")
        with gpu.region("down") as down:
            own.cpu()
            own.to("cpu", torch.float64)
        with gpu.region("cast") as cast:
            own.to(torch.bfloat16)
            own.to("cuda:0")
        with gpu.region("list") as from_list:
            torch.tensor([1.0, 2.0], device="cuda")
    assert (waits(up), copied(up)) == ({"to GPU": 1}, {"to GPU": 4000})
    assert (waits(down), copied(down)) == ({"to CPU": 2}, {"to CPU": 8000})
    assert (waits(cast), copied(cast), cast.launches["_to_copy"]) == ({}, {}, 1)
    assert copied(from_list) == {"to GPU": 8}


def test_only_non_blocking_copies_of_pinned_memory_do_not_wait(gpu: PretendGpu) -> None:
    host = torch.zeros(20_000)
    pinned = host.pin_memory()
    assert pinned.is_pinned()
    assert not host.is_pinned()
    with gpu.region("copies") as counts:
        torch.zeros(10).to("cuda", non_blocking=True)  # small: the driver sends it at once
        own = pinned.to("cuda", non_blocking=True)
        host.to("cuda", non_blocking=True)
        pinned.to("cuda")
        target = own.to("cpu", non_blocking=True)  # torch pins the target
        target.copy_(own, non_blocking=True)
        host.copy_(own, non_blocking=True)
    assert target.is_pinned()
    assert waits(counts) == {"to GPU, async": 1, "to GPU, pinned": 1, "to CPU, async": 1}
    assert copied(counts)["to GPU, pinned, async"] == 80_000
    assert copied(counts)["to CPU, pinned, async"] == 160_000


def test_non_blocking_copy_to_the_host_arrives_at_the_next_wait(gpu: PretendGpu) -> None:
    target = torch.ones(3, device="cuda").to("cpu", non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    assert target.tolist() != [1, 1, 1]
    with ThreadPoolExecutor(1) as thread:
        thread.submit(event.synchronize).result()
    assert target.tolist() == [1, 1, 1]
    assert "event" not in waits(gpu.total), "the host itself did not wait"
    event.synchronize()
    assert waits(gpu.total)["event"] == 1


def test_autocast_follows_cuda_and_counts_casts_of_weights(gpu: PretendGpu) -> None:
    network = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8)).to("cuda")
    inputs = torch.randn(6, 4, device="cuda")
    with gpu.region("bf16") as counts, torch.autocast("cuda", torch.bfloat16):
        middle = network[0](inputs)
        last = network(inputs)
        larger = [middle.exp(), middle.softmax(dim=1), middle.sum(), middle.addcmul(middle, last)]
    assert middle.dtype == torch.bfloat16
    assert {each.dtype for each in (last, *larger)} == {torch.float32}
    assert counts.casts == {"weight": 4, "value": 6}
    with gpu.region("off") as off, torch.autocast("cuda", enabled=False):
        assert network(inputs).dtype == torch.float32
    assert not off.casts
    assert network[0](inputs).dtype == torch.float32


@pytest.mark.parametrize("options", [{"fused": True}, {"foreach": True}, {"foreach": False}])
def test_training_equals_that_of_the_cpu(gpu: PretendGpu, options: dict[str, bool]) -> None:
    torch.manual_seed(0)
    host: Any = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.LayerNorm(8), nn.Linear(8, 2))
    own = copy.deepcopy(host).to("cuda")
    assert all(x.is_cuda and isinstance(x, nn.Parameter) for x in own.parameters())
    assert all(x.is_cuda for x in copy.deepcopy(own).parameters())
    for network in (host, own):
        torch.manual_seed(1)
        optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, **options)
        for _ in range(2):
            loss = network(torch.ones(3, 4, device=network[0].weight.device)).square().sum()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    file = io.BytesIO()
    torch.save(own.state_dict(), file)
    file.seek(0)
    saved = torch.load(file, weights_only=True)
    assert saved.keys() == host.state_dict().keys()
    for name, value in host.state_dict().items():
        assert torch.equal(saved[name], value), name
    own.cpu()
    assert type(own[0].weight.data) is Tensor


def test_memory_is_counted_until_it_is_freed() -> None:
    with PretendGpu(num_devices=2) as gpu:
        own = torch.zeros(100, device="cuda:1")
        view = own[:10]
        assert gpu.live == {1: 400}
        del own
        assert gpu.live == {1: 400}
        del view
        assert gpu.live[1] == 0
        with gpu.region("step") as counts:
            torch.zeros(50, device="cuda")
        assert (gpu.peak, counts.peak_bytes) == ({0: 200, 1: 400}, 200)


def test_allocation_beyond_the_capacity_is_out_of_memory() -> None:
    with PretendGpu(capacity=1000) as gpu:
        kept = torch.zeros(200, device="cuda")
        with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
            kept + 1
        assert gpu.live[0] == 800
        torch.zeros(50, device="cuda")


def test_meta_device_stays_meta(gpu: PretendGpu) -> None:
    with torch.device("meta"):
        network = nn.Linear(4, 8)
    assert network.weight.device.type == torch.zeros(3, device="meta").device.type == "meta"
    assert not gpu.total.launches


def test_nothing_is_left_after_it() -> None:
    before = torch.cuda.is_available()
    with PretendGpu():
        assert torch.cuda.device_count() == 1
        assert not torch.cuda.is_initialized()
        torch.ones(1).cuda()
        assert torch.cuda.is_initialized()
    assert torch.cuda.is_available() == before
    with torch.autocast("cpu", torch.bfloat16):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.bfloat16
