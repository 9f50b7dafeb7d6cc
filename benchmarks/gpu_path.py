"""Waits for the GPU, copies and launches of real units of work, counted without a GPU.

    python benchmarks/gpu_path.py                      # CPU, a minute
    python benchmarks/gpu_path.py packed --table       # one unit; waits and copies by line of code

Runs training steps and the making of tracks on the simulated device of tests/pretend_gpu.py, and
counts per unit how often the host waits for the GPU, KiB copied to and from the GPU, launches, and
casts of weights by autocast. The selector is narrow, with the paper's number of layers; only KiB
depend on its width. The units:

- packed: a training step of 5 videos of different shapes; by_expression: of one expression;
  by_video: of one video, in bf16 with averaged weights
- tracked_frame: a frame of propagation with SAM 2.1 and cached image features, in bf16
- grid: the search of a 1080p frame for automatic masks
- gdino: the search of a frame for the boxes of a sentence, and their masks

Prints a line per unit, and ``count <name> <value> bar <value>``; less is better.
"""

import argparse
import contextlib
import functools
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import CSVLogger
from random_tracker import build_random, draw_rectangles, in_precision

from sola.config import compose
from sola.datasets.moving_shapes.scene import SceneSettings, make_scene
from sola.prompts import PromptedVideo
from sola.selector import SelectionLoss, TrackSelector
from sola.trackers.sam2.builder import with_cast_weights
from sola.trackers.sam2.propagation import VideoTracker
from sola.trackers.stages import measure_stages
from sola.training.batch import Sample
from sola.training.callbacks import (
    LastCheckpoint,
    Resumption,
    TrainingProgress,
    WholeFileIO,
    weight_averaging,
)
from sola.training.data import SelectorDataModule
from sola.training.module import SelectorModule
from sola.types import Expression, Video

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from pretend_gpu import Counts, PretendGpu
from small_detector import GDINO

TOKEN_DIM, TEXT_DIM, TEXT_LENGTH, NUM_EXPRESSIONS = 16, 64, 14, 3
WARM_UP_STEPS, NUM_STEPS = 3, 20
"""As many steps as two rows of the log."""
TRACKED_MODEL, TRACKED_SIZE, NUM_OBJECTS = "sam2.1/sam2.1_hiera_t.yaml", 128, 4
PASSES = (9, 12)
"""Numbers of frames; a frame after the seventh has as many memories as SAM 2 reads."""
FRAME_SIZE = (1080, 1920)
TEXTS = ("the red square", "the circle that moves to the left", "everything")
DETECTED_FRAMES = 2


@dataclass(frozen=True)
class Unit:
    """A unit of work to count."""

    measure: Callable[[PretendGpu, Path], tuple[Counts, int]]
    """Runs some units; returns their counts and number."""
    waits: float
    """The most that a unit should wait."""
    launches: int | None = None
    """Likewise; None: not judged."""


def main() -> None:
    """Count the units that the command line names, or all."""
    parser = argparse.ArgumentParser(description="work on a simulated GPU")
    parser.add_argument("units", nargs="*", choices=[*UNITS, []], help="which; all by default")
    parser.add_argument("--table", action="store_true", help="show waits by line, and operators")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for deterministic training
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")
    figures: list[str] = []
    for name in options.units or UNITS:
        unit = UNITS[name]
        torch.manual_seed(0)  # of random weights: they decide the number of boxes
        with tempfile.TemporaryDirectory() as folder, PretendGpu() as gpu:
            counts, number = unit.measure(gpu, Path(folder))
        waits, launches = counts.waits.total() / number, counts.launches.total() / number
        to_gpu, from_gpu = (_kib(counts, kind) / number for kind in ("to GPU", ("to CPU", "item")))
        print(
            f"{name}: {waits:.2f} waits, {to_gpu:.1f} KiB to the GPU, {from_gpu:.1f} KiB from it, "
            f"{launches:.0f} launches, {counts.casts['weight'] / number:.0f} casts of weights"
        )
        if options.table:
            print(counts.table(number))
            print(
                *(f"{n / number:8.1f}  {op}" for op, n in counts.launches.most_common()), sep="\n"
            )
        figures.append(f"count waits_{name} {waits:.2f} bar {unit.waits:.2f}")
        if unit.launches is not None:
            figures.append(f"count launches_{name} {launches:.0f} bar {unit.launches}")
    print("", *figures, sep="\n")


def _kib(counts: Counts, kinds: str | tuple[str, ...]) -> float:
    return sum(n for (kind, _), n in counts.copied_bytes.items() if kind.startswith(kinds)) / 1024


class DrawnSamples:
    """Random samples in memory, each of another number of tracks and frames."""

    def __init__(self, num_samples: int, num_expressions: int) -> None:
        self.samples = [
            tuple(Expression(f"v{n}", str(k), f"{n} {k}", ()) for k in range(num_expressions))
            for n in range(num_samples)
        ]
        self.text = SimpleNamespace(prepare=lambda texts: None)

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        expressions, (frames, tracks) = self.samples[index], divmod(index, 10)
        labels = torch.zeros(len(expressions), 2 + tracks, dtype=torch.bool)
        labels[:, 0] = True
        texts = tuple(torch.randn(TEXT_LENGTH - k, TEXT_DIM) for k in range(len(expressions)))
        tokens = torch.randn(2 + tracks, 9 + frames, TOKEN_DIM)
        return Sample(tokens, texts, labels, expressions)


class CountSteps(pl.Callback):
    """Counts the steps after the first, from the end of a step to the end of the last."""

    def __init__(self, gpu: PretendGpu) -> None:
        self.gpu, self._region = gpu, contextlib.ExitStack()

    def on_train_batch_end(self, trainer: pl.Trainer, *unused: Any) -> None:
        """Begin after the last step of the warm-up; end after the last step."""
        if trainer.global_step == WARM_UP_STEPS:
            self._region.enter_context(self.gpu.region("steps"))
        if trainer.global_step == WARM_UP_STEPS + NUM_STEPS:
            self._region.close()


def _train(
    gpu: PretendGpu,
    folder: Path,
    *,
    batch_size: int,
    num_expressions: int,
    precision: str = "32-true",
    decay: float | None = None,
) -> tuple[Counts, int]:
    """Train with the settings of train.py."""
    num_steps = WARM_UP_STEPS + NUM_STEPS
    samples: Any = DrawnSamples(num_steps * batch_size, num_expressions)
    fused = None if precision == "bf16-mixed" else True
    adamw = functools.partial(torch.optim.AdamW, lr=1e-4, fused=fused)
    selector, scorer = TrackSelector(TOKEN_DIM, TEXT_DIM), SimpleNamespace()
    module = SelectorModule(selector, SelectionLoss(1.5, 0.3, 0.07), adamw, None, scorer)
    average = weight_averaging(decay)
    trainer = pl.Trainer(
        accelerator="gpu",
        devices=1,
        precision=precision,
        max_steps=num_steps,
        gradient_clip_val=1.0,
        limit_val_batches=0,
        log_every_n_steps=10,
        deterministic="warn",
        callbacks=[
            *([] if average is None else [average]),
            LastCheckpoint(folder, None, 10),
            Resumption(0),
            TrainingProgress(),
            CountSteps(gpu),
        ],
        logger=CSVLogger(folder),
        plugins=[WholeFileIO()],
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    try:
        trainer.fit(module, SelectorDataModule([samples], samples, batch_size=batch_size))
    finally:
        torch.use_deterministic_algorithms(False)
    return gpu.regions["steps"], NUM_STEPS


def _compose(folder: Path, *words: str) -> Any:
    return compose("generate", ["split=train", f"paths.output_dir={folder}", *words])


def _open(tracker: Any, frames: Any, expressions: tuple[Expression, ...] = ()) -> PromptedVideo:
    tracker.load(torch.device("cuda", 0), 0)
    video = Video("v", ())
    return PromptedVideo(video, tracker.open(frames), expressions, {}, is_training_split=True)


def _track(gpu: PretendGpu, folder: Path) -> tuple[Counts, int]:
    """Count the frames of a long pass that a short pass lacks: those with all memories."""
    settings = SceneSettings(num_frames=max(PASSES), frame_size_px=TRACKED_SIZE)
    frames = list(make_scene(1, settings).frames)
    masks = draw_rectangles(NUM_OBJECTS, TRACKED_SIZE, np.random.default_rng(0))
    random, passes = build_random(TRACKED_MODEL, TRACKED_SIZE), []
    model = with_cast_weights(random, torch.bfloat16).to("cuda")  # as the tracker does in bf16
    with in_precision("bf16", "cuda"), torch.inference_mode(), measure_stages():
        for num_frames in PASSES:
            tracker = VideoTracker(model, frames[:num_frames])
            tracker.propagate(0, masks)  # caches the features
            with gpu.region(str(num_frames)) as counts:
                tracker.propagate(0, masks)
            passes.append(counts)
    short, long = passes
    for name in ("waits", "copied_bytes", "launches", "casts"):
        getattr(long, name).subtract(getattr(short, name))
    return long, PASSES[1] - PASSES[0]


def _search_grid(gpu: PretendGpu, folder: Path) -> tuple[Counts, int]:
    config = _compose(folder, "prompt_source=grid")
    scene = make_scene(2, SceneSettings(min_objects=5, frame_size_px=FRAME_SIZE[0]), [8])
    frame = cv2.resize(scene.frames[0], FRAME_SIZE[::-1])  # the tracker sees a square anyway
    video = _open(config.tracker, [frame])
    with torch.inference_mode(), measure_stages(), gpu.region("grid") as counts:
        found = config.prompt_source.find(video, [0], [""])[""]
    print(f"grid: {len(found)} masks")
    return counts, 1


def _search_boxes(gpu: PretendGpu, folder: Path) -> tuple[Counts, int]:
    config = _compose(folder, "prompt_source=gdino", *GDINO, "prompt_source.box_threshold=0.1")
    frames = make_scene(1, SceneSettings(num_frames=DETECTED_FRAMES)).frames
    config.prompt_source.open(torch.device("cuda", 0))
    video, frame_idxs = _open(config.tracker, frames), range(DETECTED_FRAMES)
    with torch.inference_mode(), measure_stages(), gpu.region("gdino") as counts:
        found = config.prompt_source.find(video, frame_idxs, TEXTS)
    print(f"gdino: {sum(map(len, found.values()))} boxes")
    return counts, DETECTED_FRAMES * len(TEXTS)


UNITS = {
    "packed": Unit(
        functools.partial(_train, batch_size=5, num_expressions=NUM_EXPRESSIONS), 2, 2400
    ),
    "by_expression": Unit(functools.partial(_train, batch_size=1, num_expressions=1), 2, 2400),
    "by_video": Unit(
        functools.partial(
            _train,
            batch_size=1,
            num_expressions=NUM_EXPRESSIONS,
            precision="bf16-mixed",
            decay=0.999,
        ),
        2,
        2400,
    ),
    "tracked_frame": Unit(_track, 0.1, 530),
    "grid": Unit(_search_grid, 20),
    "gdino": Unit(_search_boxes, 2),
}


if __name__ == "__main__":
    main()
