"""What was found in a video is kept, and handed out only for what was looked for."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sola.masks import encode
from sola.shards import PromptStore
from sola.shards import prompts as prompts_module
from sola.types import FoundPrompts, Prompt

DESCRIPTION = {"dataset": "drawn", "split": "train", "source": "gdino", "weights": "abc"}
MASK = encode(np.eye(3, 4, dtype=bool)[None])[0]


def _prompt(frame_idx: int, score: float) -> Prompt:
    return Prompt(
        frame_idx=frame_idx,
        mask=MASK,
        area=3,
        source="gdino",
        predicted_iou=0.5,
        stability_score=0.75,
        box=(0.0, 0.0, 4.0, 3.0),
        phrase="dog",
        token_scores=(score, 0.125),
    )


SIZE = (3, 4)
FOUND = FoundPrompts(
    size=SIZE,
    frames=(0, 4, 8),
    box_threshold=0.2,
    by_text={"a dog": (_prompt(0, 0.5), _prompt(8, 0.25)), "nobody": ()},
)


@pytest.fixture
def store(tmp_path: Path) -> PromptStore:
    return PromptStore(tmp_path, DESCRIPTION)


def test_written_tracks_are_read_back(store: PromptStore) -> None:
    assert store.read("v", FOUND) is None
    store.write("v", FOUND)
    assert store.read("v", FOUND) == FOUND
    assert store.read("w", FOUND) is None


def test_fewer_frames_and_texts_are_a_part_of_it(store: PromptStore) -> None:
    store.write("v", FOUND)
    found = store.read("v", FoundPrompts(SIZE, (0, 4), 0.3, {"a dog": ()}))
    assert found is not None
    assert found.frames == (0, 4)
    assert found.by_text == {"a dog": FOUND.by_text["a dog"][:1]}


@pytest.mark.parametrize(
    "wanted",
    [
        replace(FOUND, frames=(0, 2)),
        replace(FOUND, by_text={"a cat": ()}),
        replace(FOUND, box_threshold=0.1),
        replace(FOUND, size=(4, 3)),
    ],
)
def test_prompts_of_another_search_are_not_read(store: PromptStore, wanted: FoundPrompts) -> None:
    store.write("v", FOUND)
    assert store.read("v", wanted) is None


def test_interrupted_write_keeps_the_old_file(
    store: PromptStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("v", FOUND)

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prompts_module, "seal", stop)
    with pytest.raises(KeyboardInterrupt):
        store.write("v", FoundPrompts((3, 4), (0,), 0.0, {"a cat": ()}))
    assert store.read("v", FOUND) == FOUND
    assert [path.name for path in store.folder.glob("v*")] == ["v.h5"]


def test_every_way_to_find_prompts_has_its_own_folder(tmp_path: Path) -> None:
    folder = PromptStore(tmp_path, DESCRIPTION).folder
    assert folder == PromptStore(tmp_path, dict(reversed(DESCRIPTION.items()))).folder
    assert folder != PromptStore(tmp_path, DESCRIPTION | {"weights": "def"}).folder
    assert folder.parent == tmp_path / "prompts" / "drawn" / "train" / "gdino"
