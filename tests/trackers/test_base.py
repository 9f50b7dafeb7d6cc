"""The interface of trackers: the example of docs/adding_a_tracker.md, run through generation."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sola.datasets import Split
from sola.errors import UserError
from sola.evaluation.tracks import check_has_tokens
from sola.generation.run import make_recipe, make_tracks
from sola.masks import decode
from sola.shards import ShardReader
from sola.trackers import Propagated, Tracker

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/adding_a_tracker.md").read_text()
NUM_FRAMES = 3


@pytest.fixture
def example() -> dict[str, Any]:
    """Names that the page's first block of code defines."""
    names: dict[str, Any] = {"__name__": "copies"}
    exec(re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1], names)
    return names


@pytest.fixture
def generate(
    compose: Callable[..., Any], tmp_path: Path
) -> Callable[..., tuple[ShardReader, Split]]:
    """``generate(tracker, "gt")``: tracks of two videos, made in this process."""

    def run(tracker: Tracker, source: str) -> tuple[ShardReader, Split]:
        config = compose(
            "generate",
            "split=train",
            f"prompt_source={source}",
            f"dataset.maker.num_frames={NUM_FRAMES}",
            "dataset.maker.num_videos={train: 2}",
            "dataset.maker.first_seed={train: 1}",
        )
        config.dataset.make("train")
        dataset, config.tracker = config.dataset.open("train"), tracker
        recipe = make_recipe(config.prompt_source, config)
        folder = tmp_path / "tracks" / source / tracker.name
        make_tracks(recipe, dataset, tmp_path, folder, config.trainer)
        return ShardReader(folder), dataset

    return run


@pytest.mark.parametrize("source", ["gt", "grid"])
def test_documented_tracker_makes_tracks(
    example: dict[str, Any], generate: Callable[..., Any], source: str
) -> None:
    reader, _ = generate(example["CopyTracker"]("copies"), source)
    found = [reader.read(video_id) for video_id in reader.videos]
    assert len(found) == 2
    assert any(tracks.prompts for tracks in found)
    for tracks in found:
        assert tracks.object_tokens.shape == (len(tracks.prompts), NUM_FRAMES, 8)
        assert np.isin(tracks.object_scores, 1).all()
        for prompt, masklet in zip(tracks.prompts, tracks.masklets, strict=True):
            assert (decode(masklet) == decode([prompt.mask])).all()


def test_index_holds_the_description(example: dict[str, Any], generate: Callable[..., Any]) -> None:
    tracker = example["CopyTracker"]("copies", threshold=150)
    index = generate(tracker, "gt")[0].index
    names = ("tracker", "token_dim", "checkpoint_sha256")
    assert [index[name] for name in names] == ["copies", 8, "none"]
    assert index["config"]["tracker"] == {"threshold": 150}
    with pytest.raises(UserError, match="threshold=150"):
        generate(example["CopyTracker"]("copies", threshold=151), "gt")


def test_tracker_without_tokens_makes_tracks_that_trained_selectors_refuse(
    example: dict[str, Any], generate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    propagate = example["CopySession"].propagate

    def without_tokens(self: Any, frame_idx: int, masks: np.ndarray) -> Propagated:
        found = propagate(self, frame_idx, masks)
        return Propagated(found.masklets, None, found.object_scores)

    monkeypatch.setattr(example["CopySession"], "propagate", without_tokens)
    tracker = example["CopyTracker"]("copies")
    tracker.token_dim = None
    reader, _ = generate(tracker, "gt")
    tracks = reader.read(reader.videos[0])
    assert len(tracks.prompts) > 0
    assert tracks.object_tokens.shape == (len(tracks.prompts), NUM_FRAMES, 0)
    assert len(tracks.masklets) == len(tracks.prompts)
    with pytest.raises(UserError, match=r"gt.copies: .* no object tokens"):
        check_has_tokens(reader.index["token_dim"], str(reader.tracks_dir))


def test_tracker_that_proposes_no_masks_is_named(
    example: dict[str, Any], generate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(example["CopySession"], "propose_masks")
    with pytest.raises(UserError, match="CopySession"):
        generate(example["CopyTracker"]("copies"), "grid")
