"""A data set of three videos, with tracks of three sources, that takes no network and no time.

Every object has a letter, a place in the picture and a direction in the space of object tokens;
expressions name letters, so selection can be learnt.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from own_parts import direction
from PIL import Image

from sola.config.entry_points import TrainConfig
from sola.masks import encode
from sola.shards import ShardWriter, tracks_dir
from sola.text import TextEncoder, TextTokens
from sola.types import Labels, Prompt, Tracks

TOKEN_DIM, TEXT_DIM, SIZE = 8, 16, (8, 12)
NUM_FRAMES = {"v0": 9, "v1": 16, "v2": 9}
LETTERS = ("a", "b", "c")
WriteTracks = Callable[..., Path]
MakeConfig = Callable[..., TrainConfig]


def mask_of(letter: str, num_frames: int) -> NDArray[np.bool_]:
    """A third of the picture for every object; the same on all frames."""
    masks = np.zeros((num_frames, *SIZE), dtype=bool)
    column = 4 * LETTERS.index(letter)
    masks[:, :, column : column + 4] = True
    return masks


def tracks_of(name: str, letters: Sequence[str], token_dim: int, source: str) -> Tracks:
    video_id, _, expression_id = name.partition("/")
    num_frames = NUM_FRAMES[video_id]
    masks = [mask_of(letter, num_frames) for letter in letters]
    true_masks = [mask_of(letter, num_frames) for letter in LETTERS]
    noise = np.random.default_rng(0).normal(size=(len(letters), num_frames, token_dim))
    means = np.array([direction(letter, token_dim) for letter in letters]).reshape(-1, 1, token_dim)
    counts = np.array([[(m & g).sum(axis=(1, 2)) for g in true_masks] for m in masks])
    areas = np.array([mask.sum(axis=(1, 2)) for mask in masks]).reshape(-1, num_frames)
    masklets = tuple(encode(mask) for mask in masks)
    return Tracks(
        video_id=video_id,
        expression_id=expression_id,
        object_tokens=(means + 0.1 * noise).astype(np.float32),
        object_scores=np.ones((len(letters), num_frames), np.float32),
        masklets=masklets,
        prompts=tuple(Prompt(0, masklet[0], 32, source) for masklet in masklets),
        size=SIZE,
        labels=Labels(
            object_ids=tuple(f"{video_id}{letter}" for letter in LETTERS),
            intersections=counts.reshape(-1, len(LETTERS), num_frames).astype(np.int32),
            track_areas=areas.astype(np.int32),
            object_areas=np.array([m.sum(axis=(1, 2)) for m in true_masks], np.int32),
        ),
    )


@pytest.fixture
def write_tracks(tmp_path: Path) -> WriteTracks:
    """Writes the tracks of one split from one source, by video or by "<video>/<expression>"."""

    def write(
        split: str,
        source: str,
        letters: dict[str, Sequence[str]] | None = None,
        **changes: Any,
    ) -> Path:
        chosen = letters or dict.fromkeys(NUM_FRAMES, LETTERS)
        folder = tracks_dir(tmp_path / "data", "shapes", split, source, "tiny")
        description = {
            "dataset": "shapes",
            "split": split,
            "source": source,
            "tracker": "tiny",
            "token_dim": TOKEN_DIM,
            "checkpoint_sha256": "0123",
        } | changes
        writer = ShardWriter(folder, description)
        writer.start()
        found = [tracks_of(k, v, description["token_dim"], source) for k, v in chosen.items()]
        for tracks in found:
            writer.stage(tracks)
        writer.finish([(tracks.video_id, tracks.expression_id) for tracks in found])
        return folder

    return write


@pytest.fixture
def write_split(tmp_path: Path) -> Callable[[str], None]:
    """Writes a split's expressions and masks in the MeViS layout; of its frames the first."""

    def write(split: str) -> None:
        folder = tmp_path / "data" / "shapes" / split
        folder.mkdir(parents=True)
        texts = {"a": ["a"], "b moving": ["b"], "c": ["c"], "ab": ["a", "b"], "nothing": []}
        videos = {
            video_id: {
                "frames": [f"{idx:05d}" for idx in range(num_frames)],
                "expressions": {
                    str(number): {
                        "exp": text,
                        "anno_id": [f"{video_id}{letter}" for letter in objects],
                    }
                    for number, (text, objects) in enumerate(texts.items())
                },
            }
            for video_id, num_frames in NUM_FRAMES.items()
        }
        masks = {
            f"{video_id}{letter}": encode(mask_of(letter, num_frames))
            for video_id, num_frames in NUM_FRAMES.items()
            for letter in LETTERS
        }
        for video_id in NUM_FRAMES:
            (folder / "JPEGImages" / video_id).mkdir(parents=True)
            Image.new("RGB", SIZE[::-1]).save(folder / "JPEGImages" / video_id / "00000.jpg")
        (folder / "meta_expressions.json").write_text(json.dumps({"videos": videos}))
        (folder / "mask_dict.json").write_text(json.dumps(masks))

    return write


@pytest.fixture
def make_config(tmp_path: Path, compose: Callable[..., TrainConfig]) -> MakeConfig:
    """``make_config("trainer.max_epochs=3", "selector=baseline")``: a run of seconds.

    A group that is chosen drops the values of the group that it replaces.
    """
    small = [
        *["dataset=mevis", "dataset.name=shapes", f"dataset.root={tmp_path / 'data' / 'shapes'}"],
        *["tracker=small", "tracker.name=tiny", f"tracker.token_dim={TOKEN_DIM}"],
        *["text_encoder=minilm", "text_encoder._target_=own_parts.LetterEncoder"],
        *["text_encoder.name=letters", f"text_encoder.path={Path(__file__).parent}"],
        *[f"text_encoder.dim={TEXT_DIM}", "selector=default", "selector.num_layers=1"],
        *["selector.num_heads=2", "selector.num_negatives=3", "optimizer.lr=1e-2"],
        *["scheduler=cosine", "scheduler.warmup_steps=2", "data.group_by=video"],
        *["data.batch_size=2", "data.valid_sources=[grid]", "trainer=cpu", "trainer.max_epochs=2"],
        *["num_threads=1", "logger=csv", f"paths.output_dir={tmp_path / 'run'}"],
    ]

    def make_config(*overrides: str) -> TrainConfig:
        words = {word.partition("=")[0]: word for word in small}
        for word in overrides:
            key = word.partition("=")[0]
            if key in ("selector", "scheduler", "loss", "optimizer"):
                words = {name: old for name, old in words.items() if not name.startswith(f"{key}.")}
            words[key] = word
        return compose("train", *words.values())

    return make_config


@pytest.fixture
def config(make_config: MakeConfig) -> TrainConfig:
    """``make_config`` as it is."""
    return make_config()


@pytest.fixture
def dataset(write_tracks: WriteTracks, write_split: Callable[[str], None]) -> None:
    """Both splits with the tracks of the default sources."""
    for split in ("train", "valid_u"):
        write_split(split)
        write_tracks(split, "grid")
    write_tracks("train", "gt", {"v0": "ab", "v1": "", "v2": "c"})


@pytest.fixture
def command(
    tmp_path: Path, write_tracks: WriteTracks, write_split: Callable[[str], None]
) -> list[str]:
    """What follows ``python train.py`` to learn from the three videos; output folders excepted."""
    for split in ("train", "valid_u"):
        write_split(split)
        write_tracks(split, "grid")
    data_dir, encoder_dir = tmp_path / "data", tmp_path / "encoder"
    encoder_dir.mkdir()
    (encoder_dir / "config.json").write_text("{}")
    encoder = TextEncoder("letters", str(encoder_dir), dim=TEXT_DIM)
    texts = ("a", "b moving", "c", "ab", "nothing")
    tokens = {t: np.stack([direction(letter, TEXT_DIM) for letter in t]) for t in texts}
    TextTokens(data_dir / "text", encoder).add(tokens)
    return [
        *["dataset=mevis", "dataset.name=shapes", f"dataset.root={data_dir / 'shapes'}"],
        *["tracker=small", "tracker.name=tiny", f"tracker.token_dim={TOKEN_DIM}", "logger=csv"],
        *["text_encoder=minilm", "text_encoder.name=letters", f"text_encoder.path={encoder_dir}"],
        *[f"text_encoder.dim={TEXT_DIM}", "selector=small", "selector.num_layers=1"],
        *["selector.num_heads=2", "selector.num_negatives=3", "trainer=single_thread"],
        *[f"data_root={data_dir}", "data.train_sources=[grid]", "data.valid_sources=[grid]"],
        "optimizer.lr=1e-3",
    ]
