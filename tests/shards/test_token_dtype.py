"""Object tokens as float16 on disk: what bfloat16 computes is held, nothing becomes infinite."""

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sola.errors import UserError
from sola.masks import empty_masklet
from sola.shards import ShardReader, ShardWriter
from sola.types import Prompt, Tracks

LARGEST = 65504.0
"""Of float16."""
SMALLEST_NORMAL = 2.0**-14


def tracks_of(tokens: NDArray[np.float32], video_id: str = "v") -> Tracks:
    """One track of one frame."""
    masklet = empty_masklet(1, (2, 2))
    return Tracks(
        video_id=video_id,
        expression_id="",
        object_tokens=tokens[None, None],
        object_scores=np.zeros((1, 1), np.float32),
        masklets=(masklet,),
        prompts=(Prompt(0, masklet[0], 0, "grid"),),
        size=(2, 2),
    )


def write(folder: Path, *tokens: NDArray[np.float32], **description: str) -> ShardReader:
    writer = ShardWriter(folder, {"source": "grid", "token_dim": 1, **description})
    writer.start()
    names = [f"v{number}" for number in range(len(tokens))]
    for name, array in zip(names, tokens, strict=True):
        writer.stage(tracks_of(array, name))
    writer.finish([(name, "") for name in names])
    return ShardReader(folder)


def dtype_on_disk(reader: ShardReader, video_id: str) -> np.dtype:
    with h5py.File(reader.tracks_dir / "shard-00000.h5", locking=False) as file:
        found: np.dtype = file[f"{video_id}/object_tokens"].dtype
    return found


def all_bfloat16() -> NDArray[np.float32]:
    """Every finite value that bfloat16 has."""
    patterns = torch.arange(-(2**15), 2**15).to(torch.int16)
    values: NDArray[np.float32] = patterns.view(torch.bfloat16).float().numpy()
    return values[np.isfinite(values)]


def test_float16_holds_every_bfloat16_of_its_normal_range(tmp_path: Path) -> None:
    values = all_bfloat16()
    size = np.abs(values)
    values = values[(size >= SMALLEST_NORMAL) & (size <= LARGEST)]
    assert len(values) == 2 * 30 * 128  # signs, exponents -14 to 15, mantissas

    reader = write(tmp_path, values, token_dtype="float16")

    assert dtype_on_disk(reader, "v0") == np.float16
    for tokens in (reader.read_tokens("v0"), reader.read("v0").object_tokens):
        assert tokens.dtype == np.float32
        np.testing.assert_array_equal(tokens[0, 0], values)


def test_below_its_normal_range_float16_is_off_by_half_a_step_at_most(tmp_path: Path) -> None:
    values = all_bfloat16()
    values = values[np.abs(values) < SMALLEST_NORMAL]

    found = write(tmp_path, values, token_dtype="float16").read_tokens("v0")[0, 0]

    assert 0 < np.abs(found - values).max() <= 2.0**-25


@pytest.mark.parametrize("value", [65505.0, 65536.0, -1e5, 3e38])
def test_values_too_large_for_float16_are_stored_as_float32(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, value: float
) -> None:
    caplog.set_level(logging.WARNING)
    beyond = np.array([1.0, value, 0.25], np.float32)
    within = np.array([1.0, -LARGEST, 0.25], np.float32)

    reader = write(tmp_path, beyond, within, token_dtype="float16")

    assert dtype_on_disk(reader, "v0") == np.float32
    assert dtype_on_disk(reader, "v1") == np.float16
    np.testing.assert_array_equal(reader.read_tokens("v0")[0, 0], beyond)
    np.testing.assert_array_equal(reader.read_tokens("v1")[0, 0], within)
    (warning,) = caplog.messages
    assert warning.startswith(f"v0: an object token is {abs(value):g}, beyond the range of float16")


def test_float32_is_the_default(tmp_path: Path) -> None:
    write(tmp_path, np.array([1 / 3], np.float32))
    same = {"source": "grid", "token_dim": 1}
    assert ShardWriter(tmp_path, same).is_finished
    with pytest.raises(UserError, match=r"token_dtype=float32, .* float16"):
        ShardWriter(tmp_path, {**same, "token_dtype": "float16"})
