"""What the gallery shows of a video: its frames, small, and the masks of tracks and objects."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sola.datasets.frames import VideoFrames
from sola.evaluation.tracks import VideoTracks
from sola.masks import areas, decode, shrink
from sola.types import Expression, Masklet, Video
from sola.visualization.colours import MASKS
from sola.visualization.overlays import draw_masks, evenly_spaced

MAX_SIDE_PX = 480
THUMBNAIL_PX = 208
MAX_FRAMES = 60
MAX_FRAMES_OF_ALL = 6000
"""Of all videos together; there are at least ``MIN_FRAMES`` of each."""
MIN_FRAMES = 12
JPEG_QUALITY = 82


@dataclass(frozen=True)
class ShownVideo:
    """A video as it is shown: fewer frames, fewer pixels."""

    number: int
    video: Video
    frames: list[int]
    """Those shown, in order."""
    size: tuple[int, int]
    """(H, W)."""
    tracks: VideoTracks
    track_masks: list[Masklet]
    """Of the tracks, on these frames and of this size."""
    object_masks: dict[str, Masklet]
    """Of the objects, by id."""


def show_video(
    number: int,
    video: Video,
    tracks: VideoTracks,
    ground_truth: Mapping[str, Masklet],
    num_frames: int,
) -> ShownVideo:
    """A video with its masks on the frames that are shown.

    Args:
        number: names its files.
        video: the frames.
        tracks: all of its expressions.
        ground_truth: masklets of its objects.
        num_frames: shown at most.
    """
    frames = evenly_spaced(len(video.frame_paths), num_frames)
    size = _fit(tracks.size, MAX_SIDE_PX)

    def small(masklet: Masklet) -> Masklet:
        return shrink([masklet[idx] for idx in frames], size)

    return ShownVideo(
        number=number,
        video=video,
        frames=frames,
        size=size,
        tracks=tracks,
        track_masks=[small(masklet) for masklet in tracks.masklets],
        object_masks={name: small(masklet) for name, masklet in ground_truth.items()},
    )


def write_video(folder: Path, shown: ShownVideo, scores: Mapping[str, Any]) -> list[Any]:
    """Writes frames and masks of a video.

    Args:
        folder: of the report; gets ``frames/<number>/<k>.jpg`` and ``data/<number>.js``.
        shown: the video.
        scores: for the page, by expression id.

    Returns:
        The frames as written, (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if a frame cannot be read.
    """
    frames_dir = folder / "frames" / str(shown.number)
    frames_dir.mkdir(parents=True)
    written = read_frames(shown)
    for position, frame in enumerate(written):
        _write_jpeg(frames_dir / f"{position}.jpg", frame)
    content = {
        "size": shown.size,
        "frames": [shown.video.frame_paths[idx].stem for idx in shown.frames],
        "objects": {name: _counts(masklet) for name, masklet in shown.object_masks.items()},
        "tracks": [
            {
                "source": prompt.source,
                "for": made_for,
                "prompt": prompt.frame_idx,
                "prompt_at": _nearest(shown.frames, prompt.frame_idx),
                "masks": _counts(masklet),
            }
            for prompt, made_for, masklet in zip(
                shown.tracks.prompts, shown.tracks.made_for, shown.track_masks, strict=True
            )
        ],
        "scores": scores,
    }
    write_script(
        folder / "data" / f"{shown.number}.js", f"report.addVideo({shown.number}, ", content
    )
    return written


def read_frames(shown: ShownVideo) -> list[NDArray[np.uint8]]:
    """The frames as they are shown, (H, W, 3) uint8 RGB.

    Raises:
        ValueError: if one cannot be read.
    """
    paths = tuple(shown.video.frame_paths[idx] for idx in shown.frames)
    source = VideoFrames(replace(shown.video, frame_paths=paths))
    return [_resize(source[position], shown.size) for position in range(len(source))]


def write_thumbnail(
    path: Path,
    shown: ShownVideo,
    frames: Sequence[NDArray[np.uint8]],
    expression: Expression,
    selected: Sequence[int],
) -> None:
    """Writes the frame on which most is meant, with what the selection has right and wrong.

    Args:
        path: the JPEG.
        shown: the video.
        frames: as written.
        expression: of it.
        selected: tracks.
    """
    targets = [shown.object_masks[name] for name in expression.object_ids or ()]
    chosen = [shown.track_masks[idx] for idx in selected]
    num_pixels = areas(targets or chosen).reshape(-1, len(frames)).sum(axis=0)
    idx = int(np.argmax(num_pixels)) if num_pixels.any() else len(frames) // 2
    size = _fit(shown.size, THUMBNAIL_PX)
    target, answer = (union_at(masklets, idx, size) for masklets in (targets, chosen))
    _write_jpeg(path, draw_answer(_resize(frames[idx], size), target, answer))


def draw_answer(
    frame: NDArray[np.uint8], target: NDArray[np.bool_], answer: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """A frame with what an answer has right, missed and (striped) wrong over it.

    Args:
        frame: (H, W, 3) uint8 RGB.
        target: (H, W) bool, what is meant.
        answer: (H, W) bool.

    Returns:
        (H, W, 3) uint8 RGB, a new array.
    """
    for mask, name in (
        (target & answer, "hit"),
        (target & ~answer, "missed"),
        (answer & ~target, "wrong"),
    ):
        frame = draw_masks(frame, mask, MASKS[name], is_striped=name == "wrong")
    return frame


def write_script(path: Path, call: str, content: Any) -> None:
    """Writes a script that hands content to the page, which may load scripts but no JSON.

    Args:
        path: the file.
        call: of a function, up to its last argument.
        content: that argument.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{call}{json.dumps(content, separators=(',', ':'), allow_nan=False)});\n")


def frames_a_video(num_videos: int) -> int:
    """How many frames of each video are shown at most, so that a report stays small."""
    return max(MIN_FRAMES, min(MAX_FRAMES, MAX_FRAMES_OF_ALL // max(num_videos, 1)))


def _counts(masklet: Masklet) -> list[str]:
    return [mask["counts"] for mask in masklet]


def union_at(masklets: Sequence[Masklet], idx: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """(H, W) bool, the union of masklets on one frame, shrunk to a size."""
    union = np.zeros(size, dtype=bool)
    for masklet in masklets:
        union |= decode(shrink([masklet[idx]], size))[0]
    return union


def _nearest(frames: Sequence[int], frame_idx: int) -> int | None:
    """Position of the frame that is shown nearest to one; None where that is not known."""
    if frame_idx < 0:
        return None
    return int(np.argmin([abs(idx - frame_idx) for idx in frames]))


def _fit(size: tuple[int, int], longest_px: int) -> tuple[int, int]:
    scale = min(1.0, longest_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resize(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    if frame.shape[:2] == size:
        return frame
    small = cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False)


def _write_jpeg(path: Path, picture: NDArray[np.uint8]) -> None:
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    is_written = cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert is_written, path
