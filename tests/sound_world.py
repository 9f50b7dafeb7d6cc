"""A small world in which every command works: data sets, tracks, checkpoints, text tokens.

It is written into the working folder, and the commands run there. Tests break one thing of it.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import dataset_trees as trees
import numpy as np
import torch
from published_tree import write_tree

from sola.datasets import MeViS, Split
from sola.masks import areas, empty_masklet, encode
from sola.metrics import count_pixels
from sola.selector import TrackSelector
from sola.shards import ShardWriter, tracks_dir
from sola.text import TextEncoder, TextTokens
from sola.types import Prompt, Tracks

DATA = Path("data")
MEVIS = DATA / "mevis"
SHA256 = 64 * "a"
"""Of the tracker that made the tracks."""
ENCODER = TextEncoder("letters", "encoder", dim=16)
SELECTOR = {"token_dim": 8, "text_dim": 16, "num_negatives": 2}
SELECTOR |= {"num_layers": 1, "num_heads": 2, "num_groups": 2}

_COMMON = ["dataset=mevis", "tracker=small", "trainer=single_thread", "hydra.run.dir=out"]
_COMMON += ["dataset.valid_sources=[grid]"]
_ENCODER = [f"text_encoder.{key}={getattr(ENCODER, key)}" for key in ("name", "path", "dim")]
_TOKENS = ["text_encoder=minilm", *_ENCODER]
_NETWORK = [f"selector.{key}={value}" for key, value in SELECTOR.items() if "dim" not in key]
_TRACKS = ["dataset=mevis", "split=valid_u", "prompt_source=grid", "tracker=small"]
GENERATE, TRAIN, EVALUATE, PREDICT = (
    f"python {name}.py" for name in ("generate", "train", "evaluate", "predict")
)
IMPORT = "python -m sola.published import tree"
CHECK_SUBMISSION = "sola check submission masks"
COMMANDS = {
    GENERATE: [*_COMMON, "split=train", "prompt_source=gt", "tracker.checkpoint=random"],
    TRAIN: [
        *[
            *_COMMON,
            "logger=csv",
            "trainer.max_epochs=1",
            "data.train_sources=[grid]",
            "data.valid_sources=[grid]",
        ],
        *["tracker.token_dim=8", *_TOKENS, "selector=default", *_NETWORK],
    ],
    EVALUATE: [*_COMMON, *_TOKENS, "ckpt_path=best.ckpt", "sources=[grid]"],
    PREDICT: [*_COMMON, *_TOKENS, "ckpt_path=best.ckpt", "sources=[grid]"],
    IMPORT: [*_TRACKS, "tracker.name=theirs", "tracker.checkpoint=unknown"],
    CHECK_SUBMISSION: ["dataset=mevis"],
}
"""The values with which each command works."""


def write_world() -> None:
    """All that the commands read, in the working folder."""
    for split in ("train", "valid_u", "valid"):
        trees.write_mevis(MEVIS, split)
    hide_ground_truth(MEVIS / "valid")
    trees.write_ref_youtube_vos(DATA / "ref-youtube-vos")
    for split in ("train", "valid_u", "valid"):
        write_tracks(split, "grid")
    write_checkpoint(Path("best.ckpt"))
    _write_text_tokens()
    masklets = {0: encode(np.ones((3, *trees.SIZE))), 3: empty_masklet(3, trees.SIZE)}
    entries = {"a": masklets, "b": {0: encode(np.ones((2, *trees.SIZE)))}}
    write_tree(Path("tree/grid_tracks/mevis/valid_u"), entries, token_dim=128)


def tracks_of(split: str, source: str) -> Path:
    """Folder of the tracks of a split of MeViS."""
    return tracks_dir(DATA, "mevis", split, source, "small")


def write_tracks(split: str, source: str, *, has_labels: bool = True, **description: Any) -> None:
    """Two tracks a video, each a half of the frames, with random tokens."""
    dataset = MeViS(MEVIS, split)
    known = {"dataset": "mevis", "split": split, "source": source, "tracker": "small"}
    known |= {"token_dim": 8, "checkpoint_sha256": SHA256} | description
    writer = ShardWriter(tracks_of(split, source), known)
    writer.start()
    for video_id in dataset.videos:
        tracks = _make_tracks(dataset, video_id, source)
        writer.stage(tracks if has_labels else replace(tracks, labels=None))
    writer.finish([(video_id, "") for video_id in dataset.videos])


def _make_tracks(dataset: Split, video_id: str, source: str) -> Tracks:
    num_frames = len(dataset.videos[video_id].frame_paths)
    masklets = tuple(encode(np.stack([trees.half(s)] * num_frames)) for s in ("left", "right"))
    truth = dataset.ground_truth(video_id) if dataset.has_masks else None
    rng = np.random.default_rng(0)
    return Tracks(
        video_id=video_id,
        expression_id="",
        object_tokens=rng.normal(size=(2, num_frames, 8)).astype(np.float32),
        object_scores=np.ones((2, num_frames), np.float32),
        masklets=masklets,
        prompts=tuple(Prompt(0, m[0], int(areas([m])[0, 0]), source) for m in masklets),
        size=trees.SIZE,
        labels=None if truth is None else count_pixels(masklets, truth, num_frames),
    )


def write_checkpoint(path: Path, selector: dict[str, int] | None = None, **origin: str) -> None:
    """A selector of random weights, as training writes it; without a state of the optimiser."""
    torch.manual_seed(0)
    network = TrackSelector(**(SELECTOR | (selector or {})))
    said: dict[str, Any] = {"selector": network.description, "tracker": "small"}
    said |= {"checkpoint_sha256": SHA256, "text_encoder": ENCODER.name}
    weights = {f"selector.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": weights, "sola": said | origin}, path)


def hide_ground_truth(split_dir: Path) -> None:
    """Makes a split of MeViS one whose ground truth is with the server."""

    def hide(meta: Any) -> None:
        for video in meta["videos"].values():
            for entry in video["expressions"].values():
                del entry["anno_id"], entry["obj_id"]

    trees.edit_json(split_dir / "meta_expressions.json", hide)
    (split_dir / "mask_dict.json").unlink()


def _write_text_tokens() -> None:
    """Those of every expression, so that no command needs an encoder."""
    Path(ENCODER.path).mkdir()
    (Path(ENCODER.path) / "config.json").write_text("{}")
    dataset = MeViS(MEVIS, "valid_u")
    rng = np.random.default_rng(0)
    tokens = {e.text: rng.normal(size=(3, ENCODER.dim)) for e in dataset.expressions}
    TextTokens(DATA / "text", ENCODER).add(tokens)
