"""The drawn split of tests/drawn_split.py, on disk."""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sola.config.schema import PredictConfig
from sola.evaluation import scored_split


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


drawn = _load(Path(__file__).parents[1] / "drawn_split.py")


@pytest.fixture
def predict_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``predict_config(threshold=0.4, ...)``: the configuration of the drawn split on disk."""
    monkeypatch.setattr(scored_split, "TextTokens", drawn.LetterTokens)
    return lambda **changes: drawn.make_config(PredictConfig, tmp_path, **changes)
