"""The drawn split of tests/drawn_split.py, on disk."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import drawn_split as drawn
import pytest

from sola.config.entry_points import PredictConfig
from sola.evaluation import run as evaluation_run


@pytest.fixture
def predict_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``predict_config(threshold=0.4, ...)``: the configuration of the drawn split on disk."""
    monkeypatch.setattr(evaluation_run, "TextTokens", drawn.LetterTokens)
    return lambda **changes: drawn.make_config(PredictConfig, tmp_path, **changes)
