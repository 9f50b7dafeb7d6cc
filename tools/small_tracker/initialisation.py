"""Initial weights without which the small tracker ignores its prompt, and later its memory.

Trained from SAM 2's default initialisation, a model of this size first segments every object, and
then copies nothing from memory: both skills need the position codes, which image content drowns.
The values below make attention local, and the signals that carry a selection large, from the first
step on. The architecture is unchanged.
"""

from typing import Any

import torch
from torch import nn


@torch.no_grad()
def set_start_values(model: Any) -> None:
    """Overwrite the initial weights of a fresh ``SAM2Base`` in place.

    Draws from torch's global generator: seed it first.

    Args:
        model: a ``sam2.modeling.sam2_base.SAM2Base`` of the small configuration, untrained.
    """
    _tie_decoder_attention(model)
    _enlarge_selection(model)
    _balance_content(model)
    _open_pointer_path(model)
    _localise_memory_attention(model)


def _decoder_layers(model: Any) -> Any:
    return model.sam_mask_decoder.transformer.layers


def _tie_decoder_attention(model: Any) -> None:
    """Make query and key projections equal: their product is a kernel of the position code."""
    attentions = [model.sam_mask_decoder.transformer.final_attn_token_to_image]
    for layer in _decoder_layers(model):
        attentions += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
    for attention in attentions:
        nn.init.orthogonal_(attention.q_proj.weight, 2.0)
        attention.k_proj.weight.copy_(attention.q_proj.weight)
        attention.q_proj.bias.zero_()
        attention.k_proj.bias.zero_()


def _enlarge_selection(model: Any) -> None:
    """Enlarge the signal from the prompt's tokens to the image that marks the selected object."""
    for layer in _decoder_layers(model):
        attention = layer.cross_attn_image_to_token
        nn.init.orthogonal_(attention.v_proj.weight, 2.5)
        nn.init.orthogonal_(attention.out_proj.weight, 2.5)


def _balance_content(model: Any) -> None:
    """Shrink image content and output tokens so that they do not drown the position code."""
    decoder = model.sam_mask_decoder
    for embedding in (decoder.iou_token, decoder.mask_tokens, decoder.obj_score_token):
        embedding.weight.mul_(0.3)
    coarsest = model.image_encoder.neck.convs[0].conv
    coarsest.weight.mul_(0.5)
    coarsest.bias.mul_(0.2)
    for layer in _decoder_layers(model):
        for norm in (layer.norm1, layer.norm2, layer.norm3):
            norm.weight.fill_(0.5)
            norm.bias.zero_()
        layer.norm4.weight.fill_(0.3)
        layer.norm4.bias.zero_()


def _open_pointer_path(model: Any) -> None:
    """Set the value path from image to mask token to pointer so that it loses no content."""
    transformer = model.sam_mask_decoder.transformer
    attentions = [layer.cross_attn_token_to_image for layer in _decoder_layers(model)[1:]]
    for attention in [*attentions, transformer.final_attn_token_to_image]:
        nn.init.orthogonal_(attention.v_proj.weight, 1.0)
        nn.init.orthogonal_(attention.out_proj.weight, 1.0)
    for linear in model.obj_ptr_proj.layers:
        nn.init.orthogonal_(linear.weight, 1.4)
        linear.bias.zero_()


def _localise_memory_attention(model: Any) -> None:
    """Read memory near the query, with a large mask signal, at the later scale of image features.

    Equal constant biases of query and key, rotated by the rotary code, give a kernel of distance.
    """
    memory_attention = model.memory_attention
    memory_attention.norm.weight.fill_(1.3)
    memory_attention.norm.bias.zero_()
    memory_encoder = model.memory_encoder
    memory_encoder.pix_feat_proj.weight.mul_(0.2)  # pixels must not drown the mask in the memory
    memory_encoder.mask_downsampler.encoder[-1].weight.mul_(3.0)
    for layer in memory_attention.layers:
        for attention, bias in ((layer.self_attn, 1.0), (layer.cross_attn_image, 3.0)):
            for projection in (
                attention.q_proj,
                attention.k_proj,
                attention.v_proj,
                attention.out_proj,
            ):
                projection.reset_parameters()
            attention.q_proj.bias.fill_(bias)
            attention.k_proj.bias.fill_(bias)
        nn.init.orthogonal_(layer.cross_attn_image.v_proj.weight, 2.0)
        nn.init.orthogonal_(layer.cross_attn_image.out_proj.weight, 1.0)
