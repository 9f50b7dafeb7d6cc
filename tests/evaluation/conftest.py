"""The drawn split of tests/drawn_split.py, in memory and on disk."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import drawn_split as drawn
import numpy as np
import pytest

from sola.config.entry_points import EvaluateConfig
from sola.evaluation import run as evaluation_run
from sola.evaluation.measure import evaluate_expressions
from sola.evaluation.scores import ScoredSplit, Scores
from sola.evaluation.tracks import TrackSources
from sola.types import Masklet, Tracks, Video


class Reader:
    """Tracks in memory, by video id, or by (video id, expression id) for source gdino."""

    def __init__(self, masklets: dict[Any, tuple[Masklet, ...]], source: str = "grid") -> None:
        self.masklets, self.source = masklets, source
        self.is_by_expression = source == "gdino"
        self.tracks_dir = Path("tracks") / source
        self.read_entries: list[tuple[str, str]] = []
        self.index: dict[str, Any] = {"tracker": "tiny", "token_dim": 4, "checkpoint_sha256": "ab"}

    def read(self, video_id: str, expression_id: str = "") -> Tracks:
        self.read_entries.append((video_id, expression_id))
        found = self.masklets[(video_id, expression_id) if self.is_by_expression else video_id]
        return drawn.make_tracks(video_id, found, self.source, expression_id)


@pytest.fixture
def make_reader() -> type[Reader]:
    return Reader


@pytest.fixture
def dataset() -> SimpleNamespace:
    return SimpleNamespace(
        name=drawn.NAME,
        split=drawn.SPLIT,
        protocol="mevis",
        has_masks=True,
        videos={video_id: Video(video_id, ()) for video_id in drawn.TRACKS},
        expressions=list(drawn.EXPRESSIONS),
        ground_truth=lambda video_id: drawn.GROUND_TRUTH[video_id],
    )


@pytest.fixture
def sources() -> TrackSources:
    return TrackSources([Reader(drawn.TRACKS)])


@pytest.fixture
def own_sources() -> TrackSources:
    """The tracks of expressions alone."""
    return TrackSources([Reader(drawn.OWN_TRACKS, "gdino")])


def make_scores(rows: dict[tuple[str, str], tuple[tuple[int, ...], dict[str, list[float]]]]):
    """``{(video id, expression id): (tracks, {id of a text: its scores})}`` as ``Scores``."""
    by_expression = {
        key: {
            e: dict(zip(tracks, np.array(row, np.float32).tolist(), strict=True))
            for e, row in by_text.items()
        }
        for key, (tracks, by_text) in rows.items()
    }
    tracks = {"v1": [{"source": "grid", "number": i} for i in range(2)], "v2": []}
    return Scores(by_expression, tracks)


@pytest.fixture
def scores() -> Scores:
    """Right for "the small one", "both" and "the green one"; too much for "the large one"."""
    rows = {"0": [0.9, 0.1], "1": [0.8, 0.6], "2": [0.9, 0.7], "3": [0.1, 0.2]}
    others = {"0": {"1": rows["1"]}, "1": {"0": rows["0"]}}
    of_v1 = {("v1", e): ((0, 1), {e: row} | others.get(e, {})) for e, row in rows.items()}
    return make_scores({**of_v1, ("v2", "0"): ((), {"0": []})})


@pytest.fixture
def own_scores() -> Scores:
    """Of ``own_sources``: right for "the small one" alone; under the text of another wrong too."""
    return make_scores(
        {
            ("v1", "0"): ((0,), {"0": [0.9], "1": [0.1]}),
            ("v1", "1"): ((), {"1": [], "0": []}),
            ("v1", "2"): ((1, 2), {"2": [0.9, 0.1]}),
            ("v1", "3"): ((3,), {"3": [0.9]}),
            ("v2", "0"): ((0,), {"0": [0.1]}),
        }
    )


def evaluate(dataset: Any, sources: Any, scores: Scores, threshold: float = 0.5, **options: Any):
    """Results of all expressions."""
    split = ScoredSplit(dataset, sources, scores, {})
    return evaluate_expressions(split, threshold=threshold, **options)


@pytest.fixture(name="evaluate")
def evaluate_fixture() -> Callable[..., Any]:
    return evaluate


@pytest.fixture
def evaluate_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """``evaluate_config(threshold=0.4, ...)``: the configuration of the drawn split on disk."""
    monkeypatch.setattr(evaluation_run, "TextTokens", drawn.LetterTokens)
    return lambda **changes: drawn.make_config(EvaluateConfig, tmp_path, **changes)
