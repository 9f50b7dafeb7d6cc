"""The drawn split of tests/drawn_split.py, in memory and on disk."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import drawn_split as drawn
import numpy as np
import pytest

from sola.config.schema import EvaluateConfig
from sola.evaluation import scored_split
from sola.evaluation.scores import Scores
from sola.evaluation.tracks import TrackSources
from sola.types import Masklet, Tracks, Video


class Reader:
    """Tracks in memory."""

    def __init__(self, masklets: dict[str, tuple[Masklet, ...]], source: str = "grid") -> None:
        self.masklets, self.source = masklets, source
        self.tracks_dir = Path("tracks") / source
        self.index: dict[str, Any] = {"tracker": "tiny", "token_dim": 4, "checkpoint_sha256": "ab"}

    def read(self, video_id: str, expression_id: str = "") -> Tracks:
        return drawn.make_tracks(video_id, self.masklets[video_id], self.source)


@pytest.fixture
def make_reader() -> type[Reader]:
    return Reader


@pytest.fixture
def dataset() -> SimpleNamespace:
    return SimpleNamespace(
        name=drawn.NAME,
        split=drawn.SPLIT,
        has_masks=True,
        videos={video_id: Video(video_id, ()) for video_id in drawn.TRACKS},
        expressions=list(drawn.EXPRESSIONS),
        ground_truth=lambda video_id: drawn.GROUND_TRUTH[video_id],
    )


@pytest.fixture
def sources() -> TrackSources:
    return TrackSources([Reader(drawn.TRACKS)])


@pytest.fixture
def scores() -> Scores:
    """Right for "the small one", "both" and "the green one"; too much for "the large one"."""
    rows = {
        ("v1", "0"): [0.9, 0.1],
        ("v1", "1"): [0.8, 0.6],
        ("v1", "2"): [0.9, 0.7],
        ("v1", "3"): [0.1, 0.2],
        ("v2", "0"): [],
    }
    tracks = {"v1": [{"source": "grid", "number": i} for i in range(2)], "v2": []}
    by_expression = {key: np.array(row, dtype=np.float32) for key, row in rows.items()}
    return Scores(by_expression, tracks, {"dataset": "drawn", "split": "valid_u"})


@pytest.fixture
def evaluate_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``evaluate_config(threshold=0.4, ...)``: the configuration of the drawn split on disk."""
    monkeypatch.setattr(scored_split, "TextTokens", drawn.LetterTokens)
    return lambda **changes: drawn.make_config(EvaluateConfig, tmp_path, **changes)
