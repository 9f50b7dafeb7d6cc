"""Trees of the published code, written by hand."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sola.types import Masklet


def write_tree(
    split_dir: Path,
    entries: dict[str, dict[int, Masklet]],
    *,
    overlaps: Sequence[str] = (),
    token_dim: int = 4,
) -> Path:
    """Entry -> number -> masklet; tokens are random and always the same."""
    rng = np.random.default_rng(0)
    is_gt = "gt_tracks" in split_dir.parts
    for entry, tracks in entries.items():
        folders = [split_dir / name / entry for name in ("sam2_masklets", "sam2_object_tokens")]
        for folder in folders:
            folder.mkdir(parents=True)
        for number, masklet in tracks.items():
            content = {
                "anno_id": number,
                "rle": masklet,
                "prompt_type": "GT MASK" if is_gt else "SAM2 AMG MASK",
                **{
                    name: {object_id: float(rng.random()) for object_id in overlaps}
                    for name in ("iou", "precision", "recall")
                    if overlaps
                },
            }
            (folders[0] / f"{number:05d}.json").write_text(json.dumps(content))
            tokens = rng.standard_normal((len(masklet), token_dim)).astype(np.float32)
            np.save(folders[1] / f"{number:05d}.npy", tokens)
    return split_dir


def read_tree(split_dir: Path) -> dict[str, Any]:
    """Relative path -> content of every file; None for an empty folder."""
    found: dict[str, Any] = {}
    for path in split_dir.rglob("*"):
        name = path.relative_to(split_dir).as_posix()
        if path.suffix == ".json":
            found[name] = json.loads(path.read_text())
        elif path.suffix == ".npy":
            tokens = np.load(path)
            found[name] = (tokens.dtype, tokens.shape, tokens.tobytes())
        elif not any(path.iterdir()):
            found[name] = None
    return found
