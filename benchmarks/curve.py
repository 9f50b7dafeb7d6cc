"""Cost of J&F at every threshold, compared with one threshold; one core, one run.

    python benchmarks/curve.py             # the tracks and the checkpoint of make demo
    python benchmarks/curve.py CKPT_PATH   # another checkpoint of moving_shapes

Both sides measure split valid_u: selection, oracle and the other answers of evaluate.py. One side
computes J and F of the selection only at the threshold 0.5. The other traces the curve of every
expression, and then reads off 99 thresholds and the best one. "measuring" starts with all tracks
and scores in memory; "evaluation" includes scoring with the checkpoint. Also printed: the curves
against one union per expression, without oracle and other answers, and the largest difference of
any of the 99 means from one computed at its threshold only.

Prints CPU seconds, the minimum of three runs, and one line per figure,
``ratio <name> <value> bar <value>``.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar
from unittest import mock

import numpy as np
import torch

from sola.config import compose
from sola.evaluation import curve as curve_module
from sola.evaluation import measure
from sola.evaluation.curve import CURVE_THRESHOLDS, Curve, Scored
from sola.evaluation.measure import VideoTask
from sola.evaluation.run import open_sources, open_split, score_split
from sola.evaluation.scores import group_by_video
from sola.evaluation.summary import summarise
from sola.evaluation.video_scorer import VideoScorer

RATIO_BAR = 3.0
THRESHOLD = 0.5
T = TypeVar("T")


def main() -> None:
    """Measure the checkpoint that the command line names."""
    parser = argparse.ArgumentParser(description="cost of J&F at every threshold")
    parser.add_argument("ckpt_path", nargs="?", default="outputs/demo/best.ckpt", type=Path)
    ckpt_path = parser.parse_args().ckpt_path
    if not ckpt_path.exists():
        print(f"{ckpt_path}: not there. Run make demo first.")
        return
    torch.set_num_threads(1)
    start = time.process_time()
    tasks = _read(ckpt_path)
    score_s = time.process_time() - start
    num_expressions = sum(len(task.expressions) for task in tasks)
    curve_s, results = _timed(lambda: [r for task in tasks for r in task.run()])
    with mock.patch.object(measure, "trace", _at_one_threshold):
        one_s, _ = _timed(lambda: [r for task in tasks for r in task.run()])
    alone_s, _ = _timed(lambda: _select(tasks, curve_module.trace))
    unions_s, _ = _timed(lambda: _select(tasks, _at_one_threshold))
    read_s, summary = _timed(lambda: summarise(results))
    print(f"{num_expressions} expressions of {len(tasks)} videos; CPU seconds")
    print(f"tracks, checkpoint and scores: {score_s:.2f}")
    print(f"measuring at one threshold {one_s:.2f}, at all {curve_s:.2f}")
    print(f"selection alone: one union {unions_s:.2f}, all thresholds {alone_s:.2f}")
    print(f"99 thresholds, the best one and all means read off: {read_s:.3f}")
    print(f"largest difference: {_difference(tasks, summary['curve']):.1e}")
    whole = (score_s + curve_s + read_s) / (score_s + one_s)
    print(f"ratio curve_over_measuring {curve_s / one_s:.2f} bar {RATIO_BAR}")
    print(f"ratio curve_over_evaluation {whole:.2f} bar {RATIO_BAR}")


def _read(ckpt_path: Path) -> list[VideoTask]:
    """Read the input of the measurement as evaluate.py does, but without other texts."""
    folder = f"paths.output_dir={ckpt_path.parent / 'curve'}"
    config = compose("evaluate", ["dataset=moving_shapes", f"ckpt_path={ckpt_path}", folder])
    dataset, sources = open_split(config), open_sources(config)
    scores = score_split(config, dataset, sources).scores
    return [
        VideoTask(
            where=video_id,
            video=sources.read(expressions),
            ground_truth=dataset.ground_truth(video_id),
            expressions=expressions,
            scores=scores,
            threshold=THRESHOLD,
        )
        for video_id, expressions in group_by_video(dataset.expressions).items()
    ]


def _at_one_threshold(scorer: VideoScorer, scored: Sequence[Scored]) -> list[Curve]:
    """Replace ``trace``: score one union per expression, and use it for every threshold."""
    curves = []
    for each in scored:
        pairs = zip(each.tracks, each.scores, strict=True)
        selected = [idx for idx, score in pairs if score > THRESHOLD]
        score = scorer.score(selected, each.object_ids)
        curves.append(Curve((), (score,)))
    return curves


def _select(
    tasks: Sequence[VideoTask], trace: Callable[[VideoScorer, list[Scored]], list[Curve]]
) -> None:
    for task in tasks:
        trace(VideoScorer(task.video.masklets, task.ground_truth), _scored(task))


def _scored(task: VideoTask) -> list[Scored]:
    rows = [(e, task.scores.row(e)) for e in task.expressions]
    return [Scored(tuple(row), tuple(row.values()), e.object_ids or ()) for e, row in rows]


def _difference(tasks: Sequence[VideoTask], curve: Sequence[dict[str, float]]) -> float:
    """Return the largest difference from J&F computed at each of 99 thresholds separately."""
    scorers = [VideoScorer(task.video.masklets, task.ground_truth) for task in tasks]
    differences = []
    for threshold, point in zip(CURVE_THRESHOLDS, curve, strict=True):
        found = []
        for task, scorer in zip(tasks, scorers, strict=True):
            for e in task.expressions:
                selected = task.scores.select(e, threshold)
                found.append(scorer.score(selected, e.object_ids or ()).jf)
        differences.append(abs(float(np.mean(found)) - point["J&F"]))
    return max(differences)


def _timed(function: Callable[[], T]) -> tuple[float, T]:
    """Return CPU seconds, the minimum of three runs, and the result."""
    times = []
    for _ in range(3):
        start = time.process_time()
        value = function()
        times.append(time.process_time() - start)
    return min(times), value


if __name__ == "__main__":
    main()
