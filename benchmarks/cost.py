r"""Cost of selectors: parameters, time, and J&F by the number of training videos.

    python benchmarks/cost.py                                 # all selectors and sizes: hours
    python benchmarks/cost.py word_match --videos 80 320 --seeds 0 1 2
    python benchmarks/cost.py --videos 8 16 --splits valid_u --overrides dataset=moving_shapes \
        data.train_sources=[gt] trainer.max_epochs=1          # minutes, after make demo

Needs the tracks of ``make results``. Every run is ``train.py`` with the recipe of its selector on
the first n videos of split train, then ``evaluate.py`` on tune and valid_u with its best.ckpt.
The recipe's number of epochs is kept, so fewer videos also mean fewer steps. Finished runs below
outputs/cost are read, not repeated.

Prints two tables. The first has, for the largest number of videos: trainable parameters; seconds of
``train.py`` an epoch and in all, with validation and start-up (wall clock; a run that was resumed
has none); and milliseconds of one CPU thread to score a video of valid_u for all its sentences,
from object and text tokens in memory, the median over several passes. The second has J&F in
percent, mean and standard deviation over the seeds.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from runs import RECIPES, call, evaluate_once, figure

from sola.config import compose
from sola.evaluation.run import open_sources, open_split
from sola.evaluation.scorers import score_tracks
from sola.evaluation.scores import group_by_video
from sola.selector.checkpoint import load_selector
from sola.text import TextTokens
from sola.weights_file import read_weights

OF_EVALUATION = ("dataset", "data_root", "tracker", "text_encoder", "num_threads")
"""First parts of the overrides that evaluate.py is given too."""
NUM_PASSES = 5
"""Over the split, to measure the time of scoring."""
DATASET = "moving_shapes_large"
SELECTORS = ("word_match", "baseline", "small_motion")
COST_FILE = "cost.json"
"""Written when a training has ended."""


@dataclass(frozen=True)
class Run:
    """A finished training and its evaluations."""

    folder: Path
    epochs: int
    seconds: float | None
    """Of train.py; None for a run that was resumed."""
    jf: dict[str, float]
    """J&F in [0, 1] by split."""


def main() -> None:
    """Make the missing runs, and print the tables."""
    parser = argparse.ArgumentParser(description="parameters, time and learning curves")
    parser.add_argument("selectors", nargs="*", help=f"of {', '.join(SELECTORS)}; default: all")
    parser.add_argument("--videos", nargs="+", type=int, default=[80, 160, 320, 640, 1200, 2400])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--splits", nargs="+", default=["tune", "valid_u"])
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--out", type=Path, default=Path("outputs/cost"))
    parser.add_argument("--overrides", nargs="+", default=[], help="such as data_root=...")
    options = parser.parse_args()
    options.selectors = options.selectors or list(SELECTORS)
    if unknown := set(options.selectors) - set(SELECTORS):
        parser.error(f"selectors: expected some of {', '.join(SELECTORS)}, got {sorted(unknown)}")
    torch.set_num_threads(1)
    runs = {
        (name, num_videos): [_run(name, num_videos, seed, options) for seed in options.seeds]
        for name in options.selectors
        for num_videos in options.videos
    }
    largest = max(options.videos)
    _print_cost({name: runs[name, largest] for name in options.selectors}, largest, options)
    _print_curve(runs, options)


def _run(name: str, num_videos: int, seed: int, options: argparse.Namespace) -> Run:
    """Train and evaluate one selector with one seed, or read the finished run."""
    folder = options.out / name / f"{num_videos}_videos" / f"seed_{seed}"
    cost = _train_once(name, num_videos, seed, folder, options.overrides)
    evaluations = {
        split: evaluate_once(
            folder / "best.ckpt",
            folder / f"{split}_{options.threshold:g}",
            *_words_of_evaluation(options.overrides),
            f"split={split}",
            f"threshold={options.threshold}",
        )
        for split in options.splits
    }
    jf = {split: each["results"]["selection"]["J&F"] for split, each in evaluations.items()}
    return Run(folder, cost["epochs"], cost["seconds"], jf)


def _train_once(
    name: str, num_videos: int, seed: int, folder: Path, overrides: Sequence[str]
) -> dict[str, Any]:
    """Return the content of cost.json, after train.py if the file is missing.

    An interrupted run is resumed, but its time is not known.
    """
    words = [*RECIPES[name].words, f"seed={seed}", f"data.max_videos={num_videos}", *overrides]
    path = folder / COST_FILE
    if not path.is_file():
        is_resumed = (folder / "last.ckpt").is_file()
        start = time.perf_counter()
        call("train.py", *words, "resume=true", f"hydra.run.dir={folder}")
        seconds = None if is_resumed else time.perf_counter() - start
        epochs = read_weights(folder / "last.ckpt")["epoch"] + 1
        cost = {"words": words, "seconds": seconds, "epochs": epochs}
        path.write_text(json.dumps(cost, indent=1))
    content: dict[str, Any] = json.loads(path.read_text())
    if content["words"] != words:
        raise SystemExit(
            f"{folder}: was trained with {' '.join(content['words'])}, this run requests "
            f"{' '.join(words)}. Choose another --out."
        )
    return content


def _words_of_evaluation(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that evaluate.py knows, with a data set."""
    names = [word.lstrip("+~").partition("=")[0].split(".")[0].split("@")[0] for word in overrides]
    words = [word for name, word in zip(names, overrides, strict=True) if name in OF_EVALUATION]
    has_dataset = any(word.startswith("dataset=") for word in words)
    return words if has_dataset else [f"dataset={DATASET}", *words]


def _print_cost(runs: dict[str, list[Run]], num_videos: int, options: argparse.Namespace) -> None:
    print(f"{num_videos} training videos, seeds {options.seeds}\n")
    print("| selector | parameters | s an epoch | s in all | ms to score a video |")
    print("|---|---|---|---|---|")
    for name, of_seeds in runs.items():
        known = [(run.seconds, run.epochs) for run in of_seeds if run.seconds is not None]
        per_epoch = [seconds / epochs for seconds, epochs in known]
        in_all = [seconds for seconds, _ in known]
        num_parameters, score_s = _measure_scoring(of_seeds[0].folder, options)
        times = [f"{statistics.mean(v):.1f}" if v else "-" for v in (per_epoch, in_all)]
        print(f"| {name} | {num_parameters:,} |", " | ".join(times), f"| {1000 * score_s:.1f} |")
    print()


def _measure_scoring(folder: Path, options: argparse.Namespace) -> tuple[int, float]:
    """Return trainable parameters, and seconds to score a video of valid_u on one thread."""
    words = [*_words_of_evaluation(options.overrides), "split=valid_u"]
    words += [f"ckpt_path={folder / 'best.ckpt'}", f"paths.output_dir={folder}"]
    config = compose("evaluate", words)
    split, sources = open_split(config), open_sources(config)
    selector, _ = load_selector(folder / "best.ckpt")
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


def _print_curve(runs: dict[tuple[str, int], list[Run]], options: argparse.Namespace) -> None:
    print(f"J&F by training videos, threshold {options.threshold:g}, seeds {options.seeds}\n")
    print("| selector | split |", " | ".join(map(str, options.videos)), "|")
    print("|---|---|" + "---|" * len(options.videos))
    for name in options.selectors:
        for split in options.splits:
            rows = [[run.jf[split] for run in runs[name, n]] for n in options.videos]
            print(f"| {name} | {split} |", " | ".join(map(figure, rows)), "|")


if __name__ == "__main__":
    main()
