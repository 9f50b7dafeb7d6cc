"""GroundingDINO's weights under both of their names: the original code's and transformers'.

transformers' names are those of its files, which it maps to its modules itself.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sola.errors import UserError
from sola.weights_file import read_weights, refuse_stand_in

Weights = dict[str, Tensor]

_SWIN, _SWIN_FILE = "backbone.0", "model.backbone.conv_encoder.model"
_ENCODER, _DECODER = "transformer.encoder", "transformer.decoder"
_BLOCK, _BLOCK_FILE = f"{_SWIN}.layers.#.blocks.#", f"{_SWIN_FILE}.encoder.layers.#.blocks.#"
_TEXT, _FUSION = f"{_ENCODER}.text_layers.#", f"{_ENCODER}.fusion_layers.#"
_IMAGE = f"{_ENCODER}.layers.#"
_TEXT_FILE, _FUSION_FILE, _IMAGE_FILE = (
    f"model.encoder.layers.#.{name}_layer" for name in ("text_enhancer", "fusion", "deformable")
)
_QUERY, _QUERY_FILE = f"{_DECODER}.layers.#", "model.decoder.layers.#"

SAME = {
    f"{_SWIN}.patch_embed.proj": f"{_SWIN_FILE}.embeddings.patch_embeddings.projection",
    f"{_SWIN}.patch_embed.norm": f"{_SWIN_FILE}.embeddings.norm",
    f"{_BLOCK}.norm1": f"{_BLOCK_FILE}.layernorm_before",
    f"{_BLOCK}.norm2": f"{_BLOCK_FILE}.layernorm_after",
    f"{_BLOCK}.attn.relative_position_bias_table": (
        f"{_BLOCK_FILE}.attention.self.relative_position_bias_table"
    ),
    f"{_BLOCK}.attn.proj": f"{_BLOCK_FILE}.attention.output.dense",
    f"{_BLOCK}.mlp.fc1": f"{_BLOCK_FILE}.intermediate.dense",
    f"{_BLOCK}.mlp.fc2": f"{_BLOCK_FILE}.output.dense",
    f"{_SWIN}.layers.#.downsample": f"{_SWIN_FILE}.encoder.layers.#.downsample",
    f"{_SWIN}.norm1": f"{_SWIN_FILE}.hidden_states_norms.stage2",
    f"{_SWIN}.norm2": f"{_SWIN_FILE}.hidden_states_norms.stage3",
    f"{_SWIN}.norm3": f"{_SWIN_FILE}.hidden_states_norms.stage4",
    "input_proj": "model.input_proj_vision",
    "bert": "model.text_backbone",
    "feat_map": "model.text_projection",
    "transformer.level_embed": "model.level_embed",
    "transformer.tgt_embed": "model.query_position_embeddings",
    "transformer.enc_output": "model.enc_output",
    "transformer.enc_output_norm": "model.enc_output_norm",
    "transformer.enc_out_bbox_embed": "model.encoder_output_bbox_embed",
    f"{_TEXT}.self_attn.out_proj": f"{_TEXT_FILE}.self_attn.out_proj",
    f"{_TEXT}.linear1": f"{_TEXT_FILE}.fc1",
    f"{_TEXT}.linear2": f"{_TEXT_FILE}.fc2",
    f"{_TEXT}.norm1": f"{_TEXT_FILE}.layer_norm_before",
    f"{_TEXT}.norm2": f"{_TEXT_FILE}.layer_norm_after",
    f"{_FUSION}.gamma_v": f"{_FUSION_FILE}.vision_param",
    f"{_FUSION}.gamma_l": f"{_FUSION_FILE}.text_param",
    f"{_FUSION}.layer_norm_v": f"{_FUSION_FILE}.layer_norm_vision",
    f"{_FUSION}.layer_norm_l": f"{_FUSION_FILE}.layer_norm_text",
    f"{_FUSION}.attn.v_proj": f"{_FUSION_FILE}.attn.vision_proj",
    f"{_FUSION}.attn.l_proj": f"{_FUSION_FILE}.attn.text_proj",
    f"{_FUSION}.attn.values_v_proj": f"{_FUSION_FILE}.attn.values_vision_proj",
    f"{_FUSION}.attn.values_l_proj": f"{_FUSION_FILE}.attn.values_text_proj",
    f"{_FUSION}.attn.out_v_proj": f"{_FUSION_FILE}.attn.out_vision_proj",
    f"{_FUSION}.attn.out_l_proj": f"{_FUSION_FILE}.attn.out_text_proj",
    f"{_IMAGE}.self_attn": f"{_IMAGE_FILE}.self_attn",
    f"{_IMAGE}.norm1": f"{_IMAGE_FILE}.self_attn_layer_norm",
    f"{_IMAGE}.linear1": f"{_IMAGE_FILE}.fc1",
    f"{_IMAGE}.linear2": f"{_IMAGE_FILE}.fc2",
    f"{_IMAGE}.norm2": f"{_IMAGE_FILE}.final_layer_norm",
    f"{_QUERY}.self_attn.out_proj": f"{_QUERY_FILE}.self_attn.out_proj",
    f"{_QUERY}.norm2": f"{_QUERY_FILE}.self_attn_layer_norm",
    f"{_QUERY}.ca_text.out_proj": f"{_QUERY_FILE}.encoder_attn_text.out_proj",
    f"{_QUERY}.catext_norm": f"{_QUERY_FILE}.encoder_attn_text_layer_norm",
    f"{_QUERY}.cross_attn": f"{_QUERY_FILE}.encoder_attn",
    f"{_QUERY}.norm1": f"{_QUERY_FILE}.encoder_attn_layer_norm",
    f"{_QUERY}.linear1": f"{_QUERY_FILE}.fc1",
    f"{_QUERY}.linear2": f"{_QUERY_FILE}.fc2",
    f"{_QUERY}.norm3": f"{_QUERY_FILE}.final_layer_norm",
    f"{_DECODER}.norm": "model.decoder.layer_norm",
    f"{_DECODER}.ref_point_head": "model.decoder.reference_points_head",
    "bbox_embed.0": "bbox_embed.0",
}
"""Modules and parameters, the original name -> transformers'; # is a number."""

JOINED = {
    f"{_BLOCK}.attn.qkv.": f"{_BLOCK_FILE}.attention.self",
    f"{_TEXT}.self_attn.in_proj_": f"{_TEXT_FILE}.self_attn",
    f"{_QUERY}.self_attn.in_proj_": f"{_QUERY_FILE}.self_attn",
    f"{_QUERY}.ca_text.in_proj_": f"{_QUERY_FILE}.encoder_attn_text",
}
"""Projections of query, key and value: one parameter in the original, three in transformers."""

PARTS = ("query", "key", "value")
NOT_LOADED = (
    r"label_enc\..*",  # of the training alone
    r"bert\.pooler\..*",
    r"bert\.embeddings\.position_ids",
    r".*\.relative_position_index",  # follows from the window
)
"""Original names that make no difference to an answer."""
UNUSED = (
    *NOT_LOADED,
    r"transformer\.decoder\.bbox_embed\..*",  # the same parameters as bbox_embed
    r"bbox_embed\.[1-9]\d*\..*",  # the same parameters as bbox_embed.0
)
"""Original names without a place of their own in transformers."""
UNUSED_FILE = (
    r"model\.backbone\.conv_encoder\.model\.swin\.layernorm\..*",
    r"model\.text_backbone\.pooler\..*",
    r"model\.text_backbone\.embeddings\.position_ids",
    r".*\.relative_position_index",
    r"model\.decoder\.bbox_embed\..*",
    r"bbox_embed\.[1-9]\d*\..*",
)
"""transformers' names without a place of their own in the original."""


def matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether a weight's whole name is of one of the patterns."""
    return any(re.fullmatch(pattern, name) for pattern in patterns)


def read_original(path: Path) -> Weights:
    """The weights of a .pth file of the original code, under its names.

    Raises:
        UserError: if the file is not of this kind.
    """
    content = read_weights(path)
    weights = content.get("model") if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise UserError(
            f'{path}: not a checkpoint of GroundingDINO: needed is a file of {{"model": weights}}.'
        )
    return {name.removeprefix("module."): value for name, value in weights.items()}


def read_transformers(folder: Path) -> Weights:
    """The weights in a folder of transformers, under the names of its files.

    Raises:
        UserError: if there are none.
    """
    from safetensors.torch import load_file

    refuse_stand_in(folder)
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise UserError(f"{folder}: no *.safetensors there. Needed is a folder of transformers.")
    return {name: value for path in paths for name, value in load_file(path).items()}


def to_transformers(weights: Mapping[str, Tensor]) -> Weights:
    """The original's weights as a file of transformers has them.

    Raises:
        UserError: if a weight is none of GroundingDINO's.
    """
    renamed: Weights = {}
    for name, value in _without(weights, UNUSED):
        joined = _substitute(name, JOINED)
        if joined is None:
            renamed[_rename(name, SAME)] = value
            continue
        module, kind = joined
        parts = zip(PARTS, value.chunk(len(PARTS)), strict=True)
        renamed |= {f"{module}.{part}.{kind}": chunk.clone() for part, chunk in parts}
    return renamed


def to_original(weights: Mapping[str, Tensor], num_decoder_layers: int) -> Weights:
    """The weights of a file of transformers as the original has them, without what it computes.

    Args:
        weights: by transformers' names.
        num_decoder_layers: the original names the box head once for each of them, twice.

    Raises:
        UserError: if a weight is none of GroundingDINO's, or one of a projection's is missing.
    """
    back = {new: old for old, new in SAME.items()}
    joined_back = {f"{new}.{PARTS[0]}.": old for old, new in JOINED.items()}
    renamed: Weights = {}
    for name, value in _without(weights, UNUSED_FILE):
        joined = _substitute(name, joined_back)
        if joined is not None:
            names = [name.replace(f".{PARTS[0]}.", f".{part}.") for part in PARTS]
            renamed["".join(joined)] = torch.cat([_get(weights, part) for part in names])
        elif not _is_joined_part(name):
            renamed[_rename(name, back)] = value
    head = {name: value for name, value in renamed.items() if name.startswith("bbox_embed.0.")}
    for layer in range(num_decoder_layers):
        for name, value in head.items():
            own = name.replace("bbox_embed.0.", f"bbox_embed.{layer}.")
            renamed |= {own: value, f"{_DECODER}.{own}": value}
    return renamed


def _is_joined_part(name: str) -> bool:
    modules = {f"{new}.{part}.": "" for new in JOINED.values() for part in PARTS[1:]}
    return _substitute(name, modules) is not None


def _without(weights: Mapping[str, Tensor], patterns: tuple[str, ...]) -> Iterator[Any]:
    for name, value in weights.items():
        if not matches(name, patterns):
            yield name, value


def _rename(name: str, table: Mapping[str, str]) -> str:
    """The name with its longest beginning that the table knows replaced."""
    for old in sorted(table, key=len, reverse=True):
        found = _substitute(name, {old: table[old]})
        if found is not None and found[1][:1] in ("", "."):
            return "".join(found)
    raise UserError(f"{name}: GroundingDINO has no such weight. Get the checkpoint again.")


def _substitute(name: str, table: Mapping[str, str]) -> tuple[str, str] | None:
    """(new beginning, unchanged rest) of a name; None where the table knows no beginning of it."""
    for old, new in table.items():
        found = re.match(re.escape(old).replace(r"\#", r"(\d+)"), name)
        if found:
            numbers = iter(found.groups())
            return re.sub("#", lambda _: next(numbers), new), name[found.end() :]  # noqa: B023
    return None


def _get(weights: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in weights:
        raise UserError(f"{name}: this weight is missing. Get the checkpoint again.")
    return weights[name]
