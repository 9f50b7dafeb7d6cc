"""Writes splits of moving_shapes to disk in the MeViS layout, for the MeViS reader."""

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sola.config.schema import MovingShapesConfig
from sola.datasets.mevis import FRAMES_DIR, MASKS_FILE, META_FILE
from sola.datasets.moving_shapes.expressions import make_sentences
from sola.datasets.moving_shapes.scene import Scene, SceneSettings, make_scene
from sola.errors import UserError
from sola.masks import encode
from sola.types import RunLength

SETTINGS_FILE = "moving_shapes.json"
MIN_VISIBLE_SHARE = 0.004
"""Of the frame: an object smaller than this on a frame counts as not visible there."""
MIN_VISIBLE_FRAMES = 0.4
"""Share of the frames on which an object must be visible to be meant by a sentence."""


def write_split(config: MovingShapesConfig, root: Path, split: str) -> bool:
    """Write one split, unless the same one is there already.

    The split appears under its final name only when it is complete.

    Args:
        config: sizes and seeds.
        root: folder of the data set; the split goes to ``root / split``.
        split: one of ``config.num_videos``.

    Returns:
        Whether anything was written.

    Raises:
        UserError: if the split is not configured, or one made with other settings is in the way.
    """
    if split not in config.num_videos:
        raise UserError(
            f"dataset.maker.num_videos has no split {split}; it has {sorted(config.num_videos)}."
        )
    final_dir, settings = root / split, _settings_of(config, split)
    if final_dir.exists():
        _refuse_other_settings(final_dir, settings)
        return False
    staging_dir = root / f".{split}.{os.getpid()}"
    shutil.rmtree(staging_dir, ignore_errors=True)
    seeds = range(settings["first_seed"], settings["first_seed"] + settings["num_videos"])
    _write_videos(config, staging_dir, seeds)
    (staging_dir / SETTINGS_FILE).write_text(json.dumps(settings, indent=1))
    staging_dir.rename(final_dir)
    return True


def _settings_of(config: MovingShapesConfig, split: str) -> dict[str, Any]:
    settings = asdict(config)
    return settings | {
        "num_videos": config.num_videos[split],
        "first_seed": config.first_seed[split],
    }


def _refuse_other_settings(final_dir: Path, settings: dict[str, Any]) -> None:
    path = final_dir / SETTINGS_FILE
    found = json.loads(path.read_text()) if path.is_file() else {}
    differing = [key for key, value in settings.items() if found.get(key) != value]
    if differing:
        key = differing[0]
        raise UserError(
            f"{final_dir}: made with {key}={found.get(key)}, this run requests {settings[key]}. "
            f"Choose another dataset.name, or move the folder away."
        )


def _write_videos(config: MovingShapesConfig, split_dir: Path, seeds: Iterable[int]) -> None:
    meta: dict[str, Any] = {}
    masks: dict[str, list[RunLength | None]] = {}
    for seed in seeds:
        scene = make_scene(seed, scene_settings(config))
        video_id = f"shapes_{seed:08d}"
        first_id = len(masks)
        masks |= {str(first_id + k): _codes(masklet) for k, masklet in enumerate(scene.masks)}
        meta[video_id] = {
            "frames": [f"{frame_idx:05d}" for frame_idx in range(len(scene.frames))],
            "expressions": _expressions(scene, config, first_id, seed),
        }
        _write_frames(scene.frames, split_dir / FRAMES_DIR / video_id, config.jpeg_quality)
    (split_dir / META_FILE).write_text(json.dumps({"videos": meta}))
    (split_dir / MASKS_FILE).write_text(json.dumps(masks))


def scene_settings(config: MovingShapesConfig) -> SceneSettings:
    """What the scenes of a configured data set contain."""
    return SceneSettings(
        num_frames=config.num_frames,
        frame_size_px=config.frame_size_px,
        min_objects=config.min_objects,
        max_objects=config.max_objects,
    )


def _expressions(
    scene: Scene, config: MovingShapesConfig, first_id: int, seed: int
) -> dict[str, dict[str, Any]]:
    shares = scene.masks.mean(axis=(2, 3))  # (G, T)
    is_visible = (shares > MIN_VISIBLE_SHARE).mean(axis=1) >= MIN_VISIBLE_FRAMES
    rng = np.random.default_rng((seed, 1))
    sentences = make_sentences(
        scene.objects, is_visible.tolist(), config.expressions_per_video, rng
    )
    return {
        str(idx): {
            "exp": sentence.text,
            "obj_id": list(sentence.object_indices),
            "anno_id": [first_id + k for k in sentence.object_indices],
            "kind": sentence.kind,
        }
        for idx, sentence in enumerate(sentences)
    }


def _codes(masklet: np.ndarray) -> list[RunLength | None]:
    """Run-length masks of (T, H, W) bool; None where the object is absent."""
    codes = encode(masklet)
    return [code if mask.any() else None for code, mask in zip(codes, masklet, strict=True)]


def _write_frames(frames: np.ndarray, folder: Path, quality: int) -> None:
    folder.mkdir(parents=True)
    for frame_idx, frame in enumerate(frames):
        path = folder / f"{frame_idx:05d}.jpg"
        bgr = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, quality]):
            raise UserError(f"{path}: could not be written. Is the disk full?")
