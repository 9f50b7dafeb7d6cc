"""Write the answers about a clip: masks, overlay videos and prediction.json."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sola.config.console import progress
from sola.evaluation.scores import ScoredSplit
from sola.files import plain, write_json
from sola.masks import areas, decode, resize
from sola.prediction.clip.footage import Clip
from sola.prediction.run import MASKS_DIR, OVERLAYS_DIR, PREDICTION_FILE
from sola.prediction.submission import write_masks
from sola.types import Expression, Masklet, Prompt, Video
from sola.visualization.overlays import ORANGE, draw_masks
from sola.visualization.videos import write_mp4

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


def write_answers(
    split: ScoredSplit, shown: AnsweredFrames, folder: Path, threshold: float
) -> None:
    """Write masks, overlay videos and prediction.json into a folder.

    Args:
        split: the sentences about the clip, with scores.
        shown: the frames that get masks.
        folder: folder for the results.
        threshold: a track is selected if its score is above this.
    """
    expressions, answers = split.dataset.expressions, []
    tracks, clip = split.sources.read(expressions), shown.clip
    video = Video(clip.clip_id, tuple(Path(f"{name}.png") for name in clip.names(shown.idxs)))
    with progress("overlay videos", len(expressions)) as advance:
        for expression in expressions:
            chosen = split.scores.select(expression, threshold)
            row, overlay = split.scores.row(expression), overlay_name(expression)
            masks = shown.masks(tracks.union(chosen))
            write_masks(folder / MASKS_DIR, video, expression, masks)
            caption = f"{len(chosen)} of {len(row)} tracks score above {threshold:g}"
            heading = [f'"{expression.text.strip()}"', caption]
            write_overlay(folder / overlay, shown, masks, heading)
            answers.append(
                {
                    "id": expression.expression_id,
                    "text": expression.text,
                    "tracks": list(row),
                    "scores": list(row.values()),
                    "selected": chosen,
                    "masks": f"{MASKS_DIR}/{expression.video_id}/{expression.expression_id}",
                    "overlay": overlay,
                }
            )
            advance("")
    all_tracks = zip(tracks.made_for, tracks.prompts, tracks.masklets, strict=True)
    content = {
        "format_version": FORMAT_VERSION,
        "provenance": split.provenance,
        "threshold": threshold,
        "clip": shown.describe(),
        "overlay_padding_px": {"right": clip.width % 2, "bottom": clip.height % 2},
        "expressions": answers,
        "tracks": [
            {
                "expression": made_for or None,
                "prompt": shown.describe_prompt(prompt),
                "masks": shown.masks(masklet),
            }
            for made_for, prompt, masklet in all_tracks
        ],
    }
    write_json(folder / PREDICTION_FILE, plain(content))


def overlay_name(expression: Expression) -> str:
    """Return the path of a sentence's overlay video in the output folder."""
    return f"{OVERLAYS_DIR}/{expression.video_id}_{expression.expression_id}.mp4"


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
