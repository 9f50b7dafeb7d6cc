"""Builds a SAM 2 from its configuration and loads its weights.

sam2's own builders compose with Hydra, whose global state belongs to our entry points; here the
YAML inside the sam2 package is read as a file, and the values that ``build_sam2_video_predictor``
adds to it are set by us.
"""

import importlib.util
import logging
from pathlib import Path
from typing import Any

import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import OmegaConf

from sola.config.schema import TrackerConfig
from sola.errors import UserError
from sola.files import Damage, sha256_of_file
from sola.weights_file import read_weights

log = logging.getLogger(__name__)

NETWORK = "sam2.modeling.sam2_base.SAM2Base"
ROPE_ATTENTION = "sola.trackers.sam2.rope.RoPEAttention"
STRIDE = 16
"""Of the feature map that attends to memories, px."""
RANDOM_WEIGHTS = "random"
POST_PROCESSING: dict[str, Any] = {
    # fall back to the best of several masks where the single one is not stable
    "sam_mask_decoder_extra_args.dynamic_multimask_via_stability": True,
    "sam_mask_decoder_extra_args.dynamic_multimask_stability_delta": 0.05,
    "sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh": 0.98,
    # memory of a prompted frame is made of the mask that a user would see
    "binarize_mask_from_pts_for_mem_enc": True,
}
"""What ``build_sam2_video_predictor`` sets by default; holes are a TrackerConfig value."""


def build_tracker(config: TrackerConfig, target: str = NETWORK) -> torch.nn.Module:
    """The tracker in evaluation mode, on the CPU, with its weights.

    Args:
        config: which network, and where its weights are.
        target: class of sam2 to build: SAM2Base, or a predictor derived from it, which stays as
            upstream made it.

    Raises:
        UserError: if the checkpoint is missing or belongs to another network.
    """
    check_checkpoint(config)
    model = _instantiate(config, target)
    if config.checkpoint == RANDOM_WEIGHTS:
        log.warning("tracker %s has random weights: its masks mean nothing", config.name)
    else:
        _load_weights(model, Path(config.checkpoint), config.name)
    return model.eval().requires_grad_(False)


def check_checkpoint(config: TrackerConfig) -> None:
    """Raise ValueError where the file of the tracker's weights is missing."""
    path = Path(config.checkpoint)
    if config.checkpoint != RANDOM_WEIGHTS and not path.is_file():
        raise UserError(
            f"{path}: checkpoint of tracker {config.name} not found. Put SAM 2's published file "
            f"{path.name} there, or say tracker.checkpoint=<file> (or random to try mechanics)."
        )


def checkpoint_sha256(checkpoint: str) -> str:
    """SHA-256 of a checkpoint file; "random" for random weights."""
    if checkpoint == RANDOM_WEIGHTS:
        return RANDOM_WEIGHTS
    return sha256_of_file(Path(checkpoint))


def packaged_config(name: str) -> Any:
    """The network of a configuration file inside the sam2 package, found without running it.

    Args:
        name: such as sam2.1/sam2.1_hiera_l.yaml.

    Raises:
        UserError: if sam2 has no such file.
    """
    spec = importlib.util.find_spec("sam2")
    assert spec is not None, "sam2 is a dependency"
    assert spec.origin is not None
    folder = Path(spec.origin).parent / "configs"
    if not (folder / name).is_file():
        known = sorted(str(path.relative_to(folder)) for path in folder.glob("sam2*/*.yaml"))
        raise UserError(f"tracker.packaged_model={name}: not in sam2; choose one of {known}.")
    return OmegaConf.load(folder / name).model


def _instantiate(config: TrackerConfig, target: str) -> torch.nn.Module:
    if config.packaged_model is not None:
        model = packaged_config(config.packaged_model)
        for key, value in POST_PROCESSING.items():
            OmegaConf.update(model, key, value, force_add=True)
    else:
        model = OmegaConf.create(config.model)
    model._target_ = target
    if target == NETWORK:
        side = model.image_size // STRIDE
        for attention in ("self_attention", "cross_attention"):
            node = model.memory_attention.layer[attention]
            node._target_, node.feat_sizes = ROPE_ATTENTION, [side, side]
    else:
        model.fill_hole_area = config.fill_hole_area
    OmegaConf.resolve(model)
    was_initialised = GlobalHydra.instance().is_initialized()
    network: torch.nn.Module = instantiate(model, _recursive_=True)
    if not was_initialised:  # importing sam2 initialises Hydra for itself
        GlobalHydra.instance().clear()
    return network


def _load_weights(model: torch.nn.Module, path: Path, name: str) -> None:
    try:
        content = read_weights(path)
    except Damage as error:
        raise UserError(f"{path}: not readable as a checkpoint. Get the file again.") from error
    if not isinstance(content, dict) or "model" not in content:
        raise UserError(
            f'{path}: not a SAM 2 checkpoint: needed is a file of {{"model": state dict}}. Name '
            "another one: checkpoint=<file>."
        )
    try:
        model.load_state_dict({key: value.float() for key, value in content["model"].items()})
    except (AttributeError, RuntimeError) as error:  # the first where they are no tensors
        first = " ".join(str(error).splitlines()[:2][-1].split())[:100]
        raise UserError(
            f"{path}: weights of another network than {name} ({first} ...). "
            f"Choose the tracker that belongs to the file."
        ) from error
