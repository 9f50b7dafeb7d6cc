"""Build the network of the small tracker; load and save its weights."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import nn

import sola.trackers.small
from sola.errors import UserError

CONFIG_PATH = Path(__file__).parents[2] / "conf/tracker/small.yaml"
SHIPPED_DIR = Path(sola.trackers.small.__file__).parent
NETWORK_PATH = SHIPPED_DIR / "network.yaml"
WEIGHTS_PATH = SHIPPED_DIR / "small_tracker.pt"
BASE_CLASS = "sam2.modeling.sam2_base.SAM2Base"


def mask_generator_options() -> dict[str, Any]:
    """Return the settings of automatic masks in conf/tracker/small.yaml."""
    return {
        str(key): value
        for key, value in OmegaConf.load(CONFIG_PATH).mask_generator.items()
        if key != "_target_"
    }


def build_small_tracker(checkpoint: Path | None = None) -> Any:
    """Return the bare SAM2Base of the small tracker, in evaluation mode.

    Training needs upstream's classes: those of sola.trackers.sam2 keep no gradients.

    Args:
        checkpoint: file in the format of SAM 2; None leaves the random start values.
    """
    from hydra.utils import instantiate

    tree = OmegaConf.load(NETWORK_PATH).model
    tree._target_ = BASE_CLASS
    model: nn.Module = instantiate(tree, _recursive_=True)
    if checkpoint is not None:
        load_weights(model, checkpoint)
    return model.eval()


def load_weights(model: nn.Module, checkpoint: Path) -> None:
    """Load SAM 2's checkpoint format ({"model": state dict}) strictly, with any float width.

    Raises:
        UserError: if the file is missing.
    """
    if not checkpoint.is_file():
        raise UserError(
            f"{checkpoint}: no weights of the small tracker here. Train them with "
            "`python -m tools.small_tracker.train`."
        )
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)["model"]
    model.load_state_dict({name: value.float() for name, value in state.items()}, strict=True)


def save_weights(model: nn.Module, checkpoint: Path) -> None:
    """Write the weights atomically, as float16 in SAM 2's checkpoint format."""
    state = {name: value.half() for name, value in model.state_dict().items()}
    staged = checkpoint.with_suffix(".tmp")
    torch.save({"model": state}, staged)
    staged.replace(checkpoint)
