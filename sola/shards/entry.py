"""One entry of a shard, written to and read from an HDF5 group (FORMAT.md says how)."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import h5py
import numpy as np
import torch

from sola.types import Labels, Masklet, MeanOverlaps, Prompt, RunLength, Tracks

log = logging.getLogger(__name__)

FULL_DTYPE = "float32"
"""Of object tokens in memory, and of those on disk where nothing else is said."""
NO_BOX = (float("nan"),) * 4
MEANS = ("iou", "precision", "recall")
"""Fields of ``MeanOverlaps``."""


def entry_name(video_id: str, expression_id: str = "") -> str:
    """Name of the group that holds the tracks of a video, or of one of its expressions."""
    return f"{video_id}/{expression_id}" if expression_id else video_id


def write_entry(group: h5py.Group, tracks: Tracks, token_dtype: str = FULL_DTYPE) -> None:
    """Write all arrays of an entry into an empty group.

    Args:
        group: takes them.
        tracks: the entry.
        token_dtype: of its object tokens on disk, float16 or float32. Where float16 would make a
            finite value infinite, the entry's tokens are written as float32, with a warning.
    """
    group.attrs["size"] = np.array(tracks.size, np.int64)
    group["object_tokens"] = _in_range(tracks, np.dtype(token_dtype))
    group["object_scores"] = tracks.object_scores.astype(np.float32)
    num_tracks, num_frames = tracks.object_scores.shape
    codes = (code for masklet in tracks.masklets for code in masklet)
    _write_codes(group.create_group("masklets"), codes, (num_tracks, num_frames))
    write_prompts(group.create_group("prompts"), tracks.prompts)
    if tracks.labels is not None:
        _write_labels(group.create_group("labels"), tracks.labels)
    if tracks.numbers is not None:
        group["numbers"] = np.array(tracks.numbers, np.int32)


def read_entry(group: h5py.Group, video_id: str, expression_id: str, source: str) -> Tracks:
    """Everything of an entry."""
    size = (int(group.attrs["size"][0]), int(group.attrs["size"][1]))
    codes = _read_codes(group["masklets"], size)
    num_tracks, num_frames = group["object_scores"].shape
    return Tracks(
        video_id=video_id,
        expression_id=expression_id,
        object_tokens=read_tokens(group),
        object_scores=group["object_scores"][()],
        masklets=tuple(
            codes[idx * num_frames : (idx + 1) * num_frames] for idx in range(num_tracks)
        ),
        prompts=read_prompts(group["prompts"], size, source),
        size=size,
        labels=read_labels(group),
        numbers=tuple(group["numbers"][()].tolist()) if "numbers" in group else None,
    )


def read_tokens(group: h5py.Group) -> np.ndarray:
    """Object tokens alone: (N, T, D) float32, whatever they are on disk."""
    stored: np.ndarray = group["object_tokens"][()]
    # torch converts four times as fast as numpy, and that is faster than HDF5
    return torch.from_numpy(stored).float().numpy()


def read_labels(group: h5py.Group) -> Labels | MeanOverlaps | None:
    """Overlaps with ground truth; None where the entry has none."""
    if "labels" not in group:
        return None
    labels = group["labels"]
    object_ids = tuple(labels["object_ids"].asstr()[()])
    if "mean_iou" in labels:
        return MeanOverlaps(object_ids, *(labels[f"mean_{name}"][()] for name in MEANS))
    return Labels(
        object_ids=object_ids,
        intersections=labels["intersections"][()],
        track_areas=labels["track_areas"][()],
        object_areas=labels["object_areas"][()],
    )


def write_prompts(group: h5py.Group, prompts: Sequence[Prompt]) -> None:
    """Write prompts, and where they came from, into an empty group."""
    _write_codes(group, (prompt.mask for prompt in prompts), (len(prompts),))
    group["frame_idx"] = np.array([prompt.frame_idx for prompt in prompts], np.int32)
    group["area"] = np.array([prompt.area for prompt in prompts], np.int32)
    group["predicted_iou"] = np.array([prompt.predicted_iou for prompt in prompts], np.float32)
    group["stability_score"] = np.array([prompt.stability_score for prompt in prompts], np.float32)
    _write_texts(group, "object_id", [prompt.object_id for prompt in prompts])
    _write_detections(group, prompts)


def read_prompts(group: h5py.Group, size: tuple[int, int], source: str) -> tuple[Prompt, ...]:
    """Prompts of a group.

    Args:
        group: as ``write_prompts`` leaves it.
        size: (H, W) of every mask.
        source: prompt source of all of them.
    """
    columns = zip(
        group["frame_idx"][()].tolist(),
        _read_codes(group, size),
        group["area"][()].tolist(),
        group["object_id"].asstr()[()],
        group["predicted_iou"][()].tolist(),
        group["stability_score"][()].tolist(),
        strict=True,
    )
    prompts = [
        Prompt(frame_idx, mask, area, source, object_id, predicted_iou, stability)
        for frame_idx, mask, area, object_id, predicted_iou, stability in columns
    ]
    return tuple(_with_detections(group, prompts))


def _in_range(tracks: Tracks, dtype: np.dtype) -> np.ndarray:
    """Object tokens in a type that holds them."""
    largest = np.abs(tracks.object_tokens).max(initial=0)
    if largest <= np.finfo(dtype).max:
        return tracks.object_tokens.astype(dtype)
    log.warning(
        "%s: an object token is %g, beyond the range of %s; the tokens of this entry are stored "
        "as %s",
        entry_name(tracks.video_id, tracks.expression_id),
        largest,
        dtype,
        FULL_DTYPE,
    )
    return tracks.object_tokens.astype(FULL_DTYPE)


def _write_codes(group: h5py.Group, codes: Iterable[RunLength], shape: tuple[int, ...]) -> None:
    counts = [code["counts"].encode("ascii") for code in codes]
    group["counts"] = np.frombuffer(b"".join(counts), np.uint8)
    group["lengths"] = np.array([len(code) for code in counts], np.int32).reshape(shape)


def _read_codes(group: h5py.Group, size: tuple[int, int]) -> Masklet:
    """All codes of a group in order, as run-length masks."""
    counts = group["counts"][()].tobytes()
    ends = np.cumsum(group["lengths"][()].reshape(-1), dtype=np.int64).tolist()
    starts = [0, *ends[:-1]]
    return [
        {"size": list(size), "counts": counts[start:end].decode("ascii")}
        for start, end in zip(starts, ends, strict=False)
    ]


def _write_detections(group: h5py.Group, prompts: Sequence[Prompt]) -> None:
    boxes = [prompt.box or NO_BOX for prompt in prompts]
    group["box"] = np.array(boxes, np.float32).reshape(len(prompts), 4)
    _write_texts(group, "phrase", [prompt.phrase for prompt in prompts])
    scores = [score for prompt in prompts for score in prompt.token_scores]
    group["token_scores"] = np.array(scores, np.float32)
    group["num_tokens"] = np.array([len(prompt.token_scores) for prompt in prompts], np.int32)


def _with_detections(group: h5py.Group, prompts: list[Prompt]) -> Iterator[Prompt]:
    boxes, phrases = group["box"][()].tolist(), group["phrase"].asstr()[()]
    scores, ends = group["token_scores"][()].tolist(), np.cumsum(group["num_tokens"][()]).tolist()
    starts = [0, *ends[:-1]]
    for idx, prompt in enumerate(prompts):
        left, top, right, bottom = boxes[idx]
        yield replace(
            prompt,
            box=None if np.isnan(left) else (left, top, right, bottom),
            phrase=phrases[idx],
            token_scores=tuple(scores[starts[idx] : ends[idx]]),
        )


def _write_labels(group: h5py.Group, labels: Labels | MeanOverlaps) -> None:
    _write_texts(group, "object_ids", labels.object_ids)
    if isinstance(labels, MeanOverlaps):
        for name in MEANS:
            group[f"mean_{name}"] = getattr(labels, name).astype(np.float64)
        return
    group["intersections"] = labels.intersections.astype(np.int32)
    group["track_areas"] = labels.track_areas.astype(np.int32)
    group["object_areas"] = labels.object_areas.astype(np.int32)


def _write_texts(group: h5py.Group, name: str, texts: Iterable[str]) -> None:
    group.create_dataset(name, data=list(texts), dtype=h5py.string_dtype())
