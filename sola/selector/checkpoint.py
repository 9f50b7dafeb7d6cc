"""Selectors on disk: checkpoints of our training runs, and the reference's plain state dicts."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sola.selector.network import TrackSelector

PROVENANCE_KEY = "sola"
"""Where a Lightning checkpoint of ours says what it is, in plain types."""
SELECTOR_PREFIX = "selector."
"""Of the selector's names in the Lightning module's state dict."""


def load_selector(ckpt_path: Path) -> tuple[TrackSelector, dict[str, Any]]:
    """The selector of a checkpoint, in evaluation mode, and where it comes from.

    Args:
        ckpt_path: ``best.ckpt`` or ``last.ckpt`` of a training run, or an ``epoch_N.pth`` of the
            reference implementation, whose heads and groups are taken to be the paper's 8.

    Returns:
        The selector on the CPU, and its provenance: "selector" (keyword arguments of the network)
        and, for our own checkpoints, dataset, tracker (name), checkpoint_sha256 (of the tracker),
        token_dim, text_encoder (name), threshold, epoch, metrics and what else the run wrote down.

    Raises:
        ValueError: if the file is missing, is not readable without running code, or is neither.
    """
    content = _read(ckpt_path)
    provenance = content.get(PROVENANCE_KEY)
    if isinstance(provenance, dict) and "selector" in provenance and "state_dict" in content:
        try:
            selector = _our_selector(content["state_dict"], provenance)
        except (TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise ValueError(
                f"{ckpt_path}: its weights are not those of the network that it describes "
                f"({reason}). Needed: best.ckpt or last.ckpt as train.py wrote it."
            ) from error
        return selector.eval(), provenance
    weights = {name.removeprefix("module."): tensor for name, tensor in content.items()}
    if "negative_token.weight" not in weights:
        raise ValueError(
            f"{ckpt_path}: not a selector checkpoint (found {sorted(map(str, content))[:4]}). "
            "Needed: best.ckpt or last.ckpt of train.py, or an epoch_N.pth of the reference."
        )
    try:
        selector = TrackSelector(**_reference_kwargs(weights))
        selector.load_reference_state_dict(weights)
    except ValueError as error:
        raise ValueError(f"{ckpt_path}: {error}") from error
    return selector.eval(), {"selector": dict(selector.kwargs), "format": "reference"}


def _our_selector(state_dict: Mapping[str, Tensor], provenance: Mapping[str, Any]) -> TrackSelector:
    selector = TrackSelector(**provenance["selector"])
    selector.load_state_dict(
        {
            name.removeprefix(SELECTOR_PREFIX): tensor
            for name, tensor in state_dict.items()
            if name.startswith(SELECTOR_PREFIX)
        }
    )
    return selector


def _read(ckpt_path: Path) -> dict[str, Any]:
    if not ckpt_path.is_file():
        raise ValueError(f"{ckpt_path}: no such checkpoint. Run train.py, or correct ckpt_path.")
    try:
        content = torch.load(ckpt_path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        # without torch's own words, which advise to run the code in the file
        raise ValueError(
            f"{ckpt_path}: not a readable checkpoint. Needed: best.ckpt or last.ckpt of train.py, "
            "or an epoch_N.pth of the reference."
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"{ckpt_path}: holds a {type(content).__name__}, not a checkpoint.")
    return content


def _reference_kwargs(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """Widths and counts that the shapes of a reference state dict give away."""
    num_negatives, text_dim = weights["negative_token.weight"].shape
    first_filter = weights.get("short_motion_encoder.0.weight")
    layers = {name.split(".")[1] for name in weights if name.startswith("object_lang_align_layers")}
    return {
        "token_dim": 256 if first_filter is None else first_filter.shape[1],
        "text_dim": text_dim,
        "num_layers": len(layers),
        "num_negatives": num_negatives,
    }
