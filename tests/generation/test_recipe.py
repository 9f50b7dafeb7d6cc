"""What tracks and found prompts depend on, and what they do not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from small_detector import GDINO

from sola.datasets import Split
from sola.errors import UserError
from sola.generation.generator import Recipe
from sola.generation.run import make_recipe
from sola.prompts import DetectorBoxes
from sola.prompts.grounding_dino import GroundingDino
from sola.shards import PromptStore

Compose = Callable[..., Any]


def _config(compose: Compose, source: str, *overrides: str) -> Any:
    return compose(
        "generate",
        "split=train",
        "dataset.maker.num_videos={train: 1}",
        "dataset.maker.first_seed={train: 1}",
        f"prompt_source={source}",
        *overrides,
    )


def _recipe(compose: Compose, source: str, *overrides: str) -> tuple[Recipe, Split]:
    config = _config(compose, source, *overrides)
    config.dataset.make("train")
    chosen = config.prompt_source
    precision = config.trainer.node["precision"] or "32-true"
    recipe = Recipe(chosen, config.tracker, config.seed, precision, config.token_dtype)
    return recipe, config.dataset.open("train")


def _folder(compose: Compose, source: str, *overrides: str) -> Path:
    recipe, split = _recipe(compose, source, *(GDINO if source == "gdino" else ()), *overrides)
    return PromptStore(Path(), recipe.describe_prompts(split)).folder


@pytest.mark.parametrize(
    ("source", "override"),
    [
        ("grid", "trainer.precision=bf16-mixed"),
        ("grid", "tracker.checkpoint=random"),
        ("grid", "tracker.mask_generator.points_per_side=16"),
        ("grid", "tracker.mask_generator.stability_score_thresh=0.5"),
        ("gdino", "seed=1"),
        ("gdino", "prompt_source.detector.text_threshold=0.5"),
        ("gdino", "prompt_source.detector.shortest_edge_px=64"),
        ("gdino", "prompt_source.detector.implementation=groundingdino"),
        ("gdino", "prompt_source.detector.network.num_queries=4"),
    ],
)
def test_prompts_found_in_another_way_lie_elsewhere(
    compose: Compose, source: str, override: str
) -> None:
    assert _folder(compose, source, override) != _folder(compose, source)


@pytest.mark.parametrize(
    ("source", "override"),
    [
        ("grid", "prompt_source.rule.max_tracks=3"),
        ("grid", "prompt_source.part_overlap=0.5"),
        ("grid", "prompt_source.frame_stride=2"),
        ("grid", "tracker.name=other"),
        ("grid", "tracker.feature_budget_mib=1"),
        ("gdino", "prompt_source.box_threshold=0.5"),
        ("gdino", "prompt_source.stability_threshold=0.7"),
    ],
)
def test_lower_caps_and_thresholds_reuse_prompts(
    compose: Compose, source: str, override: str
) -> None:
    assert _folder(compose, source, override) == _folder(compose, source)


def test_prompts_of_other_annotations_lie_elsewhere(compose: Compose) -> None:
    recipe, split = _recipe(compose, "grid")
    before = recipe.describe_prompts(split)
    path = split.split_dir / "meta_expressions.json"
    path.write_text(path.read_text() + " ")
    assert _recipe(compose, "grid")[0].describe_prompts(_reopened(compose)) != before


def _reopened(compose: Compose) -> Split:
    return _recipe(compose, "grid")[1]


def test_random_detector_weights_depend_only_on_the_seed(compose: Compose) -> None:
    recipe, _ = _recipe(compose, "gdino", *GDINO)
    one = _opened(recipe)
    torch.rand(3)  # whatever was drawn before, as in another process
    other = _opened(recipe)
    assert all(torch.equal(one[name], other[name]) for name in one)


def _opened(recipe: Recipe) -> dict[str, torch.Tensor]:
    recipe.open_source(torch.device("cpu"))
    assert isinstance(recipe.source, DetectorBoxes)
    detector = recipe.source.detector
    assert isinstance(detector, GroundingDino)
    assert detector.loaded is not None
    return detector.loaded.state_dict()


@pytest.mark.parametrize(
    "override",
    [
        "trainer.precision=bf16-true",
        "trainer.precision=16-mixed",  # on a CPU
        "trainer.strategy=ddp_find_unused_parameters_true",
    ],
)
def test_trainer_that_cannot_generate_is_refused(compose: Compose, override: str) -> None:
    config = _config(compose, "grid", override)
    with pytest.raises(UserError, match=override.partition("=")[0]):
        make_recipe(config.prompt_source, config)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("trainer.precision=32-true", "float32"),
        ("trainer.precision=bf16-mixed", "float16"),
        ("trainer.precision=16-mixed", "float32"),
        ("token_dtype=float16", "float16"),
        ("token_dtype=float32", "float32"),
    ],
)
def test_object_tokens_are_stored_as_wide_as_they_are_computed(
    compose: Compose, override: str, expected: str
) -> None:
    recipe, split = _recipe(compose, "grid", override)
    assert recipe.describe_tracks(split)["token_dtype"] == expected
