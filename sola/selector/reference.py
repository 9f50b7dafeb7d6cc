"""Parameter names of the published implementation of SOLA, and ours."""

from itertools import product

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
