"""Write videos with masks: for the gallery of a report, and as mp4 files for browsers."""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sola.datasets.frames import VideoFrames
from sola.evaluation.tracks import VideoTracks
from sola.masks import decode, resize
from sola.types import Masklet, Video
from sola.visualization import overlays
from sola.visualization.board import VideoClip
from sola.visualization.colours import track_colour
from sola.visualization.mp4 import write_mp4

MAX_SIDE_PX, THUMBNAIL_PX = 480, 208
MAX_CLIP_PX = 960  # longer side of a video of candidate tracks
MAX_LISTED = 10  # tracks shown of the selected ones, and of the others
# limits of the frames shown per video, and in total
MIN_FRAMES, MAX_FRAMES, MAX_FRAMES_OF_ALL = 12, 60, 6000
JPEG_QUALITY = 82
# frames per second; data sets do not state theirs
FPS = 6.0
# smaller frames are enlarged by a whole factor, so that the heading fits
MIN_WIDTH_PX = 256
MAX_HEIGHT_PX = 2048  # of an enlarged frame
LEGEND = "green correct, white missed, hatched red wrong"


@dataclass(frozen=True)
class ShownVideo:
    """A video reduced to fewer and smaller frames, with its masks on them.

    Attributes:
        video: the T frames.
        frame_idxs: indices of these frames in the whole video.
        frames: T frames, (H, W, 3) uint8 RGB.
        tracks: T masks of each track.
        objects: T masks of each object, by id.
    """

    video: Video
    frame_idxs: list[int]
    frames: list[NDArray[np.uint8]]
    tracks: list[Masklet]
    objects: dict[str, Masklet]

    def union(self, masklets: Iterable[Masklet]) -> NDArray[np.bool_]:
        """Return the union of some masklets, (T, H, W) bool."""
        union = np.zeros((len(self.frames), *self.frames[0].shape[:2]), dtype=bool)
        for masklet in masklets:
            union |= decode(masklet)
        return union


def show_video(
    video: Video,
    size: tuple[int, int],
    num_frames: int,
    tracks: Sequence[Masklet],
    objects: Mapping[str, Masklet],
) -> ShownVideo:
    """Read evenly spaced frames of a video, and shrink them and its masks.

    Args:
        video: the frames.
        size: (H, W) of the masks.
        num_frames: maximum number of frames.
        tracks: masklets of the tracks on the whole video.
        objects: masklets of the objects on the whole video, by id.

    Raises:
        UserError: if a frame cannot be read.
    """
    idxs = overlays.evenly_spaced(len(video.frame_paths), num_frames)
    shown = replace(video, frame_paths=tuple(video.frame_paths[idx] for idx in idxs))
    small = _fit(size, MAX_SIDE_PX)

    def shrunk(masklet: Masklet) -> Masklet:
        return resize([masklet[idx] for idx in idxs], small)

    return ShownVideo(
        video=shown,
        frame_idxs=idxs,
        frames=[_resize(frame, small) for frame in VideoFrames(shown)],
        tracks=[shrunk(masklet) for masklet in tracks],
        objects={name: shrunk(masklet) for name, masklet in objects.items()},
    )


def write_video(
    folder: Path, number: int, shown: ShownVideo, tracks: VideoTracks, scores: Mapping[str, Any]
) -> None:
    """Write frames and masks of a video.

    Args:
        folder: folder of the report; gets ``frames/<number>/<k>.jpg`` and ``data/<number>.js``.
        number: number of the video.
        shown: the video.
        tracks: prompts of the tracks, and the expressions they were made for.
        scores: scores for the page, by expression id.
    """
    for position, frame in enumerate(shown.frames):
        _write_jpeg(folder / "frames" / str(number) / f"{position}.jpg", frame)
    all_tracks = zip(tracks.prompts, tracks.made_for, shown.tracks, strict=True)
    content = {
        "size": shown.frames[0].shape[:2],
        "frames": [path.stem for path in shown.video.frame_paths],
        "objects": {name: _codes(masklet) for name, masklet in shown.objects.items()},
        "tracks": [
            {
                "source": prompt.source,
                "for": made_for,
                "prompt": prompt.frame_idx,
                "prompt_at": _nearest(shown.frame_idxs, prompt.frame_idx),
                "masks": _codes(masklet),
            }
            for prompt, made_for, masklet in all_tracks
        ],
        "scores": scores,
    }
    write_script(folder / "data" / f"{number}.js", f"report.addVideo({number}, ", content)


def write_thumbnail(
    path: Path, shown: ShownVideo, object_ids: Sequence[str], selected: Sequence[int]
) -> None:
    """Write the frame that shows most of an expression's objects, with its answer.

    Args:
        path: path of the JPEG.
        shown: the video.
        object_ids: objects of the expression.
        selected: indices of the selected tracks.
    """
    target = shown.union(shown.objects[name] for name in object_ids)
    answer = shown.union(shown.tracks[idx] for idx in selected)
    num_pixels = (target if object_ids else answer).sum(axis=(1, 2))
    idx = int(np.argmax(num_pixels)) if num_pixels.any() else len(shown.frames) // 2
    small = _resize(shown.frames[idx], _fit(target.shape[1:], THUMBNAIL_PX))
    _write_jpeg(path, overlays.draw_answer(small, target[idx], answer[idx]))


def write_script(path: Path, call: str, content: Any) -> None:
    """Write a script that passes content to the page, which cannot load JSON from a file.

    Args:
        path: path of the script.
        call: start of a function call, up to its last argument.
        content: the last argument.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{call}{json.dumps(content, separators=(',', ':'), allow_nan=False)});\n")


def frames_per_video(num_videos: int) -> int:
    """Return the maximum number of frames of each video that keeps a report small."""
    return max(MIN_FRAMES, min(MAX_FRAMES, MAX_FRAMES_OF_ALL // max(num_videos, 1)))


def draw_answer_clip(
    path: Path, shown: ShownVideo, sentence: str, selected: Sequence[int], caption: str
) -> VideoClip:
    """Write a video of the correct, missed and wrong pixels of the selected tracks.

    Args:
        path: path of the mp4.
        shown: the video, with only the objects of the expression.
        sentence: text of the expression.
        selected: indices of the selected tracks.
        caption: a line below the sentence.
    """
    target = shown.union(shown.objects.values())
    answer = shown.union([shown.tracks[idx] for idx in selected])
    trios = zip(shown.frames, target, answer, strict=True)
    pictures = [overlays.draw_answer(*trio) for trio in trios]
    best = int(np.argmax((target | answer).sum(axis=(1, 2))))
    return _write(path, pictures, (f'"{sentence.strip()}"', caption, LEGEND), best)


def draw_tracks_clip(path: Path, shown: ShownVideo, caption: str) -> VideoClip:
    """Write a video with all its tracks, each in its own colour and with its number.

    Args:
        path: path of the mp4.
        shown: the video.
        caption: a line below the name of the video.
    """
    frames, masklets = _enlarge(shown.frames), [decode(masklet) for masklet in shown.tracks]
    pictures = [
        overlays.draw_tracks(
            frame, {n: masks[idx] for n, masks in enumerate(masklets)}, range(len(masklets))
        )
        for idx, frame in enumerate(frames)
    ]
    return _write(path, pictures, (f"video {shown.video.video_id}", caption), len(pictures) // 2)


def write_candidates_clip(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    masklets: Mapping[int, Masklet],
    times_s: Sequence[float],
    *,
    size: tuple[int, int],
    fps: float,
    sentence: str,
    scores: Mapping[int, float],
    selected: Collection[int],
) -> None:
    """Write an mp4 of the candidate tracks of a sentence, with their numbers and scores.

    Selected tracks are tinted, others have only an outline. Of many tracks, the best
    ``MAX_LISTED`` of either kind are shown; the legend says how many more there are. Frames are
    shrunk to at most ``MAX_CLIP_PX`` and read one by one.

    Args:
        path: path of the mp4.
        frames: T frames, (H, W, 3) uint8 RGB each.
        masklets: number of a track -> T masks of any size; at least those of ``scores``.
        times_s: start of each frame, then the end of the last, in seconds.
        size: (H, W) of the frames.
        fps: frame rate that the stream states.
        sentence: text of the expression.
        scores: number of each candidate track -> score of the sentence, 0 to 1.
        selected: numbers of the selected tracks.
    """
    fitted = _fit(size, MAX_CLIP_PX)
    scale = _scale(*fitted)
    shown_size = (fitted[0] * scale, fitted[1] * scale)
    width, font_px = shown_size[1] + shown_size[1] % 2, overlays.small_font_px(shown_size[0])
    ranked = sorted(scores, key=lambda number: -scores[number])
    kinds = {
        "selected": [number for number in ranked if number in selected],
        "not selected": [number for number in ranked if number not in selected],
    }
    heading: list[str | NDArray[np.uint8]] = [f'"{sentence.strip()}"']
    for kind, numbers in kinds.items():
        listed, others = numbers[:MAX_LISTED], numbers[MAX_LISTED:]
        entries = [(f"{n}: {scores[n]:.2f}", track_colour(n)) for n in listed]
        more = f"and {len(others)} more, at most {scores[others[0]]:.2f}" if others else ""
        label = f"{kind} ({len(numbers)} of {len(scores)} tracks):"
        heading.append(overlays.legend_block(label, entries, more, width, font_px))
    shown = [number for numbers in kinds.values() for number in numbers[:MAX_LISTED]]

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for idx, frame in enumerate(frames):
            masks = {number: decode([masklets[number][idx]])[0] for number in shown}
            (large,) = _enlarge([_resize(frame, fitted)])
            yield overlays.draw_tracks(large, masks, selected)

    write_mp4(path, pictures(), times_s, size=shown_size, fps=fps, heading=heading)


def _codes(masklet: Masklet) -> list[str]:
    return [mask["counts"] for mask in masklet]


def _nearest(frame_idxs: Sequence[int], frame_idx: int) -> int | None:
    """Return the position of the nearest shown frame; None if the frame is unknown."""
    return None if frame_idx < 0 else int(np.argmin(np.abs(np.subtract(frame_idxs, frame_idx))))


def _fit(size: Sequence[int], longest_px: int) -> tuple[int, int]:
    scale = min(1.0, longest_px / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resize(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(frame, size[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _write_jpeg(path: Path, picture: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, quality=JPEG_QUALITY)


def _write(
    path: Path, pictures: Sequence[NDArray[np.uint8]], heading: Sequence[str], best: int
) -> VideoClip:
    """Write a video; return it with its best picture."""
    large = _enlarge(pictures)
    times_s = [idx / FPS for idx in range(len(large) + 1)]
    height, width = large[0].shape[:2]
    write_mp4(path, large, times_s, size=(height, width), fps=FPS, heading=heading)
    return VideoClip(path, large[best], caption=", ".join(heading[:2]))


def _scale(height: int, width: int) -> int:
    return max(1, min(-(-MIN_WIDTH_PX // width), MAX_HEIGHT_PX // height))


def _enlarge(pictures: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """Enlarge small pictures by a whole factor."""
    scale = _scale(*pictures[0].shape[:2])
    return [picture.repeat(scale, axis=0).repeat(scale, axis=1) for picture in pictures]
