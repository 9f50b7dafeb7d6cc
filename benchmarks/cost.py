"""Cost of selectors: parameters, time, and J&F by the number of training videos.

    python benchmarks/cost.py                                 # three selectors, all sizes: hours
    python benchmarks/cost.py word_match --videos 80 320 --seeds 0 1 2

Needs the tracks of ``make results``. Every run is ``train.py`` with the recipe of its selector
(RECIPES in runs.py) on the first n videos of split train. The recipe's number of epochs is kept, so
fewer videos also mean fewer steps. Finished runs below outputs/cost are read, not repeated.

Prints two tables (tables.py), and writes their figures to outputs/results.json. The first has, for
the largest number of videos: trainable parameters; seconds of ``train.py`` an epoch and in all,
with validation and start-up (wall clock of the first seed); and milliseconds of one CPU thread to
score a video of valid_u for all its sentences, from object and text tokens in memory, the median
over several passes. The second has J&F in percent, at the threshold that is best on tune for that
selector and number of videos.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tables
import torch
from runs import RECIPES, Recipe, best_threshold, evaluate_once, jf_by_threshold, train_once

from sola.config import compose
from sola.evaluation.run import open_sources, open_split
from sola.evaluation.scorers import score_tracks
from sola.evaluation.scores import group_by_video
from sola.selector.checkpoint import load_selector
from sola.text import TextTokens

NUM_PASSES = 5
"""Over the split, to measure the time of scoring."""
SELECTORS = ("word_match", "baseline", "small")


def main() -> None:
    """Make the missing runs, and print the tables."""
    parser = argparse.ArgumentParser(description="parameters, time and learning curves")
    parser.add_argument("selectors", nargs="*", help=f"of {', '.join(RECIPES)}")
    parser.add_argument("--videos", nargs="+", type=int, default=[80, 160, 320, 640, 1200])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, default=Path("outputs/cost"))
    parser.add_argument("--figures", type=Path, default=tables.PATH, help="file to write")
    parser.add_argument("--overrides", nargs="+", default=[], help="such as data_root=...")
    options = parser.parse_args()
    names = options.selectors or SELECTORS
    if unknown := set(names) - set(RECIPES):
        parser.error(f"selectors: expected some of {', '.join(RECIPES)}, got {sorted(unknown)}")
    torch.set_num_threads(1)
    for name in names:
        tables.update("cost", name, _measure(name, options), options.figures)
    cost = {name: tables.read(options.figures)["cost"][name] for name in names}
    print(f"{tables.cost_table(cost)}\n\n{tables.curve_table(cost)}")


def _measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of one selector: parameters, times, and J&F by number of videos."""
    recipe, curve = RECIPES[name], {}
    for num_videos in options.videos:
        folders = [
            options.out / name / f"{num_videos}_videos" / f"seed_{seed}" for seed in options.seeds
        ]
        trainings = [
            train_once(
                folder,
                *(*recipe.words, f"seed={seed}", f"data.max_videos={num_videos}"),
                *options.overrides,
            )
            for seed, folder in zip(options.seeds, folders, strict=True)
        ]
        curve[str(num_videos)] = _evaluate(recipe, folders, options.overrides)
    first = trainings[0]
    if first.seconds is None:
        raise SystemExit(f"{folders[0]}: was resumed, so its time is not known. Remove it.")
    parameters, seconds = _measure_scoring(
        recipe.dataset, folders[0] / "best.ckpt", options.overrides
    )
    return {
        "parameters": parameters,
        "seconds": round(first.seconds),
        "seconds_an_epoch": round(first.seconds / first.epochs, 1),
        "ms_a_video": round(1000 * seconds, 1),
        "seeds": options.seeds,
        "curve": curve,
    }


def _evaluate(
    recipe: Recipe, folders: Sequence[Path], overrides: Sequence[str]
) -> dict[str, list[float]]:
    """Return J&F in percent by split and seed, at the threshold that is best on tune."""
    curves = {
        split: [
            jf_by_threshold(
                evaluate_once(
                    folder / "best.ckpt",
                    folder / split,
                    *(f"dataset={recipe.dataset}", f"split={split}"),
                    *overrides,
                )
            )
            for folder in folders
        ]
        for split in tables.BARS
    }
    threshold = best_threshold(curves["tune"])
    return {
        split: [round(100 * curve[threshold], 4) for curve in of_seeds]
        for split, of_seeds in curves.items()
    }


def _measure_scoring(dataset: str, ckpt_path: Path, overrides: Sequence[str]) -> tuple[int, float]:
    """Return trainable parameters, and seconds to score a video of valid_u on one thread."""
    words = [f"dataset={dataset}", "split=valid_u", f"ckpt_path={ckpt_path}", *overrides]
    config = compose("evaluate", [*words, f"paths.output_dir={ckpt_path.parent}"])
    split, sources = open_split(config), open_sources(config)
    selector, _ = load_selector(ckpt_path)
    text = TextTokens(Path(config.paths.data_dir) / "text", config.text_encoder)
    videos = [
        (sources.read(expressions).object_tokens, text.tokens([e.text for e in expressions]))
        for expressions in group_by_video(split.expressions).values()
    ]
    times = []
    for _ in range(NUM_PASSES + 1):  # the first one warms up
        start = time.process_time()
        for object_tokens, texts in videos:
            score_tracks(selector.eval(), object_tokens, texts)
        times.append((time.process_time() - start) / len(videos))
    count = sum(p.numel() for p in selector.parameters() if p.requires_grad)
    return count, statistics.median(times[1:])


if __name__ == "__main__":
    main()
