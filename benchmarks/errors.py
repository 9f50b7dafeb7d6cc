"""Where the selection loses against the oracle, in numbers and in pictures.

    python benchmarks/errors.py outputs/results/word_match/seed_0/tune_0.59

Takes the folder of a finished evaluate.py. An error is an expression whose selection has a J&F of
0.05 or more below the oracle's. For each kind of expression, prints the J&F in percent that is lost
by kind of error:

    wrong     an object is selected that is not meant
    missing   an object that is meant is not selected, although it has a track
    both      both of these
    mask      the right objects, but other tracks of them than the oracle's, or background

A track belongs to the object with which its mean IoU is largest, if that is above 0.3. Writes
errors.png beside evaluation.json: 50 errors drawn at random, each with four frames. Green is right,
white missed, striped red wrong.
"""

import argparse
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf
from PIL import Image

from sola.config import compose
from sola.datasets import Split
from sola.evaluation.run import open_sources, open_split
from sola.evaluation.scores import group_by_video
from sola.evaluation.tracks import VideoTracks
from sola.masks import decode
from sola.metrics.labels import count_pixels, mean_iou
from sola.types import Expression
from sola.visualization.overlays import draw_answer, evenly_spaced, text_block

LEAST_LOSS = 0.05
LEAST_IOU = 0.3
KINDS = ("wrong", "missing", "both", "mask")
NUM_SHOWN, NUM_FRAMES, NUM_COLUMNS = 50, 4, 3
GAP_PX = 6


def main() -> None:
    """Print the table of one evaluation, and write the sheet of its errors."""
    parser = argparse.ArgumentParser(description="errors of a selection")
    parser.add_argument("folder", type=Path, help="with the evaluation.json of evaluate.py")
    options = parser.parse_args()
    evaluation = json.loads((options.folder / "evaluation.json").read_text())
    rows = {(row["video"], row["expression"]): row for row in evaluation["expressions"]}
    words = OmegaConf.load(options.folder / ".hydra" / "overrides.yaml")
    config = compose("evaluate", [*words, f"paths.output_dir={options.folder}"])
    split, sources = open_split(config), open_sources(config)
    lost: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    numbers: dict[str, int] = defaultdict(int)
    errors = []
    for expressions in group_by_video(split.expressions).values():
        tracks = sources.read(expressions)
        owners = owners_of(split, tracks)
        for expression in expressions:
            row = rows[expression.video_id, expression.expression_id]
            numbers[row["kind"]] += 1
            loss = row["answers"]["oracle"]["J&F"] - row["answers"]["selection"]["J&F"]
            if loss >= LEAST_LOSS:
                error = kind_of_error(row, expression, owners)
                lost[row["kind"]][error] += loss
                errors.append((loss, error, row, expression))
    print(f"{len(errors)} errors of {len(rows)} expressions; points of J&F lost by each\n")
    print("| expressions | number |", " | ".join(KINDS), "|")
    print("|---|---|" + "---|" * len(KINDS))
    for kind, number in sorted(numbers.items()):
        cells = [f"{100 * lost[kind][error] / number:.1f}" for error in KINDS]
        print(f"| {kind} | {number} |", " | ".join(cells), "|")
    totals = [100 * sum(of_kind[error] for of_kind in lost.values()) / len(rows) for error in KINDS]
    print(f"| all | {len(rows)} |", " | ".join(f"{total:.1f}" for total in totals), "|")
    shown = random.Random(0).sample(errors, min(NUM_SHOWN, len(errors)))
    tiles = [draw_error(split, sources.read([expression]), *rest) for *rest, expression in shown]
    write_sheet(tiles, options.folder / "errors.png")


def owners_of(split: Split, tracks: VideoTracks) -> list[str | None]:
    """Return the object to which each track belongs; None: background."""
    objects = split.ground_truth(tracks.video_id)
    num_frames = tracks.object_tokens.shape[1]
    iou = mean_iou(count_pixels(tracks.masklets, objects, num_frames), "skip")
    names = list(objects)
    return [names[row.argmax()] if row.max() > LEAST_IOU else None for row in iou]


def kind_of_error(row: dict[str, Any], expression: Expression, owners: list[str | None]) -> str:
    """Return one of KINDS."""
    selected = {owners[idx] for idx in row["answers"]["selection"]["tracks"]} - {None}
    meant = set(expression.object_ids or ())
    is_wrong, is_missing = bool(selected - meant), bool((meant & set(owners)) - selected)
    if is_wrong and is_missing:
        return "both"
    return "wrong" if is_wrong else "missing" if is_missing else "mask"


def draw_error(
    split: Split, tracks: VideoTracks, loss: float, error: str, row: dict[str, Any]
) -> NDArray[np.uint8]:
    """Return four frames with the answer, side by side, below the sentence."""
    objects, video = split.ground_truth(tracks.video_id), split.videos[tracks.video_id]
    places = evenly_spaced(len(video.frame_paths), NUM_FRAMES)
    answer = decode(tracks.union(row["answers"]["selection"]["tracks"]))
    target = np.zeros_like(answer)
    for name in row["objects"]:
        target |= decode(objects[name])
    pictures = [
        draw_answer(
            np.asarray(Image.open(video.frame_paths[t]).convert("RGB")), target[t], answer[t]
        )
        for t in places
    ]
    strip = np.concatenate(pictures, axis=1)
    kind = row["kind"].replace("_", " ")
    text = f"{row['text']} ({kind}; {error}, -{100 * loss:.0f}; {tracks.video_id})"
    heading = text_block(text, strip.shape[1], 14)
    blank = np.full((44, strip.shape[1], 3), 255, np.uint8)
    blank[: len(heading)] = heading[:44]
    return np.concatenate([blank, strip])


def write_sheet(tiles: list[NDArray[np.uint8]], path: Path) -> None:
    """Write all tiles of one size into one picture, three beside one another."""
    if not tiles:
        return
    height, width = tiles[0].shape[0] + GAP_PX, tiles[0].shape[1] + GAP_PX
    num_rows = -(-len(tiles) // NUM_COLUMNS)
    sheet = np.full((num_rows * height, NUM_COLUMNS * width, 3), 255, np.uint8)
    for number, tile in enumerate(tiles):
        top, left = number // NUM_COLUMNS * height, number % NUM_COLUMNS * width
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    Image.fromarray(sheet).save(path)
    print(f"\n{path}: {len(tiles)} errors")


if __name__ == "__main__":
    main()
