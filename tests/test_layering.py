"""Imports point one way: a module imports only from layers with a smaller number than its own."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = {
    "errors": -1,
    "types": 0,
    "files": 0,
    "sealed": 1,
    "weights_file": 1,
    "masks": 1,
    "config": 1,
    "datasets": 2,
    "trackers": 2,
    "shards": 2,
    "text": 2,
    "selector": 2,
    "metrics": 2,
    "prompts": 3,
    "evaluation": 3,
    "published": 3,
    "reporting": 4,
    "generation": 5,
    "training": 5,
    "clip": 6,
}
# Programs (python -m ...), which nothing imports: they stand above the layers.
PROGRAMS = {
    "sola/evaluation/compare.py",
    "sola/reporting/check_submission.py",
    "sola/published/__main__.py",
    "sola/shards/__main__.py",
}
# Heavy packages, and the layers that may import them.
HOMES = {
    "sam2": {"trackers"},
    "transformers": {"text", "prompts"},
    "groundingdino": {"prompts"},
    "wandb": {"training", "reporting"},
    "av": {"clip", "reporting"},
}
HEAVY = {"torch", "torchvision", "torchmetrics", "pytorch_lightning", "sam2", "transformers"}
HEAVY |= {"huggingface_hub", "safetensors", "wandb", "av", "cv2", "h5py", "pycocotools"}
HEAVY |= {"groundingdino", "tensorboard"}

MODULES = sorted(p.relative_to(ROOT).as_posix() for p in (ROOT / "sola").rglob("*.py"))


@pytest.mark.parametrize("path", [m for m in MODULES if m not in PROGRAMS])
def test_a_module_imports_only_from_layers_below_its_own(path):
    own = _layer_of(path)
    for imported in _imports(path):
        parts = imported.split(".")
        if parts[0] != "sola" or parts[1] == own:
            continue
        assert LAYERS[parts[1]] < LAYERS[own], f"{path} imports {imported}"


@pytest.mark.parametrize("path", MODULES)
def test_nothing_imports_a_program(path):
    programs = {p.removesuffix(".py").replace("/", ".") for p in PROGRAMS}

    assert not programs & set(_imports(path))


@pytest.mark.parametrize("path", MODULES)
def test_heavy_packages_are_imported_only_where_they_live(path):
    for imported in _imports(path):
        home = HOMES.get(imported.split(".")[0])
        assert home is None or _layer_of(path) in home, f"{path} imports {imported}"


def test_only_the_package_of_sam2_imports_sam2():
    home = "sola/trackers/sam2/"
    outside = [path for path in MODULES if not path.startswith(home)]

    assert not [path for path in outside if "sam2" in {i.split(".")[0] for i in _imports(path)}]


def test_sam2_is_not_imported_before_weights_are_loaded():
    """Importing sam2 initialises Hydra's global state."""
    modules = "sola.trackers.sam2, sola.generation.run, sola.clip.run, sola.training.run"
    code = f"import sys, {modules}; print('sam2' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["False"]


def test_every_folder_has_its_layer():
    assert {_layer_of(path) for path in MODULES if _layer_of(path)} == set(LAYERS)


@pytest.mark.parametrize("module", ["sola.config", "train", "generate", "evaluate", "predict"])
def test_nothing_heavy_is_imported_before_the_configuration_is_read(module):
    code = f"import sys, {module}; print(*sorted({HEAVY!r} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert loaded.stdout.split() == []


def _layer_of(path: str) -> str:
    """The folder or module just below sola/; "" for sola/__init__.py."""
    name = path.split("/")[1].removesuffix(".py")
    return "" if name == "__init__" else name


def _imports(path: str) -> Iterator[str]:
    """Dotted names of all imports, those inside functions included."""
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            # with the name, as it may be a module: "from sola import masks"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
