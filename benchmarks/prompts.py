"""Agreement, time and memory of the automatic mask generator, compared with upstream's.

    python benchmarks/prompts.py              # both parts, some minutes
    python benchmarks/prompts.py small        # the shipped small tracker on 1920 x 1080
    python benchmarks/prompts.py tiny         # SAM 2.1 tiny with random weights on 854 x 480

Everything runs on one CPU thread. Time is CPU time of the process; the two generators take turns,
and the best of ``--rounds`` counts. Peak memory is measured in one process per generator: the peak
resident set (getrusage's ru_maxrss) after generating, minus the resident set just before. Ratios
are upstream's figure over ours, so more is better; for masks, the share that is equal.
"""

import argparse
import dataclasses
import functools
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MIB = 2**20


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """One comparison."""

    tracker: str
    size: tuple[int, int]
    """(H, W) of the frame, px."""
    speed_bar: float
    memory_bar: float | None
    """None: memory is not measured, as most of it is the mask decoder's."""
    options: dict[str, Any] | None = None
    """Options of the mask generator; None: those of the tracker's configuration."""


PARTS = {
    "small": Part("small", (1080, 1920), speed_bar=1.5, memory_bar=4.0),
    "tiny": Part(
        "sam2.1_hiera_tiny",
        (480, 854),
        speed_bar=1.0,
        memory_bar=None,
        # Random weights give logits near 0, predicted IoUs near 0.5 and boxes of the whole frame.
        options={
            "points_per_side": 8,
            "pred_iou_thresh": 0.5,
            "stability_score_thresh": 0.3,
            "stability_score_offset": 0.02,
            "box_nms_thresh": 1.0,
        },
    ),
}
SIDES = ("upstream", "ours")


def main() -> None:
    """Run the parts that the command line names, or all."""
    parser = argparse.ArgumentParser(description="sola's mask generator beside sam2's")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which; all by default")
    parser.add_argument("--rounds", type=int, default=2, help="timed runs of each generator")
    parser.add_argument("--memory-of", choices=SIDES, help="only its peak memory, in bytes")
    arguments = parser.parse_args()
    names = arguments.parts or list(PARTS)
    if arguments.memory_of:
        print(_grown_memory(PARTS[names[0]], arguments.memory_of))
        return
    # Memory first: ru_maxrss of a new process starts at the size of the one that started it.
    memory = {name: _memory(name) for name in names if PARTS[name].memory_bar is not None}
    figures: list[str] = []
    for name in names:
        part = PARTS[name]
        print(f"\n{name}: {part.tracker}, frame of {part.size[1]} x {part.size[0]} px")
        if name in memory:
            figures += _report_memory(name, part, memory[name])
        figures += _report_time(name, part, arguments.rounds)
    print("", *figures, sep="\n")


def _memory(name: str) -> dict[str, int]:
    command = [sys.executable, __file__, name, "--memory-of"]
    return {
        side: json.loads(subprocess.check_output([*command, side], stderr=subprocess.DEVNULL))
        for side in SIDES
    }


def _grown_memory(part: Part, side: str) -> int:
    generate = _generators(part)[side]
    frame = _frame(*part.size)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * resource.getpagesize()
    generate(frame)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before


def _report_memory(name: str, part: Part, memory: dict[str, int]) -> list[str]:
    for side in SIDES:
        print(f"  {side:8} {memory[side] / MIB:8.0f} MiB at the peak")
    ratio = memory["upstream"] / memory["ours"]
    return [f"ratio prompts_{name}_memory {ratio:.2f} bar {part.memory_bar:.2f}"]


def _report_time(name: str, part: Part, rounds: int) -> list[str]:
    generators, frame = _generators(part), _frame(*part.size)
    seconds = dict.fromkeys(SIDES, float("inf"))
    answers = {}
    for _ in range(rounds):
        for side in SIDES:
            start = time.process_time()
            answers[side] = generators[side](frame)
            seconds[side] = min(seconds[side], time.process_time() - start)
    for side in SIDES:
        print(f"  {side:8} {seconds[side]:8.2f} s, {len(answers[side])} masks")
    same = _share_of_same(answers["upstream"], answers["ours"])
    speed = seconds["upstream"] / seconds["ours"]
    return [
        f"ratio prompts_{name}_speed {speed:.2f} bar {part.speed_bar:.2f}",
        f"ratio prompts_{name}_same_masks {same:.3f} bar 1.000",
    ]


def _share_of_same(theirs: list[Any], ours: list[Any]) -> float:
    """Return the share of positions in both lists with equal pixels and scores."""
    from sola.masks import decode

    same = 0
    for record, item in zip(theirs, ours, strict=False):
        scores = (record["predicted_iou"], record["stability_score"])
        is_same = scores == (item.predicted_iou, item.stability_score)
        same += is_same and bool((record["segmentation"] == decode([item.mask])[0]).all())
    return same / max(len(theirs), len(ours), 1)


@functools.cache
def _generators(part: Part) -> dict[str, Callable[..., list[Any]]]:
    import torch
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

    from sola.config import compose
    from sola.trackers.sam2 import MaskGeneratorConfig
    from sola.trackers.sam2.mask_generator import MaskGenerator

    torch.set_num_threads(1)
    torch.manual_seed(0)
    tracker = compose("generate", ["split=train", "paths.output_dir=.", f"tracker={part.tracker}"])
    built = tracker.tracker
    if part.options is not None:
        built.checkpoint, built.mask_generator = "random", MaskGeneratorConfig(**part.options)
    model = built.build()
    upstream = SAM2AutomaticMaskGenerator(model, **dataclasses.asdict(built.mask_generator))
    ours = MaskGenerator(model, built.mask_generator)
    upstream.predictor._bb_feat_sizes = ours.predictor._bb_feat_sizes
    return {"upstream": upstream.generate, "ours": ours.generate}


def _frame(height: int, width: int) -> Any:
    """Return a drawn scene stretched to the size; the trackers see square frames anyway."""
    import cv2

    from sola.datasets.moving_shapes.scene import SceneSettings, make_scene

    scene = make_scene(2, SceneSettings(min_objects=5, frame_size_px=height), [8])
    return cv2.resize(scene.frames[0], (width, height))


if __name__ == "__main__":
    main()
