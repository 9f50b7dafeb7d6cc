"""Prompt sources of a user's own: what they are given, and what is used again."""

import importlib
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sola.config.entry_points import GenerateConfig
from sola.errors import UserError
from sola.generation.run import run_generation
from sola.masks import decode
from sola.shards import ShardReader

CORNER = '''
"""Corner: a square in a corner of every frame, for every expression of more than some letters."""

from pathlib import Path

import numpy as np

from sola.prompts import PromptSource

LOOKED = []


class Corner(PromptSource):
    is_by_expression = True
    thresholds = ("min_area",)

    def __init__(self, letters, folder="here", min_area=0):
        super().__init__("corner", frame_stride=2)
        self.letters, self.folder, self.min_area = letters, Path(folder), min_area

    def find(self, video, frame_idxs, texts):
        LOOKED.append(video.video_id)
        mask = np.zeros(video.size, bool)
        mask[:40, :40] = True
        return {
            text: [self.prompt(i, mask) for i in frame_idxs if len(text) > self.letters]
            for text in texts
        }

    def keep(self, found):
        return [prompt for prompt in found if prompt.area > self.min_area]
'''
Compose = Callable[..., Any]
NUMBERS = count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module that each test has for itself."""
    name = f"corner_{next(NUMBERS)}"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / f"{name}.py").write_text(CORNER)
    monkeypatch.syspath_prepend(tmp_path / "code")
    return name


def _config(compose: Compose, module: str, tracker: str = "small", **options: Any) -> Any:
    config: GenerateConfig = compose(
        "generate",
        "split=train",
        f"tracker.name={tracker}",
        "dataset.maker.num_videos={train: 1}",
        "dataset.maker.first_seed={train: 1}",
        "dataset.maker.num_frames=3",
        "dataset.maker.expressions_per_video=6",
        "dataset.maker.rewordings.train.known=0",
    )
    config.prompt_source = importlib.import_module(module).Corner(**options)
    return config


def test_each_expression_has_tracks_of_its_own(compose: Compose, module: str) -> None:
    reader = ShardReader(run_generation(_config(compose, module, letters=20)))

    assert reader.is_by_expression
    counts = {name: entry["num_tracks"] for name, entry in reader.index["entries"].items()}
    assert len(counts) == 6
    assert set(counts.values()) == {0, 2}
    entry = next(name.split("/") for name, count in counts.items() if count)
    prompts = reader.read(*entry).prompts
    assert [(p.frame_idx, p.area, p.source) for p in prompts] == [
        (0, 1600, "corner"),
        (2, 1600, "corner"),
    ]
    assert reader.read_evidence(*entry) is None


def test_scored_prompts_by_expression_leave_evidence(
    compose: Compose, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _config(compose, module, letters=0)
    source = type(config.prompt_source)
    make = source.prompt
    monkeypatch.setattr(source, "prompt", lambda *args: make(*args, token_scores=(0.25, 0.5)))
    reader = ShardReader(run_generation(config))

    for name in reader.index["entries"]:
        evidence = reader.read_evidence(*name.split("/"))
        assert evidence is not None
        assert evidence.frame_idxs == (0, 2)
        assert evidence.scores.max() == 0.5


def test_thresholds_and_paths_reuse_found_prompts_and_other_settings_do_not(
    compose: Compose, module: str
) -> None:
    run_generation(_config(compose, module, letters=20))
    looked = importlib.import_module(module).LOOKED
    assert len(looked) == 1
    folder = run_generation(_config(compose, module, letters=20, folder="there"))
    described = ShardReader(folder).index["config"]["prompt_source"]
    assert described["letters"] == 20
    assert "folder" not in described
    cut = ShardReader(run_generation(_config(compose, module, "b", letters=20, min_area=1599)))
    assert {entry["num_tracks"] for entry in cut.index["entries"].values()} == {0, 2}
    assert len(looked) == 1
    run_generation(_config(compose, module, "c", letters=19))
    assert len(looked) == 2
    with pytest.raises(UserError, match="letters"):
        run_generation(_config(compose, module, letters=19))


def test_prompts_and_tracks_of_other_code_are_not_reused(
    compose: Compose, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_generation(_config(compose, module, letters=20))
    path = tmp_path / "code" / f"{module}.py"
    path.write_text(path.read_text().replace(":40, :40", ":30, :30"))
    monkeypatch.delitem(sys.modules, module)
    with pytest.raises(UserError, match="prompt_source_code_sha256"):
        run_generation(_config(compose, module, letters=20))
    reader = ShardReader(run_generation(_config(compose, module, "b", letters=20)))
    entry = next(name.split("/") for name, e in reader.index["entries"].items() if e["num_tracks"])
    assert reader.read(*entry).prompts[0].area == 900


def test_mask_of_numbers_becomes_a_mask_of_pixels(compose: Compose, module: str) -> None:
    source = _config(compose, module, letters=0).prompt_source
    prompt = source.prompt(2, np.full((3, 4), 255, np.uint8), phrase="all")
    assert (prompt.frame_idx, prompt.area, prompt.phrase) == (2, 12, "all")
    assert decode([prompt.mask]).all()
