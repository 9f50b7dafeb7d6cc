"""One table: values that do not fit, and the key that the message begins with."""

import pytest

from sola.errors import UserError

MAKER = "dataset.maker"
SPLIT = "split=train"
GT, GDINO = [SPLIT, "prompt_source=gt"], [SPLIT, "prompt_source=gdino"]
DETECTOR = "prompt_source.detector"
JOINT = "dataset=mevis_and_ref_youtube_vos"
CKPT = "ckpt_path=x"
BROKEN = [
    ("train", ["threshold=1.5"], "threshold: "),
    ("train", ["threshold=nan"], "threshold: "),
    ("train", ["trainer.precision=64-true"], "trainer.precision: "),
    ("train", ["+trainer.callbacks=[]"], "trainer.callbacks: "),
    ("train", ["data.batch_size=0"], "data.batch_size: "),
    ("train", ["data.max_tokens=9", "data.batch_size=2"], "data.batch_size: "),
    ("train", ["data.max_videos=0"], "data.max_videos: "),
    ("train", ["data.train_sources=[]"], "data.train_sources: "),
    ("train", ["data.train_sources=[gt,gt]"], "data.train_sources: "),
    ("train", ["data.group_by=frame"], "data.group_by: "),
    ("train", ["loss.alignment_weight=-1"], "loss.alignment_weight: "),
    ("train", ["dashboard.example_frames=0"], "dashboard.example_frames: "),
    ("train", ["resume=true", CKPT], "ckpt_path: "),
    ("train", ["resume=no_thanks"], "resume: "),
    ("train", ["resume='no'"], "resume: "),
    ("train", ["seed=2.0"], "seed: "),
    ("train", ["num_threads='8'"], "num_threads: "),
    ("train", ["optimizer.lr=true"], "optimizer.lr: "),
    ("train", ["callbacks.early_stopping=false"], "callbacks.early_stopping: "),
    ("train", ["+callbacks._target_=builtins.print"], "callbacks: "),
    ("train", ["~optimizer._target_"], "optimizer: "),
    ("train", ["~trainer._target_"], "trainer: "),
    ("train", ["tracker._target_=.foo.Bar"], "tracker._target_: "),
    ("train", ["tracker._target_=collections.Counter"], "tracker"),
    ("train", ["tracker={_target_:collections.OrderedDict}"], "tracker"),
    ("train", [f"{MAKER}.max_objects=1"], f"{MAKER}.max_objects: "),
    ("train", [f"{MAKER}.first_seed.valid_u=159"], f"{MAKER}.first_seed.valid_u: "),
    ("train", [f"{MAKER}.first_seed.valid_u=9999999"], f"{MAKER}.first_seed.valid_u: "),
    ("train", [f"+{MAKER}.num_videos.test=3"], f"{MAKER}.num_videos: "),
    ("train", ["dataset.name=a/b"], "dataset.name: "),
    ("train", ["dataset.name=.."], "dataset.name: "),
    ("train", ["+dataset.submission_top_dir=a/b"], "dataset.submission_top_dir: "),
    ("train", [JOINT, "dataset.parts.mevis.name=ref_youtube_vos"], "dataset.parts: "),
    ("train", ["text_encoder.batch_size=0"], "text_encoder.batch_size: "),
    ("generate", ["dataset.root=???"], "dataset.root, split: "),
    ("generate", [SPLIT, "token_dtype=float8"], "token_dtype: "),
    ("generate", [SPLIT, "part=2", "num_parts=2"], "part: "),
    ("generate", [SPLIT, "+trainer.max_steps=3"], "trainer.max_steps: "),
    ("generate", [SPLIT, "prompt_source.rule.duplicate_iou=2"], "prompt_source.rule.duplicate_iou"),
    ("generate", [*GT, "prompt_source.frames=last"], "prompt_source.frames: "),
    ("generate", [*GT, "prompt_source.frames_per_object=0"], "prompt_source.frames_per_object: "),
    ("generate", ["dataset=mevis", "split=valid", "prompt_source=gt"], "split=valid: "),
    ("generate", [JOINT, SPLIT], "dataset=mevis_and_ref_youtube_vos "),
    ("generate", [*GDINO, "prompt_source.box_threshold=2"], "prompt_source.box_threshold: "),
    ("generate", [*GDINO, f"{DETECTOR}.implementation=dino"], f"{DETECTOR}.implementation: "),
    ("generate", [*GDINO, f"{DETECTOR}.checkpoint=null"], f"{DETECTOR}.checkpoint: "),
    ("generate", [*GDINO, f"{DETECTOR}.longest_edge_px=9"], f"{DETECTOR}.longest_edge_px: "),
    ("generate", [*GDINO, f"{DETECTOR}.network.bert_heads=0"], f"{DETECTOR}.network.bert_heads: "),
    ("evaluate", [], "ckpt_path: "),
    ("evaluate", [CKPT, "predictions=y"], "ckpt_path: "),
    ("evaluate", ["predictions=masks.zip", "report=true"], "report: "),
    ("evaluate", [CKPT, "report_against=outputs/other"], "report_against: "),
    ("evaluate", [CKPT, "trainer.devices=2"], "trainer.devices: "),
    ("evaluate", [CKPT, "trainer.precision=bf16-mixed"], "trainer.precision: "),
    ("evaluate", [CKPT, "+trainer.profiler=simple"], "trainer.profiler: "),
    ("evaluate", [CKPT, "+metric.x=3"], "metric.x: "),
    ("evaluate", [CKPT, "+metric._target_=math.sqrt", "+metric._partial_=true"], "metric"),
    ("predict", [CKPT, "num_overlays=-1"], "num_overlays: "),
    ("predict", [CKPT, "expressions=[the dog]"], "expressions: "),
    ("predict", [CKPT, "video=x"], "expressions: "),
    ("predict", [CKPT, "video=x", "expressions=[a]", "sources=[grit]"], "sources: "),
    ("check", ["num_threads=0"], "num_threads: "),
]
BUILT_LATER = [
    ("selector", ["selector.num_heads=7"], "selector.num_heads: "),
    ("selector", ["selector.dropout=2"], "selector.dropout: "),
    ("trainer", ["trainer.accelerator=tpus"], "trainer: "),
    ("trainer", ["+trainer.profiler=nothing"], "trainer: "),
]


@pytest.mark.parametrize(
    ("entry", "overrides", "key"), BROKEN, ids=[" ".join([b[0], *b[1]]) for b in BROKEN]
)
def test_invalid_value_is_refused_with_its_key(compose, entry, overrides, key):
    with pytest.raises(UserError) as error:
        compose(entry, *overrides)

    assert str(error.value).startswith(key)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("group", "overrides", "key"), BUILT_LATER, ids=[b[1][0] for b in BUILT_LATER]
)
def test_value_refused_by_a_late_object_is_reported_with_its_key(compose, group, overrides, key):
    later = getattr(compose("train", *overrides), group)

    with pytest.raises(UserError) as error:
        later()

    assert str(error.value).startswith(key)


def test_callback_refuses_a_value_under_its_key(compose):
    config = compose("train", "callbacks.early_stopping.patience=0")

    with pytest.raises(UserError) as error:
        config.callbacks["early_stopping"]()

    assert str(error.value).startswith("callbacks.early_stopping.patience: ")


def test_seed_ranges_that_touch_without_meeting_are_accepted(compose):
    assert compose("train", f"{MAKER}.first_seed.valid_u=400")


def test_trainer_takes_any_argument_of_lightning(compose):
    config = compose("train", "+trainer.profiler=simple", "trainer.val_check_interval=0.5")

    assert config.trainer.node["profiler"] == "simple"
