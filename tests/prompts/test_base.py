"""Prompt sources that users add: what they are given, what is remembered, what is refused."""

import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sola.prompts
from sola.config.schema import GenerateConfig, PromptSourceConfig
from sola.generation.run import run_generation
from sola.masks import decode
from sola.prompts import PromptSource, build_source
from sola.shards import ShardReader

CORNER = '''
"""Corner: a square in a corner of every frame, for every expression of more than some letters."""

import numpy as np

from sola.prompts.base import PromptSource

LOOKED = []


class Corner(PromptSource):
    is_by_expression = True
    places = ("folder",)
    thresholds = ("min_area",)

    def __init__(self, rule, *, letters, folder="here", min_area=0):
        super().__init__(rule)
        self.letters, self.min_area = letters, min_area

    def find(self, video, frame_idxs, texts):
        LOOKED.append(video.video_id)
        mask = np.zeros(video.size, bool)
        mask[:40, :40] = True
        return {
            text: [self.prompt(i, mask) for i in frame_idxs if len(text) > self.letters]
            for text in texts
        }

    def keep(self, found):
        return super().keep([prompt for prompt in found if prompt.area > self.min_area])
'''
Compose = Callable[..., Any]
NUMBERS = count()


@pytest.fixture
def corner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a source that each test has for itself."""
    name = f"corner_{next(NUMBERS)}"
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / f"{name}.py").write_text(CORNER)
    monkeypatch.setattr(sola.prompts, "__path__", [*sola.prompts.__path__, str(tmp_path / "code")])
    return name


def _config(compose: Compose, name: str, tracker: str = "small", **options: Any) -> GenerateConfig:
    config: GenerateConfig = compose(
        "generate",
        "split=train",
        f"tracker.name={tracker}",
        "dataset.maker.num_videos={train: 1}",
        "dataset.maker.first_seed={train: 1}",
        "dataset.maker.num_frames=3",
        "dataset.maker.expressions_per_video=6",
    )
    config.prompt_source = PromptSourceConfig(name=name, frame_stride=2, options=options)
    return config


def _looked(source: PromptSource) -> list[str]:
    found: list[str] = vars(__import__(type(source).__module__, fromlist=["x"]))["LOOKED"]
    return found


def test_each_expression_has_tracks_of_its_own(compose: Compose, corner: str) -> None:
    config = _config(compose, corner, letters=20)
    reader = ShardReader(run_generation(config))

    assert reader.is_by_expression
    counts = {name: entry["num_tracks"] for name, entry in reader.index["entries"].items()}
    assert len(counts) == 6
    assert set(counts.values()) == {0, 2}
    entry = next(name.split("/") for name, count in counts.items() if count)
    prompts = reader.read(*entry).prompts
    assert [(p.frame_idx, p.area, p.source) for p in prompts] == [
        (0, 1600, corner),
        (2, 1600, corner),
    ]


def test_thresholds_and_places_take_what_was_found_and_options_look_again(
    compose: Compose, corner: str
) -> None:
    run_generation(_config(compose, corner, letters=20))
    looked = _looked(build_source(PromptSourceConfig(corner, options={"letters": 20})))
    assert len(looked) == 1
    moved = _config(compose, corner, letters=20, folder="there")
    folder = run_generation(moved)  # the same tracks
    assert ShardReader(folder).index["config"]["prompt_source"]["options"] == {"letters": 20}
    cut = ShardReader(run_generation(_config(compose, corner, "b", letters=20, min_area=1600)))
    assert {entry["num_tracks"] for entry in cut.index["entries"].values()} == {0}
    assert len(looked) == 1
    run_generation(_config(compose, corner, "c", letters=1000))
    assert len(looked) == 2
    with pytest.raises(ValueError, match=r"options.letters=20, .* 1000"):
        run_generation(_config(compose, corner, letters=1000))


def test_prompts_and_tracks_of_other_code_are_not_taken(
    compose: Compose, corner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_generation(_config(compose, corner, letters=20))
    path = tmp_path / "code" / f"{corner}.py"
    module = f"sola.prompts.{corner}"
    documented = CORNER.replace("(PromptSource):", '(PromptSource):\n    """A corner."""')
    path.write_text(f'"""Said otherwise."""\n# the same\n{documented.partition(".")[2][4:]}')
    monkeypatch.delitem(sys.modules, module)
    run_generation(_config(compose, corner, letters=20))

    path.write_text(path.read_text().replace(":40, :40", ":30, :30"))
    run_generation(_config(compose, corner, letters=20))  # what was imported is the same still
    monkeypatch.delitem(sys.modules, module)
    with pytest.raises(ValueError, match="made with prompt_source_code_sha256="):
        run_generation(_config(compose, corner, letters=20))
    reader = ShardReader(run_generation(_config(compose, corner, "b", letters=20)))
    entry = next(name.split("/") for name, e in reader.index["entries"].items() if e["num_tracks"])
    assert reader.read(*entry).prompts[0].area == 900


def test_a_file_that_names_another_source_is_told(
    compose: Compose, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sola.generation.run.chosen_file", lambda _: "dense")
    run_generation(_config(compose, "gt"))
    said = "prompt_source=dense is the source gt: conf/prompt_source/dense.yaml says name: gt"
    assert said in caplog.messages


def test_a_source_that_finds_something_else_than_asked_for_is_told(
    compose: Compose, corner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = type(build_source(PromptSourceConfig(corner, options={"letters": 0})))
    find = source.find
    monkeypatch.setattr(source, "find", lambda *_: {"": []})
    with pytest.raises(ValueError, match=r"find gave prompts for \[''\]; asked for were \['"):
        run_generation(_config(compose, corner, letters=0))

    def outside(self: Any, video: Any, frame_idxs: Any, texts: Any) -> Any:
        return find(self, video, [7], texts)

    monkeypatch.setattr(source, "find", outside)
    with pytest.raises(ValueError, match=r"on frame 7; the video has 3 frames of \(128, 128\)"):
        run_generation(_config(compose, corner, letters=0))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("corners", {}, "prompt_source.name=corners: there is no sola/prompts/corners.py"),
        ("selection", {}, "selection.py must define one class of PromptSource"),
        ("grid", {"stride": 2}, "prompt_source.options.stride: grid does not take it; it takes no"),
        ("CORNER", {}, "prompt_source.options.letters is missing: .* needs it"),
        ("CORNER", {"leters": 2}, "leters: .* does not take it; .* Did you mean letters?"),
    ],
)
def test_what_is_no_source_or_no_option_is_refused(
    corner: str, name: str, options: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build_source(PromptSourceConfig(name.replace("CORNER", corner), options=options))


def test_a_mask_of_numbers_is_one_of_pixels_and_its_size_is_told(
    compose: Compose, corner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = build_source(PromptSourceConfig(corner, options={"letters": 0}))
    prompt = source.prompt(2, np.full((3, 4), 255, np.uint8), phrase="all")
    assert (prompt.frame_idx, prompt.area, prompt.phrase) == (2, 12, "all")
    assert decode([prompt.mask]).all()
    with pytest.raises(ValueError, match=r"a mask of shape \(3, 4, 1\); needed is \(H, W\)"):
        source.prompt(0, np.ones((3, 4, 1), bool))
    with pytest.raises(ValueError, match=r"token_scores is 0.5; needed is a tuple of numbers"):
        source.prompt(0, np.ones((3, 4), bool), token_scores=0.5)
    monkeypatch.setattr(type(source), "find", lambda *_: [prompt])
    with pytest.raises(ValueError, match=r"find gave a list; needed is a dict of prompts by text"):
        run_generation(_config(compose, corner, letters=0))
