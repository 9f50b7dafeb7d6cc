"""The demo's selector answers the questions of quickstart and README, also in other words.

Runs after ``make demo``, as ``make docs-commands`` does, and is skipped without it.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from commands import run_command
from numpy.typing import NDArray
from PIL import Image
from torch import from_numpy

from sola.masks import decode
from sola.metrics.functional import region_similarity

ROOT = Path(__file__).parents[1]
CKPT = ROOT / "outputs/demo/best.ckpt"
VIDEO = ROOT / "data/moving_shapes/valid_u/JPEGImages/shapes_01000015"
WHITE_CROSS, HEXAGON, CIRCLE, SQUARE = range(4)
QUESTIONS = {
    "a white cross moving left": {WHITE_CROSS},
    "the green thing": {HEXAGON},
    "a green thing moving back and forth": {HEXAGON},
    "the yellow object moving to the left": {CIRCLE},
    "find the snowy plus that is drifting to the left": {WHITE_CROSS},
    "show me the leafy object": {HEXAGON},
    "the shape going out and coming back": {HEXAGON},
    "where is the golden disc": {CIRCLE},
    "the navy box which is sinking": {SQUARE},
    "the yellow square that drifts to the left": set[int](),
}


@pytest.mark.skipif(not CKPT.is_file(), reason="make demo has not run")
def test_questions_of_the_quickstart_are_answered(tmp_path: Path) -> None:
    words = ", ".join(json.dumps(question) for question in QUESTIONS)
    options = (f"ckpt_path={CKPT}", f"video={VIDEO}", f"data_root={ROOT / 'data'}")
    outcome = run_command(
        "predict.py", *options, f"expressions=[{words}]", f"hydra.run.dir={tmp_path}"
    )
    assert outcome.status == 0, outcome.errors

    (masks_dir,) = (tmp_path / "masks").iterdir()
    objects = _masks_of_objects()
    wrong = {}
    for number, (question, meant) in enumerate(QUESTIONS.items()):
        paths = sorted((masks_dir / str(number)).iterdir())
        answer = np.stack([np.array(Image.open(path)) > 0 for path in paths])
        target = np.any([objects[idx] for idx in meant], axis=0) if meant else answer & False
        if (jaccard := region_similarity(from_numpy(answer), from_numpy(target)).mean()) < 0.6:
            wrong[question] = round(float(jaccard), 2)
    assert not wrong


def _masks_of_objects() -> list[NDArray[np.bool_]]:
    split_dir = VIDEO.parents[1]
    entries = json.loads((split_dir / "meta_expressions.json").read_text())["videos"][VIDEO.name]
    first = min(idx for entry in entries["expressions"].values() for idx in entry["anno_id"])
    masks = json.loads((split_dir / "mask_dict.json").read_text())
    sizes = [next(code["size"] for code in masks[str(first + idx)] if code) for idx in range(4)]
    return [
        np.stack([
            decode([code])[0] if code else np.zeros(sizes[idx], bool)
            for code in masks[str(first + idx)]
        ])
        for idx in range(4)
    ]  # fmt: skip
