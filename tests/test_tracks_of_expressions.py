"""Tracks that belong to expressions, from generation to masks, on four small videos."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_detector import GDINO

from sola.config import compose as compose_config
from sola.evaluation.run import run_evaluation
from sola.generation.run import run_generation
from sola.masks import decode
from sola.prediction.run import run_predict
from sola.selector.checkpoint import load_selector
from sola.shards import ShardReader
from sola.training.run import train

VIDEOS = (
    *(override for override in GDINO if override.startswith("dataset.")),
    "dataset.maker.num_frames=5",
    "dataset.maker.num_videos={train: 2, valid_u: 2}",
    "dataset.maker.first_seed={train: 1, valid_u: 11}",
    "num_threads=1",
)
PROMPTS = (
    *(override for override in GDINO if override.startswith("prompt_source.")),
    "prompt_source.rule.max_tracks=3",
    "prompt_source.stability_threshold=0.7",  # of some sentences nothing is found
)
BOTH = "[gdino,grid]"
Run = Callable[..., Any]


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """As in conftest.py, in one folder for all tests."""
    folder = tmp_path_factory.mktemp("runs")
    folders = [f"data_root={folder / 'data'}", f"paths.output_dir={folder / 'output'}"]
    return lambda entry, *overrides: compose_config(entry, [*folders, *overrides])


@pytest.fixture(scope="module")
def tracks(compose: Run) -> dict[str, ShardReader]:
    """Tracks of both sources for both splits; those of valid_u."""
    folders = {}
    for split in ("train", "valid_u"):
        for source, overrides in (("grid", ()), ("gdino", PROMPTS)):
            chosen = (f"split={split}", f"prompt_source={source}", *overrides)
            folders[source] = run_generation(compose("generate", *VIDEOS, *chosen))
    return {source: ShardReader(folder) for source, folder in folders.items()}


@pytest.fixture(scope="module")
def best(compose: Run, tracks: dict[str, ShardReader]) -> Path:
    """A selector trained and validated on both sources."""
    sources = [f"data.{split}_sources={BOTH}" for split in ("train", "valid")]
    config = compose("train", "experiment=demo", "trainer.max_epochs=1", *VIDEOS, *sources)
    path: Path = train(config).best_path
    return path


def found_for(tracks: dict[str, ShardReader]) -> dict[tuple[str, str], int]:
    """(video id, expression id) -> number of tracks made for it."""
    reader = tracks["gdino"]
    names = [(str(e[0]), str(e[1])) for e in (name.split("/") for name in reader.index["entries"])]
    counts = {name: reader.num_tracks(*name) for name in names}
    assert min(counts.values()) == 0, "something is found for every sentence: nothing is tested"
    assert max(counts.values()) > 0, "nothing is found: nothing is tested"
    return counts


def test_expression_chooses_among_tracks_of_its_video_and_its_own(
    compose: Run, tracks: dict[str, ShardReader], best: Path
) -> None:
    config = compose("evaluate", f"ckpt_path={best}", f"sources={BOTH}", *VIDEOS)

    evaluation = run_evaluation(config)[1]

    assert load_selector(best)[1]["valid_sources"] == ["gdino", "grid"]
    entries = {(e["video"], e["expression"]): e for e in evaluation["expressions"]}
    assert entries.keys() == found_for(tracks).keys()
    videos = json.loads((Path(config.paths.output_dir) / "scores.json").read_text())["videos"]
    for (video_id, expression_id), num_own in found_for(tracks).items():
        num_shared = tracks["grid"].num_tracks(video_id)
        expected = [("grid", None, number) for number in range(num_shared)]
        expected += [("gdino", expression_id, number) for number in range(num_own)]
        answers = entries[video_id, expression_id]["answers"]
        offered = [videos[video_id]["tracks"][idx] for idx in answers["all_tracks"]["tracks"]]
        assert [(t["source"], t["expression"], t["number"]) for t in offered] == expected
        rows = videos[video_id]["expressions"][expression_id]["scores"]
        assert {len(row) for row in rows.values()} == {len(expected)}


def test_masks_come_from_tracks_of_the_expression(
    compose: Run, tracks: dict[str, ShardReader], best: Path
) -> None:
    overrides = ("sources=[gdino]", "threshold=0", "num_overlays=1")  # every track is selected

    path = run_predict(compose("predict", f"ckpt_path={best}", *overrides, *VIDEOS))

    selected = json.loads(path.read_text())["expressions"]
    num_selected = {(e["video"], e["expression"]): len(e["tracks"]) for e in selected}
    for (video_id, expression_id), num_own in found_for(tracks).items():
        paths = sorted((path.parent / "masks" / video_id / expression_id).glob("*.png"))
        masks = np.stack([cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]) > 0
        expected = np.zeros((5, 128, 128), dtype=bool)
        for masklet in tracks["gdino"].read(video_id, expression_id).masklets:
            expected |= decode(masklet)
        np.testing.assert_array_equal(masks, expected)
        assert num_selected[video_id, expression_id] == num_own
