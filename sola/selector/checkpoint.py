"""Load selectors from checkpoints of our runs, hub folders, or the reference's weights."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sola.config.targets import TARGET, call, check_arguments, locate
from sola.errors import UserError
from sola.files import is_there, read_json, refusals
from sola.selector.base import PROVENANCE_KEY, Selector
from sola.selector.track_selector import TrackSelector
from sola.weights_file import plain_weights, read_weights, refuse_stand_in

SELECTOR_PREFIX = "selector."
"""Prefix of the selector's weights in the Lightning module's state dict."""
HUB_CONFIG, HUB_WEIGHTS = "config.json", "model.safetensors"
NEEDED = (
    "Use best.ckpt or last.ckpt of train.py, a folder of save_pretrained, or an epoch_N.pth of the "
    "reference."
)


def load_selector(ckpt_path: Path, own: Collection[str] = ()) -> tuple[Selector, dict[str, Any]]:
    """Load the selector of a checkpoint in evaluation mode, and its provenance.

    Args:
        ckpt_path: ``best.ckpt`` or ``last.ckpt`` of a training run; a folder of
            ``Selector.save_pretrained``; or an ``epoch_N.pth`` of the reference implementation,
            assumed to have the paper's 8 heads and 8 groups.
        own: import paths of classes outside sola that the user's configuration names; a checkpoint
            cannot import any other class outside sola.

    Returns:
        The selector on the CPU, and its provenance: "selector" (the network as a ``_target_``
        node) and, for our own checkpoints, dataset, tracker (name), checkpoint_sha256 (of the
        tracker), token_dim, text_encoder (name), threshold, epoch, metrics and other records of the
        run. ``save_pretrained`` writes the provenance, too.

    Raises:
        UserError: if the file is missing, cannot be read without running code, or has none of these
            formats.
    """
    with refusals(ckpt_path):
        selector = _from_hub(ckpt_path, own) if ckpt_path.is_dir() else _from_file(ckpt_path, own)
    return selector.eval(), selector.provenance


def read_provenance(ckpt_path: Path) -> dict[str, Any]:
    """Return the provenance of a checkpoint without its network; {} if it has none.

    Raises:
        UserError: if the file is missing, or cannot be read without running code.
    """
    with refusals(ckpt_path):
        is_folder = ckpt_path.is_dir()
        content = (
            read_json(ckpt_path / HUB_CONFIG, NEEDED) if is_folder else read_weights(ckpt_path)
        )
    found = content.get(PROVENANCE_KEY) if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}


def weights_file(ckpt_path: Path) -> Path:
    """Return the file that holds a checkpoint's weights."""
    return ckpt_path / HUB_WEIGHTS if ckpt_path.is_dir() else ckpt_path


def _from_file(ckpt_path: Path, own: Collection[str]) -> Selector:
    if not is_there(ckpt_path):
        raise UserError(f"{ckpt_path}: no such checkpoint. Run train.py, or correct ckpt_path.")
    content = read_weights(ckpt_path, is_checked=True, remedy=NEEDED)
    if isinstance(content, dict) and PROVENANCE_KEY in content and "state_dict" in content:
        weights = {
            name.removeprefix(SELECTOR_PREFIX): tensor
            for name, tensor in content["state_dict"].items()
            if name.startswith(SELECTOR_PREFIX)
        }
        return _rebuild(ckpt_path, content[PROVENANCE_KEY], weights, own)
    weights = plain_weights(content, ckpt_path, NEEDED)
    if "negative_token.weight" not in weights:
        found = sorted(weights)[:4]
        raise UserError(f"{ckpt_path}: not a selector checkpoint (found {found}). {NEEDED}")
    try:
        selector = TrackSelector(**_reference_kwargs(weights))
        selector.load_reference_state_dict(weights)
    except UserError as error:
        raise UserError(f"{ckpt_path}: {error}") from error
    selector.provenance = {"selector": selector.description, "format": "reference"}
    return selector


def _from_hub(folder: Path, own: Collection[str]) -> Selector:
    for name in (HUB_CONFIG, HUB_WEIGHTS):
        if not is_there(folder / name):
            best = folder / "best.ckpt"
            hint = f"Did you mean {best}?" if is_there(best) else NEEDED
            raise UserError(f"{folder}: has no {name}. {hint}")
    content = read_json(folder / HUB_CONFIG, NEEDED)
    refuse_stand_in(folder)
    weights = read_weights(folder / HUB_WEIGHTS, remedy=NEEDED)
    provenance = content.get(PROVENANCE_KEY) if isinstance(content, dict) else None
    return _rebuild(folder / HUB_CONFIG, provenance, weights, own)


def _rebuild(
    path: Path, provenance: Any, weights: Mapping[str, Tensor], own: Collection[str]
) -> Selector:
    """Return the network that a checkpoint describes, with its weights.

    Nothing is imported before the whole description is checked.
    """
    node = provenance.get("selector") if isinstance(provenance, dict) else None
    node = node if isinstance(node, dict) else {}
    target = node.get(TARGET)
    if not isinstance(target, str) or _holds_target(list(node.values())):
        raise UserError(f"{path}: does not describe its selector. {NEEDED}")
    if not target.startswith("sola.selector.") and target not in own:
        raise UserError(
            f"{path}: its selector {target} is outside sola. To allow it, choose the selector of "
            f"your own configuration that has this _target_: selector=..."
        )
    found = locate(target, str(path))
    if not (isinstance(found, type) and issubclass(found, Selector)):
        raise UserError(f"{path}: {target} is not a selector.")
    kwargs = {name: value for name, value in node.items() if name != TARGET}
    check_arguments(found, kwargs, f"{path}: selector")
    selector: Selector = call(found, f"{path}: selector", **kwargs)
    selector.load_weights(weights, f"{path}: its weights")
    selector.provenance = provenance
    return selector


def _holds_target(value: Any) -> bool:
    if isinstance(value, dict):
        return TARGET in value or _holds_target(list(value.values()))
    return isinstance(value, list | tuple) and any(_holds_target(each) for each in value)


def _reference_kwargs(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the constructor arguments that follow from a reference state dict's shapes."""
    num_negatives, text_dim = weights["negative_token.weight"].shape
    first_filter = weights.get("short_motion_encoder.0.weight")
    layers = {name.split(".")[1] for name in weights if name.startswith("object_lang_align_layers")}
    return {
        "token_dim": 256 if first_filter is None else first_filter.shape[1],
        "text_dim": text_dim,
        "num_layers": max(len(layers), 1),
        "num_negatives": num_negatives,
    }
