"""Time per object of propagation for different numbers of objects tracked together.

    python benchmarks/batch_size.py                        # small tracker, and the proxy; minutes
    python benchmarks/batch_size.py --model sam2.1/sam2.1_hiera_l.yaml --size 1024 \
        --precision bf16 --device cuda                     # on a GPU

Tracks rectangles on the first frame of a drawn video of 16 frames, with image features cached by an
earlier pass. The numbers take turns, and the best of ``--rounds`` counts. Prints a line per number,
and ``ratio batch_16_over_4_<model> <value> bar -``: the speed per object with 16 objects over that
with 4.
"""

import argparse
from typing import Any

import numpy as np
import torch
from random_tracker import PRECISIONS, build_random, draw_rectangles, in_precision, timed

from sola.config import compose
from sola.datasets.moving_shapes.scene import SceneSettings, make_scene
from sola.trackers.sam2.propagation import VideoTracker

NUMBERS = (1, 2, 4, 8, 16, 32)
NUM_FRAMES = 16
SMALL, PROXY = "small", "sam2/sam2_hiera_t.yaml"


def main() -> None:
    """Measure the chosen models."""
    parser = argparse.ArgumentParser(description="time per object by number of objects")
    parser.add_argument("--model", help="small, or a configuration in sam2; both by default")
    parser.add_argument("--size", type=int, default=256, help="image size of the latter, px")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.precision} on {options.device}, {options.threads} threads")
    for name in [options.model] if options.model else [SMALL, PROXY]:
        seconds = _measure(name, options)
        print(f"{name}, {NUM_FRAMES} frames")
        for number, value in seconds.items():
            print(f"  {number:2d} objects: {1000 * value:8.1f} ms an object")
        label = name.rpartition("/")[2].removesuffix(".yaml")
        print(f"ratio batch_16_over_4_{label} {seconds[4] / seconds[16]:.2f} bar -")


def _measure(name: str, options: argparse.Namespace) -> dict[int, float]:
    """Return the seconds per object for each number of objects."""
    model = _build(name, options.size).to(options.device)
    settings = SceneSettings(num_frames=NUM_FRAMES, frame_size_px=model.image_size)
    tracker = VideoTracker(model, list(make_scene(1, settings).frames))
    masks = draw_rectangles(max(NUMBERS), model.image_size, np.random.default_rng(0))
    best = dict.fromkeys(NUMBERS, float("inf"))
    with in_precision(options.precision, options.device):
        tracker.propagate(0, masks[:2])  # caches the features
        for number in NUMBERS * options.rounds:
            seconds, _ = timed(lambda n=number: tracker.propagate(0, masks[:n]), options.device)
            best[number] = min(best[number], seconds / number)
    return best


def _build(name: str, size: int) -> Any:
    if name == SMALL:
        return compose("generate", ["split=train", "paths.output_dir=."]).tracker.build()
    return build_random(name, size)


if __name__ == "__main__":
    main()
