"""A simulated CUDA device: finds device mix-ups and counts host waits on a machine without a GPU.

    with PretendGpu() as gpu:
        model.to("cuda")
        with gpu.region("step") as counts:
            train_one_step()
    print(counts.table())

A ``CudaTensor`` holds a CPU tensor and reports device cuda:0. For torch's C++ it is a tensor of the
device "meta", so autograd runs in the calling thread and needs no driver. A dispatch mode receives
every operator, also of the backward pass. It refuses what CUDA refuses, computes with the CPU
tensors, and counts. Autocast follows CUDA's lists of operators, read from torch's own header.
``torch.cuda`` is replaced as far as torch, Lightning and transformers use it.

It cannot see:
- time, and rounding of the GPU: results are those of the CPU
- kernels: limits of dtype, shape and alignment, and which attention kernel runs
- memory within an operator, and fragmentation
- streams: there is one. A non-blocking copy to the host arrives at the host's next wait, so reading
  it earlier gives garbage, but overwriting its source is safe
- NCCL, torch.compile, C++ extensions, and code under ``DisableTorchDispatch``
- autocast's cache: a weight that is used twice in a forward pass counts as cast twice
- identity of parameters: ``Module.to`` makes new ones, CUDA keeps them
"""

import contextlib
import functools
import importlib
import re
import sys
import threading
import time
import types
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = str(Path(__file__).parents[1])
CPU = torch.device("cpu")
AUTOCAST_KEYS = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCUDA)
HEADER = Path(torch.__file__).parent / "include/ATen/autocast_mode.h"


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


ANY_DEVICE = _names("copy_ _to_copy _foreach_copy_ set_ record_stream")
INDEXING = _names("index index_put index_put_ _index_put_impl_ _unsafe_index")
NO_CPU_SCALAR = _names(
    """cat stack mm bmm addmm baddbmm addbmm addmv mv dot vdot linear convolution take gather
    native_layer_norm native_group_norm native_batch_norm index_select scatter scatter_ index_add
    scatter_add scatter_add_ index_add_ index_copy index_copy_ embedding grid_sampler_2d
    scaled_dot_product_attention _scaled_dot_product_attention_math masked_scatter searchsorted
    bucketize take_along_dim _fused_adamw_ _fused_adam_"""
)
"""Operators that refuse even a CPU tensor without dimensions; others take it as a number."""
READS_SIZE = _names(
    """nonzero nonzero_numpy argwhere masked_select unique_consecutive _unique2 _unique unique_dim
    bincount equal is_nonzero nms"""
)
"""Operators whose result the host must know."""
FREE = ("empty", "new_empty", "detach", "lift_fresh")
SMALL_BYTES = 1 << 16
"""Largest non-blocking copy to the GPU that CUDA sends at once even if the memory is not pinned
(CUDA C++ Programming Guide, "Concurrent Execution between Host and Device")."""


class DeviceMixUp(RuntimeError):
    """Raised where a GPU would refuse tensors of several devices."""

    def __init__(self, operator: str, *devices: Any) -> None:
        found = " and ".join(map(str, devices))
        super().__init__(f"Expected all tensors to be on the same device, got {found}: {operator}")


@dataclass
class Counts:
    """What happened in a region of code."""

    waits: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind, call site) -> times that the host waited for the GPU."""
    copied_bytes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(kind, call site) -> bytes between host and GPU, or between GPUs."""
    launches: Counter[str] = field(default_factory=Counter)
    """Operator -> calls that compute something, about the number of kernels."""
    casts: Counter[str] = field(default_factory=Counter)
    """"weight" or "value" -> casts by autocast, which are also launches of _to_copy."""
    peak_bytes: int = 0
    """Most bytes that lived on one GPU."""

    def table(self, per: float = 1) -> str:
        """Return waits and copies by call site, each divided by a number of steps or frames."""
        rows = [f"{'waits':>8} {'KiB':>9}  kind, place"]
        for key in sorted({*self.waits, *self.copied_bytes}, key=lambda each: -self.waits[each]):
            kib = self.copied_bytes[key] / 1024 / per
            rows.append(f"{self.waits[key] / per:8.2f} {kib:9.1f}  {key[0]}, {key[1]}")
        launches, waits = self.launches.total() / per, self.waits.total() / per
        casts = self.casts["weight"] / per
        rows.append(f"{waits:.2f} waits, {launches:.0f} launches, {casts:.0f} casts of weights")
        return "\n".join(rows)


class CudaTensor(Tensor):
    """Reports that it is on a GPU; ``elem`` holds its numbers."""

    elem: Tensor
    index: int
    gpu: "PretendGpu"
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, elem: Tensor, index: int, gpu: "PretendGpu") -> "CudaTensor":
        self = Tensor._make_wrapper_subclass(
            cls,
            elem.size(),
            strides=elem.stride(),
            storage_offset=elem.storage_offset(),
            dtype=elem.dtype,
            device="meta",
            _extra_dispatch_keys=AUTOCAST_KEYS,
        )
        self.elem, self.index, self.gpu = elem, index, gpu
        return self

    device = property(lambda self: torch.device("cuda", self.index))  # type: ignore[assignment]
    is_cuda = property(lambda _: True)  # type: ignore[assignment]
    is_cpu = is_meta = property(lambda _: False)  # type: ignore[assignment]

    def __repr__(self, **_: Any) -> str:
        return f"CudaTensor({self.elem!r}, device={self.device})"

    def __reduce_ex__(self, protocol: int) -> Any:  # torch.save; loads as with map_location=cpu
        self.gpu.count("to CPU", self.elem.nbytes)
        plain = self.elem.detach()
        if getattr(self, "_is_param", False):
            plain = torch.nn.Parameter(plain, requires_grad=self.requires_grad)
        return plain.__reduce_ex__(protocol)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        copy = self.detach().clone().requires_grad_(self.requires_grad)
        memo[id(self)] = torch.nn.Parameter(copy) if getattr(self, "_is_param", False) else copy
        return memo[id(self)]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        leaves = _leaves((args, kwargs))
        gpu = next(each.gpu for each in leaves if isinstance(each, CudaTensor))
        return gpu.run(func, args, kwargs or {})


class PretendGpu:
    """While entered, torch has one CUDA device or several.

    Args:
        num_devices: number of GPUs.
        capacity: bytes of each GPU; beyond it torch.OutOfMemoryError is raised. None: no limit.
    """

    def __init__(self, num_devices: int = 1, capacity: int | None = None) -> None:
        self.num_devices, self.capacity, self.current = num_devices, capacity, 0
        self.total, self.live, self.peak = Counts(), Counter[int](), Counter[int]()
        self.regions: dict[str, Counts] = {}
        self.is_initialized = False  # as CUDA is at the first tensor or pinned memory
        self.mode = _DispatchMode(self)
        self.has_meta = False  # whether "meta" is the real device meta
        self._counting = [self.total]
        self._storages: dict[int, list[int]] = {}  # address -> [bytes, tensors, GPU]
        self._pinned: dict[int, weakref.ref[Tensor]] = {}
        self._on_its_way: list[tuple[Tensor, Tensor]] = []  # pinned memory, numbers
        self._host_thread = threading.get_ident()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "PretendGpu":
        for each in (_replace_cuda(self), _autocast(), _FunctionMode(self), self.mode):
            self._stack.enter_context(each)
        return self

    def __exit__(self, *_: Any) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def region(self, name: str) -> Iterator[Counts]:
        """Count what happens inside also under a name; the counts of one name are added up."""
        counts = self.regions.setdefault(name, Counts())
        self._counting.append(counts)
        try:
            yield counts
        finally:
            self._counting.pop()

    def resolve(self, device: torch.device) -> torch.device:
        """Return the device with its number. C++ asks for "meta" when it means a CudaTensor's."""
        is_own = device.type == "meta" and not self.has_meta
        is_own |= device.type == "cuda" and device.index is None
        return torch.device("cuda", self.current) if is_own else device

    def count(self, kind: str, num_bytes: int = 0, *, waits: bool = True) -> None:
        """Count a wait or a copy, or both, at the call site; other threads may wait uncounted."""
        if waits:
            self._arrive()
        if threading.get_ident() != self._host_thread:
            return
        key = kind, _call_site()
        for counts in self._counting:
            counts.copied_bytes.update({key: num_bytes} if num_bytes else {})
            counts.waits.update({key: 1} if waits else {})

    def _arrive(self) -> None:
        """Complete the copies to the host."""
        while self._on_its_way:
            target, numbers = self._on_its_way.pop(0)
            with torch.inference_mode():
                target.copy_(numbers)

    def pin(self, tensor: Tensor) -> Tensor:
        """Return a copy in pinned memory; the DataLoader's thread calls this outside all modes."""
        if isinstance(tensor, CudaTensor):
            raise RuntimeError("cannot pin 'torch.cuda.Tensor', only CPU tensors can be pinned")
        pinned, self.is_initialized = tensor.clone(), True
        self._pinned[pinned.untyped_storage().data_ptr()] = weakref.ref(pinned)
        return pinned

    def is_pinned(self, tensor: Tensor) -> bool:
        known = self._pinned.get(tensor.untyped_storage().data_ptr())
        return known is not None and known() is not None

    # -- operators --------------------------------------------------------------------------------

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Check, count and compute an operator."""
        name = func._schema.name.partition("::")[2]
        flat = _leaves((args, kwargs))
        own = [each for each in flat if isinstance(each, CudaTensor)]
        if own and func.namespace == "prim":  # prim::device
            return own[0].device
        if name == "is_pinned":
            return not own and self.is_pinned(args[0])
        if own and name == "_has_compatible_shallow_copy_type":
            return False
        devices = [self.resolve(each) for each in flat if isinstance(each, torch.device)]
        target = devices[0] if devices else None
        if own and target is not None and kwargs.get("device", CPU).type == "meta":
            target = own[0].device
        if not own and (target is None or target.type != "cuda"):
            return self._run_on_host(func, name, args, kwargs)
        if name == "to":  # arrives whole in inference mode
            with self.mode:
                return func.decompose(*args, **kwargs)
        index = target.index if target is not None and target.type == "cuda" else own[0].index
        if index >= self.num_devices:
            raise RuntimeError("CUDA error: invalid device ordinal")
        if name not in ANY_DEVICE:
            self._check_devices(func, name, flat, own, args)
        self._count_waits(func, name, args, kwargs, target)

        known = {id(_plain(each)): each for each in flat if isinstance(each, Tensor)}
        plain_args, plain_kwargs = _map(_plain, args), _map(_plain, kwargs)
        plain_kwargs |= {"pin_memory": False} if kwargs.get("pin_memory") else {}
        found = func(*plain_args, **plain_kwargs)
        self._count_launch(func, name, found, flat)
        if target is not None and target.type == "cpu":
            return self._send(found) if kwargs.get("non_blocking") else found

        def wrap(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            wrapper = known.get(id(value))  # in place, or out=
            assert wrapper is None or wrapper.shape == value.shape, f"{func} reshapes in place"
            return self.wrap(value, index) if wrapper is None else wrapper

        return _map(wrap, found)

    def _send(self, numbers: Tensor) -> Tensor:
        """Return pinned memory in which the numbers will arrive."""
        target = self.pin(torch.full_like(numbers, 85))
        self._on_its_way.append((target, numbers))
        return target

    def wrap(self, value: Tensor, index: int) -> CudaTensor:
        """Return a tensor as one of a GPU; its memory counts until the last tensor is gone."""
        storage, self.is_initialized = value.untyped_storage(), True
        address, num_bytes = storage.data_ptr(), storage.nbytes()
        if num_bytes and address not in self._storages:
            if self.capacity is not None and self.live[index] + num_bytes > self.capacity:
                raise torch.OutOfMemoryError(f"CUDA out of memory. Tried to allocate {num_bytes} B")
            self._storages[address] = [num_bytes, 0, index]
            self.live[index] += num_bytes
            self.peak[index] = max(self.peak[index], self.live[index])
            for counts in self._counting:
                counts.peak_bytes = max(counts.peak_bytes, self.live[index])
        with torch.inference_mode(value.is_inference()):  # may differ for views of parameters
            wrapper = CudaTensor(value, index, self)
        if num_bytes:
            self._storages[address][1] += 1
            weakref.finalize(wrapper, self._release, address).atexit = False
        return wrapper

    def _release(self, address: int) -> None:
        entry = self._storages[address]
        entry[1] -= 1
        if entry[1] == 0:
            self.live[entry[2]] -= entry[0]
            del self._storages[address]

    def _run_on_host(self, func: Any, name: str, args: Any, kwargs: Any) -> Any:
        if name == "_pin_memory":
            return self.pin(args[0])
        if kwargs.get("pin_memory"):
            return self.pin(func(*args, **kwargs | {"pin_memory": False}))
        return func(*args, **kwargs)

    def _check_devices(self, func: Any, name: str, flat: Any, own: Any, args: Any) -> None:
        indices = sorted({each.index for each in own})
        if len(indices) > 1:
            raise DeviceMixUp(name, *(f"cuda:{index}" for index in indices))
        on_host = [x for x in flat if isinstance(x, Tensor) and not isinstance(x, CudaTensor)]
        if not on_host or not own:
            return
        if name in INDEXING:
            value = args[2] if len(args) > 2 else None
            has_far_value = any(value is each and value.dim() for each in on_host)
            if any(args[0] is each for each in on_host) or has_far_value:
                raise DeviceMixUp(name, own[0].device, "cpu")
            if any(each is not value for each in on_host):  # indices may be on the host
                self.count("to GPU", sum(each.nbytes for each in on_host))
            return
        slots = zip(func._schema.arguments, args)  # noqa: B905  # some have their defaults
        written = [x for slot, x in slots if slot.alias_info and slot.alias_info.is_write]
        is_written = any(x is y for x in on_host for y in _leaves(written))
        if is_written or name in NO_CPU_SCALAR or any(each.dim() for each in on_host):
            raise DeviceMixUp(name, own[0].device, "cpu")

    def _count_waits(self, func: Any, name: str, args: Any, kwargs: Any, target: Any) -> None:
        if name in ("_local_scalar_dense", "item"):
            self.count("item", args[0].elem.nbytes)
        elif name in READS_SIZE or (name == "where" and len(args) == 1):
            self.count(name)
        elif func._overloadname in ("Tensor", "self_Tensor") and name == "repeat_interleave":
            if kwargs.get("output_size") is None:
                self.count(name)
        elif name in INDEXING and any(
            isinstance(each, Tensor) and each.dtype in (torch.bool, torch.uint8) for each in args[1]
        ):
            if name == "index" or args[2].dim() > 0:  # else it runs as masked_fill
                self.count("boolean mask")
        elif name == "_to_copy" and target is not None:
            is_async = bool(kwargs.get("non_blocking"))  # torch then pins what it makes
            self._count_copy(args[0], target, is_async=is_async, is_pinned=is_async)
        elif name == "copy_":
            to, source = args[:2]
            is_async = args[2] if len(args) > 2 else kwargs.get("non_blocking")
            is_pinned = to.device == CPU and self.is_pinned(to)
            self._count_copy(source, to.device, is_async=is_async, is_pinned=is_pinned)

    def _count_copy(self, source: Tensor, target: Any, *, is_async: Any, is_pinned: bool) -> None:
        """Count a copy; CUDA may wait in a non-blocking one if the memory is not pinned."""
        size = source.nbytes
        if isinstance(source, CudaTensor) and target.type == "cuda":
            if source.device != target:
                self.count("GPU to GPU", size, waits=False)
            return
        if isinstance(source, CudaTensor):
            kind = "to CPU"
        else:
            kind, is_pinned = "to GPU", self.is_pinned(source)
        is_sent_at_once = is_pinned or (kind == "to GPU" and size <= SMALL_BYTES)
        suffix = ", pinned" * is_pinned + ", async" * bool(is_async)
        self.count(kind + suffix, size, waits=not (is_async and is_sent_at_once))

    def _count_launch(self, func: Any, name: str, found: Any, flat: Any) -> None:
        """Count an operator that makes or changes numbers; views and bare memory are free."""
        if name.startswith(FREE):
            return
        old = {_plain(x).untyped_storage().data_ptr() for x in flat if isinstance(x, Tensor)}
        made = [x for x in _leaves(found) if isinstance(x, Tensor) and x.numel()]
        is_new = any(x.untyped_storage().data_ptr() not in old for x in made)
        if is_new or func._schema.is_mutable:
            for counts in self._counting:
                counts.launches[name] += 1


class _DispatchMode(TorchDispatchMode):
    """Hands every operator to the simulated device."""

    def __init__(self, gpu: PretendGpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.gpu.run(func, args, kwargs or {})


class _FunctionMode(TorchFunctionMode):
    """Handles what never reaches the dispatcher, or reaches it without the numbers."""

    def __init__(self, gpu: PretendGpu) -> None:
        super().__init__()
        self.gpu = gpu

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs, name = dict(kwargs or {}), getattr(func, "__name__", "")
        args = tuple(args)
        if name in ("to", "cuda"):
            args, kwargs = self._move(name, args, kwargs)
            name, func = "to", Tensor.to
        if kwargs.get("device") is not None:
            kwargs["device"] = self._indexed(kwargs["device"])
        if any(isinstance(x, torch.device) and x.type == "meta" for x in (*args, *kwargs.values())):
            with mock.patch.object(self.gpu, "has_meta", True):
                return func(*args, **kwargs)
        if name in ("tensor", "as_tensor") and getattr(kwargs.get("device"), "type", "") == "cuda":
            device = kwargs.pop("device")
            return func(*args, **kwargs).to(device)  # as C++ does: a copy that waits
        this = args[0] if args else None
        if isinstance(this, CudaTensor):
            return self._of_own(func, name, this, args, kwargs)
        return func(*args, **kwargs)

    def _of_own(self, func: Any, name: str, this: CudaTensor, args: Any, kwargs: Any) -> Any:
        if name in ("numpy", "__array__"):
            raise TypeError(
                f"can't convert {this.device} device type tensor to numpy. Use Tensor.cpu() first."
            )
        if name == "new_tensor":
            device = kwargs.pop("device", this.device)
            return torch.tensor(*args[1:], **{"dtype": this.dtype} | kwargs).to(device)
        if name == "to" and not kwargs.get("copy") and kwargs.get("memory_format") is None:
            asked = [*args[1:], *kwargs.values()]
            devices = [each for each in asked if isinstance(each, torch.device)]
            dtypes = [each for each in asked if isinstance(each, torch.dtype)]
            if {*devices, *dtypes} <= {this.device, this.dtype}:
                return this
        if name in ("__getitem__", "__setitem__"):
            indices = args[1] if isinstance(args[1], tuple) else (args[1],)
            upload = [
                torch.tensor(x).to(this.device) if isinstance(x, list) else x for x in indices
            ]
            args = (this, tuple(upload), *args[2:])
        if func == Tensor.data.__get__:  # type: ignore[attr-defined]
            return this.detach()
        if func == Tensor.data.__set__:  # type: ignore[attr-defined]
            this.elem, this.index = args[1].elem, args[1].index
        if name == "tolist":
            return this.cpu().tolist()
        if name == "data_ptr":
            return this.elem.data_ptr()
        return func(*args, **kwargs)

    def _move(self, name: str, args: Any, kwargs: Any) -> Any:
        """Return the arguments of ``to``: devices with their numbers, no tensors as examples."""
        asked, kwargs = list(args[1:]), dict(kwargs)
        if name == "cuda":
            first, *rest = asked or [kwargs.pop("device", None)]
            asked = ["cuda" if first is None else first, *rest]
        other = kwargs.pop("other", None)
        asked += [] if other is None else [other]
        moved: list[Any] = [args[0]]
        for each in asked:
            is_like = isinstance(each, Tensor)
            moved += [each.device, each.dtype] if is_like else [self._indexed(each)]
        return tuple(moved), kwargs

    def _indexed(self, device: Any) -> Any:
        """Return a device with its number, for which C++ would ask the driver."""
        if isinstance(device, int) and not isinstance(device, bool):
            return torch.device("cuda", device)
        if not isinstance(device, str | torch.device):
            return device
        found = torch.device(device)
        return found if found.type == "meta" else self.gpu.resolve(found)


class _Event:
    """torch.cuda.Event on the clock of the host."""

    def __init__(self, gpu: PretendGpu, **_: bool) -> None:
        self.gpu, self.time_s = gpu, 0.0

    def record(self, stream: Any = None) -> None:
        self.time_s = time.perf_counter()

    def synchronize(self) -> None:
        self.gpu.count("event")

    def elapsed_time(self, end: "_Event") -> float:
        return 1000 * (end.time_s - self.time_s)


def _leaves(value: Any) -> list[Any]:
    """Return the arguments of an operator, also those within lists."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return [value]
    return [leaf for each in value for leaf in _leaves(each)]


def _map(function: Callable[[Any], Any], value: Any) -> Any:
    """Apply a function to each argument or result of an operator."""
    if isinstance(value, dict):
        return {key: _map(function, each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_map(function, each) for each in value])
    return function(value)


def _plain(value: Any) -> Any:
    """Return what the CPU computes with."""
    if isinstance(value, CudaTensor):
        return value.elem
    return CPU if isinstance(value, torch.device) else value


def _call_site() -> str:
    """Return the innermost line of this repository, and that of a library which it called."""
    frame: Any = sys._getframe(2)
    library = ""
    while frame is not None:
        path = frame.f_code.co_filename
        where = f"{frame.f_lineno} {frame.f_code.co_name}"
        is_installed = "site-packages" in path
        if path.startswith(ROOT) and not is_installed and path != __file__:
            inner = f" <- {library}" if library else ""
            return f"{path.removeprefix(ROOT + '/')}:{where}{inner}"
        if is_installed and "/torch/" not in path and not library:
            library = f"{path.rpartition('site-packages/')[2]}:{where}"
        frame = frame.f_back
    return library


@contextlib.contextmanager
def _autocast() -> Iterator[None]:
    """Register CUDA's autocast for ``CudaTensor``."""
    library, text = torch.library.Library("aten", "IMPL"), HEADER.read_text()
    for policy in ("LOWER_PRECISION_FP", "FP32", "FP32_SET_OPT_DTYPE", "PROMOTE"):
        macro = text[text.index(f"#define AT_FORALL_{policy}(_)") :]
        lines = re.match(r".*\\\n((?:.*\\\n)*.*\n)", macro)
        assert lines is not None
        for packet, overload in re.findall(r"_\((\w+)(?:, (\w+))?\)", lines[1]):
            op = getattr(getattr(torch.ops.aten, packet, None), overload or "default", None)
            if op is not None:
                name = f"{packet}.{overload}" if overload else packet
                library.impl(name, _cast_kernel(op, policy), "AutocastCUDA", allow_override=True)
    try:
        yield
    finally:
        library._destroy()


def _cast_kernel(op: Any, policy: str) -> Callable[..., Any]:
    has_dtype = any(argument.name == "dtype" for argument in op._schema.arguments)

    def is_eligible(value: Any) -> bool:
        is_own = isinstance(value, CudaTensor) and value.is_floating_point()
        return is_own and value.dtype != torch.double

    def kernel(*args: Any, **kwargs: Any) -> Any:
        low = torch.get_autocast_dtype("cuda")
        to = low if policy == "LOWER_PRECISION_FP" else torch.float32
        if policy == "PROMOTE":
            floats = [x for x in _leaves((args, kwargs)) if is_eligible(x)]
            to = to if any(each.dtype == torch.float32 for each in floats) else low

        def cast(value: Any) -> Any:
            if not is_eligible(value) or value.dtype == to:
                return value
            for counts in value.gpu._counting:
                counts.casts["weight" if getattr(value, "_is_param", False) else "value"] += 1
            return value.to(to)

        with torch._C._ExcludeDispatchKeyGuard(AUTOCAST_KEYS):
            if policy != "FP32_SET_OPT_DTYPE":
                args, kwargs = _map(cast, args), _map(cast, kwargs)
            elif has_dtype and is_eligible(args[0]) and kwargs.get("dtype") is None:
                kwargs["dtype"] = torch.float32
            return op(*args, **kwargs)

    return kernel


@contextlib.contextmanager
def _replace_cuda(gpu: PretendGpu) -> Iterator[None]:
    """Replace what torch, Lightning and transformers ask of ``torch.cuda``."""

    def index_of(device: Any) -> int:
        index = device if isinstance(device, int) else torch.device(device).index
        return gpu.current if index is None else index

    def set_device(device: Any) -> None:
        gpu.current = index_of(device)

    def group(*args: Any) -> Any:
        return {(gpu.resolve(device), dtype): x for (device, dtype), x in grouped(*args).items()}

    shared = {
        "is_available": lambda: True,
        "device_count": lambda: gpu.num_devices,
        "synchronize": lambda device=None: gpu.count("synchronize"),
    }
    cuda = {
        **shared,
        "Event": functools.partial(_Event, gpu),
        "current_stream": lambda device=None: None,
        "is_initialized": lambda: gpu.is_initialized,
        "_lazy_init": lambda: None,
        "current_device": lambda: gpu.current,
        "set_device": set_device,
        "device": lambda device: mock.patch.object(gpu, "current", index_of(device)),
        "get_device_name": lambda device=None: "simulated GPU",
        "get_device_capability": lambda device=None: (9, 0),
        "is_bf16_supported": lambda including_emulation=True: True,
        "empty_cache": lambda: None,
        "manual_seed_all": lambda seed: None,
        "get_rng_state": lambda device="cuda": torch.zeros(16, dtype=torch.uint8),
        "set_rng_state": lambda state, device="cuda": None,
        "is_current_stream_capturing": lambda: False,
    }
    accelerator = {
        **shared,
        "current_stream": lambda device=None: types.SimpleNamespace(is_capturing=lambda: False),
        "current_accelerator": lambda check_available=False: torch.device("cuda"),
    }
    grouped: Any = torch._C._group_tensors_by_device_and_dtype
    replaced: list[tuple[Any, str, Any]] = [
        (torch._C, "_group_tensors_by_device_and_dtype", group),
        (Tensor, "pin_memory", lambda tensor, device=None: gpu.pin(tensor)),
        *((torch.cuda, name, value) for name, value in cuda.items()),
        *((torch.accelerator, name, value) for name, value in accelerator.items()),
    ]
    for name in ("torch.optim.optimizer", "torch.utils._foreach_utils"):
        module = importlib.import_module(name)
        listed = [*module._foreach_supported_types, CudaTensor]
        replaced.append((module, "_foreach_supported_types", listed))
    with contextlib.ExitStack() as stack:
        for where, name, value in replaced:
            stack.enter_context(mock.patch.object(where, name, value))
        yield
