"""The tracks of expressions, with their labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sola.errors import UserError
from sola.shards import ShardReader
from sola.training.samples import LabelledTracks
from sola.types import Expression

OWN = {"v0/0": "ba", "v0/1": "", "v0/2": "c", "v0/3": "a", "v0/4": "b"}
"""Source gdino, by expression: the objects of its tracks."""
OBJECTS = {"0": "a", "1": "b", "2": "c", "3": "ab", "4": ""}
EXPRESSIONS = [
    Expression("v0", number, "", tuple(f"v0{letter}" for letter in letters))
    for number, letters in OBJECTS.items()
]
OpenTracks = Callable[..., LabelledTracks]
RULE = {"label_iou": 0.7, "empty_frames": "count"}


@pytest.fixture
def open_tracks(write_tracks: Callable[..., Path]) -> OpenTracks:
    def open_tracks(*sources: str) -> LabelledTracks:
        letters = {"gt": {"v0": "a"}, "grid": {"v0": "cb"}, "gdino": OWN}
        readers = [ShardReader(write_tracks("train", name, letters[name])) for name in sources]
        return LabelledTracks(readers, **RULE)

    return open_tracks


@pytest.mark.parametrize("sources", [("gt", "grid", "gdino"), ("gdino", "gt", "grid"), ("gdino",)])
def test_tracks_of_video_precede_tracks_of_expression(
    open_tracks: OpenTracks, sources: tuple[str, ...]
) -> None:
    tracks = open_tracks(*sources)
    shared = "acb" if "gt" in sources else ""
    by_source = {reader.source: reader for reader in tracks.readers}

    for expression in EXPRESSIONS:
        number = expression.expression_id
        parts = [by_source[name].read_tokens("v0") for name in ("gt", "grid") if name in sources]
        parts.append(by_source["gdino"].read_tokens("v0", number))
        np.testing.assert_array_equal(tracks.tokens(expression), np.concatenate(parts))
        letters = shared + OWN[f"v0/{number}"]
        assert tracks.num_tracks(expression) == len(letters)
        assert tracks.labels(expression).tolist() == [name in OBJECTS[number] for name in letters]
        of_video = tracks.sources.read(EXPRESSIONS)
        chosen = list(of_video.candidates[number])
        np.testing.assert_array_equal(of_video.object_tokens[chosen], tracks.tokens(expression))


def test_shared_tracks_are_read_once(
    open_tracks: OpenTracks, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, str]] = []
    for name in ("read_tokens", "read_labels"):
        method = getattr(ShardReader, name)

        def count(reader: ShardReader, *entry: str, name: str = name, method=method) -> object:
            read.append((name, reader.source))
            return method(reader, *entry)

        monkeypatch.setattr(ShardReader, name, count)
    tracks = open_tracks("grid", "gdino")

    for expression in EXPRESSIONS:
        tracks.tokens(expression)
        tracks.labels(expression)

    counts = {key: read.count(key) for key in read}
    assert counts == {
        ("read_tokens", "grid"): 1,
        ("read_labels", "grid"): 1,
        ("read_tokens", "gdino"): 5,
        ("read_labels", "gdino"): 3,  # one expression has no tracks, the last means nothing
    }


def test_sources_of_different_token_dtypes_are_joined(
    write_tracks: Callable[..., Path],
) -> None:
    dtypes = {"gt": "float32", "grid": "float16"}
    folders = [
        write_tracks("train", name, {"v0": "ab"}, token_dtype=dtype)
        for name, dtype in dtypes.items()
    ]
    whole, halves = np.split(
        LabelledTracks([ShardReader(f) for f in folders], **RULE).tokens(EXPRESSIONS[0]), 2
    )
    assert whole.dtype == np.float32
    np.testing.assert_array_equal(whole.astype(np.float16), halves)


def test_expression_without_entry_is_named(open_tracks: OpenTracks) -> None:
    tracks = open_tracks("grid", "gdino")

    with pytest.raises(UserError, match=r"gdino/tiny/index\.json: .*v0/9"):
        tracks.tokens(Expression("v0", "9", "", ()))
