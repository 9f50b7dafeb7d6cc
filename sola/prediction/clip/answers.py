"""Write the answers about a clip: masks, overlay videos and prediction.json."""

import copy
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from sola.config.console import progress, table_console
from sola.datasets.frames import VideoFrames
from sola.evaluation.scores import ScoredSplit
from sola.evaluation.tracks import VideoTracks
from sola.files import plain, write_json
from sola.masks import areas, decode, resize
from sola.prediction.clip.footage import Clip
from sola.prediction.coco import COCO_FILE, write_coco
from sola.prediction.run import MASKS_DIR, OVERLAYS_DIR, PREDICTION_FILE
from sola.prediction.submission import write_masks
from sola.types import Expression, Masklet, Prompt, Video
from sola.visualization.mp4 import write_mp4
from sola.visualization.overlays import ORANGE, draw_masks
from sola.visualization.videos import write_candidates_clip

FORMAT_VERSION = 2
NOT_IN_RECORD = ("frame_idx", "mask", "object_id")  # fields of a prompt left out of the record


@dataclasses.dataclass(frozen=True)
class AnsweredFrames:
    """Frames of a clip that get masks: all of them, or only the tracked ones.

    Args:
        clip: the clip.
        between: "nearest" or "none", see ``ClipOptions``.
    """

    clip: Clip
    between: str

    @property
    def step(self) -> int:
        """Every step-th frame of the clip gets masks."""
        return self.clip.step if self.between == "none" else 1

    @property
    def idxs(self) -> range:
        """Indices of the T frames in the clip."""
        return range(0, self.clip.num_frames, self.step)

    @property
    def times_s(self) -> list[float]:
        """When each of the T frames appears, in seconds after the first frame of the source."""
        return [self.clip.times_s[idx] for idx in self.idxs]

    def masks(self, tracked: Masklet) -> Masklet:
        """Return T masks of the clip's size, from the masks of the tracked frames."""
        full = resize(tracked, (self.clip.height, self.clip.width))
        return [full[self.clip.nearest_tracked(idx)] for idx in self.idxs]

    def describe(self) -> dict[str, Any]:
        """Return the record of the clip."""
        clip, record = self.clip, dataclasses.asdict(self.clip)
        tracked = {
            "frames": [clip.first_frame + idx for idx in clip.tracked],
            "times_s": [clip.times_s[idx] for idx in clip.tracked],
            "step": record.pop("step"),
            "width": record.pop("tracked_width"),
            "height": record.pop("tracked_height"),
        }
        return record | {
            "times_s": self.times_s,
            "files": [clip.files[idx] for idx in self.idxs] if clip.files else [],
            "frames": clip.names(self.idxs),
            "between": self.between,
            "tracked": tracked,
        }

    def describe_prompt(self, prompt: Prompt) -> dict[str, Any]:
        """Return the record of a prompt, in frames and pixels of the T masks."""
        clip = self.clip
        fields = dataclasses.asdict(prompt)
        record = {name: value for name, value in fields.items() if name not in NOT_IN_RECORD}
        if clip.tracked_width != clip.width or clip.tracked_height != clip.height:
            full = resize([prompt.mask], (clip.height, clip.width))
            record["area"] = int(areas([full])[0, 0])
            if prompt.box is not None:
                scales = (clip.width / clip.tracked_width, clip.height / clip.tracked_height) * 2
                sides = zip(prompt.box, scales, strict=True)
                record["box"] = [side * scale for side, scale in sides]
        return {"frame": prompt.frame_idx * clip.step // self.step, **record}


@dataclasses.dataclass(frozen=True)
class _KnownTracks:
    """A reader of tracks that were read before."""

    tracks: VideoTracks

    def read(self, expressions: Sequence[Expression]) -> VideoTracks:
        """Return the tracks; see ``VideoReader``."""
        return self.tracks


def write_answers(
    split: ScoredSplit, shown: AnsweredFrames, folder: Path, *, has_coco: bool = False
) -> None:
    """Write masks, overlay videos and prediction.json into a folder.

    Args:
        split: the sentences about the clip, with scores.
        shown: the frames that get masks.
        folder: folder for the results.
        has_coco: whether to write the masks in COCO's format, too.
    """
    expressions, answers = split.dataset.expressions, []
    tracks, clip = split.sources.read(expressions), shown.clip
    video = Video(clip.clip_id, tuple(Path(f"{name}.png") for name in clip.names(shown.idxs)))
    with progress("overlay videos", len(expressions)) as advance:
        for expression in expressions:
            chosen = split.scores.select(expression, split.threshold)
            row, overlay = split.scores.row(expression), overlay_name(expression)
            masks = shown.masks(tracks.union(chosen))
            write_masks(folder / MASKS_DIR, video, expression, masks)
            caption = f"{len(chosen)} of {len(row)} tracks score above {split.threshold:g}"
            heading = [f'"{expression.text.strip()}"', caption]
            write_overlay(folder / overlay, shown, masks, heading)
            write_candidates(folder / candidates_name(expression), split, tracks, shown, expression)
            answers.append(
                {
                    "id": expression.expression_id,
                    "text": expression.text,
                    "tracks": list(row),
                    "scores": list(row.values()),
                    "selected": chosen,
                    "masks": f"{MASKS_DIR}/{expression.video_id}/{expression.expression_id}",
                    "overlay": overlay,
                    "candidates": candidates_name(expression),
                }
            )
            advance("")
    masklets = tuple(shown.masks(masklet) for masklet in tracks.masklets)
    all_tracks = zip(tracks.made_for, tracks.prompts, masklets, strict=True)
    content = {
        "format_version": FORMAT_VERSION,
        "provenance": split.provenance,
        "threshold": split.threshold,
        "clip": shown.describe(),
        "overlay_padding_px": {"right": clip.width % 2, "bottom": clip.height % 2},
        "expressions": answers,
        "tracks": [
            {
                "expression": made_for or None,
                "prompt": shown.describe_prompt(prompt),
                "masks": masklet,
            }
            for made_for, prompt, masklet in all_tracks
        ],
    }
    write_json(folder / PREDICTION_FILE, plain(content))
    if has_coco:
        full = dataclasses.replace(tracks, masklets=masklets, size=(clip.height, clip.width))
        named = copy.copy(split.dataset)
        images = [Path(clip.files[idx]) for idx in shown.idxs] if clip.files else video.frame_paths
        named.videos = {clip.clip_id: Video(clip.clip_id, tuple(images))}
        answered = dataclasses.replace(split, dataset=named, sources=_KnownTracks(full))
        selected = {
            (each.video_id, each.expression_id): split.scores.select(each, split.threshold)
            for each in expressions
        }
        write_coco(folder / COCO_FILE, answered, selected)


def print_answers(split: ScoredSplit, output_dir: Path) -> None:
    """Print one row per sentence: selected tracks, best score, and its video."""
    title = f"threshold {split.threshold:g}; videos in {output_dir}"
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    for name in ("sentence", "selected", "best score", "video"):
        table.add_column(name, overflow="fold", justify="left" if name != "selected" else "right")
    for expression in split.dataset.expressions:
        row = split.scores.row(expression)
        selected = split.scores.select(expression, split.threshold)
        best = f"{max(row.values()):.3f}" if row else "-"
        counts = f"{len(selected)} of {len(row)}"
        table.add_row(Text(expression.text), counts, best, Text(overlay_name(expression)))
    table_console().print(table)


def overlay_name(expression: Expression) -> str:
    """Return the path of a sentence's overlay video in the output folder."""
    return f"{OVERLAYS_DIR}/{expression.video_id}_{expression.expression_id}.mp4"


def candidates_name(expression: Expression) -> str:
    """Return the path of the video of a sentence's candidate tracks in the output folder."""
    return f"{OVERLAYS_DIR}/{expression.video_id}_{expression.expression_id}_tracks.mp4"


def write_candidates(
    path: Path,
    split: ScoredSplit,
    tracks: VideoTracks,
    shown: AnsweredFrames,
    expression: Expression,
) -> None:
    """Write an mp4 of the tracked frames with all candidate tracks of a sentence and their scores.

    Args:
        path: path of the mp4.
        split: the sentences about the clip, with scores.
        tracks: the tracks of all sentences.
        shown: the frames of the clip.
        expression: the sentence.
    """
    clip = shown.clip
    video, start_s = split.dataset.videos[clip.clip_id], clip.times_s[0]
    times_s = [clip.times_s[idx] - start_s for idx in clip.tracked]
    write_candidates_clip(
        path,
        VideoFrames(video),
        dict(enumerate(tracks.masklets)),
        [*times_s, clip.end_s - start_s],
        size=(clip.tracked_height, clip.tracked_width),
        fps=clip.fps / clip.step,
        sentence=expression.text,
        scores=split.scores.row(expression),
        selected=split.scores.select(expression, split.threshold),
    )


def write_overlay(
    path: Path, shown: AnsweredFrames, masks: Masklet, heading: Sequence[str]
) -> None:
    """Write an mp4 that shows each frame with its mask at the clip's time, below a heading.

    Args:
        path: path of the mp4.
        shown: the T frames.
        masks: T masks to draw.
        heading: the sentence, and a line below it.
    """
    clip, (start_s, *later_s) = shown.clip, shown.times_s
    times_s = [time_s - start_s for time_s in (start_s, *later_s, clip.end_s)]
    frames = zip(clip.read(shown.step), masks, strict=True)
    pictures = (draw_masks(frame.read(), decode([code])[0], ORANGE) for frame, code in frames)
    size, fps = (clip.height, clip.width), clip.fps / shown.step
    write_mp4(path, pictures, times_s, size=size, fps=fps, heading=heading)
