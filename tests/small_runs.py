"""Small runs of generation: their settings, their contents, and what they leave behind."""

from pathlib import Path

import numpy as np

from sola.shards import ShardReader
from sola.types import Tracks


def small_run(num_videos: int, num_frames: int = 3) -> tuple[str, ...]:
    """Words of generate.py's command line, without the folders."""
    return (
        "split=train",
        "prompt_source=gt",
        "trainer=single_thread",
        f"dataset.maker.num_frames={num_frames}",
        f"dataset.maker.num_videos={{train: {num_videos}}}",
        "dataset.maker.first_seed={train: 1}",
    )


def contents(folder: Path) -> list[Tracks]:
    """All tracks of finished shards, in the order of the index."""
    reader = ShardReader(folder)
    return [reader.read(*name.split("/")) for name in reader.index["entries"]]


def assert_equal(ones: list[Tracks], others: list[Tracks], atol: float = 0) -> None:
    """The same tracks in the same order, their tokens up to a tolerance."""
    assert [one.video_id for one in ones] == [other.video_id for other in others]
    for one, other in zip(ones, others, strict=True):
        assert one.masklets == other.masklets
        np.testing.assert_allclose(one.object_tokens, other.object_tokens, rtol=0, atol=atol)
        np.testing.assert_allclose(one.object_scores, other.object_scores, rtol=0, atol=50 * atol)
        assert [prompt.mask for prompt in one.prompts] == [prompt.mask for prompt in other.prompts]


def assert_nothing_left(folder: Path) -> None:
    """Finished tracks are an index and shards alone."""
    assert {path.suffix for path in folder.iterdir()} == {".json", ".h5"}
