"""Parameter names of the published implementation of SOLA, and ours."""

from collections.abc import Mapping
from itertools import product

from torch import Tensor

from sola.errors import UserError

BLOCK_STRIDE = 4
"""Convolution, normalisation, activation, dropout: a block of its ``nn.Sequential``."""
NUM_BLOCKS = 5
FREQUENCIES = "positional_encoding_gaussian_matrix"
ATTENTIONS = {
    "obj_attn": "track_attention",
    "motion_attn": "time_attention",
    "object2lang_attn": "language_attention",
}
PROJECTIONS = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output"}
NORMS = ("track_norm", "time_norm", "language_norm")


def reference_names(num_layers: int) -> dict[str, str]:
    """The reference's name of every parameter and buffer -> ours, for ``num_layers`` layers."""
    modules = {f"short_motion_encoder.{NUM_BLOCKS * BLOCK_STRIDE}": "motion_encoder.output"}
    for block in range(NUM_BLOCKS):
        for offset, ours in enumerate(("conv", "norm")):
            theirs = f"short_motion_encoder.{block * BLOCK_STRIDE + offset}"
            modules[theirs] = f"motion_encoder.blocks.{block}.{ours}"
    for layer in range(num_layers):
        theirs, ours = f"object_lang_align_layers.{layer}", f"layers.{layer}"
        for (their_attention, attention), (their_part, part) in product(
            ATTENTIONS.items(), PROJECTIONS.items()
        ):
            modules[f"{theirs}.{their_attention}.{their_part}"] = f"{ours}.{attention}.{part}"
        modules |= {f"{theirs}.norm.{idx}": f"{ours}.{norm}" for idx, norm in enumerate(NORMS)}
    names = {
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in modules.items()
        for kind in ("weight", "bias")
    }
    return names | {"negative_token.weight": "negative_tokens", FREQUENCIES: "temporal_frequencies"}


def from_reference(state_dict: Mapping[str, Tensor], *, num_layers: int) -> dict[str, Tensor]:
    """The weights under our names.

    Args:
        state_dict: under the reference's names, with or without a leading "module.".
        num_layers: alignment layers of the network.

    Raises:
        UserError: if a name is missing or unknown.
    """
    found = {name.removeprefix("module."): tensor for name, tensor in state_dict.items()}
    names = reference_names(num_layers)
    missing, unknown = sorted(names.keys() - found.keys()), sorted(found.keys() - names.keys())
    if missing or unknown:
        raise UserError(
            f"selector weights: {len(missing)} names missing {missing[:3]}, {len(unknown)} unknown "
            f"{unknown[:3]}, expected the reference network with {num_layers} layers. Set "
            "selector.num_layers to that of the weights."
        )
    return {
        ours: found[theirs].flatten() if theirs == FREQUENCIES else found[theirs]
        for theirs, ours in names.items()
    }


def to_reference(state_dict: Mapping[str, Tensor], *, num_layers: int) -> dict[str, Tensor]:
    """The inverse of :func:`from_reference`."""
    return {
        theirs: state_dict[ours][None] if theirs == FREQUENCIES else state_dict[ours]
        for theirs, ours in reference_names(num_layers).items()
    }
