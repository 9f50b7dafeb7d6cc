"""Imports point one way, and nothing heavy is imported before it is needed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = {"torch", "torchvision", "torchmetrics", "pytorch_lightning", "sam2", "transformers"}
HEAVY |= {"huggingface_hub", "safetensors", "wandb", "av", "cv2", "h5py", "pycocotools"}
HEAVY |= {"groundingdino", "tensorboard", "matplotlib"}


def test_modules_import_only_from_layers_below() -> None:
    # a process of its own: import-linter disables other loggers
    words = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    checked = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stdout


def test_entry_points_import_nothing_heavy() -> None:
    modules = "sola.config, sola.cli, train, generate, evaluate, predict"
    code = f"import sys, {modules}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert loaded.stdout.split() == []
