"""Program ``sola info``: print versions, devices, caches and tracks, for bug reports."""

import json
import platform
import shutil
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

PACKAGES = (
    *("torch", "torchvision", "pytorch-lightning", "hydra-core", "omegaconf", "transformers"),
    *("sam2", "rf-groundingdino", "h5py", "torchmetrics", "huggingface_hub", "wandb", "numpy"),
)
DISTRIBUTION = "sola-rvos"


def show_info(words: Sequence[str]) -> None:
    """Print versions, devices, caches and tracks.

    Args:
        words: ``data_root=...``; the default is data in the working folder.
    """
    roots = [word.partition("=")[2] for word in words if word.startswith("data_root=")]
    data_root = Path(roots[-1] if roots else "data")
    lines = [
        f"sola {_version(DISTRIBUTION)}, Python {platform.python_version()}, {platform.platform()}",
        ", ".join(f"{name} {_version(name)}" for name in PACKAGES),
        *_devices(),
        f"working folder {Path.cwd()}, {shutil.disk_usage(Path.cwd()).free / 2**30:.0f} GiB free",
        *_caches(data_root),
        *_tracks(data_root),
    ]
    sys.stdout.write("\n".join([*lines, ""]))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "(not installed)"


def _devices() -> list[str]:
    import torch

    threads = f"CPU: {torch.get_num_threads()} threads"
    if not torch.cuda.is_available():
        return [f"{threads}; no CUDA device"]
    names = [torch.cuda.get_device_name(idx) for idx in range(torch.cuda.device_count())]
    return [f"{threads}; CUDA {torch.version.cuda}: {', '.join(names)}"]


def _caches(data_root: Path) -> list[str]:
    from huggingface_hub.constants import HF_HUB_CACHE

    text = sorted(path.name for path in (data_root / "text").glob("*/"))
    return [
        f"model hub cache {HF_HUB_CACHE}: {'exists' if Path(HF_HUB_CACHE).is_dir() else 'empty'}",
        f"text tokens in {data_root / 'text'}: {', '.join(text) or 'none'}",
    ]


def _tracks(data_root: Path) -> list[str]:
    root = data_root / "tracks"
    lines = [f"tracks in {root}:"]
    for path in sorted(root.glob("*/*/*/*/index.json")):
        name = path.parent.relative_to(root)
        try:
            entries = json.loads(path.read_text())["entries"].values()
            count = sum(entry["num_tracks"] for entry in entries)
            lines.append(f"  {name}: {len(entries)} entries, {count} tracks")
        except (OSError, ValueError, KeyError) as error:
            lines.append(f"  {name}: {error}")
    return lines if len(lines) > 1 else [f"{lines[0]} none"]
