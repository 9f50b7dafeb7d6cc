"""Cost of selectors: parameters, time, and J&F by the number of training videos.

    python benchmarks/cost.py                                 # three selectors, all sizes: hours
    python benchmarks/cost.py word_match --videos 80 320 --seeds 0 1 2

Needs the tracks of ``make results``. Every run is ``train.py`` with the recipe of its selector
(RECIPES in runs.py) on the first n videos of split train. The recipe's number of epochs is kept, so
fewer videos also mean fewer steps. Finished runs below outputs/cost are read, not repeated.

Prints two tables. The first has, for the largest number of videos: trainable parameters; seconds of
``train.py`` an epoch and in all, with validation and start-up (wall clock; a run that was resumed
has none); and milliseconds of one CPU thread to score a video of valid_u for all its sentences,
from object and text tokens in memory, the median over several passes. The second has J&F in
percent, mean and standard deviation over the seeds, at the threshold that is best on tune for that
selector and number of videos.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from runs import (
    RECIPES,
    Training,
    best_threshold,
    evaluate_once,
    figure,
    jf_by_threshold,
    train_once,
)

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
    parser.add_argument("--videos", nargs="+", type=int, default=[80, 160, 320, 640, 1200, 2400])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--out", type=Path, default=Path("outputs/cost"))
    parser.add_argument("--overrides", nargs="+", default=[], help="such as data_root=...")
    options = parser.parse_args()
    names = options.selectors or SELECTORS
    if unknown := set(names) - set(RECIPES):
        parser.error(f"selectors: expected some of {', '.join(RECIPES)}, got {sorted(unknown)}")
    torch.set_num_threads(1)
    trainings = {
        (name, num_videos): [_train(name, num_videos, seed, options) for seed in options.seeds]
        for name in names
        for num_videos in options.videos
    }
    largest = max(options.videos)
    print(f"{largest} training videos, seeds {options.seeds}\n")
    print("| selector | parameters | s an epoch | s in all | ms to score a video |")
    print("|---|---|---|---|---|")
    for name in names:
        _print_cost(name, trainings[name, largest], _folder(name, largest, options), options)
    print(f"\nJ&F by training videos, seeds {options.seeds}\n")
    print("| selector | split |", " | ".join(map(str, options.videos)), "|")
    print("|---|---|" + "---|" * len(options.videos))
    for name in names:
        _print_curve(name, options)


def _folder(name: str, num_videos: int, options: argparse.Namespace) -> Path:
    return Path(options.out, name, f"{num_videos}_videos")


def _train(name: str, num_videos: int, seed: int, options: argparse.Namespace) -> Training:
    words = (*RECIPES[name].words, f"seed={seed}", f"data.max_videos={num_videos}")
    folder = _folder(name, num_videos, options) / f"seed_{seed}"
    return train_once(folder, *words, *options.overrides)


def _print_cost(
    name: str, trainings: Sequence[Training], folder: Path, options: argparse.Namespace
) -> None:
    known = [(each.seconds, each.epochs) for each in trainings if each.seconds is not None]
    per_epoch = [seconds / epochs for seconds, epochs in known]
    in_all = [seconds for seconds, _ in known]
    ckpt_path = folder / f"seed_{options.seeds[0]}" / "best.ckpt"
    num_parameters, score_s = _measure_scoring(RECIPES[name].dataset, ckpt_path, options.overrides)
    times = [f"{statistics.mean(v):.1f}" if v else "-" for v in (per_epoch, in_all)]
    print(f"| {name} | {num_parameters:,} |", " | ".join(times), f"| {1000 * score_s:.1f} |")


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


def _print_curve(name: str, options: argparse.Namespace) -> None:
    """Print J&F on tune and valid_u by number of videos, at the threshold that is best on tune."""
    rows: dict[str, list[str]] = {"tune": [], "valid_u": []}
    for num_videos in options.videos:
        folder = _folder(name, num_videos, options)
        curves = {
            split: [
                _evaluate(name, folder / f"seed_{seed}", split, options) for seed in options.seeds
            ]
            for split in rows
        }
        threshold = best_threshold(curves["tune"])
        for split, of_seeds in curves.items():
            rows[split].append(figure([curve[threshold] for curve in of_seeds]))
    for split, cells in rows.items():
        print(f"| {name} | {split} |", " | ".join(cells), "|")


def _evaluate(
    name: str, folder: Path, split: str, options: argparse.Namespace
) -> dict[float, float]:
    words = (f"dataset={RECIPES[name].dataset}", f"split={split}", *options.overrides)
    return jf_by_threshold(evaluate_once(folder / "best.ckpt", folder / split, *words))


if __name__ == "__main__":
    main()
