"""Speed and agreement of propagation, compared with SAM 2's own batched predictor.

    python benchmarks/propagation.py                                  # the CPU proxy
    python benchmarks/propagation.py --model sam2.1/sam2.1_hiera_l.yaml --size 1024 --frames 80 \
        --objects 64 --prompt-frames 16 --precision bf16 --device cuda --peak-tflops 989   # a GPU

Both sides track the same masks of one drawn video in groups of four with the same random weights,
and take turns: upstream's predictor, which encodes every frame again in each pass, and ours,
compiled with ``--compile``. The agreement is shown next to that of upstream with itself, with four
objects at a time and with one. ``--peak-tflops`` is the arithmetic limit of the hardware in the
run's precision (989 for dense bf16 on an H100 SXM); our share of it is printed. Prints one line per
figure, ``ratio <name> <value> bar <value>``.
"""

import argparse
import contextlib
import dataclasses
import functools
import io
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attention_kernels import AttentionKernels, count_operations
from PIL import Image
from random_tracker import PRECISIONS, build_random, draw_rectangles, in_precision, timed
from torch import Tensor

from sola.datasets.moving_shapes.scene import SceneSettings, make_scene
from sola.masks import decode
from sola.trackers.sam2.builder import NETWORK, compile_network
from sola.trackers.sam2.propagation import VideoTracker

LEGACY = "sam2.sam2_video_predictor_legacy.SAM2VideoPredictor"
GROUP_SIZE = 4
WARM_UP_FRAMES = 3
LOGIT_LIMIT = 32.0
"""Logits are clamped to this before comparison; where SAM 2 sees no object they are -1024."""

Groups = list[tuple[int, np.ndarray]]
"""Prompt frame and masks (n, H, W) of each group."""


@dataclasses.dataclass(frozen=True)
class Tracked:
    """Tracks of one group of n objects."""

    masks: np.ndarray
    """(n, T, H, W) bool."""
    logits: Tensor
    """(n, T, h, w) in the decoder's size."""
    tokens: Tensor
    """(n, T, D)"""
    scores: Tensor
    """(n, T)"""


class RecordingTracker(VideoTracker):
    """Keeps the logits of a pass, by frame."""

    def _prompt(self, frame_idx: int, masks: np.ndarray) -> dict[str, Any]:
        self.logits = {frame_idx: (output := super()._prompt(frame_idx, masks))["pred_masks"]}
        return output

    def _track(self, frame_idx: int, *args: Any, **kwargs: Any) -> dict[str, Any]:
        output = super()._track(frame_idx, *args, **kwargs)
        self.logits[frame_idx] = output["pred_masks"]
        return output


def main() -> None:
    """Measure both sides once, after a few frames of warm-up."""
    options = _parse_arguments()
    torch.set_num_threads(options.threads)
    print(f"{options.model}, {options.size} px, {options.frames} frames, {options.objects} objects")
    print(f"{options.precision} on {options.device}, {options.threads} threads")
    ours, legacy = (
        build_random(options.model, options.size, target).to(options.device)
        for target in (NETWORK, LEGACY)
    )
    settings = SceneSettings(num_frames=options.frames, frame_size_px=options.size)
    frames = make_scene(1, settings).frames
    with (
        in_precision(options.precision, options.device),
        tempfile.TemporaryDirectory() as folder,
    ):
        frames = _through_jpeg(frames, Path(folder))  # upstream reads files
        _measure(options, ours, legacy, frames, folder)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="propagation against SAM 2's batched predictor")
    parser.add_argument("--model", default="sam2/sam2_hiera_t.yaml", help="configuration in sam2")
    parser.add_argument("--size", type=int, default=256, help="image size, px")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--objects", type=int, default=16)
    parser.add_argument("--prompt-frames", type=int, default=4, help="evenly spaced")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true", help="our side, with torch.compile")
    parser.add_argument("--peak-tflops", type=float, help="arithmetic limit of the hardware")
    parser.add_argument("--profile", action="store_true", help="show our most expensive kernels")
    return parser.parse_args()


def _measure(
    options: argparse.Namespace, ours: Any, legacy: Any, frames: np.ndarray, folder: str
) -> None:
    groups, device = _groups(options), options.device
    _show_attention(ours, frames, groups)
    if options.peak_tflops:  # before anything is compiled: counting sees single operators
        operations = count_operations(lambda: list(_track(ours, frames, groups)))
    if options.compile:
        compile_network(ours)
    with tempfile.TemporaryDirectory() as short:
        start = _through_jpeg(frames[:WARM_UP_FRAMES], Path(short))
        seconds, _ = timed(lambda: list(_track(ours, start, [(0, groups[0][1])])), device)
        print(f"first {len(start)} frames, compiling included: {seconds:.0f} s")
        list(_track_legacy(legacy, short, [(0, groups[0][1])]))
    (seconds, tracks), (legacy_seconds, expected) = _take_turns(
        device, _track(ours, frames, groups), _track_legacy(legacy, folder, groups)
    )
    print(f"ours {seconds:.1f} s, upstream {legacy_seconds:.1f} s")
    if options.peak_tflops:
        achieved = operations / seconds / 1e12
        print(
            f"{operations / 1e12:.2f} TFLOP, ours {achieved:.3f} TFLOP/s: "
            f"{achieved / options.peak_tflops:.1%} of {options.peak_tflops:g} TFLOP/s"
        )
    single = [(frame_idx, mask[None]) for frame_idx, masks in groups for mask in masks]
    _show_agreement(expected, tracks, list(_track_legacy(legacy, folder, single)))
    if options.profile:
        _show_profile(ours, frames, groups, torch.device(device).type)
    bar = "1.40" if device == "cpu" else "2.00"
    print(f"ratio propagation_speed {legacy_seconds / seconds:.2f} bar {bar}")


def _groups(options: argparse.Namespace) -> Groups:
    rng = np.random.default_rng(0)
    per_frame, groups = options.objects // options.prompt_frames, []
    for index in range(options.prompt_frames):
        masks = draw_rectangles(per_frame, options.size, rng)
        frame_idx = index * options.frames // options.prompt_frames
        groups += [(frame_idx, masks[k : k + GROUP_SIZE]) for k in range(0, per_frame, GROUP_SIZE)]
    return groups


def _take_turns(device: str, *sides: Iterator[Tracked]) -> list[tuple[float, list[Tracked]]]:
    """Return seconds and tracks of both sides, in turn by group, so that other work slows both."""
    seconds, tracks = [0.0] * len(sides), [[] for _ in sides]
    for index in itertools.cycle(range(len(sides))):
        spent, tracked = timed(functools.partial(next, sides[index], None), device)
        if tracked is None:
            break
        seconds[index] += spent
        tracks[index].append(tracked)
    return list(zip(seconds, tracks, strict=True))


def _track(model: Any, frames: np.ndarray, groups: Groups) -> Iterator[Tracked]:
    tracker = RecordingTracker(model, list(frames))
    for group in groups:
        found = tracker.propagate(*group)
        yield Tracked(
            np.stack([decode(masklet) for masklet in found.masklets]),
            torch.stack([tracker.logits[t][:, 0] for t in range(len(frames))], dim=1),
            torch.from_numpy(found.object_tokens),
            torch.from_numpy(found.object_scores),
        )


def _track_legacy(model: Any, folder: str, groups: Groups) -> Iterator[Tracked]:
    """Run upstream's plain loop: prompts of a group, forward, backward, reset."""
    with contextlib.redirect_stderr(io.StringIO()):
        state = model.init_state(folder)
    for frame_idx, masks in groups:
        model.reset_state(state)
        for object_idx, mask in enumerate(masks):
            model.add_new_mask(state, frame_idx, object_idx, mask)
        found = {}
        for reverse in (False, True):
            with contextlib.redirect_stderr(io.StringIO()):  # its progress bar
                for index, _, logits in model.propagate_in_video(state, frame_idx, reverse=reverse):
                    found[index] = (logits[:, 0] > 0).cpu().numpy()
        outputs = state["output_dict"]
        frames = outputs["cond_frame_outputs"] | outputs["non_cond_frame_outputs"]
        names = ("pred_masks", "obj_ptr", "object_score_logits")
        logits, tokens, scores = (
            torch.stack([frames[t][name] for t in sorted(found)], dim=1) for name in names
        )
        stacked = np.stack([found[t] for t in sorted(found)], axis=1)
        yield Tracked(stacked, logits[:, :, 0], tokens.cpu(), scores[..., 0].cpu())


def _show_attention(model: Any, frames: np.ndarray, groups: Groups) -> None:
    with AttentionKernels() as kernels:
        list(_track(model, frames[:WARM_UP_FRAMES], [(0, groups[0][1])]))
    for line in kernels.summary():
        print(f"attention: {line}")


def _show_agreement(expected: list[Tracked], tracks: list[Tracked], alone: list[Tracked]) -> None:
    """Print our differences from upstream in groups, and those of upstream one by one."""
    shares = [float(mask.mean()) for group in expected for mask in group.masks]
    print(f"masks cover {min(shares):.2f} to {max(shares):.2f} of the video")
    theirs = _joined(expected)
    print("differences from upstream in groups: worst mask IoU; largest of logits, tokens, scores")
    for name, group in (("ours", tracks), ("upstream one by one", alone)):
        other = _joined(group)
        pairs = zip(theirs.masks, other.masks, strict=True)
        worst = min(
            float((a & b).sum() / (a | b).sum()) if (a | b).any() else 1.0 for a, b in pairs
        )
        differences = [
            float((getattr(theirs, key).float() - getattr(other, key).float()).abs().max())
            for key in ("logits", "tokens", "scores")
        ]
        print(f"  {name}: {worst:.4f}; " + ", ".join(f"{value:.2g}" for value in differences))
    print(f"  (largest token {float(theirs.tokens.abs().max()):.2g})")


def _joined(groups: list[Tracked]) -> Tracked:
    return Tracked(
        np.concatenate([group.masks for group in groups]),
        torch.cat([group.logits for group in groups]).clamp(-LOGIT_LIMIT, LOGIT_LIMIT),
        torch.cat([group.tokens for group in groups]),
        torch.cat([group.scores for group in groups]),
    )


def _show_profile(model: Any, frames: np.ndarray, groups: Groups, device: str) -> None:
    """Print one group's kernels (on a CPU: operators) by their own time."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        list(_track(model, frames, groups[:1]))
    print(profile.key_averages().table(sort_by=f"self_{device}_time_total", row_limit=15))


def _through_jpeg(frames: np.ndarray, folder: Path) -> np.ndarray:
    paths = [folder / f"{idx:05d}.jpg" for idx in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path, quality=95)
    return np.stack([np.asarray(Image.open(path)) for path in paths])


if __name__ == "__main__":
    main()
