"""Tracks of random masks and tokens, in a folder of shards."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sola.masks import areas, encode, intersections
from sola.shards import ShardReader, ShardWriter
from sola.shards.writer import CHECKSUM, checksum_of
from sola.types import Labels, Prompt, Tracks

DESCRIPTION = {
    "dataset": "d",
    "split": "train",
    "source": "grid",
    "tracker": "small",
    "token_dim": 4,
    "checkpoint_sha256": "abc",
    "config": {"prompt_source": {"max_tracks": 64}},
}


def make_tracks(video_id: str, num_tracks: int = 2, num_frames: int = 3, seed: int = 0) -> Tracks:
    rng = np.random.default_rng(seed)
    masklets = tuple(encode(rng.random((num_frames, 5, 7)) < 0.4) for _ in range(num_tracks))
    objects = [encode(rng.random((num_frames, 5, 7)) < 0.4)]
    return Tracks(
        video_id=video_id,
        expression_id="",
        object_tokens=rng.normal(size=(num_tracks, num_frames, 4)).astype(np.float32),
        object_scores=rng.normal(size=(num_tracks, num_frames)).astype(np.float32),
        masklets=masklets,
        prompts=tuple(
            Prompt(idx, m[0], 3, "grid", "", 0.5, 0.75) for idx, m in enumerate(masklets)
        ),
        size=(5, 7),
        labels=Labels(
            object_ids=("17",),
            intersections=intersections(masklets, objects, num_frames),
            track_areas=areas(masklets).reshape(num_tracks, num_frames),
            object_areas=areas(objects),
        ),
    )


def assert_equal(one: Tracks, other: Tracks) -> None:
    assert (one.video_id, one.expression_id, one.size) == (
        other.video_id,
        other.expression_id,
        other.size,
    )
    assert one.masklets == other.masklets
    assert one.prompts == other.prompts
    np.testing.assert_array_equal(one.object_tokens, other.object_tokens)
    np.testing.assert_array_equal(one.object_scores, other.object_scores)
    assert (one.evidence is None) == (other.evidence is None)
    if one.evidence is not None and other.evidence is not None:
        assert one.evidence.frame_idxs == other.evidence.frame_idxs
        np.testing.assert_array_equal(one.evidence.scores, other.evidence.scores)
    assert (one.labels is None) == (other.labels is None)
    if one.labels is not None and other.labels is not None:
        assert one.labels.object_ids == other.labels.object_ids
        for name in ("intersections", "track_areas", "object_areas"):
            np.testing.assert_array_equal(getattr(one.labels, name), getattr(other.labels, name))


def write(folder: Path, *tracks: Tracks) -> ShardReader:
    writer = ShardWriter(folder, DESCRIPTION)
    writer.start()
    for item in tracks:
        writer.stage(item)
    writer.finish([(item.video_id, item.expression_id) for item in tracks])
    return ShardReader(folder)


def edit_index(path: Path, change: Callable[[Any], object]) -> None:
    """Change index.json, and its checksum with it."""
    index = json.loads(path.read_text())
    change(index)
    path.write_text(json.dumps(index | {CHECKSUM: checksum_of(index)}))
