"""Every size of SAM 2 can be built, and a wrong or missing checkpoint is named."""

from pathlib import Path

import pytest

from sola.config import compose
from sola.config.schema import TrackerConfig
from sola.trackers.sam2.builder import build_tracker, checkpoint_sha256

SIZES = ("tiny", "small", "base_plus", "large")
REAL_TRACKERS = [f"{family}_hiera_{size}" for family in ("sam2", "sam2.1") for size in SIZES]


def _tracker(name: str, checkpoint: str = "random") -> TrackerConfig:
    values = ["split=train", "paths.output_dir=.", f"tracker={name}"]
    config: TrackerConfig = compose("generate", values).tracker
    config.checkpoint = checkpoint or config.checkpoint
    return config


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) for name in REAL_TRACKERS[1:]] + [REAL_TRACKERS[0]],
)
def test_every_size_is_built_with_the_values_of_upstreams_builder(name: str) -> None:
    model = build_tracker(_tracker(name))
    assert model.hidden_dim == _tracker(name).token_dim == 256
    assert model.image_size == 1024
    assert model.binarize_mask_from_pts_for_mem_enc
    assert model.sam_mask_decoder.dynamic_multimask_via_stability  # type: ignore[union-attr]
    assert bool(model.no_obj_embed_spatial is not None) == name.startswith("sam2.1")


def test_building_leaves_hydra_as_it_was() -> None:
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().clear()
    build_tracker(_tracker("small"))
    assert not GlobalHydra.instance().is_initialized()


def test_a_checkpoint_is_known_by_its_content(tmp_path: Path) -> None:
    one, other = tmp_path / "a.pt", tmp_path / "b.pt"
    one.write_bytes(b"weights")
    other.write_bytes(b"weights")
    assert checkpoint_sha256(str(one)) == checkpoint_sha256(str(other)) != "random"
    assert checkpoint_sha256("random") == "random"
