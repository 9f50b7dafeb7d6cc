"""Quality of answers without training: a detector's scores, compared with the best tracks.

    python benchmarks/detection.py                # split valid_u of moving_shapes_large
    python benchmarks/detection.py --split tune

The detector is that of docs/adding_a_detector.md: it knows the eight colours. It answers the
sentences that name one object by its colour only ("the red thing"), with the small tracker and
``selector=detection``. The bar compares its J&F with the oracle's, the best choice among the
tracks of the grid, on the same sentences.

Prints J&F of both, how often each number of tracks is selected, and the line
``ratio detection_over_oracle <value> bar <value>``.
"""

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sola.config import compose
from sola.config.entry_points import GenerateConfig
from sola.datasets import Split
from sola.datasets.moving_shapes.expressions import NOUNS
from sola.datasets.moving_shapes.scene import COLOURS
from sola.evaluation.measure import ExpressionResult, evaluate_expressions
from sola.evaluation.scorers import DetectionScorer, Scorer
from sola.evaluation.scores import ScoredSplit, score_expressions
from sola.evaluation.tracks import TrackSources, VideoTracks
from sola.generation.run import make_recipe, make_tracks
from sola.prompts import DetectorBoxes, PromptSource, TrackingRule
from sola.shards import ShardReader
from sola.types import Expression, Video

DATASET = ("dataset=moving_shapes_large", "prompt_source=grid")
OPTIONS: dict[str, Any] = {"frame_stride": 4, "box_threshold": 0.2, "stability_threshold": 0.5}
"""Options of the detector's prompt source."""
BAR = 0.8
PAGE = Path(__file__).parents[1] / "docs" / "adding_a_detector.md"
CODE = re.compile(r"`my_code/colour_words.py`:\n\n```python\n(.*?)```", re.DOTALL)
WORDS = {"the", "a", "an", "that", "is", *NOUNS, *COLOURS}
"""Words of a sentence about a colour only."""


def main() -> None:
    """Measure the split that the command line names."""
    parser = argparse.ArgumentParser(description="quality of answers without training")
    parser.add_argument("--split", default="valid_u", choices=("valid_u", "tune"))
    parser.add_argument("--data-root", default="data")
    given = parser.parse_args()
    folders = (f"data_root={given.data_root}", "paths.output_dir=outputs/detection")
    config = compose("generate", [*DATASET, f"split={given.split}", *folders])
    config.dataset.make(given.split)
    dataset = config.dataset.open(given.split)
    dataset.expressions = [e for e in dataset.expressions if _is_about_colour(e)]
    with tempfile.TemporaryDirectory() as folder:
        tracks = _make_tracks(config, dataset, config.prompt_source, Path(folder))
        oracle = _measure(dataset, tracks, _NoScores())
        tracks = _make_tracks(config, dataset, _colour_words(), Path(folder))
        detection = _measure(dataset, tracks, DetectionScorer())
    print(f"{given.split}: {len(dataset.expressions)} sentences about a colour")
    _show("oracle among grid tracks", oracle, "oracle")
    _show("oracle among the detector's tracks", detection, "oracle")
    _show("selector=detection", detection, "selection")
    num_selected = Counter(len(result.answers["selection"].selected) for result in detection)
    print(f"tracks selected: {dict(sorted(num_selected.items()))}")
    ratio = _mean(detection, "selection") / _mean(oracle, "oracle")
    print(f"ratio detection_over_oracle {ratio:.3f} bar {BAR}")


def _is_about_colour(expression: Expression) -> bool:
    return expression.kind == "appearance" and set(expression.text.split()) <= WORDS


def _colour_words() -> PromptSource:
    """Return the prompt source of the page: its detector's code, run as it stands there."""
    found = CODE.search(PAGE.read_text())
    assert found, "the page shows the detector"
    names: dict[str, Any] = {"__name__": "my_code.colour_words"}
    exec(compile(found[1], str(PAGE), "exec"), names)
    rule = TrackingRule(max_tracks=16)
    return DetectorBoxes(names["ColourWords"](), name="colour_words", rule=rule, **OPTIONS)


def _make_tracks(
    config: GenerateConfig, dataset: Split, source: PromptSource, folder: Path
) -> TrackSources:
    recipe = make_recipe(source, config)
    make_tracks(recipe, dataset, folder, folder / source.name, config.trainer, may_be_empty=True)
    return TrackSources([ShardReader(folder / source.name)])


def _measure(dataset: Split, sources: TrackSources, scorer: Scorer) -> list[ExpressionResult]:
    scores = score_expressions(scorer, sources, dataset.expressions)
    split = ScoredSplit(dataset, sources, scores, {}, scorer.threshold)
    return evaluate_expressions(split, threshold=split.threshold)


def _mean(results: list[ExpressionResult], answer: str) -> float:
    return mean(result.answers[answer].score.jf for result in results)


def _show(what: str, results: list[ExpressionResult], answer: str) -> None:
    j = mean(result.answers[answer].score.j for result in results)
    print(f"{what}: J&F {100 * _mean(results, answer):.1f}, J {100 * j:.1f}")


class _NoScores(Scorer):
    """For the oracle, which needs no scores."""

    def describe(self) -> dict[str, Any]:
        """See ``Scorer.describe``."""
        return {}

    def score(
        self,
        tracks: VideoTracks,
        candidates: Sequence[int],
        expressions: Sequence[Expression],
        video: Video | None,
    ) -> NDArray[np.float32]:
        """See ``Scorer.score``."""
        return np.zeros((len(expressions), len(candidates)), np.float32)


if __name__ == "__main__":
    main()
