"""Tracks equal those of SAM2VideoPredictor: random weights, float64, SAM 2.0 and 2.1."""

import contextlib
import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from float64 import in_float64
from omegaconf import DictConfig
from PIL import Image
from small_tracker import OFFICIAL

from sola.datasets.moving_shapes.scene import SceneSettings, make_scene
from sola.trackers.sam2.builder import NETWORK, build_network, network_settings
from sola.trackers.sam2.propagation import VideoTracker

PACKAGED = {"2.0": "sam2/sam2_hiera_t.yaml", "2.1": "sam2.1/sam2.1_hiera_t.yaml"}
SEEDS_AND_SCALES = {"2.0": (3, 3.0), "2.1": (5, 2.0)}
"""Random weights of which masks and scores vary (a test below looks)."""
SIZE = 128
NUM_OBJECTS = 3
TOLERANCE = 1e-9


def _thin_settings(version: str) -> DictConfig:
    """SAM 2's own configuration with a thin trunk and small frames."""
    model = network_settings(PACKAGED[version])
    model.image_size = SIZE
    trunk = model.image_encoder.trunk
    trunk.embed_dim, trunk.stages, trunk.global_att_blocks = 16, [1, 1, 2, 1], [3]
    trunk.window_pos_embed_bkg_spatial_size = [7, 7]
    model.image_encoder.neck.backbone_channel_list = [128, 64, 32, 16]
    return model


def _build(version: str, target: str) -> Any:
    """A model in float64 whose masks and scores vary, the same for every target."""
    seed, scale = SEEDS_AND_SCALES[version]
    torch.manual_seed(seed)
    model: Any = build_network(_thin_settings(version), target)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            is_scaled = "sam_mask_decoder" in name or "memory_" in name
            if is_scaled and parameter.ndim > 1 and "embed" not in name:
                parameter.mul_(scale)
    return in_float64(model)


@pytest.fixture(scope="module", params=["2.0", "2.1"])
def models(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """Ours and the official one, with the same weights."""
    return _build(request.param, NETWORK), _build(request.param, OFFICIAL)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("videos")

    def make(num_frames: int) -> tuple[Path, np.ndarray]:
        path = folder / str(num_frames)
        if not path.is_dir():
            path.mkdir()
            settings = SceneSettings(num_frames=num_frames)
            for idx, frame in enumerate(make_scene(5, settings).frames):
                Image.fromarray(frame[:96]).save(path / f"{idx:05d}.jpg", quality=95)
        return path, np.stack([np.asarray(Image.open(file)) for file in sorted(path.iterdir())])

    return make


class Recorded(VideoTracker):
    """Keeps the logits of a pass."""

    def propagate(self, frame_idx: int, masks: np.ndarray) -> Any:
        self.logits: list[torch.Tensor] = []
        return super().propagate(frame_idx, masks)

    def _codes(self, output: dict[str, Any], *others: Any) -> Any:
        self.logits.append(output["pred_masks"].clone())
        return super()._codes(output, *others)


class WithoutForwardMemories(Recorded):
    """The control: the backward pass does not look at what the forward pass remembers."""

    def _track(self, frame_idx: int, history: Any, num_objects: int, *, is_reverse: bool) -> Any:
        if is_reverse:
            prompt_frame = next(iter(history["cond_frame_outputs"]))
            outputs = history["non_cond_frame_outputs"]
            seen = {t: out for t, out in outputs.items() if t < prompt_frame}
            history = history | {"non_cond_frame_outputs": seen}
        return super()._track(frame_idx, history, num_objects, is_reverse=is_reverse)


def _masks() -> np.ndarray:
    masks = np.zeros((NUM_OBJECTS, 96, SIZE), bool)
    masks[0, 10:50, 20:60], masks[1, 40:90, 50:120], masks[2, 5:20, 90:120] = True, True, True
    return masks


def _order(frame_idx: int, num_frames: int) -> list[int]:
    """Frames in the order in which they are tracked."""
    return [*range(frame_idx, num_frames), *range(frame_idx - 1, -1, -1)]


def _official(model: Any, folder: Path, frame_idx: int) -> dict[str, torch.Tensor]:
    """Each (n, T, ...), in order of tracking."""
    with torch.inference_mode(), contextlib.redirect_stderr(io.StringIO()):
        state = model.init_state(str(folder))
        for object_idx, mask in enumerate(_masks()):
            model.add_new_mask(state, frame_idx, object_idx, mask)
        for reverse in (False, True):
            list(model.propagate_in_video(state, frame_idx, reverse=reverse))
    order = _order(frame_idx, state["num_frames"])
    names = {"logits": "pred_masks", "tokens": "obj_ptr", "scores": "object_score_logits"}
    found: dict[str, list[torch.Tensor]] = {name: [] for name in names}
    for out in state["output_dict_per_obj"].values():
        frames = out["cond_frame_outputs"] | out["non_cond_frame_outputs"]
        for name, key in names.items():
            found[name].append(torch.stack([frames[t][key][0] for t in order]))
    return {name: torch.stack(values) for name, values in found.items()}


def _ours(tracker: Recorded, frame_idx: int) -> dict[str, torch.Tensor]:
    result = tracker.propagate(frame_idx, _masks())
    order = _order(frame_idx, tracker.num_frames)
    return {
        "logits": torch.stack(tracker.logits, dim=1),
        "tokens": torch.from_numpy(result.object_tokens[:, order]),
        "scores": torch.from_numpy(result.object_scores[:, order, None]),
    }


@pytest.fixture(scope="module")
def track(models: tuple[Any, Any], videos: Any) -> Any:
    """``track(num_frames, frame_idx)``: our tracks and the official ones, made once."""

    @functools.cache
    def both(num_frames: int, frame_idx: int) -> tuple[Any, Any]:
        folder, frames = videos(num_frames)
        ours = _ours(Recorded(models[0], frames), frame_idx)
        return ours, _official(models[1], folder, frame_idx)

    return both


def _slow(*case: int) -> Any:
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("num_frames", "frame_idx"),
    [(1, 0), (2, 1), (15, 7), _slow(2, 0), _slow(15, 0), _slow(15, 14), _slow(40, 20)],
)
def test_tracks_match_the_official_predictor_in_float64(
    track: Any, num_frames: int, frame_idx: int
) -> None:
    ours, theirs = track(num_frames, frame_idx)
    for name, values in theirs.items():
        assert (ours[name] - values).abs().max() < TOLERANCE * values.abs().max(), name


def test_compared_masks_and_scores_vary(track: Any) -> None:
    ours, _ = track(15, 7)
    shares = (ours["logits"] > 0).double().mean(dim=(-1, -2))
    assert shares[:, 1:].std() > 0.05
    assert (shares[:, 1:] > 0.05).double().mean() > 0.15
    assert ours["scores"].min() < 0 < ours["scores"][:, 1:].max()
    assert ours["tokens"].std(dim=1).max() > 0.05


def test_tracker_that_ignores_forward_memories_is_detected(
    models: tuple[Any, Any], videos: Any, track: Any
) -> None:
    control = _ours(WithoutForwardMemories(models[0], videos(15)[1]), 7)
    assert (control["logits"] - track(15, 7)[1]["logits"]).abs().max() > 1e-3
