"""Write and read one entry of a shard, an HDF5 group (see FORMAT.md)."""

import json
import logging
from dataclasses import asdict
from operator import methodcaller
from typing import Any

import h5py
import numpy as np
import torch

from sola.errors import UserError
from sola.files import Damage
from sola.sealed import array_paths, as_texts, read_array, seal, write_array
from sola.types import DetectionEvidence, Labels, Masklet, Prompt, Tracks

log = logging.getLogger(__name__)

FULL_DTYPE = "float32"
"""Data type of object tokens in memory, and by default on disk."""
COUNTS = ("intersections", "track_areas", "object_areas")
"""Fields of ``Labels``."""


def entry_name(video_id: str, expression_id: str = "") -> str:
    """Return the name of the group with the tracks of a video or of one of its expressions."""
    return f"{video_id}/{expression_id}" if expression_id else video_id


def write_entry(file: h5py.File, tracks: Tracks, token_dtype: str = FULL_DTYPE) -> None:
    """Write an entry into its group, and seal it.

    Args:
        file: file to write to.
        tracks: the entry.
        token_dtype: data type of object tokens on disk, float16 or float32. If a value exceeds the
            range of float16, the entry's tokens are written as float32, with a warning.

    Raises:
        UserError: if an object token is not finite.
    """
    name = entry_name(tracks.video_id, tracks.expression_id)
    group = file.create_group(name)
    group.attrs["size"] = np.array(tracks.size, np.int64)
    codes = [code["counts"].encode() for masklet in tracks.masklets for code in masklet]
    lengths = np.array([len(code) for code in codes], np.int32)
    arrays: dict[str, Any] = {
        "object_tokens": _in_range(name, tracks.object_tokens, np.dtype(token_dtype)),
        "object_scores": tracks.object_scores.astype(np.float32),
        "masklets/counts": np.frombuffer(b"".join(codes), np.uint8),
        "masklets/lengths": lengths.reshape(tracks.object_scores.shape),
        "prompts": to_json([asdict(prompt) for prompt in tracks.prompts]),
    }
    if tracks.labels is not None:
        arrays["labels/object_ids"] = as_texts(tracks.labels.object_ids)
        for field in COUNTS:
            arrays[f"labels/{field}"] = getattr(tracks.labels, field).astype(np.int32)
    if tracks.evidence is not None:
        arrays["evidence/frame_idx"] = np.array(tracks.evidence.frame_idxs, np.int32)
        arrays["evidence/scores"] = tracks.evidence.scores.astype(np.float32)
    for path, array in arrays.items():
        write_array(group, path, array)
    seal(group, name)


def read_entry(group: h5py.Group, video_id: str, expression_id: str) -> Tracks:
    """Return all arrays of an entry as tracks."""
    height, width = group.attrs["size"].tolist()
    object_scores = read_array(group, "object_scores")
    return Tracks(
        video_id=video_id,
        expression_id=expression_id,
        object_tokens=read_tokens(group),
        object_scores=object_scores,
        masklets=_read_masklets(group, [height, width]),
        prompts=tuple(map(to_prompt, from_json(read_array(group, "prompts")))),
        size=(height, width),
        labels=read_labels(group),
        evidence=read_evidence(group),
    )


def read_tokens(group: h5py.Group) -> np.ndarray:
    """Return the object tokens of an entry, (N, T, D), as float32 from any type on disk.

    Raises:
        Damage: if a token is not finite.
    """
    # torch converts four times as fast as numpy
    tokens = torch.from_numpy(read_array(group, "object_tokens")).float()
    # one pass: if the sum is finite, so are all values
    if not tokens.sum().isfinite() and not tokens.isfinite().all():
        raise Damage(f"{group.name}: object_tokens has values that are NaN or infinite")
    return tokens.numpy()


def read_labels(group: h5py.Group) -> Labels | None:
    """Return the overlaps with ground truth; None if the entry has none."""
    if "labels" not in group:
        return None
    object_ids = tuple(read_array(group, "labels/object_ids").tolist())
    return Labels(object_ids, *(read_array(group, f"labels/{field}") for field in COUNTS))


def read_evidence(group: h5py.Group) -> DetectionEvidence | None:
    """Return the detector's evidence; None if the entry has none."""
    if "evidence" not in group:
        return None
    frame_idxs = tuple(read_array(group, "evidence/frame_idx").tolist())
    return DetectionEvidence(frame_idxs, read_array(group, "evidence/scores"))


def check_entry(group: h5py.Group) -> tuple[int, int]:
    """Read and verify every array; return (N, T).

    Raises:
        Damage: if an array does not match its checksum, or an object token is not finite.
    """
    for path in array_paths(group):
        read_array(group, path)
    num_tracks, num_frames, _ = read_tokens(group).shape
    return num_tracks, num_frames


def to_json(content: Any) -> np.ndarray:
    """Return content as JSON in a uint8 array; numbers may be numpy scalars."""
    return np.frombuffer(json.dumps(content, default=methodcaller("item")).encode(), np.uint8)


def from_json(array: np.ndarray) -> Any:
    """Return the content of JSON in an array; see ``to_json``."""
    return json.loads(array.tobytes())


def to_prompt(fields: dict[str, Any]) -> Prompt:
    """Return a prompt from its fields in JSON."""
    box = None if fields["box"] is None else tuple(fields["box"])
    return Prompt(**fields | {"box": box, "token_scores": tuple(fields["token_scores"])})


def _in_range(name: str, tokens: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Convert object tokens to a type, or to float32 if they exceed its range."""
    broken = np.argwhere(~np.isfinite(tokens).all(axis=-1))
    if len(broken):
        track, frame_idx = broken[0].tolist()
        raise UserError(
            f"{name}: track {track}, frame {frame_idx}: the object token is NaN or infinite, one "
            f"of {len(broken)}. Check tracker.checkpoint, or use trainer.precision=32-true."
        )
    largest = np.abs(tokens).max(initial=0)
    if largest <= np.finfo(dtype).max:
        return tokens.astype(dtype)
    problem = "%s: an object token is %g, beyond the range of %s; stored as %s"
    log.warning(problem, name, largest, dtype, FULL_DTYPE)
    return tokens.astype(FULL_DTYPE)


def _read_masklets(group: h5py.Group, size: list[int]) -> tuple[Masklet, ...]:
    codes = read_array(group, "masklets/counts").tobytes().decode("ascii")
    lengths = read_array(group, "masklets/lengths")
    ends = np.cumsum(lengths, dtype=np.int64).reshape(lengths.shape)
    starts = ends - lengths
    return tuple(
        [
            {"size": size, "counts": codes[start:end]}
            for start, end in zip(starts[track].tolist(), ends[track].tolist(), strict=True)
        ]
        for track in range(len(lengths))
    )
