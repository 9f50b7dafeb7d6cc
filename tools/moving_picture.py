r"""Make the README's moving picture: answers to several sentences about one video, side by side.

    make demo
    python -m tools.moving_picture data/moving_shapes/valid_u outputs/demo/prediction \
        shapes_01000015 10 6 2

Reads the frames and sentences of a split and the masks of predict.py, and writes docs/answer.webp.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sola.visualization.overlays import ORANGE, draw_masks, text_block

SCALE = 2
FONT_PX = 16
GAP_PX = 8
FRAME_MS = 160
QUALITY = 60


def main() -> None:
    """Draw the video and the expressions that the command line names."""
    parser = argparse.ArgumentParser(description="answers to several sentences, side by side")
    parser.add_argument("split_dir", type=Path, help="split in the layout of MeViS")
    parser.add_argument("prediction_dir", type=Path, help="output folder of predict.py")
    parser.add_argument("video")
    parser.add_argument("expressions", nargs="+", help="ids of expressions")
    parser.add_argument("--out", type=Path, default=Path("docs/answer.webp"))
    given = parser.parse_args()
    meta = json.loads((given.split_dir / "meta_expressions.json").read_text())
    texts = meta["videos"][given.video]["expressions"]
    paths = sorted((given.split_dir / "JPEGImages" / given.video).iterdir())
    frames = [np.array(Image.open(path)) for path in paths]
    columns = []
    for expression in given.expressions:
        masks_dir = given.prediction_dir / "masks" / given.video / expression
        masks = [np.array(Image.open(masks_dir / f"{path.stem}.png")) > 0 for path in paths]
        columns.append(_column(frames, masks, f'"{texts[expression]["exp"]}"'))
    pages = [np.concatenate(_with_gaps(parts), axis=1) for parts in zip(*columns, strict=True)]
    first, *others = map(Image.fromarray, pages)
    options: dict[str, Any] = {"duration": FRAME_MS, "loop": 0, "quality": QUALITY}
    first.save(given.out, save_all=True, append_images=others, **options)
    sys.stdout.write(
        f"{given.out}: {first.width} x {first.height} px, {given.out.stat().st_size} bytes\n"
    )


def _column(frames: list[np.ndarray], masks: list[np.ndarray], sentence: str) -> list[np.ndarray]:
    """Return the enlarged frames of one sentence below its text."""
    large = [frame.repeat(SCALE, axis=0).repeat(SCALE, axis=1) for frame in frames]
    heading = text_block(sentence, large[0].shape[1], FONT_PX)
    pictures = [draw_masks(*pair, ORANGE) for pair in zip(large, masks, strict=True)]
    return [np.concatenate([heading, picture]) for picture in pictures]


def _with_gaps(parts: tuple[np.ndarray, ...]) -> list[np.ndarray]:
    """Return pictures of one row with white gaps between them, all of the tallest one's height."""
    height = max(len(part) for part in parts)
    spaced = []
    for part in parts:
        above = np.full((height - len(part), part.shape[1], 3), 255, np.uint8)
        spaced += [np.concatenate([above, part]), np.full((height, GAP_PX, 3), 255, np.uint8)]
    return spaced[:-1]


if __name__ == "__main__":
    main()
