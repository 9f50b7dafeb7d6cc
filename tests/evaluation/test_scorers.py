"""A scorer that needs no training: evaluation, prediction and the report work with it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import drawn_split as drawn
import numpy as np
import pytest

from sola.config.entry_points import EvaluateConfig, PredictConfig
from sola.config.targets import Later
from sola.errors import UserError
from sola.evaluation.run import run_evaluation
from sola.evaluation.scorers import Scorer
from sola.evaluation.tracks import VideoTracks
from sola.prediction.run import run_predict
from sola.types import Expression, Video
from sola.visualization.report import write_report


class LargestTrack(Scorer):
    """1 for the track with the largest prompt, 0 for the others."""

    reads_any_text = False

    def describe(self) -> dict[str, Any]:
        return {"name": "largest"}

    def score(
        self,
        tracks: VideoTracks,
        candidates: Sequence[int],
        expressions: Sequence[Expression],
        video: Video | None,
    ) -> np.ndarray:
        assert video is not None
        areas = [tracks.prompts[idx].area for idx in candidates]
        row = [float(area == max(areas)) for area in areas]
        return np.array([row] * len(expressions), np.float32).reshape(len(expressions), len(row))


def config(schema: Any, folder: Path, **changes: Any) -> Any:
    node = Later({"_target_": "sola.evaluation.scorers.Scorer"}, "selector")
    made = drawn.make_config(schema, folder, selector=node, ckpt_path=None, **changes)
    made.selector = LargestTrack
    return made


def test_evaluation_and_report_work_with_a_scorer_without_training(tmp_path: Path) -> None:
    made = config(EvaluateConfig, tmp_path, report=True)
    split, evaluation = run_evaluation(made)

    by_id = {(e["video"], e["expression"]): e for e in evaluation["expressions"]}
    large = by_id["v1", "1"]["answers"]["selection"]  # "the large one"
    assert large["J"] == 1
    assert evaluation["scorer"] == {"name": "largest"}
    page = write_report(tmp_path, split, evaluation)
    assert page.is_file()


def test_prediction_works_with_a_scorer_without_training(tmp_path: Path) -> None:
    path = run_predict(config(PredictConfig, tmp_path))

    written = json.loads(path.read_text())
    assert written["expressions"][0] == {"video": "v1", "expression": "0", "tracks": [1]}
    assert written["scorer"] == {"name": "largest"}


def test_trained_selector_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ckpt_path"):
        drawn.make_config(EvaluateConfig, tmp_path, ckpt_path=None)
