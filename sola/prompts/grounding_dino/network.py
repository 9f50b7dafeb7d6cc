"""GroundingDINO's network, from transformers or from the original code.

The original code is the package rf-groundingdino. ``_TextEncoder`` replaces its BERT wrapper, which
does not work with transformers 5.
"""

import copy
import re
import warnings
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import yaml
from torch import Tensor, nn
from transformers import (
    BatchEncoding,
    BertConfig,
    BertModel,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
)

from sola.errors import UserError
from sola.hub import RANDOM_WEIGHTS
from sola.prompts.grounding_dino.grounding_dino import DELIMITERS, NetworkShape
from sola.text import quiet_transformers
from sola.weights_file import NOT_LOADED, plain_weights, read_weights, refuse_stand_in

NAMES_PATH = Path(__file__).with_name("module_names.yaml")
JOINED = re.compile(r"(.*)\.(?:qkv\.|in_proj_)(weight|bias)")
"""Projections of query, key and value: one parameter in the original, three in transformers."""
TIED = re.compile(r"transformer\.decoder\.bbox_embed\..*|bbox_embed\.[1-9]\d*\..*")
"""Parameters shared with ``bbox_embed.0``."""
UNUSED = re.compile(
    r"label_enc\..*|bert\.pooler\..*|bert\.embeddings\.position_ids|.*\.relative_position_index"
)
"""Weights used only in training, and buffers that follow from the shape."""


class KeptFeatures(nn.Module):
    """An encoder that runs only if ``features`` is None, and else returns them again.

    The image encoder so runs once per frame, the text encoder once per text.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.features = encoder, None

    def forward(self, *inputs: Any, **named_inputs: Any) -> Any:
        """Return the cached features, or encode the inputs if there are none."""
        if self.features is None:
            self.features = self.encoder(*inputs, **named_inputs)
        return copy.copy(self.features)  # networks add levels to the list


class DetectorNetwork(nn.Module, ABC):
    """GroundingDINO's network, from either implementation.

    Args:
        network: network of transformers or of the original code.
        image: module of the network that holds the image encoder, and the name of that attribute.
        text: likewise of the text encoder.
    """

    def __init__(
        self, network: nn.Module, image: tuple[nn.Module, str], text: tuple[nn.Module, str]
    ) -> None:
        super().__init__()
        self.network: Any = network.eval().requires_grad_(False)
        self.encoder, self.text_encoder = (KeptFeatures(getattr(*place)) for place in (image, text))
        setattr(*image, self.encoder)
        setattr(*text, self.text_encoder)

    @abstractmethod
    def find_boxes(self, image: Tensor, tokens: BatchEncoding) -> tuple[Tensor, Tensor]:
        """Return the boxes of one text on one image.

        Args:
            image: (1, 3, H', W'). Reset ``encoder.features`` to None for another image.
            tokens: (1, L) each, including special tokens. Set ``text_encoder.features`` to those of
                an earlier call with this text, or to None.

        Returns:
            Logits (Q, L), and boxes (Q, 4): centre x, centre y, width, height, relative to the
            image.
        """


class TransformersNetwork(DetectorNetwork):
    """The network of transformers; see ``DetectorNetwork``."""

    def __init__(self, network: Any) -> None:
        parts = network.model
        super().__init__(network, (parts.backbone, "conv_encoder"), (parts, "text_backbone"))

    def find_boxes(self, image: Tensor, tokens: BatchEncoding) -> tuple[Tensor, Tensor]:
        """See ``DetectorNetwork.find_boxes``."""
        out = self.network(pixel_values=image, **tokens)
        return out.logits[0, :, : tokens.input_ids.shape[1]], out.pred_boxes[0]


class OriginalNetwork(DetectorNetwork):
    """The network of the original code; see ``DetectorNetwork``."""

    def __init__(self, network: Any) -> None:
        super().__init__(network, (network.backbone, "0"), (network, "bert"))

    def find_boxes(self, image: Tensor, tokens: BatchEncoding) -> tuple[Tensor, Tensor]:
        """See ``DetectorNetwork.find_boxes``."""
        self.network.tokenizer = lambda captions, **options: tokens
        self.network.unset_image_tensor()  # left by a call that failed
        with warnings.catch_warnings(action="ignore"):
            out = self.network(image, captions=[""])
        return out["pred_logits"][0, :, : tokens.input_ids.shape[1]], out["pred_boxes"][0]


def load_transformers(checkpoint: str, shape: NetworkShape) -> TransformersNetwork:
    """Load transformers' network from a folder of transformers or an original .pth file.

    Args:
        checkpoint: the folder, the file, or "random".
        shape: shape of the network; a folder has its own.

    Raises:
        UserError: if the weights cannot be read, or belong to another network.
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
    except NOT_LOADED as error:
        raise UserError(f"{path}: not a GroundingDINO ({str(error).strip()[:200]}).") from error
    wrong = [*report["missing_keys"], *report["unexpected_keys"]]
    refuse_other_weights(path, [name for name in wrong if not UNUSED.fullmatch(name)])
    return TransformersNetwork(network)


def load_original(checkpoint: str, shape: NetworkShape) -> OriginalNetwork:
    """Load the original code's network from a .pth file.

    Args:
        checkpoint: the file, or "random".
        shape: shape of the network.

    Raises:
        UserError: if the weights cannot be read, or belong to another network.
    """
    network = build(shape)
    if checkpoint != RANDOM_WEIGHTS:
        path = Path(checkpoint)
        try:
            missing, unexpected = network.load_state_dict(read_original(path), strict=False)
        except RuntimeError as error:  # another shape
            missing, unexpected = [], str(error).splitlines()[1:]
        missing = [name for name in missing if not UNUSED.fullmatch(name)]
        refuse_other_weights(path, [*unexpected, *missing])
    return OriginalNetwork(network)


def read_original(path: Path) -> dict[str, Tensor]:
    """Return the weights of a file under their original names.

    Raises:
        UserError: if the file holds no weights.
    """
    another = "Choose another file: prompt_source.detector.checkpoint=<file>."
    weights = plain_weights(read_weights(path), path, another)
    return {name: value for name, value in weights.items() if not UNUSED.fullmatch(name)}


def refuse_other_weights(path: Path, wrong: Sequence[str]) -> None:
    """Raise ``UserError`` if any weights do not fit the network.

    Args:
        path: file of the weights.
        wrong: names of weights that do not fit, or reasons.
    """
    if wrong:
        raise UserError(
            f"{path}: does not fit the network ({len(wrong)} differences, such as "
            f"{wrong[0].strip()[:120]}). Choose the detector that belongs to the file, such as "
            "detector@prompt_source.detector=swin_b."
        )


def network_config(shape: NetworkShape) -> GroundingDinoConfig:
    """Return transformers' configuration of a network."""
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
    """Convert original weights to those of transformers: names, and split projections."""
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
        if re.match(old, name):
            return re.sub(old, new, name, count=1)
    return name  # the same in both, or unknown: transformers then reports it


def build(shape: NetworkShape) -> nn.Module:
    """Return an untrained network of this shape, otherwise like the published Swin-T."""
    with warnings.catch_warnings(action="ignore"):  # from the original code and its dependencies
        from groundingdino.config import GroundingDINO_SwinT_OGC as published
        from groundingdino.models.GroundingDINO import groundingdino as code
        from groundingdino.models.GroundingDINO.backbone import backbone
        from groundingdino.models.GroundingDINO.backbone.swin_transformer import SwinTransformer

        arguments = SimpleNamespace(
            **vars(published)
            | {
                "enc_layers": shape.encoder_layers,
                "dec_layers": shape.decoder_layers,
                "dim_feedforward": shape.ffn_dim,
                "hidden_dim": shape.hidden_dim,
                "nheads": shape.num_heads,
                "num_queries": shape.num_queries,
                "use_checkpoint": False,  # activation checkpointing, for training
                "use_transformer_ckpt": False,
            }
        )
        swin = SwinTransformer(out_indices=(1, 2, 3), **shape.swin())
        joined = backbone.Joiner(swin, backbone.build_position_encoding(arguments))
        joined.num_channels = swin.num_features[1:]
        tokenizer = SimpleNamespace(convert_tokens_to_ids=lambda _: list(DELIMITERS.values()))
        encoders: dict[str, Any] = {  # allow any shape, and need no download
            "build_backbone": lambda _: joined,
            "get_tokenlizer": SimpleNamespace(
                get_tokenlizer=lambda _: tokenizer,
                get_pretrained_language_model=lambda _: BertModel(BertConfig(**shape.bert())),
            ),
            "BertModelWarper": _TextEncoder,
        }
        with mock.patch.multiple(code, **encoders):
            network: nn.Module = code.build_groundingdino(arguments)
    return network


class _TextEncoder(nn.Module):
    """BERT with an attention mask per token; its parts keep their names in a checkpoint."""

    def __init__(self, bert_model: BertModel) -> None:
        super().__init__()
        self.config = bert_model.config
        self.embeddings, self.encoder = bert_model.embeddings, bert_model.encoder

    def forward(self, attention_mask: Tensor, **inputs: Tensor) -> dict[str, Tensor]:
        # (1, L, L) -> (1, 1, L, L), the same for all heads
        mask = attention_mask.bool()[:, None]
        encoded = self.encoder(self.embeddings(**inputs), attention_mask=mask)
        return {"last_hidden_state": encoded[0]}
