"""Small data sets in every layout, with everything that is odd in real ones and works.

Of every split: "walk", four frames listed out of order, with two objects, one of them away on a
frame, and a third that is never seen; "still", of one frame; "mute", without expressions. Texts
have odd spacing and case, and one is empty; one means several objects, some
nothing. Some masks have half the size.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dataset_trees as trees
import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = (32, 48)
FRAMES = {"walk": ["00000", "00005", "00010", "00015"], "still": ["00000"], "mute": ["1", "10"]}
TEXTS = {
    "walk": [
        ("  The LEFT\tone ", [1]),
        ("BOTH  of them", [1, 2]),
        ("the flying one", []),
        ("a ghost", [3]),
    ],
    "still": [("It", [4]), ("", [])],
    "mute": [],
}
"""Video -> (text, objects) of its expressions."""
AWAY = ("walk", 1, 2)
"""(Video, object, frame) of an object that is not there."""
COLOURS = {1: (220, 40, 40), 2: (40, 80, 230), 4: (40, 200, 60)}


@dataclass(frozen=True)
class Layout:
    """Where a data set lies, and what its splits are there for."""

    folder: str
    train: str
    measured: str
    """A split with ground truth."""
    hidden: str
    """A split to answer, without ground truth where the data set has such a one."""
    per_text: int = 1
    """Expressions of the same text."""


LAYOUTS = {
    "mevis": Layout("mevis", "train", "valid_u", "valid"),
    "mevis_v2": Layout("mevis_v2", "train", "valid_u", "valid"),
    "ref_youtube_vos": Layout("ref-youtube-vos", "train", "train", "valid"),
    "ref_davis": Layout("ref-davis", "train", "valid", "valid", per_text=4),
}


def write_odd(name: str, root: Path) -> None:
    """All splits of a data set."""
    layout = LAYOUTS[name]
    for split in {layout.train, layout.measured, layout.hidden}:
        has_masks = split in (layout.train, layout.measured)
        is_mevis = name.startswith("mevis")
        meta = {"videos": _videos("anno_id" if is_mevis else "obj_id", layout, has_masks)}
        meta_path = root / "meta_expressions" / split / "meta_expressions.json"
        if is_mevis:
            version = "_v2" if name == "mevis_v2" else ""
            meta_path = root / split / f"meta_expressions{version}.json"
        trees.write_json(meta_path, meta)
        if has_masks:
            (_write_codes if is_mevis else _write_label_maps)(root / split)
        for video_id in FRAMES:
            _write_frames(root / split / "JPEGImages" / video_id, video_id)
    if name == "ref_youtube_vos":
        trees.add_test_videos(root)


def _videos(key: str, layout: Layout, has_masks: bool) -> dict[str, Any]:
    videos = {}
    for video_id, frames in FRAMES.items():
        entries = [
            {"exp": text} | ({key: objects} if has_masks else {})
            for text, objects in TEXTS[video_id]
            for _ in range(layout.per_text)
        ]
        expressions = {str(number): entry for number, entry in enumerate(entries)}
        videos[video_id] = {"frames": frames[::-1], "expressions": expressions}
    return videos


def _box(video_id: str, object_id: int, frame_idx: int) -> tuple[slice, slice] | None:
    """Where an object is on a frame."""
    if (video_id, object_id, frame_idx) == AWAY or object_id not in COLOURS:
        return None
    left = {1: 2, 2: 28, 4: 16}[object_id] + 2 * frame_idx
    return slice(8, 24), slice(left, left + 14)


def _objects(video_id: str) -> list[int]:
    return sorted({one for _, objects in TEXTS[video_id] for one in objects})


def _write_frames(folder: Path, video_id: str) -> None:
    folder.mkdir(parents=True)
    for frame_idx, frame in enumerate(FRAMES[video_id]):
        picture = np.full((*SIZE, 3), 90, np.uint8)
        for object_id in _objects(video_id):
            if box := _box(video_id, object_id, frame_idx):
                picture[box] = COLOURS[object_id]
        Image.fromarray(picture).save(folder / f"{frame}.jpg", quality=95)


def _write_codes(split_dir: Path) -> None:
    """In the order in which the frames are listed."""
    codes = {
        str(object_id): [
            _code(_box(video_id, object_id, idx), small=object_id == 2)
            for idx in reversed(range(len(frames)))
        ]
        for video_id, frames in FRAMES.items()
        for object_id in _objects(video_id)
    }
    trees.write_json(split_dir / "mask_dict.json", codes)


def _code(box: tuple[slice, slice] | None, *, small: bool) -> dict[str, Any] | None:
    if box is None:
        return None
    mask = np.zeros(SIZE, bool)
    mask[box] = True
    return trees.code(mask[::2, ::2] if small else mask)


def _write_label_maps(split_dir: Path) -> None:
    for video_id, frames in FRAMES.items():
        for idx, frame in enumerate(frames):
            labels: NDArray[np.uint8] = np.zeros(SIZE, np.uint8)
            for object_id in _objects(video_id):
                if box := _box(video_id, object_id, idx):
                    labels[box] = object_id
            path = split_dir / "Annotations" / video_id / f"{frame}.png"
            trees.write_labels(path, np.ascontiguousarray(labels[::2, ::2]) if idx == 1 else labels)
