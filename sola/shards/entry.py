"""One entry of a shard, written to and read from an HDF5 group (FORMAT.md says how)."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import h5py
import numpy as np
import torch

from sola.errors import UserError
from sola.files import Damage
from sola.sealed import SealedGroup, as_texts, seal
from sola.types import DetectionEvidence, Labels, Masklet, MeanOverlaps, Prompt, RunLength, Tracks

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
    """Write all arrays of an entry into an empty group, and their checksums.

    Args:
        group: takes them.
        tracks: the entry.
        token_dtype: of its object tokens on disk, float16 or float32. Where float16 would make a
            finite value infinite, the entry's tokens are written as float32, with a warning.

    Raises:
        UserError: if an object token is not finite.
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
    if tracks.evidence is not None:
        evidence = group.create_group("evidence")
        evidence["frame_idx"] = np.array(tracks.evidence.frame_idxs, np.int32)
        evidence["scores"] = tracks.evidence.scores.astype(np.float32)
    seal(group, entry_name(tracks.video_id, tracks.expression_id))


def read_entry(group: SealedGroup, video_id: str, expression_id: str, source: str) -> Tracks:
    """Everything of an entry."""
    size = read_size(group)
    codes = _read_codes(group.within("masklets"), size)
    object_scores = group.read("object_scores")
    num_tracks, num_frames = object_scores.shape
    return Tracks(
        video_id=video_id,
        expression_id=expression_id,
        object_tokens=read_tokens(group),
        object_scores=object_scores,
        masklets=tuple(
            codes[idx * num_frames : (idx + 1) * num_frames] for idx in range(num_tracks)
        ),
        prompts=read_prompts(group.within("prompts"), size, source),
        size=size,
        labels=read_labels(group),
        numbers=tuple(group.read("numbers").tolist()) if group.has("numbers") else None,
        evidence=read_evidence(group),
    )


def read_size(group: SealedGroup) -> tuple[int, int]:
    """(H, W) of all masks of an entry, or of the prompts of a video."""
    height, width = group.attribute("size").tolist()
    return height, width


def read_tokens(group: SealedGroup) -> np.ndarray:
    """Object tokens alone: (N, T, D) float32, whatever they are on disk.

    Raises:
        Damage: if one of them is not finite.
    """
    # torch converts four times as fast as numpy, and that is faster than HDF5
    tokens = torch.from_numpy(group.read("object_tokens")).float()
    # one pass tells of almost all arrays that there is nothing to look for
    if not tokens.sum().isfinite() and not tokens.isfinite().all():
        raise Damage(f"{group.name}: object_tokens has values that are NaN or infinite")
    return tokens.numpy()


def read_labels(group: SealedGroup) -> Labels | MeanOverlaps | None:
    """Overlaps with ground truth; None where the entry has none."""
    if not group.has("labels"):
        return None
    labels = group.within("labels")
    object_ids = tuple(labels.texts("object_ids"))
    if labels.has("mean_iou"):
        return MeanOverlaps(object_ids, *(labels.read(f"mean_{name}") for name in MEANS))
    return Labels(
        object_ids=object_ids,
        intersections=labels.read("intersections"),
        track_areas=labels.read("track_areas"),
        object_areas=labels.read("object_areas"),
    )


def read_evidence(group: SealedGroup) -> DetectionEvidence | None:
    """Evidence of the detector; None where the entry has none."""
    if not group.has("evidence"):
        return None
    evidence = group.within("evidence")
    return DetectionEvidence(tuple(evidence.read("frame_idx").tolist()), evidence.read("scores"))


def check_entry(group: SealedGroup) -> tuple[int, int]:
    """Read everything that has a checksum; returns (N, T).

    Raises:
        Damage: if an array is not what was written, or an object token is not finite.
    """
    group.check()
    num_tracks, num_frames, _ = read_tokens(group).shape
    return num_tracks, num_frames


def write_prompts(group: h5py.Group, prompts: Sequence[Prompt]) -> None:
    """Write prompts, and where they came from, into an empty group."""
    _write_codes(group, (prompt.mask for prompt in prompts), (len(prompts),))
    group["frame_idx"] = np.array([prompt.frame_idx for prompt in prompts], np.int32)
    group["area"] = np.array([prompt.area for prompt in prompts], np.int32)
    group["predicted_iou"] = np.array([prompt.predicted_iou for prompt in prompts], np.float32)
    group["stability_score"] = np.array([prompt.stability_score for prompt in prompts], np.float32)
    group["object_id"] = as_texts([prompt.object_id for prompt in prompts])
    _write_detections(group, prompts)


def read_prompts(group: SealedGroup, size: tuple[int, int], source: str) -> tuple[Prompt, ...]:
    """Prompts of a group.

    Args:
        group: as ``write_prompts`` leaves it.
        size: (H, W) of every mask.
        source: prompt source of all of them.
    """
    columns = zip(
        group.read("frame_idx").tolist(),
        _read_codes(group, size),
        group.read("area").tolist(),
        group.texts("object_id"),
        group.read("predicted_iou").tolist(),
        group.read("stability_score").tolist(),
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
    name = entry_name(tracks.video_id, tracks.expression_id)
    if not np.isfinite(largest):
        raise UserError(
            f"{name}: the tracker made object tokens that are NaN or infinite. Check its "
            "checkpoint, or say trainer.precision=32-true."
        )
    if largest <= np.finfo(dtype).max:
        return tracks.object_tokens.astype(dtype)
    log.warning(
        "%s: an object token is %g, beyond the range of %s; the tokens of this entry are stored "
        "as %s",
        name,
        largest,
        dtype,
        FULL_DTYPE,
    )
    return tracks.object_tokens.astype(FULL_DTYPE)


def _write_codes(group: h5py.Group, codes: Iterable[RunLength], shape: tuple[int, ...]) -> None:
    counts = [code["counts"].encode("ascii") for code in codes]
    group["counts"] = np.frombuffer(b"".join(counts), np.uint8)
    group["lengths"] = np.array([len(code) for code in counts], np.int32).reshape(shape)


def _read_codes(group: SealedGroup, size: tuple[int, int]) -> Masklet:
    """All codes of a group in order, as run-length masks."""
    counts = group.read("counts").tobytes()
    ends = np.cumsum(group.read("lengths").reshape(-1), dtype=np.int64).tolist()
    starts = [0, *ends[:-1]]
    return [
        {"size": list(size), "counts": counts[start:end].decode("ascii")}
        for start, end in zip(starts, ends, strict=False)
    ]


def _write_detections(group: h5py.Group, prompts: Sequence[Prompt]) -> None:
    boxes = [prompt.box or NO_BOX for prompt in prompts]
    group["box"] = np.array(boxes, np.float32).reshape(len(prompts), 4)
    group["phrase"] = as_texts([prompt.phrase for prompt in prompts])
    scores = [score for prompt in prompts for score in prompt.token_scores]
    group["token_scores"] = np.array(scores, np.float32)
    group["num_tokens"] = np.array([len(prompt.token_scores) for prompt in prompts], np.int32)


def _with_detections(group: SealedGroup, prompts: list[Prompt]) -> Iterator[Prompt]:
    boxes, phrases = group.read("box").tolist(), group.texts("phrase")
    scores, ends = group.read("token_scores").tolist(), np.cumsum(group.read("num_tokens")).tolist()
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
    group["object_ids"] = as_texts(labels.object_ids)
    if isinstance(labels, MeanOverlaps):
        for name in MEANS:
            group[f"mean_{name}"] = getattr(labels, name).astype(np.float64)
        return
    group["intersections"] = labels.intersections.astype(np.int32)
    group["track_areas"] = labels.track_areas.astype(np.int32)
    group["object_areas"] = labels.object_areas.astype(np.int32)
