"""SAM 2 behind the interface of trackers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_tracker import loaded, small_tracker

from sola.datasets.moving_shapes.scene import SceneSettings, make_scene
from sola.errors import UserError
from sola.masks import decode
from sola.trackers.sam2 import MaskGeneratorConfig, Sam2Tracker

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("key", "value"),
    [("feature_budget_mib", -0.5), ("token_dim", 0), ("name", "a/b")],
)
def test_constructor_refuses_invalid_arguments(key: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"^{key}: .*{value}"):
        small_tracker(**{key: value})


@pytest.mark.parametrize(("key", "value"), [("points_per_side", 0), ("box_nms_thresh", 1.5)])
def test_mask_generator_refuses_invalid_arguments(key: str, value: float) -> None:
    with pytest.raises(UserError, match=f"^{key}: .*{value}"):
        MaskGeneratorConfig(**{key: value})


def test_constructor_touches_no_file() -> None:
    Sam2Tracker("any", "nowhere.yaml", "nowhere.pt")


def test_missing_checkpoint_is_named() -> None:
    with pytest.raises(UserError, match=r"nowhere\.pt"):
        small_tracker(checkpoint="nowhere.pt").check()


def test_token_dim_must_be_that_of_the_network() -> None:
    with pytest.raises(UserError, match=r"token_dim: .*256.*128"):
        small_tracker(token_dim=256).build()


def test_shipped_tracker_works_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    small_tracker().check()
    loaded(small_tracker())


def test_description_depends_on_content_only(tmp_path: Path) -> None:
    shipped = small_tracker()
    copy = tmp_path / "copy.pt"
    weights = ROOT / "sola/trackers/small/small_tracker.pt"
    copy.write_bytes(weights.read_bytes())
    moved = small_tracker(name="other", checkpoint=str(copy), feature_budget_mib=1)
    assert moved.describe() == shipped.describe()
    copy.write_bytes(b"other")
    others = [
        small_tracker(checkpoint=str(copy)),
        small_tracker(checkpoint="random"),
        small_tracker(mask_generator=MaskGeneratorConfig(points_per_side=3)),
        small_tracker(network="sam2/sam2_hiera_t.yaml"),
    ]
    assert all(other.describe() != shipped.describe() for other in others)
    assert str(ROOT) not in str(shipped.describe())


def test_random_weights_depend_on_the_seed_only() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.rand(3)  # whatever was drawn before
        tracker = small_tracker(checkpoint="random")
        tracker.load(torch.device("cpu"), seed)
        return tracker._generator.model.image_encoder.trunk.stem[0].weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_session_tracks_proposes_and_takes_boxes() -> None:
    scene = make_scene(1, SceneSettings(num_frames=4))
    grid = MaskGeneratorConfig(
        points_per_side=8, pred_iou_thresh=0.4, stability_score_thresh=0.7, box_nms_thresh=0.75
    )
    session = loaded(small_tracker(mask_generator=grid)).open(scene.frames)
    assert (session.num_frames, session.size) == (4, (128, 128))

    tracks = session.propagate(1, scene.masks[:2, 1])
    assert np.asarray(tracks.object_tokens).shape == (2, 4, 128)
    assert tracks.object_scores.shape == (2, 4)
    assert decode(tracks.masklets[0]).shape == (4, 128, 128)

    assert session.propose_masks(0)
    boxes = np.array([[10, 10, 60, 60]], np.float32)
    assert session.masks_of_boxes(2, boxes)[0].mask["size"] == [128, 128]
