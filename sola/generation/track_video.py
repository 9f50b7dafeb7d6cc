"""All tracks of one video from one prompt source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sola.config.schema import PromptSourceConfig
from sola.masks import areas, decode, intersections
from sola.prompts import PromptQueue, grid_frames, grid_prompts, ground_truth_prompts
from sola.prompts.grounding_dino import Detector, expression_prompts
from sola.tracking.box_masks import BoxMasker
from sola.tracking.mask_generator import MaskGenerator
from sola.tracking.propagation import VideoTracker
from sola.types import Labels, Masklet, Prompt, Tracks

NO_BOXES = np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class PromptCounts:
    """What became of a video's prompts."""

    found: int = 0
    duplicates: int = 0
    over_cap: int = 0

    def __add__(self, other: "PromptCounts") -> "PromptCounts":
        return PromptCounts(
            found=self.found + other.found,
            duplicates=self.duplicates + other.duplicates,
            over_cap=self.over_cap + other.over_cap,
        )


def find_prompts(
    rule: PromptSourceConfig,
    frames: Sequence[np.ndarray],
    ground_truth: Mapping[str, Masklet],
    generator: MaskGenerator,
    *,
    is_training: bool,
) -> list[Prompt]:
    """Prompts of a video by the rule of its source, gt or grid.

    Args:
        rule: the prompt source.
        frames: T frames (H, W, 3) uint8 RGB.
        ground_truth: T masks of the frames' size per object; read by source gt only.
        generator: masks of a frame; used by source grid only.
        is_training: whether the split is for training (grid prompts more frames of it).

    Raises:
        ValueError: if the source is not known.
    """
    if rule.name == "gt":
        return ground_truth_prompts(ground_truth, rule.frames, rule.frames_per_object)
    if rule.name != "grid":
        raise ValueError(f"prompt_source.name={rule.name}: not known; choose gt or grid.")
    prompts = []
    for frame_idx in grid_frames(len(frames), is_training=is_training, stride=rule.frame_stride):
        found = generator.generate(frames[frame_idx])
        scores = [(item.predicted_iou, item.stability_score) for item in found]
        masks = [item.mask for item in found]
        prompts += grid_prompts(frame_idx, masks, scores, rule.part_overlap)
    return prompts


def find_text_prompts(
    rule: PromptSourceConfig,
    frames: Sequence[np.ndarray],
    texts: Sequence[str],
    detector: Detector,
    masker: BoxMasker,
) -> dict[str, list[Prompt]]:
    """Prompts of each of a video's expressions by the rule of source gdino.

    A prompted frame goes once through the detector's image encoder and once through the tracker's,
    for all texts together.

    Args:
        rule: the prompt source.
        frames: T frames (H, W, 3) uint8 RGB.
        texts: of the expressions, as they are written.
        detector: boxes for a text.
        masker: masks for boxes.

    Returns:
        Prompts by text, in the order of the frames; [] where nothing is found.
    """
    prompts: dict[str, list[Prompt]] = {text: [] for text in texts}
    for frame_idx in range(0, len(frames), rule.frame_stride):
        found = detector.detect(frames[frame_idx], list(prompts))
        boxes = [detections.boxes for detections in found]
        masks = iter(masker.masks_of(frames[frame_idx], np.concatenate([*boxes, NO_BOXES])))
        for text, detections in zip(prompts, found, strict=True):
            own = [next(masks) for _ in detections.boxes]
            prompts[text] += expression_prompts(
                frame_idx,
                detections,
                [item.mask for item in own],
                [(item.predicted_iou, item.stability_score) for item in own],
                rule.stability_threshold,
            )
    return prompts


def track_prompts(
    video_id: str,
    tracker: VideoTracker,
    prompts: list[Prompt],
    rule: PromptSourceConfig,
    expression_id: str = "",
) -> tuple[Tracks, PromptCounts]:
    """Propagate the prompts of a video, or of one expression, in the order of ``PromptQueue``.

    No prompts give a valid answer of no tracks.
    """
    queue = PromptQueue(prompts, rule, tracker.num_frames)
    tracked: list[Prompt] = []
    masklets: list[Masklet] = []
    tokens = [np.zeros((0, tracker.num_frames, tracker.model.hidden_dim), np.float32)]
    scores = [np.zeros((0, tracker.num_frames), np.float32)]
    while group := queue.next_group():
        result = tracker.propagate(group[0].frame_idx, decode([prompt.mask for prompt in group]))
        queue.drop_duplicates(result.masklets)
        tracked += group
        masklets += result.masklets
        tokens.append(result.object_tokens)
        scores.append(result.object_scores)
    tracks = Tracks(
        video_id=video_id,
        expression_id=expression_id,
        object_tokens=np.concatenate(tokens),
        object_scores=np.concatenate(scores),
        masklets=tuple(masklets),
        prompts=tuple(tracked),
        size=tracker.size,
    )
    return tracks, PromptCounts(len(prompts), queue.num_duplicates, queue.num_over_cap)


def count_pixels(
    masklets: tuple[Masklet, ...], ground_truth: Mapping[str, Masklet], num_frames: int
) -> Labels:
    """Per-frame pixel counts of tracks against every ground-truth object.

    Args:
        masklets: N masklets of T masks; N may be 0.
        ground_truth: G masklets of the same length and size; G may be 0.
        num_frames: T.
    """
    objects = list(ground_truth.values())
    return Labels(
        object_ids=tuple(ground_truth),
        intersections=intersections(masklets, objects, num_frames),
        track_areas=areas(masklets).reshape(len(masklets), num_frames),
        object_areas=areas(objects).reshape(len(objects), num_frames),
    )
