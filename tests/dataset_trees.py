"""Small data sets on disk, one function a layout; sound ones, and one with everything odd.

Every split has two videos of frames of 4 x 6 px: "a" with three frames and the objects 1 (left) and
2 (right), "b" with two frames and the object 3, or 1 where objects are numbered by video.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sola.masks import encode

SIZE = (4, 6)
FRAMES = {"a": ["00000", "00005", "00010"], "b": ["00000", "00005"]}


def write_frames(folder: Path, names: Iterable[str], size: tuple[int, int] = SIZE) -> None:
    """Grey JPEG frames."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", size[::-1], (90, 90, 90)).save(folder / f"{name}.jpg")


def write_labels(path: Path, labels: NDArray[np.uint8]) -> None:
    """A PNG file with a palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("P", labels.shape[::-1])
    image.frombytes(labels.tobytes())
    image.putpalette([(7 * value) % 256 for value in range(3 * 256)])
    image.save(path)


def half(side: str, size: tuple[int, int] = SIZE) -> NDArray[np.bool_]:
    """The left or the right half of a frame: (H, W)."""
    mask = np.zeros(size, dtype=bool)
    middle = size[1] // 2
    mask[:, slice(None, middle) if side == "left" else slice(middle, None)] = True
    return mask


def code(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Run-length code of (H, W) bool."""
    return dict(encode(mask[None])[0])


def labels(*objects: tuple[int, str]) -> NDArray[np.uint8]:
    """A label map of halves: (object id, side)."""
    found = np.zeros(SIZE, np.uint8)
    for object_id, side in objects:
        found[half(side)] = object_id
    return found


def write_mevis(
    root: Path, split: str = "valid_u", *, meta_file: str = "meta_expressions.json"
) -> None:
    """A sound split of MeViS; expressions mean one object, several and none."""
    meta = {
        "a": {
            "0": {"exp": "The  Left one ", "obj_id": [0], "anno_id": [1]},
            "1": {"exp": "both of them", "obj_id": [0, 1], "anno_id": [1, 2]},
            "2": {"exp": "the flying one", "obj_id": [], "anno_id": []},
        },
        "b": {"0": {"exp": "the right one", "obj_id": [0], "anno_id": [3]}},
    }
    masks = {
        "1": [code(half("left")), None, code(half("left"))],
        "2": [code(half("right"))] * 3,
        "3": [None, code(half("right"))],
    }
    write_json(root / split / meta_file, _meta(meta))
    write_json(root / split / "mask_dict.json", masks)
    _write_all_frames(root / split)


def write_ref_youtube_vos(root: Path, split: str = "train", *, has_objects: bool = True) -> None:
    """A sound split of Ref-YouTube-VOS; of valid, the expressions list the test videos too."""
    objects = {"0": "1", "1": "2"}
    meta = {
        "a": {i: {"exp": f"number {i}", "obj_id": one} for i, one in objects.items()},
        "b": {"0": {"exp": "it", "obj_id": "1"}},
    }
    if not has_objects:
        meta = {v: {i: {"exp": e["exp"]} for i, e in of.items()} for v, of in meta.items()}
    write_json(root / "meta_expressions" / split / "meta_expressions.json", _meta(meta))
    if split == "valid":
        add_test_videos(root)
    _write_all_frames(root / split)
    if has_objects:
        _write_all_labels(root / split)


def add_test_videos(root: Path) -> None:
    """The video "t" of split test, which the expressions of valid list too; frames with valid's."""
    entry = {"frames": ["00000", "00005"], "expressions": {"0": {"exp": "of test"}}}
    path = root / "meta_expressions" / "valid" / "meta_expressions.json"
    edit_json(path, lambda meta: meta["videos"].update(t=entry))
    test_path = root / "meta_expressions" / "test" / "meta_expressions.json"
    write_json(test_path, {"videos": {"t": entry}})
    write_frames(root / "valid" / "JPEGImages" / "t", entry["frames"])


def write_ref_davis(root: Path, split: str = "valid") -> None:
    """A sound split of Ref-DAVIS17: four expressions an object."""
    meta = {
        "a": {str(i): {"exp": f"number {i}", "obj_id": str(1 + i // 4)} for i in range(8)},
        "b": {str(i): {"exp": f"number {i}", "obj_id": "1"} for i in range(4)},
    }
    write_json(root / "meta_expressions" / split / "meta_expressions.json", _meta(meta))
    _write_all_frames(root / split)
    _write_all_labels(root / split)


def write_odd_mevis(root: Path, split: str = "train") -> None:
    """Everything that real data has and that works: see the comments."""
    write_mevis(root, split)
    long = [f"{idx:05d}" for idx in range(501)]
    videos = {
        "still": {"frames": ["00000"], "expressions": {"0": {"exp": "one", "anno_id": [4]}}},
        "long": {"frames": long, "expressions": {"0": {"exp": "LONG\t way", "anno_id": [5]}}},
        "mute": {"frames": ["00000"], "expressions": {}},
    }

    def change(meta: Any) -> None:
        meta["videos"].update(videos)
        meta["videos"]["a"]["frames"] = ["00010", "00000", "00005"]  # out of order
        meta["videos"]["b"]["expressions"]["1"] = {"exp": "  ", "anno_id": [6]}  # never visible

    edit_json(root / split / "meta_expressions.json", change)
    more = {
        "4": [code(half("left"))],
        "5": [None] * 500 + [code(half("left"))],
        "6": [None, None],
        "7": [code(half("left"))],  # no expression names it
    }
    edit_json(root / split / "mask_dict.json", lambda masks: masks.update(more))
    wider = code(half("right", (4, 8)))  # masks of another size than the frame
    edit_json(root / split / "mask_dict.json", lambda masks: masks.update({"3": [None, wider]}))
    for video_id, video in videos.items():
        write_frames(root / split / "JPEGImages" / video_id, video["frames"])


def write_json(path: Path, content: Any) -> None:
    """A JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    """Changes what a JSON file holds, in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_text(path: Path, old: str, new: str) -> None:
    """Changes the first occurrence of a text in a file."""
    text = path.read_text()
    assert old in text, f"{path}: no {old!r}"
    path.write_text(text.replace(old, new, 1))


def _meta(expressions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        "videos": {v: {"frames": FRAMES[v], "expressions": of} for v, of in expressions.items()}
    }


def _write_all_frames(split_dir: Path) -> None:
    for video_id, frames in FRAMES.items():
        write_frames(split_dir / "JPEGImages" / video_id, frames)


def _write_all_labels(split_dir: Path) -> None:
    maps: dict[str, Sequence[NDArray[np.uint8]]] = {
        "a": [labels((1, "left"), (2, "right")), labels((2, "right")), labels((1, "left"))],
        "b": [labels(), labels((1, "right"))],
    }
    for video_id, frames in FRAMES.items():
        for frame, labels_of_frame in zip(frames, maps[video_id], strict=True):
            write_labels(split_dir / "Annotations" / video_id / f"{frame}.png", labels_of_frame)
