"""Evaluate the small tracker on held-out scenes: ``python -m tools.small_tracker.evaluate``.

The seeds are never drawn in training. Scenes are drawn once plain (few objects, still backgrounds)
and once as in moving_shapes.
"""

import argparse
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

KINDS = ("plain", "moving_shapes")
logger = logging.getLogger("tools.small_tracker.evaluate")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.small_tracker.evaluate", description=__doc__
    )
    parser.add_argument("--checkpoint", type=Path, help="weights; by default the shipped ones")
    parser.add_argument("--out", type=Path, default=Path("outputs/small_tracker_figures.json"))
    parser.add_argument("--processes", type=int, default=2, help="processes of one thread each")
    parser.add_argument(
        "--clips",
        type=int,
        default=40,
        help="scenes for track IoU and the grid; the other counts follow",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and write the figures."""
    import multiprocessing

    options = parse_arguments(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    os.environ["OMP_NUM_THREADS"] = "1"
    jobs = [
        _Job(options.checkpoint, kind, name, options.clips)
        for kind in KINDS
        for name in ("probes", "grid", "four_objects", "tracking")
    ]
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        answers = pool.map(_measure, jobs, chunksize=1)
    figures: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for job, answer in zip(jobs, answers, strict=True):
        figures[job.kind].update(answer)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(figures, indent=2) + "\n")
    for kind, values in figures.items():
        logger.info("%s: %s", kind, json.dumps(values))


@dataclass(frozen=True)
class _Job:
    """One group of figures on one kind of scene."""

    checkpoint: Path | None
    kind: str
    name: str
    clips: int


def _measure(job: _Job) -> dict[str, Any]:
    """Return the figures of one job; runs in its own process."""
    import torch

    from sola.datasets.moving_shapes import scene
    from tools.small_tracker.clips import PLAIN, ClipSource, Vocabulary
    from tools.small_tracker.model import (
        WEIGHTS_PATH,
        build_small_tracker,
        mask_generator_options,
    )

    torch.set_num_threads(1)
    model = build_small_tracker(job.checkpoint or WEIGHTS_PATH)
    settings = scene.SceneSettings(**PLAIN) if job.kind == "plain" else scene.SceneSettings()
    if job.name == "four_objects":
        settings = replace(settings, min_objects=4, max_objects=4)
    vocabulary = Vocabulary(scene.SHAPES, tuple(scene.COLOURS), scene.MOTIONS)
    source = ClipSource(scene.make_scene, settings, settings, vocabulary)

    def draw(seed: int, indices: Sequence[int]) -> Any:
        return source.draw(seed, indices, is_easy=True)

    if job.name == "grid":
        return _grid(model, draw, job.clips, mask_generator_options())
    return _probes(model, draw, job.clips) if job.name == "probes" else _tracking(model, draw, job)


def _tracking(model: Any, draw: Any, job: _Job) -> dict[str, Any]:
    from tools.small_tracker.held_out import HELD_OUT_SEEDS, track_clips

    number = job.clips // 2 if job.name == "four_objects" else job.clips
    first = HELD_OUT_SEEDS["tracking"]
    tracked = track_clips(model, draw, range(first, first + number))
    absent = tracked.iou[~tracked.is_visible]
    prefix = "four_object_" if job.name == "four_objects" else ""
    return {
        f"{prefix}track_iou": round(float(tracked.track_iou.mean()), 4),
        f"{prefix}tracks": len(tracked.track_iou),
        f"{prefix}iou_at_frame_1": round(float(tracked.iou[:, 1].mean()), 4),
        f"{prefix}iou_at_last_frame": round(float(tracked.iou[:, -1].mean()), 4),
        f"{prefix}absent_frames": len(absent),
        f"{prefix}absent_frames_left_empty": int(absent.sum()),
    }


def _grid(model: Any, draw: Any, clips: int, options: dict[str, Any]) -> dict[str, Any]:
    from tools.small_tracker.held_out import HELD_OUT_SEEDS, grid_figures

    first = HELD_OUT_SEEDS["grid"]
    figures = grid_figures(model, draw, range(first, first + clips * 3 // 4), options)
    return {f"grid_{name}": round(value, 4) for name, value in figures.items()}


def _probes(model: Any, draw: Any, clips: int) -> dict[str, Any]:
    from tools.small_tracker.held_out import HELD_OUT_SEEDS, track_clips
    from tools.small_tracker.probes import majority_figures, probe_figures

    train_first, test_first = HELD_OUT_SEEDS["probe_train"], HELD_OUT_SEEDS["probe_test"]
    train = track_clips(model, draw, range(train_first, train_first + clips * 8))
    test = track_clips(model, draw, range(test_first, test_first + clips * 5 // 2))
    figures = {f"probe_{name}": round(v, 4) for name, v in probe_figures(train, test).items()}
    majority = {f"majority_{n}": round(v, 4) for n, v in majority_figures(test.labels).items()}
    return {**figures, **majority}


if __name__ == "__main__":
    main()
