"""Networks of every size are built as upstream's builder builds them."""

from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from small_tracker import small_tracker

from sola.errors import UserError
from sola.trackers.sam2 import Sam2Tracker
from sola.trackers.sam2.builder import find_network, network_sha256

SIZES = ("t", "s", "b+", "l")
REAL_NETWORKS = [
    f"{version}/{version}_hiera_{size}" for version in ("sam2", "sam2.1") for size in SIZES
]
SMALL_DIR = find_network("pkg://sola.trackers.small/network.yaml").parent


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) for name in REAL_NETWORKS[1:]] + [REAL_NETWORKS[0]],
)
def test_network_has_the_values_of_upstreams_builder(name: str) -> None:
    model = Sam2Tracker("real", f"{name}.yaml", "random").build()
    assert model.hidden_dim == 256
    assert model.image_size == 1024
    assert model.binarize_mask_from_pts_for_mem_enc
    assert model.sam_mask_decoder.dynamic_multimask_via_stability
    assert bool(model.no_obj_embed_spatial is not None) == name.startswith("sam2.1")


def test_small_network_keeps_its_own_values() -> None:
    model = small_tracker().build()
    assert not model.binarize_mask_from_pts_for_mem_enc
    assert not model.sam_mask_decoder.dynamic_multimask_via_stability


def test_building_leaves_hydra_as_it_was() -> None:
    GlobalHydra.instance().clear()
    small_tracker().build()
    assert not GlobalHydra.instance().is_initialized()


def test_network_is_known_by_its_content_and_not_by_modules_or_paths(tmp_path: Path) -> None:
    packaged = "sam2.1/sam2.1_hiera_t.yaml"
    text = find_network(packaged).read_text()
    copy, moved, changed = (
        tmp_path / "copy.yaml",
        tmp_path / "moved.yaml",
        tmp_path / "changed.yaml",
    )
    copy.write_text(text)
    moved.write_text(text.replace("sam2.modeling.", "elsewhere."))
    changed.write_text(text.replace("num_maskmem: 7", "num_maskmem: 6"))
    expected = network_sha256(packaged)
    assert network_sha256(str(copy)) == network_sha256(str(moved)) == expected
    assert network_sha256(str(changed)) != expected


@pytest.mark.parametrize("text", ["a: [", "other: 1", "model: 3", "3"])
def test_invalid_network_file_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "network.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"network\.yaml"):
        small_tracker(network=str(path)).check()


@pytest.mark.parametrize("network", ["sam2.1/huge.yaml", "pkg://no.such.package/network.yaml"])
def test_missing_network_is_named(network: str) -> None:
    with pytest.raises(UserError, match=network):
        small_tracker(network=network).check()
