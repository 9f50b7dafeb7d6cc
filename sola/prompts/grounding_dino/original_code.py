"""GroundingDINO's network as the original code has it (the package rf-groundingdino).

``_TextEncoder`` replaces its wrapper of BERT, which does not work with transformers 5.
"""

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from torch import Tensor, nn
from transformers import BatchEncoding, BertConfig, BertModel

from sola.prompts.grounding_dino.network import (
    DELIMITERS,
    NOT_LOADED,
    DetectorNetwork,
    KeptFeatures,
    NetworkShape,
    read_original,
    refuse_other_weights,
)
from sola.trackers import RANDOM_WEIGHTS


class OriginalNetwork(DetectorNetwork):
    """See ``DetectorNetwork``."""

    def __init__(self, network: Any) -> None:
        network.backbone[0] = KeptFeatures(network.backbone[0])
        super().__init__(network, network.backbone[0])

    def find_boxes(self, image: Tensor, tokens: BatchEncoding) -> tuple[Tensor, Tensor]:
        """See ``DetectorNetwork.find_boxes``."""
        self.network.tokenizer = lambda captions, **options: tokens
        try:
            with warnings.catch_warnings(action="ignore"):
                out = self.network(image, captions=[""])
        finally:  # after an error it would answer for this image again
            self.network.unset_image_tensor()
        return out["pred_logits"][0, :, : tokens.input_ids.shape[1]], out["pred_boxes"][0]


class _TextEncoder(nn.Module):
    """BERT with an attention mask per token; its parts keep their names in a checkpoint."""

    def __init__(self, bert_model: BertModel) -> None:
        super().__init__()
        self.config = bert_model.config
        self.embeddings, self.encoder = bert_model.embeddings, bert_model.encoder

    def forward(self, attention_mask: Tensor, **inputs: Tensor) -> dict[str, Tensor]:
        # (1, L, L) -> (1, 1, L, L), the same for all heads
        mask = attention_mask.bool()[:, None]
        return {
            "last_hidden_state": self.encoder(self.embeddings(**inputs), attention_mask=mask)[0]
        }


def load(checkpoint: str, shape: NetworkShape) -> OriginalNetwork:
    """Return the network with the weights of a .pth file.

    Args:
        checkpoint: the file, or "random".
        shape: of the network.

    Raises:
        UserError: if the weights cannot be read, or are of another network.
    """
    network = build(shape)
    if checkpoint != RANDOM_WEIGHTS:
        path = Path(checkpoint)
        try:
            missing, unexpected = network.load_state_dict(read_original(path), strict=False)
        except RuntimeError as error:  # of a shape
            missing, unexpected = [], str(error).splitlines()[1:]
        missing = [name for name in missing if not NOT_LOADED.fullmatch(name)]
        refuse_other_weights(path, [*unexpected, *missing])
    return OriginalNetwork(network)


def build(shape: NetworkShape) -> nn.Module:
    """Return an untrained network of this shape; all else is that of the published Swin-T."""
    with warnings.catch_warnings(action="ignore"):  # of the original code and its dependencies
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
                "use_checkpoint": False,  # of activations, for training
                "use_transformer_ckpt": False,
            }
        )
        swin = SwinTransformer(out_indices=(1, 2, 3), **shape.swin())
        joined = backbone.Joiner(swin, backbone.build_position_encoding(arguments))
        joined.num_channels = swin.num_features[1:]
        with mock.patch.multiple(code, **_own_encoders(joined, shape)):
            network: nn.Module = code.build_groundingdino(arguments)
    return network


def _own_encoders(backbone: nn.Module, shape: NetworkShape) -> dict[str, Any]:
    """Return what the original builds its encoders with, of any shape and without a download."""
    bert = BertConfig(**shape.bert())
    special_ids = list(DELIMITERS.values())
    return {
        "build_backbone": lambda _: backbone,
        "get_tokenlizer": SimpleNamespace(
            get_tokenlizer=lambda _: SimpleNamespace(convert_tokens_to_ids=lambda _: special_ids),
            get_pretrained_language_model=lambda _: BertModel(bert),
        ),
        "BertModelWarper": _TextEncoder,
    }
