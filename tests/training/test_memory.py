"""A loader's memory does not grow with the number of entries that it reads."""

import gc
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sola.masks import empty_masklet
from sola.shards import ShardReader, ShardWriter
from sola.training.batch import collate
from sola.training.samples import LabelledTracks, SelectionDataset
from sola.types import Expression, Labels, Prompt, Tracks

NUM_ENTRIES, NUM_WARM_UP = 900, 300
SHAPE = (4, 8, 128)
"""(N, T, D): 16 KiB of object tokens an entry."""
MAX_GROWTH_BYTES = 4 << 20


class NoText:
    """A text token for every expression."""

    def tokens(self, texts: list[str]) -> list[np.ndarray]:
        return [np.zeros((1, 2), np.float32) for _ in texts]


@pytest.fixture
def many_entries(tmp_path: Path) -> ShardReader:
    """Entries of the same content."""
    writer = ShardWriter(tmp_path, {"source": "grid", "token_dim": SHAPE[-1]})
    writer.start()
    masklet = empty_masklet(SHAPE[1], (2, 2))
    first = Tracks(
        video_id="v0",
        expression_id="",
        object_tokens=np.ones(SHAPE, np.float32),
        object_scores=np.ones(SHAPE[:2], np.float32),
        masklets=(masklet,) * SHAPE[0],
        prompts=(Prompt(0, masklet[0], 0, "grid"),) * SHAPE[0],
        size=(2, 2),
        labels=Labels(
            object_ids=("a",),
            intersections=np.ones((SHAPE[0], 1, SHAPE[1]), np.int32),
            track_areas=np.ones(SHAPE[:2], np.int32),
            object_areas=np.ones((1, SHAPE[1]), np.int32),
        ),
    )
    for number in range(NUM_ENTRIES):
        writer.stage(replace(first, video_id=f"v{number}"))
    writer.finish([(f"v{number}", "") for number in range(NUM_ENTRIES)])
    return ShardReader(tmp_path)


def _resident_bytes() -> int:
    gc.collect()
    num_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return num_pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="resident memory is of Linux")
def test_reading_more_entries_takes_no_more_memory(many_entries: ShardReader) -> None:
    expressions = [Expression(f"v{idx}", "0", "", ("a",)) for idx in range(NUM_ENTRIES)]
    tracks = LabelledTracks([many_entries], label_iou=0.7, empty_frames="count")
    samples = SelectionDataset(expressions, tracks, NoText(), by_video=False, skip_empty=True)
    before = 0
    for idx in range(NUM_ENTRIES):
        if idx == NUM_WARM_UP:
            before = _resident_bytes()
        assert collate([samples[idx]]).labels.all()

    growth = _resident_bytes() - before

    # a fourth of the tokens read meanwhile, half of what HDF5 keeps of the groups by default
    assert growth < MAX_GROWTH_BYTES, f"{growth / 2**20:.1f} MiB more"
