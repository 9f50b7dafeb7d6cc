"""GroundingDINO's original code (the package rf-groundingdino), with today's transformers.

Its text encoder's wrapper uses what transformers 5 no longer has, and is replaced by one of ours.
"""

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from sola.errors import UserError
from sola.prompts.grounding_dino.detector import DetectorNetwork
from sola.prompts.grounding_dino.shape import NetworkShape
from sola.prompts.grounding_dino.vocabulary import DELIMITERS
from sola.prompts.grounding_dino.weights import (
    NOT_LOADED,
    Weights,
    matches,
    read_original,
    read_transformers,
    to_original,
)

RANDOM_WEIGHTS = "random"
FIXED = {
    "position_embedding": "sine",
    "pe_temperatureH": 20,
    "pe_temperatureW": 20,
    "pre_norm": False,
    "query_dim": 4,
    "num_patterns": 0,
    "num_feature_levels": 4,
    "enc_n_points": 4,
    "dec_n_points": 4,
    "two_stage_type": "standard",
    "transformer_activation": "relu",
    "embed_init_tgt": True,
    "use_text_enhancer": True,
    "use_fusion_layer": True,
    "use_text_cross_attention": True,
    "dropout": 0.0,
    "text_dropout": 0.0,
    "fusion_dropout": 0.0,
    "fusion_droppath": 0.1,
    # recomputing activations saves memory in training only
    "use_checkpoint": False,
    "use_transformer_ckpt": False,
}
"""What both published networks have in common."""


class OriginalDetector(DetectorNetwork):
    """Detector on the original ``GroundingDINO``; see ``DetectorNetwork`` for the arguments."""

    def __init__(self, network: nn.Module, *args: Any) -> None:
        super().__init__(*args)
        self._tokens = _GivenTokens()
        adapted: Any = network
        adapted.tokenizer = self._tokens
        self.network: Any = network.eval().requires_grad_(False)

    @property
    def num_queries(self) -> int:
        """Q."""
        return int(self.network.num_queries)

    def encode_image(self, image: Tensor) -> tuple[Tensor, list[Any], list[Tensor]]:
        """The image, the backbone's feature maps and their position encodings."""
        try:
            with _no_foreign_warnings():
                self.network.set_image_tensor(image)
            return image, self.network.features, self.network.poss
        finally:
            self.network.unset_image_tensor()

    def find_boxes(
        self, features: tuple[Tensor, list[Any], list[Tensor]], token_ids: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See ``Detector``."""
        image, maps, positions = features
        self._tokens.token_ids = token_ids
        try:
            self.network.set_image_features(list(maps), list(positions))  # it adds to them
            with _no_foreign_warnings():
                out = self.network(image, captions=[""])
        finally:
            # else it would answer for this image again after an error
            self.network.unset_image_tensor()
        return out["pred_logits"][0, :, : token_ids.shape[1]], out["pred_boxes"][0]


class _GivenTokens:
    """In place of the network's tokenizer: the tokens that were made before."""

    token_ids: Tensor

    def __call__(self, captions: list[str], **options: Any) -> Any:
        from transformers import BatchEncoding

        ids = self.token_ids
        return BatchEncoding(
            {
                "input_ids": ids,
                "token_type_ids": torch.zeros_like(ids),
                "attention_mask": torch.ones_like(ids),
            }
        )


class _TextEncoder(nn.Module):
    """BERT with a mask of its own for each token; its parts keep their names in a checkpoint."""

    def __init__(self, bert_model: BertModel) -> None:
        super().__init__()
        self.config = bert_model.config
        self.embeddings, self.encoder = bert_model.embeddings, bert_model.encoder
        self.pooler = bert_model.pooler

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor,
        position_ids: Tensor,
    ) -> dict[str, Tensor]:
        embedded = self.embeddings(
            input_ids=input_ids, position_ids=position_ids, token_type_ids=token_type_ids
        )
        # (1, L, L) -> (1, 1, L, L), the same for all heads
        out = self.encoder(embedded, attention_mask=attention_mask.bool()[:, None])
        return {"last_hidden_state": out[0]}


def load(checkpoint: str, config: NetworkShape) -> nn.Module:
    """The network with the weights of a .pth file or a folder of transformers.

    Args:
        checkpoint: the file, the folder, or "random".
        config: shape of the network; a folder says it itself.

    Raises:
        UserError: if the weights cannot be read, or are of another network.
    """
    path = Path(checkpoint)
    if checkpoint == RANDOM_WEIGHTS:
        return build(config)
    if path.is_dir():
        from sola.prompts.grounding_dino.transformers_detector import read_network

        config = read_network(path)
        weights = to_original(read_transformers(path), config.decoder_layers)
    else:
        weights = read_original(path)
    network = build(config)
    _load_weights(network, weights, path)
    return network


def build(config: NetworkShape) -> nn.Module:
    """An untrained network of this shape."""
    with _no_foreign_warnings():
        from groundingdino.models.GroundingDINO import groundingdino as code
        from groundingdino.models.GroundingDINO.transformer import build_transformer

        words = _in_original_words(config)
        with _own_text_encoder(code, config):
            network = code.GroundingDINO(
                _build_backbone(config, words),
                build_transformer(words),
                num_queries=config.num_queries,
                aux_loss=True,
                iter_update=True,
                query_dim=4,
                num_feature_levels=words.num_feature_levels,
                nheads=config.num_heads,
                two_stage_type=words.two_stage_type,
                two_stage_bbox_embed_share=False,
                two_stage_class_embed_share=False,
                dn_number=0,
            )
    return cast(nn.Module, network)


def _build_backbone(config: NetworkShape, words: SimpleNamespace) -> nn.Module:
    from groundingdino.models.GroundingDINO.backbone import backbone as code

    swin = code.build_swin_transformer(
        "swin_T_224_1k",  # every value of which is replaced
        224,
        embed_dim=config.swin_dim,
        depths=config.swin_depths,
        num_heads=config.swin_heads,
        window_size=config.swin_window,
        out_indices=(1, 2, 3),
    )
    backbone = code.Joiner(swin, code.build_position_encoding(words))
    backbone.num_channels = swin.num_features[1:]
    return cast(nn.Module, backbone)


@contextlib.contextmanager
def _own_text_encoder(code: Any, config: NetworkShape) -> Iterator[None]:
    """While it lasts, the original builds its text encoder from ours, without a download."""
    bert = BertConfig(
        hidden_size=config.bert_dim,
        num_hidden_layers=config.bert_layers,
        num_attention_heads=config.bert_heads,
        intermediate_size=config.bert_ffn_dim,
    )
    before = code.get_tokenlizer, code.BertModelWarper
    special_ids = SimpleNamespace(convert_tokens_to_ids=lambda _: list(DELIMITERS.values()))
    code.get_tokenlizer = SimpleNamespace(
        get_tokenlizer=lambda _: special_ids,
        get_pretrained_language_model=lambda _: BertModel(bert),
    )
    code.BertModelWarper = _TextEncoder
    try:
        yield
    finally:
        code.get_tokenlizer, code.BertModelWarper = before


def _in_original_words(config: NetworkShape) -> SimpleNamespace:
    return SimpleNamespace(
        **FIXED,
        hidden_dim=config.hidden_dim,
        nheads=config.num_heads,
        num_queries=config.num_queries,
        dim_feedforward=config.ffn_dim,
        enc_layers=config.encoder_layers,
        dec_layers=config.decoder_layers,
    )


def _load_weights(network: nn.Module, weights: Weights, path: Path) -> None:
    used = {name: value for name, value in weights.items() if not matches(name, NOT_LOADED)}
    try:
        missing, unexpected = network.load_state_dict(used, strict=False)
    except RuntimeError as error:
        missing, unexpected = [], [str(error).splitlines()[1].strip()[:100]]
    wrong = [*unexpected, *(name for name in missing if not matches(name, NOT_LOADED))]
    if wrong:
        raise UserError(
            f"{path}: weights of another network ({len(wrong)} differ, such as {wrong[0]}). "
            "Choose the prompt_source/detector_network that belongs to the file."
        )


@contextlib.contextmanager
def _no_foreign_warnings() -> Iterator[None]:
    """The original code warns of itself and of its own dependencies."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
