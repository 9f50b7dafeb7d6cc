"""GroundingDINO's network as transformers has it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from torch import Tensor
from transformers import BatchEncoding, GroundingDinoConfig, GroundingDinoForObjectDetection

from sola.errors import UserError
from sola.prompts.grounding_dino.network import (
    DetectorNetwork,
    KeptFeatures,
    NetworkShape,
    read_original,
    refuse_other_weights,
)
from sola.text.encoder import quiet_transformers
from sola.trackers import RANDOM_WEIGHTS
from sola.weights_file import refuse_stand_in

NAMES_PATH = Path(__file__).with_name("module_names.yaml")
JOINED = re.compile(r"(.*)\.(?:qkv\.|in_proj_)(weight|bias)")
"""Projections of query, key and value: one parameter in the original, three in transformers."""
TIED = re.compile(r"transformer\.decoder\.bbox_embed\..*|bbox_embed\.[1-9]\d*\..*")
"""The same parameters as ``bbox_embed.0``."""


class TransformersNetwork(DetectorNetwork):
    """See ``DetectorNetwork``."""

    def __init__(self, network: Any) -> None:
        backbone = network.model.backbone
        backbone.conv_encoder = KeptFeatures(backbone.conv_encoder)
        super().__init__(network, backbone.conv_encoder)

    def find_boxes(self, image: Tensor, tokens: BatchEncoding) -> tuple[Tensor, Tensor]:
        """See ``DetectorNetwork.find_boxes``."""
        out = self.network(pixel_values=image, **tokens)
        return out.logits[0, :, : tokens.input_ids.shape[1]], out.pred_boxes[0]


def load(checkpoint: str, shape: NetworkShape) -> TransformersNetwork:
    """Return the network with the weights of a folder of transformers or of an original .pth file.

    Args:
        checkpoint: the folder, the file, or "random".
        shape: of the network; a folder has its own.

    Raises:
        UserError: if the weights cannot be read, or are of another network.
    """
    if checkpoint == RANDOM_WEIGHTS:
        return TransformersNetwork(GroundingDinoForObjectDetection(network_config(shape)))
    path, options = Path(checkpoint), dict[str, Any]()
    if path.is_dir():
        refuse_stand_in(path)
        options = {"local_files_only": True, "use_safetensors": True}
    else:
        weights = to_transformers(read_original(path))
        options = {"config": network_config(shape), "state_dict": weights}
    from_pretrained: Any = GroundingDinoForObjectDetection.from_pretrained
    try:
        with quiet_transformers():
            network, report = from_pretrained(
                path if path.is_dir() else None, output_loading_info=True, **options
            )
    except (OSError, RuntimeError) as error:
        raise UserError(f"{path}: not a GroundingDINO ({str(error).strip()[:200]}).") from error
    refuse_other_weights(
        path, [*report["missing_keys"], *report["unexpected_keys"], *report["mismatched_keys"]]
    )
    return TransformersNetwork(network)


def network_config(shape: NetworkShape) -> GroundingDinoConfig:
    """Return a network's shape under transformers' names."""
    return GroundingDinoConfig(
        backbone_config={"model_type": "swin", "out_indices": [2, 3, 4], **shape.swin()},
        text_config={"model_type": "bert", **shape.bert()},
        d_model=shape.hidden_dim,
        num_queries=shape.num_queries,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        encoder_ffn_dim=shape.ffn_dim,
        decoder_ffn_dim=shape.ffn_dim,
        encoder_attention_heads=shape.num_heads,
        decoder_attention_heads=shape.num_heads,
    )


def to_transformers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return original weights under the names that transformers' files have."""
    names = yaml.safe_load(NAMES_PATH.read_text())
    rules = {
        re.escape(old).replace(r"\#", r"(\d+)") + r"(?=\.|$)": new.replace("#", r"\1", 1).replace(
            "#", r"\2"
        )
        for old, new in sorted(names.items(), key=lambda item: -len(item[0]))
    }
    renamed: dict[str, Tensor] = {}
    for name, value in weights.items():
        if TIED.fullmatch(name):
            continue
        joined = JOINED.fullmatch(_rename(name, rules))
        if joined:
            for part, chunk in zip(("query", "key", "value"), value.chunk(3), strict=True):
                renamed[f"{joined[1]}.{part}.{joined[2]}"] = chunk.clone()
        else:
            renamed[_rename(name, rules)] = value
    return renamed


def _rename(name: str, rules: Mapping[str, str]) -> str:
    for old, new in rules.items():
        found = re.match(old, name)
        if found:
            return found.expand(new) + name[found.end() :]
    return name  # the same in both, or unknown, which transformers reports
