"""One table: what is broken, and what the message says about it."""

import pytest

MAKER = "dataset.maker"
GDINO = ["split=train", "prompt_source=gdino"]
NETWORK = "prompt_source.detector_network"
JOINT = "dataset=mevis_and_ref_youtube_vos"
BROKEN = [
    (
        "train",
        ["selector.num_heads=7"],
        "selector.text_dim (384) is not divisible by num_heads (7)",
    ),
    ("train", ["selector.num_groups=5"], "is not divisible by num_groups (5)"),
    ("train", ["selector.num_negatives=-1"], "selector.num_negatives is -1; it is at least 0"),
    ("train", ["selector.num_layers=0"], "selector.num_layers is 0; it is at least 1"),
    ("train", ["selector.dropout=1"], "selector.dropout is 1.0; it lies in [0, 1)"),
    ("train", ["trainer.precision=64-true"], "known are 32-true, bf16-mixed, 16-mixed"),
    ("train", ["data.max_tokens=0"], "data.max_tokens is 0; it is at least 1"),
    ("train", ["data.max_tokens=9", "data.batch_size=2"], "Leave data.batch_size at 1"),
    ("train", ["trainer.ema_decay=1"], "trainer.ema_decay is 1.0; it lies between 0 and 1"),
    ("train", ["trainer.early_stopping_patience=0"], "early_stopping_patience is 0; it is at"),
    ("train", ["threshold=1.5"], "threshold is 1.5; it lies in [0, 1]"),
    ("train", ["threshold=nan"], "threshold is nan"),
    ("train", ["optimizer.lr=0"], "optimizer.lr is 0.0; it is above 0"),
    ("train", ["optimizer.schedule=step"], "known are plateau, cosine"),
    ("train", ["loss.empty_frames=drop"], "known are count, skip"),
    ("train", ["loss.alignment_weight=-1"], "loss.alignment_weight is -1.0"),
    ("train", ["data.train_sources=[]"], "data.train_sources is empty"),
    ("train", ["data.train_sources=[gt,gt]"], "a source is named twice"),
    ("train", ["data.valid_sources=[sam]"], "data.valid_sources is 'sam'; known are gt, grid"),
    ("train", ["data.group_by=frame"], "known are expression, video"),
    ("train", ["data.batch_size=0"], "data.batch_size is 0"),
    ("train", ["trainer.devices=0"], "trainer.devices is 0"),
    ("train", ["trainer.accelerator=tpu"], "known are auto, cpu, gpu"),
    ("train", ["trainer.strategy=foo"], "trainer.strategy is 'foo'; known are auto, ddp"),
    ("train", ["trainer.strategy=ddp_spawn"], "trainer.strategy is 'ddp_spawn'; known are auto"),
    ("train", ["trainer.accelerator=mps"], "known are auto, cpu, gpu."),
    ("train", ["trainer.limit_train_batches=2.5"], "above 1 it is a number of batches"),
    ("train", ["trainer.limit_val_batches=0"], "trainer.limit_val_batches is 0.0; it is above 0"),
    ("train", ["trainer.limit_train_batches=0"], "limit_train_batches is 0.0; it is above 0"),
    ("train", ["data.train_sources=[gtt]"], "known are gt, grid, gdino. Did you mean gt?"),
    ("generate", ["split=train", "token_dtype=float8"], "known are auto, float16, float32"),
    ("generate", ["split=tran"], "known are train, valid_u. Did you mean train?"),
    ("train", ["trainer.precision=bf16"], "known are 32-true, bf16-mixed"),
    ("train", ["logger.name=paper"], "known are wandb, tensorboard, csv"),
    ("train", [f"{MAKER}.max_objects=1"], "max_objects is 1, below dataset.maker.min_objects (2)"),
    ("train", [f"{MAKER}.jpeg_quality=0"], "jpeg_quality is 0"),
    ("train", [f"{MAKER}.first_seed.valid_u=159"], "seeds of train reach to 159"),
    ("train", [f"{MAKER}.first_seed.valid_u=9999999"], "the small tracker was trained on those"),
    ("train", [f"+{MAKER}.num_videos.test=3"], "both need the same ones"),
    ("train", [f"{MAKER}=null"], "needs dataset.maker"),
    ("train", ["dataset.layout=davis"], "known are mevis, mevis_v2, ref_youtube_vos"),
    ("train", ["dataset.name=a/b"], "cannot hold a '/'"),
    ("train", ["dataset.name=.."], "it names a folder"),
    ("train", [JOINT, "dataset.parts.mevis.layout=joint"], "dataset.parts.mevis.layout is 'joint'"),
    ("train", ["dataset.layout=joint"], "needs dataset.parts"),
    ("generate", [JOINT, "split=train"], "choose dataset=mevis or dataset=ref_youtube_vos"),
    ("evaluate", ["ckpt_path=x", "predictions=y"], "ckpt_path=x and predictions=y: give one of"),
    ("evaluate", [JOINT, "ckpt_path=x"], "is there to be trained on"),
    ("predict", [JOINT, "ckpt_path=x"], "is there to be trained on"),
    ("check", ["num_threads=0"], "num_threads is 0"),
    ("train", ["dataset.submission_top_dir=a/b"], "submission_top_dir is 'a/b'; it names one"),
    ("train", ["text_encoder.batch_size=0"], "text_encoder.batch_size is 0"),
    ("generate", ["split=test"], "split is 'test'; known are train, valid_u"),
    ("generate", ["dataset=mevis", "prompt_source=gt", "split=valid"], "needs ground-truth masks"),
    ("generate", ["split=train", "prompt_source.frames=last"], "known are first, largest, even"),
    (
        "generate",
        ["split=train", "prompt_source.frames_per_object=2"],
        "Set prompt_source.frames=even",
    ),
    ("generate", ["split=train", "prompt_source.duplicate_iou=2"], "duplicate_iou is 2.0"),
    (
        "generate",
        ["split=train", "tracker.mask_generator.points_per_side=0"],
        "points_per_side is 0",
    ),
    ("generate", [*GDINO, "prompt_source.detector=dino"], "known are transformers, groundingdino"),
    ("generate", [*GDINO, "prompt_source.detector_checkpoint=null"], "groundingdino_swint_ogc.pth"),
    ("generate", [*GDINO, "prompt_source.box_threshold=2"], "box_threshold is 2.0; it lies in"),
    ("generate", [*GDINO, "prompt_source.longest_edge_px=9"], "longest_edge_px is 9; it is at"),
    ("generate", [*GDINO, f"{NETWORK}.swin_depths=[2,2]"], "the image encoder has 4 stages"),
    ("generate", [*GDINO, f"{NETWORK}.num_queries=0"], "num_queries is 0; it is at least 1"),
    ("generate", [*GDINO, f"{NETWORK}.decoder_layers=1"], "decoder_layers is 1; it is at least 2"),
    ("generate", [*GDINO, f"{NETWORK}.bert_heads=5"], "is not divisible by bert_heads (5)"),
    ("evaluate", ["ckpt_path=x", "sources=[gdino2]"], "sources is 'gdino2'"),
    ("predict", ["ckpt_path=x", "num_overlays=-1"], "num_overlays is -1"),
    ("evaluate", [], "ckpt_path is missing"),
    ("generate", ["split=train", "part=2", "num_parts=2"], "part is 2; with num_parts=2 it lies"),
    ("generate", ["split=train", "num_parts=0"], "num_parts is 0; it is at least 1"),
    ("evaluate", ["predictions=masks.zip", "report=true"], "report=true shows the tracks of a"),
    ("evaluate", ["ckpt_path=x", "report_against=outputs/other"], "give report=true too"),
    ("generate", ["dataset.root=???"], "2 required value(s) missing: dataset.root, split"),
]


@pytest.mark.parametrize(
    ("entry", "overrides", "message"),
    BROKEN,
    ids=lambda v: " ".join(v) if isinstance(v, list) else None,
)
def test_a_broken_rule_is_refused_with_a_message_that_says_what(compose, entry, overrides, message):
    with pytest.raises(ValueError) as error:
        compose(entry, *overrides)

    assert message in str(error.value)


def test_all_broken_rules_are_named_at_once(compose):
    with pytest.raises(ValueError) as error:
        compose("train", "threshold=-1", "trainer.max_epochs=0", "optimizer.lr=-1")

    assert len(str(error.value).splitlines()) == 3


def test_splits_whose_seeds_touch_without_meeting_are_allowed(compose):
    assert compose("train", "dataset.maker.first_seed.valid_u=160")
