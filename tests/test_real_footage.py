"""Real footage goes through the chain; skipped where there is none beside the project.

The footage: 16 frames of 854 x 480 and the masks of one object on each of four frames. What the
tracks are worth is not tested: the small tracker has never seen a photograph, and the other one has
random weights.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from reference_weights import reference_state_dict

from sola.generation.run import run_generation
from sola.masks import decode, encode
from sola.prediction.clip.run import run_clip
from sola.prediction.run import run_predict
from sola.selector import TrackSelector
from sola.shards import ShardReader

FOOTAGE = Path(__file__).parents[2] / "shared" / "media" / "judo"
SENTENCES = {
    "0": ("the two people fighting", "1"),
    "1": ("the person standing still on the right", "2"),
    "2": ("the kneeling person on the left", "4"),
}
CUPS = FOOTAGE.parent / "cups.mp4"
SIZE = (480, 854)
NUM_FRAMES, NUM_ON_FIRST = 16, 1
FEW_PROMPTS = ["tracker.mask_generator.points_per_side=2", "prompt_source.rule.max_tracks=2"]
EVERY_MASK = [
    "tracker.mask_generator.pred_iou_thresh=0",
    "tracker.mask_generator.stability_score_thresh=0",
]
"""With random weights, it depends on the processor which masks pass a threshold."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not FOOTAGE.is_dir(), reason=f"no footage at {FOOTAGE}"),
]


@pytest.fixture
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The footage, or its first frames, as a split; each object is annotated on one frame."""
    num_frames = getattr(request, "param", NUM_FRAMES)
    split = tmp_path / "judo" / "valid_u"
    (split / "JPEGImages").mkdir(parents=True)
    (split / "JPEGImages" / "judo").symlink_to(FOOTAGE / "JPEGImages")
    masks: dict[str, list[Any]] = {}
    for path in sorted((FOOTAGE / "Annotations").glob("*.png")):
        labels = np.asarray(Image.open(path))
        if int(path.stem) >= num_frames:
            continue
        for object_id in np.unique(labels[labels > 0]):
            masks[str(object_id)] = [None] * num_frames
            masks[str(object_id)][int(path.stem)] = encode((labels == object_id)[None])[0]
    expressions = {
        name: {"exp": text, "anno_id": [int(object_id)]}
        for name, (text, object_id) in SENTENCES.items()
        if object_id in masks
    }
    frames = sorted(path.stem for path in (FOOTAGE / "JPEGImages").glob("*.jpg"))[:num_frames]
    meta = {"videos": {"judo": {"frames": frames, "expressions": expressions}}}
    (split / "meta_expressions.json").write_text(json.dumps(meta))
    (split / "mask_dict.json").write_text(json.dumps(masks))
    return tmp_path / "judo"


def _generate(compose: Callable[..., Any], root: Path, *overrides: str) -> ShardReader:
    config = compose(
        "generate",
        "dataset=mevis",
        "split=valid_u",
        "dataset.name=judo",
        f"dataset.root={root}",
        "trainer=cpu",
        *overrides,
    )
    return ShardReader(run_generation(config))


@pytest.mark.parametrize("source", ["gt", "grid"])
def test_small_tracker_tracks_real_frames(
    compose: Callable[..., Any], root: Path, source: str
) -> None:
    reader = _generate(compose, root, "tracker=small", f"prompt_source={source}")
    tracks = reader.read("judo")
    assert tracks.size == SIZE
    assert tracks.object_tokens.shape[1:] == (NUM_FRAMES, 128)
    assert {len(masklet) for masklet in tracks.masklets} == {NUM_FRAMES}
    if source == "gt":
        assert sorted(prompt.object_id for prompt in tracks.prompts) == ["1", "2", "4"]
        for prompt, masklet in zip(tracks.prompts, tracks.masklets, strict=True):
            given, tracked = decode([prompt.mask]), decode([masklet[prompt.frame_idx]])
            assert (given & tracked).sum() > 0.5 * given.sum()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("root", [3], indirect=True, ids=["3 frames"])
@pytest.mark.parametrize("source", ["gt", "grid"])
def test_full_size_sam2_runs_on_real_frames(
    compose: Callable[..., Any], root: Path, source: str
) -> None:
    reader = _generate(
        compose,
        root,
        "tracker=sam2.1_hiera_tiny",
        "tracker.checkpoint=random",
        *FEW_PROMPTS,
        *EVERY_MASK,
        f"prompt_source={source}",
    )
    assert reader.index["checkpoint_sha256"] == "random, seed 42"
    tracks = reader.read("judo")
    assert tracks.size == SIZE
    assert tracks.object_tokens.shape == (len(tracks.masklets), 3, 256)
    if source == "gt":
        assert len(tracks.masklets) == NUM_ON_FIRST
        assert np.isfinite(tracks.object_tokens).all()


def test_predictions_and_overlays_have_the_size_of_the_footage(
    compose: Callable[..., Any], root: Path, tmp_path: Path
) -> None:
    _generate(compose, root, "tracker=small", "prompt_source=grid")
    ckpt_path = tmp_path / "epoch_0.pth"
    torch.save(reference_state_dict(TrackSelector(128, 384, num_negatives=8)), ckpt_path)
    config = compose(
        "predict",
        "dataset=mevis",
        "split=valid_u",
        "dataset.name=judo",
        f"dataset.root={root}",
        "trainer=cpu",
        "tracker=small",
        "text_encoder=minilm",
        "sources=[grid]",
        f"ckpt_path={ckpt_path}",
    )
    run_predict(config)
    masks = sorted(Path(config.paths.output_dir).rglob("judo/0/*.png"))
    assert len(masks) == NUM_FRAMES
    assert {cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape for path in masks} == {SIZE}


def test_sentences_about_a_video_are_answered_at_its_size_and_times(
    compose: Callable[..., Any], tmp_path: Path
) -> None:
    ckpt_path = tmp_path / "epoch_0.pth"
    torch.save(reference_state_dict(TrackSelector(128, 384, num_negatives=8)), ckpt_path)
    config = compose(
        "predict", f"ckpt_path={ckpt_path}", f"video={CUPS}", "expressions=[the red cups]"
    )

    record = json.loads(run_clip(config).read_text())

    clip = record["clip"]
    assert (clip["num_frames"], clip["height"], clip["width"]) == (300, 720, 1280)
    np.testing.assert_allclose(clip["times_s"], np.arange(300) * 1001 / 30000, atol=1e-6)
    assert clip["tracked"]["frames"] == list(range(0, 300, 3))  # 29.97 per second, at most 10
    masks = sorted(Path(config.paths.output_dir).rglob("masks/*/0/*.png"))
    assert len(masks) == 300
    assert cv2.imread(str(masks[0]), cv2.IMREAD_UNCHANGED).shape == (720, 1280)
