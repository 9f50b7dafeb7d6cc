"""Build a SAM 2 network from its YAML file, and load its weights.

sam2's own builders use Hydra's global state, which our entry points need. So the YAML is read as a
plain file, and the values that ``build_sam2_video_predictor`` adds are set here.
"""

import copy
import hashlib
import importlib.util
import json
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn
from torch.overrides import TorchFunctionMode
from yaml import YAMLError

from sola.errors import UserError
from sola.hub import find_weights
from sola.weights_file import plain_weights, read_weights

NETWORK = "sam2.modeling.sam2_base.SAM2Base"
CAST_LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
"""Layers whose weights autocast casts at every call."""
POST_PROCESSING: dict[str, Any] = {
    # fall back to the best of several masks if the single one is not stable
    "sam_mask_decoder_extra_args.dynamic_multimask_via_stability": True,
    "sam_mask_decoder_extra_args.dynamic_multimask_stability_delta": 0.05,
    "sam_mask_decoder_extra_args.dynamic_multimask_stability_thresh": 0.98,
    # the memory of a prompted frame encodes the binary mask that a user would see
    "binarize_mask_from_pts_for_mem_enc": True,
}
"""Values that ``build_sam2_video_predictor`` adds by default, except for filling holes."""


def find_network(network: str) -> Path:
    """Return the path of a network's YAML file.

    Args:
        network: a file inside the sam2 package (sam2.1/sam2.1_hiera_l.yaml), a ``pkg://``
            resource, or a path.

    Raises:
        UserError: if the file is missing.
    """
    spec: Any = importlib.util.find_spec("sam2")  # finds the package without importing it
    configs_dir = Path(spec.origin).parent / "configs"
    for path in (configs_dir / network, find_weights(network, "tracker.network")):
        if path.is_file():
            return path
    known = sorted(str(path.relative_to(configs_dir)) for path in configs_dir.glob("sam2*/*.yaml"))
    raise UserError(
        f"network: {network} not found. Give a YAML file, or one of those in sam2: "
        f"{', '.join(known)}."
    )


def network_settings(network: str) -> DictConfig:
    """Return the tree of ``_target_`` nodes under ``model`` in a network's YAML file.

    Values of ``POST_PROCESSING`` that the file does not set are added.

    Raises:
        UserError: if the file is missing or invalid.
    """
    path = find_network(network)
    try:
        settings = OmegaConf.load(path).model
        if not isinstance(settings, DictConfig):
            raise ValueError(f"key model: expected the network's settings, got {settings!r}")
    except (YAMLError, OmegaConfBaseException, OSError, AttributeError, ValueError) as error:
        raise UserError(f"{path}: invalid YAML of a SAM 2 network ({error}).") from error
    for key, value in POST_PROCESSING.items():
        if OmegaConf.select(settings, key) is None:
            OmegaConf.update(settings, key, value, force_add=True)
    return settings


def network_sha256(network: str) -> str:
    """Return the SHA-256 of a network's settings, with class names but without their modules."""
    settings = OmegaConf.to_container(network_settings(network), resolve=True)
    text = re.sub(r'("_target_": ")[^"]*\.', r"\1", json.dumps(settings, sort_keys=True))
    return hashlib.sha256(text.encode()).hexdigest()


class _OnCpu(TorchFunctionMode):
    """Inside, everything made for "cuda" is made on the CPU, without touching a GPU.

    sam2's encodings choose the current GPU by themselves, also in runs on another GPU or on none.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function of torch."""
        moved = {name: _without_cuda(value) for name, value in (kwargs or {}).items()}
        return func(*map(_without_cuda, args), **moved)


def _without_cuda(value: Any) -> Any:
    is_cuda = isinstance(value, str | torch.device) and str(value).startswith("cuda")
    return torch.device("cpu") if is_cuda else value


def build_network(settings: DictConfig, target: str = NETWORK) -> torch.nn.Module:
    """Return a network in evaluation mode, on the CPU, with random weights.

    Args:
        settings: see ``network_settings``; they are not changed.
        target: class of sam2 to build: SAM2Base, or a predictor derived from it.
    """
    settings = settings.copy()
    settings._target_ = target
    OmegaConf.resolve(settings)
    was_initialised = GlobalHydra.instance().is_initialized()
    with _OnCpu():
        network: torch.nn.Module = instantiate(settings, _recursive_=True)
    for module in network.modules():
        if isinstance(cache := getattr(module, "cache", None), dict):  # of positional encodings
            cache.clear()  # filled on the CPU, it would be copied for every frame
    if not was_initialised:  # importing sam2 initialises Hydra
        GlobalHydra.instance().clear()
    return network.eval().requires_grad_(False)


def with_cast_weights(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Return a copy of a network for autocast, which then has no weights to cast.

    Results are the same, as the weights are rounded in the same way. All else stays in float32:
    autocast computes norms in it, and adds embeddings, positions and scales without a cast.

    Args:
        model: a frozen network in float32.
        dtype: that of autocast.
    """
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, CAST_LAYERS):
            module.to(dtype)
    return model


def compile_network(model: Any) -> None:
    """Let torch compile the slow parts of SAM 2 when they first run.

    Tracks change only by rounding. Parts that fill a cache at their first run (positional
    encodings) are left out, as they would be compiled twice.
    """
    # from rotary attention, whose complex operators are not fused
    warnings.filterwarnings("ignore", "Torchinductor does not support code generation")
    model.image_encoder.trunk.compile(dynamic=False)  # one image at a time
    model.memory_attention.compile(dynamic=True)  # numbers of memories, pointers and objects vary
    # only the number of objects varies here; torch makes it dynamic at the second value
    model.memory_encoder.mask_downsampler.compile()
    model.memory_encoder.fuser.compile()
    model.sam_mask_decoder.compile()


def load_weights(model: torch.nn.Module, path: Path) -> None:
    """Load the weights of SAM 2, see ``plain_weights``.

    Raises:
        UserError: if the file is unreadable or belongs to another network.
    """
    another = "Choose another file: tracker.checkpoint=<file>."
    weights = plain_weights(read_weights(path), path, another)
    try:
        model.load_state_dict({name: value.float() for name, value in weights.items()})
    except RuntimeError as error:
        first = " ".join(str(error).splitlines()[:2][-1].split())[:100]
        raise UserError(
            f"{path}: weights of another network ({first} ...). Choose the tracker that belongs "
            "to the file."
        ) from error
