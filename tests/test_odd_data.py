"""What is odd in real data goes through all four commands, in every layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_trees import AWAY, FRAMES, LAYOUTS, SIZE, TEXTS, write_odd
from PIL import Image

from sola.evaluation.run import run_evaluation
from sola.generation.run import run_generation
from sola.masks import encode
from sola.metrics import mean_iou
from sola.prediction.run import run_predict
from sola.prompts import Grid, PromptQueue
from sola.shards import ShardReader
from sola.training.run import train
from sola.types import Labels, Prompt

Compose = Callable[..., Any]
NOTHING = ("the flying one", "a ghost", "")
"""Texts that mean no object, or one that is never seen."""


@pytest.mark.parametrize(
    "name",
    [
        "mevis",
        pytest.param("ref_davis", marks=pytest.mark.slow),
        pytest.param("mevis_v2", marks=pytest.mark.slow),
        pytest.param("ref_youtube_vos", marks=pytest.mark.slow),
    ],
)
def test_odd_data_goes_through_all_commands(compose: Compose, tmp_path: Path, name: str) -> None:
    layout = LAYOUTS[name]
    write_odd(name, tmp_path / "data" / layout.folder)
    shared = (f"dataset={name}", "dataset.valid_sources=[grid]", "tracker=small")
    shared += ("trainer=single_thread",)

    def generate(split: str, source: str) -> ShardReader:
        choices = (f"split={split}", f"prompt_source={source}")
        return ShardReader(run_generation(compose("generate", *shared, *choices)))

    _check_true_tracks(generate(layout.train, "gt"))
    for split in {layout.measured, layout.hidden}:
        assert generate(split, "grid").videos == tuple(FRAMES)
    shared += ("text_encoder=minilm",)
    trained = compose(
        *("train", *shared, f"dataset.valid_split={layout.measured}", "logger=csv"),
        *("selector=small", "selector.num_layers=1", "trainer.max_epochs=1"),
        "data.train_sources=[gt]",
    )
    shared += (f"ckpt_path={train(trained).best_path}",)
    measured = ("threshold=0", f"split={layout.measured}")
    _check_scores(run_evaluation(compose("evaluate", *shared, *measured))[1], layout.per_text)
    for threshold in (0, 1):
        answered = (f"split={layout.hidden}", f"threshold={threshold}", "num_overlays=1")
        config = compose("predict", *shared, *answered, "submission=true")
        masks_dir = run_predict(config).parent / "masks" / config.dataset.submission_top_dir
        _check_masks(masks_dir, layout.per_text, is_empty=threshold == 1)


def _check_true_tracks(reader: ShardReader) -> None:
    """A track for every object that is seen, of the frames' size, in the order of time."""
    assert reader.videos == tuple(FRAMES)
    found = {video_id: reader.read(video_id) for video_id in FRAMES}
    assert {video_id: len(tracks.masklets) for video_id, tracks in found.items()} == {
        "walk": 2,
        "still": 1,
        "mute": 0,
    }
    assert {tracks.size for tracks in found.values()} == {SIZE}
    labels = found["walk"].labels
    assert isinstance(labels, Labels)
    assert labels.object_ids == ("1", "2", "3")
    seen = labels.object_areas > 0
    assert not seen[2].any()
    away = [idx for idx in range(4) if not seen[0, idx]]
    assert away == [AWAY[2]]
    assert mean_iou(labels, "count")[:, :2].max(axis=1).min() > 0.5, "not the objects' own places"


def _check_scores(evaluation: dict[str, Any], per_text: int) -> None:
    """Every expression is measured; nothing is the right answer where nothing is meant."""
    measured = evaluation["expressions"]
    assert [entry["text"] for entry in measured] == [
        text for texts in TEXTS.values() for text, _ in texts for _ in range(per_text)
    ]
    for entry in measured:
        answers, means_nothing = entry["answers"], entry["text"] in NOTHING
        assert (answers["none"]["J"] == answers["none"]["F"] == 1) == means_nothing
        assert answers["oracle"]["J"] == 1 if means_nothing else answers["oracle"]["J"] > 0.3
        assert answers["selection"]["tracks"], "threshold 0 selects every track"
    assert evaluation["num_expressions"] == len(measured)


def _check_masks(masks_dir: Path, per_text: int, *, is_empty: bool) -> None:
    """A mask for every frame of every expression, of the frame's own size."""
    wanted = {
        masks_dir / video_id / str(number) / f"{frame}.png"
        for video_id, frames in FRAMES.items()
        for number in range(per_text * len(TEXTS[video_id]))
        for frame in frames
    }
    assert set(masks_dir.rglob("*.png")) == wanted
    masks = np.array([np.array(Image.open(path)) for path in sorted(wanted)])
    assert masks.shape[1:] == SIZE
    assert masks.any() != is_empty


@pytest.mark.parametrize("source", ["gt", "grid", "gdino"])
def test_long_videos_are_tracked_in_smaller_groups(compose: Compose, source: str) -> None:
    config = compose("generate", "dataset=mevis", "split=train", f"prompt_source={source}")
    rule = config.prompt_source.rule
    code = encode(np.ones((1, 2, 2), bool))[0]
    prompts = [Prompt(0, code, 4, source) for _ in range(5)]
    queues = [PromptQueue(prompts, rule, num, Grid().choose_group) for num in (200, 201, 501)]
    sizes = [len(queue.next_group()) for queue in queues]
    assert sizes == [4, 2, 2]
