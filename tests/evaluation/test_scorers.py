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
from sola.evaluation.scorers import DetectionScorer, Scorer
from sola.evaluation.tracks import VideoTracks
from sola.masks import encode
from sola.prediction.run import run_predict
from sola.types import DetectionEvidence, Expression, Masklet, Prompt, Video
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


def test_track_found_on_every_frame_beats_track_found_once() -> None:
    visible, empty = encode(np.ones((1, 2, 2), bool)), encode(np.zeros((1, 2, 2), bool))
    always, once, absent = visible * 5, visible * 5, visible + empty * 4
    tracks = drawn_tracks([always, once, absent], [[0.5, 0.6, 0.4], [0.9, 0, 0], [0.8, 0, 0]])
    expression = Expression("v1", "0", "the dog", None)

    scores = DetectionScorer().score(tracks, (0, 2, 1), [expression], None)

    # frames 0, 2 and 4 are searched; a track visible on one of them counts as visible on 3
    np.testing.assert_allclose(scores, [[1.5 / 3, 0.8 / 3, 0.9 / 3]], rtol=1e-6)


def test_tracks_without_evidence_are_refused() -> None:
    masklet = encode(np.ones((5, 2, 2), bool))
    tracks = drawn_tracks([masklet], [None])

    with pytest.raises(UserError, match="sources"):
        DetectionScorer().score(tracks, (0,), [Expression("v1", "0", "the dog", None)], None)


def drawn_tracks(masklets: list[Masklet], rows: list[list[float] | None]) -> VideoTracks:
    """Tracks of 5 frames with their evidence on frames 0, 2 and 4; None: no evidence."""
    frame_idxs = (0, 2, 4)
    evidence = tuple(
        None if row is None else DetectionEvidence(frame_idxs, np.array([row], np.float32))
        for row in rows
    )
    prompts = tuple(Prompt(0, masklet[0], 4, "gdino") for masklet in masklets)
    num_tracks = len(masklets)
    return VideoTracks(
        video_id="v1",
        object_tokens=np.zeros((num_tracks, 5, 0), np.float32),
        masklets=tuple(masklets),
        prompts=prompts,
        made_for=("0",) * num_tracks,
        candidates={"0": tuple(range(num_tracks))},
        size=(2, 2),
        evidence=evidence,
    )


def test_trained_selector_needs_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="ckpt_path"):
        drawn.make_config(EvaluateConfig, tmp_path, ckpt_path=None)
