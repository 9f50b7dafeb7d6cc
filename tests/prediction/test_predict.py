"""run_predict on files: masks in the layout of a submission, and pictures of some answers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import drawn_split as drawn
import numpy as np
import pytest

from sola.masks import decode
from sola.prediction.run import run_predict
from sola.shards import ShardReader


def test_every_expression_and_frame_has_a_mask_of_the_selected_tracks(
    predict_config: Callable[..., Any],
) -> None:
    config = predict_config(threshold=0.49)

    masks_dir = run_predict(config).parent / "masks"

    videos = json.loads((Path(config.paths.output_dir) / "scores.json").read_text())["videos"]
    scores = {
        (video_id, expression_id): np.array(own["scores"][expression_id], np.float32)
        for video_id, video in videos.items()
        for expression_id, own in video["expressions"].items()
    }
    reader = ShardReader(Path(config.paths.data_dir) / "tracks/drawn/valid_u/grid/tiny")
    found = {path.relative_to(masks_dir) for path in masks_dir.rglob("*.png")}
    assert found == {
        Path(video_id) / expression_id / f"{frame_idx:05d}.png"
        for video_id, expression_id in scores
        for frame_idx in range(2)
    }
    assert len({tuple(row > 0.49) for row in scores.values() if len(row)}) > 1
    for (video_id, expression_id), row in scores.items():
        tracks = reader.read(video_id)
        masklets = [
            decode(m) for m, score in zip(tracks.masklets, row, strict=True) if score > 0.49
        ]
        expected = np.any(masklets, axis=0) if masklets else np.zeros((2, 20, 20), dtype=bool)
        np.testing.assert_array_equal(read_masks(masks_dir / video_id / expression_id), expected)


def overlays(output_dir: Path) -> list[Path]:
    return sorted((output_dir / "overlays").glob("*.png"))


def read_masks(folder: Path) -> np.ndarray:
    masks = [cv2.imread(str(folder / f"{i:05d}.png"), cv2.IMREAD_UNCHANGED) for i in range(2)]
    assert {mask.dtype for mask in masks} == {np.dtype(np.uint8)}
    assert set(np.unique(masks)) <= {0, 255}
    return np.stack(masks) > 0


@pytest.mark.parametrize("sources", [["gdino"], ["grid", "gdino"]])
def test_expression_is_answered_by_tracks_of_its_video_and_its_own(
    predict_config: Callable[..., Any], sources: list[str]
) -> None:
    config = predict_config(sources=sources, threshold=0, num_overlays=5)  # every track is selected

    output_dir = run_predict(config).parent

    assert len(overlays(output_dir)) == 5
    for (video_id, expression_id), own in drawn.OWN_TRACKS.items():
        shared = drawn.TRACKS[video_id] if "grid" in sources else ()
        expected = np.zeros((2, 20, 20), dtype=bool)
        for masklet in (*shared, *own):
            expected |= decode(masklet)
        folder = output_dir / "masks" / video_id / expression_id
        np.testing.assert_array_equal(read_masks(folder), expected)


def test_record_says_which_tracks_were_selected(predict_config: Callable[..., Any]) -> None:
    config = predict_config(sources=["grid", "gdino"], threshold=0)

    run_predict(config)

    output_dir = Path(config.paths.output_dir)
    record = json.loads((output_dir / "prediction.json").read_text())
    videos = json.loads((output_dir / record["scores"]).read_text())["videos"]
    for entry in record["expressions"]:
        key = (entry["video"], entry["expression"])
        tracks = [videos[key[0]]["tracks"][idx] for idx in entry["tracks"]]
        expected = [("grid", None, i) for i in range(len(drawn.TRACKS[key[0]]))]
        expected += [("gdino", key[1], i) for i in range(len(drawn.OWN_TRACKS[key]))]
        assert [(t["source"], t["expression"], t["number"]) for t in tracks] == expected


def test_record_names_selected_tracks_and_checkpoint(
    predict_config: Callable[..., Any],
) -> None:
    config = predict_config()

    path = run_predict(config)

    record, scores = (
        json.loads((path.parent / f"{name}.json").read_text()) for name in ("prediction", "scores")
    )
    assert record["threshold"] == 0.5
    assert len(record["checkpoint"]["sha256"]) == 64
    for entry in record["expressions"]:
        own = scores["videos"][entry["video"]]["expressions"][entry["expression"]]
        row = zip(own["tracks"], own["scores"][entry["expression"]], strict=True)
        assert entry["tracks"] == [track for track, score in row if score > 0.5]


@pytest.mark.parametrize(("num_overlays", "count"), [(0, 0), (2, 2), (99, 5)])
def test_requested_number_of_overlays_is_drawn(
    predict_config: Callable[..., Any], num_overlays: int, count: int
) -> None:
    paths = overlays(run_predict(predict_config(num_overlays=num_overlays)).parent)

    assert len(paths) == count
    for path in paths:
        assert cv2.imread(str(path)) is not None


def test_overlays_show_ground_truth_where_it_exists(
    predict_config: Callable[..., Any],
) -> None:
    config = predict_config(num_overlays=1)
    with_truth = cv2.imread(str(overlays(run_predict(config).parent)[0]))
    folder = Path(config.dataset.root) / "valid_u"
    (folder / "mask_dict.json").unlink()
    meta = json.loads((folder / "meta_expressions.json").read_text())
    for video in meta["videos"].values():
        for expression in video["expressions"].values():
            del expression["anno_id"]
    (folder / "meta_expressions.json").write_text(json.dumps(meta))

    without = cv2.imread(str(overlays(run_predict(config).parent)[0]))

    assert without.shape[1] == with_truth.shape[1]
    assert without.shape[0] <= with_truth.shape[0] - 20  # one row of frames less
