"""The small tracker as a network: conf/tracker/small.yaml in, SAM 2's classes out."""

from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import nn

from sola.errors import UserError

REPOSITORY = Path(__file__).parents[2]
CONFIG_PATH = REPOSITORY / "conf/tracker/small.yaml"
BASE_CLASS = "sam2.modeling.sam2_base.SAM2Base"


def build_small_tracker(config_path: Path = CONFIG_PATH, checkpoint: Path | None = None) -> Any:
    """The bare SAM2Base of a tracker configuration, in evaluation mode.

    Training and the held-out figures need the network without the predictor around it, whose
    methods keep no gradients.

    Args:
        config_path: YAML with a ``model`` tree of ``_target_`` nodes.
        checkpoint: file in SAM 2's format; None leaves the random start values.
    """
    from hydra.utils import instantiate

    tree = OmegaConf.load(config_path).model
    tree._target_ = BASE_CLASS
    model: nn.Module = instantiate(tree, _recursive_=True)
    if checkpoint is not None:
        load_weights(model, checkpoint)
    return model.eval()


def load_weights(model: nn.Module, checkpoint: Path) -> None:
    """Loads SAM 2's checkpoint format ({"model": state dict}), strictly, whatever its float width.

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
    """Writes the weights as float16 in SAM 2's checkpoint format; never leaves half a file."""
    state = {name: value.half() for name, value in model.state_dict().items()}
    staged = checkpoint.with_suffix(".tmp")
    torch.save({"model": state}, staged)
    staged.replace(checkpoint)
