"""Speed and agreement of propagation against SAM 2's own batched predictor.

    python benchmarks/propagation.py                                  # the CPU proxy
    python benchmarks/propagation.py --model sam2.1/sam2.1_hiera_l.yaml --size 1024 --frames 80 \
        --objects 64 --prompt-frames 16 --precision bf16 --device cuda   # on a GPU

Both sides track the same masks of one drawn video in groups of four with the same random weights:
upstream's predictor, which encodes every frame again in each pass, and ours. Agreement is shown
beside that of upstream's predictor with itself, four objects at a time against one by one. Prints
one line per figure, ``ratio <name> <value> bar <value>``.
"""

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import OmegaConf
from PIL import Image

from sola.config.schema import TrackerConfig
from sola.datasets.moving_shapes.scene import SceneSettings, make_scene
from sola.masks import decode
from sola.tracking.builder import (
    NETWORK,
    POST_PROCESSING,
    RANDOM_WEIGHTS,
    build_tracker,
    packaged_config,
)
from sola.tracking.propagation import VideoTracker

LEGACY = "sam2.sam2_video_predictor_legacy.SAM2VideoPredictor"
GROUP_SIZE = 4
SEED, WEIGHT_SCALE = 1, 2.0
"""Random weights of which the masks vary."""
PRECISIONS = {"float32": None, "bf16": torch.bfloat16}


def main() -> None:
    """Measures both sides once, after one frame to warm up."""
    options = _parse_arguments()
    torch.set_num_threads(options.threads)
    ours, legacy = (_build(options, target) for target in (NETWORK, LEGACY))
    settings = SceneSettings(num_frames=options.frames, frame_size_px=options.size)
    frames = make_scene(1, settings).frames
    groups = _groups(options)
    with _precision(options), tempfile.TemporaryDirectory() as folder:
        frames = _through_jpeg(frames, Path(folder))  # upstream reads files
        VideoTracker(ours, frames[:1]).propagate(0, groups[0][1])
        seconds, tracks = _timed(lambda: _track(ours, frames, groups))
        legacy_seconds, expected = _timed(lambda: _track_legacy(legacy, folder, groups))
        single = [(frame_idx, mask[None]) for frame_idx, masks in groups for mask in masks]
        alone = _track_legacy(legacy, folder, single)
    print(f"{options.model}, {options.size} px, {options.frames} frames, {options.objects} objects")
    print(f"{options.precision} on {options.device}, {options.threads} threads")
    print(f"ours {seconds:.1f} s, upstream {legacy_seconds:.1f} s")
    shares = [float(track.mean()) for track in expected]
    print(f"masks cover {min(shares):.2f} to {max(shares):.2f} of the video")
    for name, other in (("ours", tracks), ("upstream one by one", alone)):
        print(f"worst mask IoU with upstream in groups, {name}: {_worst_iou(other, expected):.4f}")
    bar = "1.40" if options.device == "cpu" else "2.00"
    print(f"ratio propagation_speed {legacy_seconds / seconds:.2f} bar {bar}")


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
    return parser.parse_args()


def _build(options: argparse.Namespace, target: str) -> Any:
    """The model with random weights, the same for every target."""
    model = packaged_config(options.model)
    model.image_size = options.size
    for key, value in POST_PROCESSING.items():
        OmegaConf.update(model, key, value, force_add=True)
    config = TrackerConfig(
        name="benchmark", model=OmegaConf.to_container(model), checkpoint=RANDOM_WEIGHTS
    )
    torch.manual_seed(SEED)
    network = build_tracker(config, target)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1 and ("sam_mask_decoder" in name or "memory_" in name):
                parameter.mul_(WEIGHT_SCALE)
    return network.to(options.device)


def _groups(options: argparse.Namespace) -> list[tuple[int, np.ndarray]]:
    """Prompt frame and masks of every group; squares of different size and place."""
    rng = np.random.default_rng(0)
    size, groups = options.size, []
    per_frame = options.objects // options.prompt_frames
    for index in range(options.prompt_frames):
        masks = np.zeros((per_frame, size, size), bool)
        for mask in masks:
            top, left = rng.integers(0, size // 2, 2)
            height, width = rng.integers(size // 8, size // 2, 2)
            mask[top : top + height, left : left + width] = True
        frame_idx = index * options.frames // options.prompt_frames
        groups += [(frame_idx, masks[k : k + GROUP_SIZE]) for k in range(0, per_frame, GROUP_SIZE)]
    return groups


def _track(model: Any, frames: np.ndarray, groups: Any) -> list[np.ndarray]:
    tracker = VideoTracker(model, frames)
    results = [tracker.propagate(*group) for group in groups]
    return [decode(masklet) for result in results for masklet in result.masklets]


def _track_legacy(model: Any, folder: str, groups: Any) -> list[np.ndarray]:
    """The plain loop: prompts of a group, forward, backward, reset."""
    tracks: list[np.ndarray] = []
    with contextlib.redirect_stderr(io.StringIO()):
        state = model.init_state(folder)
        for frame_idx, masks in groups:
            model.reset_state(state)
            for object_idx, mask in enumerate(masks):
                model.add_new_mask(state, frame_idx, object_idx, mask)
            found = {}
            for reverse in (False, True):
                for index, _, logits in model.propagate_in_video(state, frame_idx, reverse=reverse):
                    found[index] = (logits[:, 0] > 0).cpu().numpy()
            tracks += list(np.stack([found[t] for t in sorted(found)], axis=1))
    return tracks


def _worst_iou(tracks: list[np.ndarray], others: list[np.ndarray]) -> float:
    """Smallest IoU of a pair of masklets; 1 where both are empty."""
    pairs = zip(tracks, others, strict=True)
    return min(float((a & b).sum() / (a | b).sum()) if (a | b).any() else 1.0 for a, b in pairs)


def _precision(options: argparse.Namespace) -> contextlib.AbstractContextManager[Any]:
    dtype = PRECISIONS[options.precision]
    if dtype is None:
        return contextlib.nullcontext()
    return torch.autocast(torch.device(options.device).type, dtype)


def _timed(function: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def _through_jpeg(frames: np.ndarray, folder: Path) -> np.ndarray:
    paths = [folder / f"{idx:05d}.jpg" for idx in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path, quality=95)
    return np.stack([np.asarray(Image.open(path)) for path in paths])


if __name__ == "__main__":
    main()
