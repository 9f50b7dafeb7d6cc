"""Data sets in every layout, end to end: tracks, and answers of a selector of another data set."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataset_trees as trees
import numpy as np
import pytest
import torch
from PIL import Image

from sola.datasets.moving_shapes.scene import Scene, SceneSettings, make_scene
from sola.generation.run import run_generation
from sola.masks import encode
from sola.prediction.run import run_predict
from sola.selector import TrackSelector
from sola.selector.checkpoint import load_selector
from sola.shards import ShardReader
from sola.training.run import train
from sola.types import Tracks

FOLDERS = {"mevis": "mevis", "ref_youtube_vos": "ref-youtube-vos", "ref_davis": "ref-davis"}
NUM_FRAMES = 4


@pytest.fixture(scope="module")
def scene() -> Scene:
    return make_scene(3, SceneSettings(num_frames=NUM_FRAMES, min_objects=2, max_objects=3))


def _write(scene: Scene, root: Path, layout: str) -> None:
    frames = [f"{idx:05d}" for idx in range(NUM_FRAMES)]
    frames_dir = root / "train" / "JPEGImages" / "v"
    frames_dir.mkdir(parents=True)
    for frame, picture in zip(frames, scene.frames, strict=True):
        Image.fromarray(picture).save(frames_dir / f"{frame}.jpg", quality=90)
    ids = [str(number + 1) for number in range(len(scene.masks))]
    if layout == "mevis":
        meta_path = root / "train" / "meta_expressions.json"
        objects = {one: {"exp": "it", "anno_id": [int(one)]} for one in ids}
        masks = {one: encode(masks) for one, masks in zip(ids, scene.masks, strict=True)}
        trees.write_json(root / "train" / "mask_dict.json", masks)
    else:
        meta_path = root / "meta_expressions" / "train" / "meta_expressions.json"
        objects = {one: {"exp": "it", "obj_id": one} for one in ids}
        for idx, frame in enumerate(frames):
            labels = np.zeros(scene.masks.shape[2:], np.uint8)
            for one, masks_of_object in zip(ids, scene.masks, strict=True):
                labels[masks_of_object[idx]] = int(one)  # shapes hide each other: none overlap
            trees.write_labels(root / "train" / "Annotations" / "v" / f"{frame}.png", labels)
    trees.write_json(meta_path, {"videos": {"v": {"frames": frames, "expressions": objects}}})


def test_layouts_give_the_same_tracks(
    compose: Callable[..., Any], scene: Scene, tmp_path: Path
) -> None:
    found: dict[str, Tracks] = {}
    for layout, folder in FOLDERS.items():
        _write(scene, tmp_path / "data" / folder, layout)
        config = compose(
            "generate",
            f"dataset={layout}",
            "split=train",
            "prompt_source=gt",
            "tracker=small",
            "trainer=single_thread",
        )
        tracks_dir = run_generation(config)
        assert tracks_dir == tmp_path / "data" / "tracks" / layout / "train" / "gt" / "small"
        index = json.loads((tracks_dir / "index.json").read_text())
        assert "meta_expressions.json" in index["annotations_sha256"]
        found[layout] = ShardReader(tracks_dir).read("v")
    first = found.pop("mevis")
    assert first.labels is not None
    assert first.labels.object_ids == tuple(str(i + 1) for i in range(len(scene.masks)))
    for tracks in found.values():
        assert tracks.labels is not None
        assert tracks.masklets == first.masklets
        np.testing.assert_array_equal(tracks.object_tokens, first.object_tokens)
        np.testing.assert_array_equal(tracks.labels.intersections, first.labels.intersections)


def _write_checkpoint(path: Path) -> None:
    """A selector of random weights that says that it was trained on moving_shapes."""
    torch.manual_seed(0)
    selector = TrackSelector(token_dim=128, text_dim=384, num_layers=1, num_negatives=2)
    weights = {f"selector.{name}": value for name, value in selector.state_dict().items()}
    origin = {"selector": selector.description, "dataset": "moving_shapes"}
    origin |= {"text_encoder": "minilm"}
    torch.save({"state_dict": weights, "sola": origin}, path)


def test_selector_answers_on_another_dataset(
    compose: Callable[..., Any], scene: Scene, tmp_path: Path
) -> None:
    root = tmp_path / "data" / "ref-youtube-vos"
    _write(scene, root, "ref_youtube_vos")
    (root / "train" / "Annotations").rename(tmp_path / "hidden")
    (root / "train").rename(root / "valid")
    meta_path = root / "meta_expressions" / "train" / "meta_expressions.json"
    for entry in (videos := json.loads(meta_path.read_text())["videos"])["v"][
        "expressions"
    ].values():
        del entry["obj_id"]
    trees.write_json(root / "meta_expressions/valid/meta_expressions.json", {"videos": videos})
    trees.add_test_videos(root)
    _write_checkpoint(tmp_path / "best.ckpt")
    choices = ["dataset=ref_youtube_vos", "split=valid", "tracker=small", "trainer=single_thread"]
    run_generation(compose("generate", *choices, "prompt_source=grid"))
    config = compose(
        *("predict", *choices, "text_encoder=minilm", f"ckpt_path={tmp_path}/best.ckpt"),
        *("threshold=0", "sources=[grid]"),
    )
    masks_dir = run_predict(config).parent / "masks" / config.dataset.submission_top_dir
    written = sorted(p.relative_to(masks_dir) for p in tmp_path.rglob("masks/**/*.png"))
    numbers = range(1, len(scene.masks) + 1)
    assert written == [Path(f"v/{i}/{f:05d}.png") for i in numbers for f in range(NUM_FRAMES)]


def test_joint_dataset_trains(compose: Callable[..., Any], scene: Scene, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    _write(scene, data_dir / "mevis", "mevis")
    shutil.copytree(data_dir / "mevis" / "train", data_dir / "mevis" / "valid_u")
    _write(scene, data_dir / "ref-youtube-vos", "ref_youtube_vos")
    choices = ("tracker=small", "trainer=single_thread")
    for layout, split in (("mevis", "train"), ("ref_youtube_vos", "train"), ("mevis", "valid_u")):
        of_part = (f"dataset={layout}", f"split={split}", "prompt_source=gt", *choices)
        run_generation(compose("generate", *of_part))
    config = compose(
        "train",
        "dataset=mevis_and_ref_youtube_vos",
        *choices,
        "text_encoder=minilm",
        "selector=small",
        "logger=csv",
        "trainer.max_epochs=1",
        "data.train_sources=[gt]",
        "data.valid_sources=[gt]",
    )
    train(config)
    _, origin = load_selector(tmp_path / "output" / "best.ckpt")
    assert origin["dataset"] == "mevis_and_ref_youtube_vos"
    assert [
        Path(folder).relative_to(data_dir / "tracks").parts[:2] for folder in origin["tracks"]
    ] == [
        ("mevis", "train"),
        ("ref_youtube_vos", "train"),
        ("mevis", "valid_u"),
    ]
    assert origin["step"] == 2 * len(scene.masks), "an expression a step, of both"
