"""Masks in COCO's format: pycocotools reads them back, equal to the PNGs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import drawn_split as drawn
import numpy as np
import pytest
from pycocotools.coco import COCO

from sola.config import compose
from sola.errors import UserError
from sola.masks import decode
from sola.prediction.run import run_predict


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # of pycocotools itself
def test_pycocotools_reads_the_masks_of_every_selected_track(
    predict_config: Callable[..., Any],
) -> None:
    config = predict_config(sources=["grid", "gdino"], threshold=0.45, export="coco")

    output_dir = run_predict(config).parent

    coco = COCO(str(output_dir / "masks.coco.json"))
    scores = json.loads((output_dir / "scores.json").read_text())["videos"]
    images = {
        (image["file_name"].split("/")[0], image["frame_index"]): image["id"]
        for image in coco.dataset["images"]
    }
    assert len(images) == 2 * drawn.NUM_FRAMES
    found = 0
    for category in coco.dataset["categories"]:
        video_id, expression_id = category["video"], category["expression"]
        own = scores[video_id]["expressions"][expression_id]
        row = dict(zip(own["tracks"], own["scores"][expression_id], strict=True))
        masklets = drawn.TRACKS[video_id] + tuple(
            masklet
            for (video, _), tracks in drawn.OWN_TRACKS.items()
            for masklet in tracks
            if video == video_id
        )
        for frame_idx in range(drawn.NUM_FRAMES):
            image_id = images[video_id, frame_idx]
            annotations = coco.loadAnns(coco.getAnnIds(imgIds=image_id, catIds=category["id"]))
            assert {a["track_id"] for a in annotations} == {n for n in row if row[n] > 0.45}
            union = np.zeros(drawn.SIZE, dtype=bool)
            for annotation in annotations:
                mask = coco.annToMask(annotation).astype(bool)
                expected = decode([masklets[annotation["track_id"]][frame_idx]])[0]
                np.testing.assert_array_equal(mask, expected)
                assert annotation["score"] == row[annotation["track_id"]]
                assert annotation["area"] == mask.sum()
                rows, columns = np.nonzero(mask)
                box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
                assert annotation["bbox"] == box
                union |= mask
                found += 1
            path = output_dir / "masks" / video_id / expression_id / f"{frame_idx:05d}.png"
            png = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(union, png > 0)
    assert found == len(coco.dataset["annotations"]) > 0
    texts = [expression.text for expression in drawn.EXPRESSIONS]
    assert [category["name"] for category in coco.dataset["categories"]] == texts


def test_next_run_without_export_removes_the_file(predict_config: Callable[..., Any]) -> None:
    output_dir = run_predict(predict_config(export=["coco"])).parent
    assert (output_dir / "masks.coco.json").is_file()

    run_predict(predict_config())

    assert not (output_dir / "masks.coco.json").exists()


@pytest.mark.parametrize("word", ["export=coco", "export=[coco]"])
def test_format_is_a_word_or_a_list(word: str, tmp_path: Path) -> None:
    config = compose("predict", [word, "ckpt_path=a.ckpt", f"paths.output_dir={tmp_path}"])

    assert config.export == ["coco"]


def test_unknown_format_is_rejected(predict_config: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match=r"export.*coco.*yolo"):
        predict_config(export="yolo")
