"""A split of two tiny videos, drawn so that every number can be worked out by hand.

Frames are 20 x 20, so boundaries match within 1 px. Video "v1" has two objects far apart: "1", a
square of 2 x 2 px with a boundary of 8 px, and "2", a rectangle of 3 x 4 px with a boundary of 14
(a rectangle h x w marks 2 (h + w)); its tracks are exactly these two. Video "v2" has no tracks.
Some expressions have tracks of their own too, which no other one may be answered with.
"""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from sola.config.entry_points import EvaluateConfig, PredictConfig
from sola.config.sections import Paths
from sola.config.targets import Later
from sola.datasets import Dataset, MeViS
from sola.masks import areas, encode
from sola.selector import TrackSelector
from sola.shards import ShardWriter, tracks_dir
from sola.text import TextEncoder
from sola.trackers.sam2 import Sam2Tracker
from sola.types import Expression, Masklet, Prompt, Tracks

SIZE = (20, 20)
NUM_FRAMES = 2
NAME, SPLIT = "drawn", "valid_u"
TRACKER_SHA256 = "ab"


def rectangle(top: int, left: int, height: int, width: int) -> Masklet:
    masks = np.zeros((NUM_FRAMES, *SIZE), dtype=bool)
    masks[:, top : top + height, left : left + width] = True
    return encode(masks)


SMALL, LARGE = rectangle(2, 2, 2, 2), rectangle(10, 10, 3, 4)
TRACKS: dict[str, tuple[Masklet, ...]] = {"v1": (SMALL, LARGE), "v2": ()}
OWN_TRACKS: dict[tuple[str, str], tuple[Masklet, ...]] = {
    ("v1", "0"): (SMALL,),
    ("v1", "1"): (),
    ("v1", "2"): (SMALL, LARGE),
    ("v1", "3"): (LARGE,),
    ("v2", "0"): (SMALL,),
}
"""Of source gdino, by (video id, expression id): for "the large one" nothing was found."""
GROUND_TRUTH: dict[str, dict[str, Masklet]] = {"v1": {"1": SMALL, "2": LARGE}, "v2": {"3": SMALL}}
EXPRESSIONS = (
    Expression("v1", "0", "the small one", ("1",), kind="appearance"),
    Expression("v1", "1", "the large one", ("2",), kind="appearance"),
    Expression("v1", "2", "both", ("1", "2"), kind="group"),
    Expression("v1", "3", "the green one", (), kind="none"),
    Expression("v2", "0", "the one there", ("3",), kind="appearance"),
)


def make_tracks(
    video_id: str,
    masklets: tuple[Masklet, ...],
    source: str = "grid",
    expression_id: str = "",
) -> Tracks:
    """Tracks with these masklets and random tokens, always the same."""
    rng = np.random.default_rng([len(masklets), *expression_id.encode()])
    pixels = areas(masklets)
    return Tracks(
        video_id=video_id,
        expression_id=expression_id,
        object_tokens=rng.standard_normal((len(masklets), NUM_FRAMES, 4)).astype(np.float32),
        object_scores=np.zeros((len(masklets), NUM_FRAMES), dtype=np.float32),
        masklets=masklets,
        prompts=tuple(
            Prompt(0, masklet[0], int(pixels[i, 0]), source) for i, masklet in enumerate(masklets)
        ),
        size=SIZE,
    )


def make_config(
    schema: type[EvaluateConfig] | type[PredictConfig], folder: Path, **changes: Any
) -> Any:
    """Writes data set, tracks and a checkpoint into a folder; the configuration that uses them.

    Args:
        schema: EvaluateConfig or PredictConfig.
        folder: for everything.
        changes: fields of the configuration, or token_dim, text_dim, accelerator, and trained_on
            (tracker's sha256) and trained_with (text encoder) of the checkpoint.
    """
    _write_dataset(folder / "drawn")
    _write_tracks(folder / "data", "grid", {(name, ""): found for name, found in TRACKS.items()})
    _write_tracks(folder / "data", "gdino", OWN_TRACKS)
    ckpt_path = folder / "selector.ckpt"
    _write_checkpoint(
        ckpt_path,
        token_dim=changes.pop("token_dim", 4),
        origin={
            "checkpoint_sha256": changes.pop("trained_on", TRACKER_SHA256),
            "text_encoder": changes.pop("trained_with", "letters"),
        },
    )
    text_encoder = TextEncoder("letters", "letters", changes.pop("text_dim", 8))
    trainer = {"_target_": "pytorch_lightning.Trainer"}
    trainer |= {"accelerator": changes.pop("accelerator", "cpu")}
    fields = {
        "dataset": Dataset(NAME, folder / "drawn", MeViS),
        "tracker": Sam2Tracker("tiny", "none", "random"),
        "text_encoder": text_encoder,
        "trainer": Later(trainer, "trainer"),
        "paths": Paths(str(folder / "data"), str(folder / "output")),
        "ckpt_path": None if changes.get("predictions") else str(ckpt_path),
        "split": SPLIT,
        "sources": ["grid"],
        **({"prompt_sources": {}} if schema is PredictConfig else {}),
    }
    return schema(**(fields | changes))


class LetterTokens:
    """In place of sola.text.TextTokens: one token a letter, without an encoder."""

    def __init__(self, cache_dir: Path, encoder: TextEncoder, device: str = "cpu") -> None:
        self.dim = encoder.dim

    def prepare(self, texts: list[str]) -> None:
        assert texts

    def tokens(self, texts: list[str]) -> list[np.ndarray]:
        table = np.random.default_rng(0).standard_normal((256, self.dim)).astype(np.float32)
        return [table[np.frombuffer(text.encode(), np.uint8)] for text in texts]


def _write_dataset(root: Path) -> None:
    videos: dict[str, Any] = {}
    for expression in EXPRESSIONS:
        frames = [f"{idx:05d}" for idx in range(NUM_FRAMES)]
        video = videos.setdefault(expression.video_id, {"frames": frames, "expressions": {}})
        video["expressions"][expression.expression_id] = {
            "exp": expression.text,
            "anno_id": [int(object_id) for object_id in expression.object_ids or ()],
            "kind": expression.kind,
        }
    folder = root / SPLIT
    for video_id in videos:
        (folder / "JPEGImages" / video_id).mkdir(parents=True, exist_ok=True)
        for idx in range(NUM_FRAMES):
            picture = np.full((*SIZE, 3), 100 + 50 * idx, dtype=np.uint8)
            cv2.imwrite(str(folder / "JPEGImages" / video_id / f"{idx:05d}.jpg"), picture)
    (folder / "meta_expressions.json").write_text(json.dumps({"videos": videos}))
    masks = {
        name: masklet for objects in GROUND_TRUTH.values() for name, masklet in objects.items()
    }
    (folder / "mask_dict.json").write_text(json.dumps(masks))


def _write_tracks(
    data_dir: Path, source: str, masklets: dict[tuple[str, str], tuple[Masklet, ...]]
) -> None:
    folder = tracks_dir(data_dir, NAME, SPLIT, source, "tiny")
    description = {
        "dataset": NAME,
        "split": SPLIT,
        "source": source,
        "tracker": "tiny",
        "token_dim": 4,
        "checkpoint_sha256": TRACKER_SHA256,
    }
    writer = ShardWriter(folder, description)
    if writer.is_finished:
        return
    writer.start()
    for (video_id, expression_id), found in masklets.items():
        writer.stage(make_tracks(video_id, found, source, expression_id))
    writer.finish(list(masklets))


def _write_checkpoint(path: Path, token_dim: int, origin: dict[str, str]) -> None:
    torch.manual_seed(0)
    selector = TrackSelector(
        token_dim=token_dim, text_dim=8, num_layers=1, num_negatives=2, num_heads=2, num_groups=2
    )
    weights = {f"selector.{name}": value for name, value in selector.state_dict().items()}
    torch.save({"state_dict": weights, "sola": {"selector": selector.description, **origin}}, path)
