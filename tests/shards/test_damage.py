"""Damaged shards are noticed and named, and only those are made again; links are refused."""

import json
import logging
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from commands import run_command
from drawn_tracks import DESCRIPTION, assert_equal, edit_index, make_tracks, write

from sola.errors import DamagedFile, UserError
from sola.sealed import SEAL, seal
from sola.shards import ShardReader, ShardWriter
from sola.shards import repair as repair_module
from sola.shards.repair import check_tracks, unfinish
from sola.types import Tracks

SHARD = "shard-00000.h5"
NUM_FLIPS = 100
"""At random places of a shard; a multiple of it was tried once."""


@pytest.fixture
def tracks() -> tuple[Tracks, Tracks]:
    return make_tracks("a"), make_tracks("b", num_tracks=4, num_frames=2, seed=1)


def flip(path: Path, place: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def flip_in(path: Path, values: np.ndarray) -> None:
    """One bit in the middle of an array that lies in a file once."""
    content = path.read_bytes()
    assert content.count(values.tobytes()) == 1
    flip(path, content.index(values.tobytes()) + values.nbytes // 2, 3)


def codes_of(tracks: Tracks) -> np.ndarray:
    counts = "".join(mask["counts"] for masklet in tracks.masklets for mask in masklet)
    return np.frombuffer(counts.encode(), np.uint8)


def test_no_bit_that_flips_gives_other_data(tmp_path: Path, tracks: tuple[Tracks, Tracks]) -> None:
    write(tmp_path, *tracks)
    sound, rng = (tmp_path / SHARD).read_bytes(), random.Random(0)
    num_told = 0
    for _ in range(NUM_FLIPS):
        (tmp_path / SHARD).write_bytes(sound)
        flip(tmp_path / SHARD, rng.randrange(len(sound)), rng.randrange(8))
        for one in tracks:
            try:
                found = ShardReader(tmp_path).read(one.video_id)
            except DamagedFile:
                num_told += 1
            else:
                assert_equal(found, one)
    assert num_told > NUM_FLIPS / 2  # the rest lies between arrays, or in the other entry


@pytest.mark.parametrize("part", ["tokens", "masks", "labels", "scores"])
def test_every_bit_of_an_array_counts(
    tmp_path: Path, tracks: tuple[Tracks, Tracks], part: str
) -> None:
    reader, one = write(tmp_path, *tracks), tracks[0]
    assert one.labels is not None
    values = {
        "tokens": one.object_tokens,
        "masks": codes_of(one),
        "labels": one.labels.intersections,
        "scores": one.object_scores,
    }[part]
    flip_in(tmp_path / SHARD, values)

    with pytest.raises(UserError, match=rf"{SHARD}: damaged .*a: .* not what was written.*check"):
        reader.read("a")
    assert_equal(reader.read("b"), tracks[1])
    if part != "tokens":  # what is not read is not looked at
        np.testing.assert_array_equal(reader.read_tokens("a"), one.object_tokens)


@pytest.mark.fault
def test_only_damaged_videos_are_made_again(
    tmp_path: Path, tracks: tuple[Tracks, Tracks], fault: Callable[..., None]
) -> None:
    write(tmp_path, *tracks)
    flip_in(tmp_path / SHARD, codes_of(tracks[1]))
    before = {name: (tmp_path / name).read_bytes() for name in ("index.json", SHARD)}
    command = ("sola.cli", "check", "tracks", str(tmp_path))

    told = run_command(*command)
    assert told.status == 1
    assert "b: masklets/counts is not what was written" in told.output
    assert "1 of 2 entries are sound" in told.output
    assert (tmp_path / "index.json").is_file()
    assert run_command(*command, "--repair").status == 0

    writer = ShardWriter(tmp_path, DESCRIPTION)
    assert not writer.is_finished
    assert (writer.has("a"), writer.has("b")) == (True, False)
    writer.start()
    writer.stage(tracks[1])
    writer.finish([("a", ""), ("b", "")])
    reader = ShardReader(tmp_path)
    for one in tracks:
        assert_equal(reader.read(one.video_id), one)
    assert run_command(*command).status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["damaged", "index.json", SHARD]
    assert {path.name: path.read_bytes() for path in (tmp_path / "damaged").iterdir()} == before
    happened = "named by sola check tracks; after --repair, generate.py makes only that entry again"
    fault(
        "Tracks on disk",
        "a flipped bit in a shard",
        happened,
        "nothing; one entry is made again",
    )


@pytest.mark.fault
def test_interrupted_repair_loses_no_data(
    tmp_path: Path,
    tracks: tuple[Tracks, Tracks],
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[..., None],
) -> None:
    write(tmp_path, *tracks)
    flip_in(tmp_path / SHARD, codes_of(tracks[1]))
    found = check_tracks(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(repair_module, "whole_hdf5", lambda *_: _kill())
        with pytest.raises(KeyboardInterrupt):
            unfinish(tmp_path, found)
    assert_equal(ShardReader(tmp_path).read("a"), tracks[0])
    unfinish(tmp_path, check_tracks(tmp_path))
    assert ShardWriter(tmp_path, DESCRIPTION).has("a")
    fault("Tracks on disk", "a repair that is cut off", "tracks stay; the repair can be repeated")


def _kill() -> None:
    raise KeyboardInterrupt


@pytest.mark.fault
@pytest.mark.parametrize("how", ["flip", "cut", "empty", "other"])
def test_damaged_staged_file_counts_as_missing(
    tmp_path: Path,
    tracks: tuple[Tracks, Tracks],
    how: str,
    caplog: pytest.LogCaptureFixture,
    fault: Callable[..., None],
) -> None:
    caplog.set_level(logging.WARNING)
    writer = ShardWriter(tmp_path, DESCRIPTION)
    writer.start()
    for one in tracks:
        writer.stage(one)
    assert writer.has("b")
    path = tmp_path / "staging" / "b.h5"
    if how == "flip":
        flip_in(path, codes_of(tracks[1]))
    elif how == "other":
        path.write_bytes((tmp_path / "staging" / "a.h5").read_bytes())
    else:
        path.write_bytes(path.read_bytes()[: 3000 if how == "cut" else 0])

    assert not writer.has("b")
    assert "staging/b.h5: damaged or cut off" in caplog.text
    with pytest.raises(UserError, match=r"staging/b.h5: damaged .* Run the same command again"):
        writer.finish([("a", ""), ("b", "")])
    assert not (tmp_path / "index.json").exists()
    writer.stage(tracks[1])
    writer.finish([("a", ""), ("b", "")])
    assert_equal(ShardReader(tmp_path).read("b"), tracks[1])
    what = {"flip": "with a flipped bit", "cut": "cut off", "empty": "cut to nothing"}
    what["other"] = "with another video's content"
    happened = "a warning; the video is made again"
    fault(
        "Tracks on disk", f"a staged file {what[how]}", happened, "nothing; one video is made again"
    )


def test_missing_checksums_are_noticed(tmp_path: Path, tracks: tuple[Tracks, Tracks]) -> None:
    write(tmp_path, *tracks)
    with h5py.File(tmp_path / SHARD, "r+") as file:
        del file["a"].attrs[SEAL]
    with pytest.raises(DamagedFile, match="a: its digest"):
        ShardReader(tmp_path).read("a")


def test_swapped_entries_and_changed_attributes_are_noticed(
    tmp_path: Path, tracks: tuple[Tracks, Tracks]
) -> None:
    write(tmp_path, *tracks)
    with h5py.File(tmp_path / SHARD, "r+") as file:
        file.move("a", "c")
        file.move("b", "a")
        file.move("c", "b")
    for name in "ab":
        with pytest.raises(DamagedFile, match=f"{name}: its digest"):
            ShardReader(tmp_path).read_tokens(name)
    write(tmp_path / "other", *tracks)
    with h5py.File(tmp_path / "other" / SHARD, "r+") as file:
        file["a"].attrs["size"] = np.array([7, 5])
    with pytest.raises(DamagedFile, match="a: its digest"):
        ShardReader(tmp_path / "other").read("a")


def _soft(group: h5py.Group) -> None:
    group["object_tokens"] = h5py.SoftLink("/b/object_tokens")


def _external_link(group: h5py.Group) -> None:
    group["object_tokens"] = h5py.ExternalLink("other.h5", "/x")


def _external_storage(group: h5py.Group) -> None:
    file = [("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    group.create_dataset("object_tokens", (2, 3, 4), "u1", external=file)


def _virtual(group: h5py.Group) -> None:
    layout = h5py.VirtualLayout((2, 3, 4), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (2, 3, 4))
    group.create_virtual_dataset("object_tokens", layout)


def _petabytes(group: h5py.Group) -> None:
    group.create_dataset("object_tokens", (1 << 20, 1 << 20, 256), "f4")


def _compressed_bomb(group: h5py.Group) -> None:
    group.create_dataset("object_tokens", (1 << 20, 1 << 20, 4), "f4", compression="gzip")


def _folder(group: h5py.Group) -> None:
    group.create_group("object_tokens")


@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (_soft, "is a link, which is not followed"),
        (_external_link, "is a link, which is not followed"),
        (_external_storage, "kept outside of this file"),
        (_virtual, "kept outside of this file"),
        (_petabytes, "claims 1,125,899,906,842,624 bytes"),
        (_compressed_bomb, "is compressed"),
        (_folder, "is no array"),
    ],
)
def test_external_and_oversized_arrays_are_refused(
    tmp_path: Path,
    tracks: tuple[Tracks, Tracks],
    put: Callable[[h5py.Group], Any],
    reason: str,
) -> None:
    write(tmp_path, *tracks)
    with h5py.File(tmp_path / SHARD, "r+") as file:
        del file["a/object_tokens"]
        put(file["a"])
    with pytest.raises(UserError, match=reason):
        ShardReader(tmp_path).read_tokens("a")


def test_link_in_place_of_an_entry_is_refused(
    tmp_path: Path, tracks: tuple[Tracks, Tracks]
) -> None:
    write(tmp_path, *tracks)
    with h5py.File(tmp_path / SHARD, "r+") as file:
        del file["a"]
        file["a"] = h5py.SoftLink("/b")
    with pytest.raises(UserError, match="a is a link, which is not followed"):
        ShardReader(tmp_path).read("a")


@pytest.mark.parametrize(
    ("name", "entry", "reason"),
    [
        ("a", {"shard": "../../elsewhere.h5"}, r"lies in '../../elsewhere.h5', which is no shard"),
        ("a", {"shard": "/etc/passwd"}, "which is no shard"),
        ("..", {}, "is no name within a folder"),
        ("a/../../b", {}, "is no name within a folder"),
        ("/a", {}, "is no name within a folder"),
        ("a\0", {}, "cannot be printed"),
        (300 * "a", {}, "is longer than 200 bytes"),
    ],
)
def test_index_cannot_name_files_outside_the_folder(
    tmp_path: Path, name: str, entry: dict[str, Any], reason: str
) -> None:
    write(tmp_path, make_tracks("a"))
    edit_index(
        tmp_path / "index.json",
        lambda index: index.update(entries={name: index["entries"]["a"] | entry}),
    )
    with pytest.raises(UserError, match=rf"index.json: damaged .*{reason}"):
        ShardReader(tmp_path)


def test_no_bit_of_an_index_that_flips_gives_another_index(tmp_path: Path) -> None:
    sound = write(tmp_path, make_tracks("a")).index
    path = tmp_path / "index.json"
    content = path.read_bytes()
    num_told = 0
    for place in range(0, len(content), 3):
        path.write_bytes(content)
        flip(path, place, place % 8)
        try:
            found = ShardReader(tmp_path).index
        except UserError:
            num_told += 1
        else:
            assert {key: found[key] for key in sound} == sound
    assert num_told > len(content) / 6  # the rest is white space


@pytest.mark.fault
@pytest.mark.parametrize("how", ["with a flipped bit", "cut off"])
def test_damaged_index_is_rebuilt_from_the_shards(
    tmp_path: Path, tracks: tuple[Tracks, Tracks], how: str, fault: Callable[..., None]
) -> None:
    others = tuple(replace(make_tracks("c"), expression_id=name) for name in "01")
    entries = [("a", ""), ("b", ""), ("c", "0"), ("c", "1")]
    write(tmp_path, *tracks, *others)
    path = tmp_path / "index.json"
    content = path.read_bytes()
    if how == "cut off":
        path.write_bytes(content[:-9])
    else:
        flip(path, content.index(b'"num_tracks": 4') + 14, 1)
    command = ("sola.cli", "check", "tracks", str(tmp_path))
    for told in (run_command(*command), run_command(*command, "--repair")):
        assert "index.json: " in told.output
        assert "4 of 4 entries are sound" in told.output
    assert told.status == 0

    writer = ShardWriter(tmp_path, DESCRIPTION)
    assert not writer.is_finished
    assert all(writer.has(*entry) for entry in entries)
    writer.finish(entries)
    assert path.read_bytes() == content
    for one in (*tracks, *others):
        assert_equal(ShardReader(tmp_path).read(one.video_id, one.expression_id), one)
    happened = "named by sola check tracks; --repair and generate.py write it again from the shards"
    fault("Tracks on disk", f"index.json {how}", happened)


@pytest.mark.parametrize("change", [{"token_dim": 5}, {"format_version": 7}])
def test_index_with_a_wrong_or_no_checksum_is_damaged(
    tmp_path: Path, change: dict[str, int]
) -> None:
    write(tmp_path, make_tracks("a"))
    path = tmp_path / "index.json"
    index = json.loads(path.read_text())
    for content in (index | change, {key: index[key] for key in index if key != "crc32"}):
        path.write_text(json.dumps(content))
        with pytest.raises(DamagedFile, match=r"index\.json"):
            ShardReader(tmp_path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_tokens_are_named(tmp_path: Path, value: float) -> None:
    one = make_tracks("a")
    write(tmp_path, one)
    with h5py.File(tmp_path / SHARD, "r+") as file:
        file["a/object_tokens"][1, 2, 3] = value
        seal(file["a"], "a")
    for read in (ShardReader(tmp_path).read, ShardReader(tmp_path).read_tokens):
        with pytest.raises(UserError, match=rf"{SHARD}: .*a: object_tokens has values .* NaN"):
            read("a")
    one.object_tokens[0, 0, 0] = value
    with pytest.raises(UserError, match=r"a: track \d, frame \d: .* NaN"):
        write(tmp_path / "other", one)


def test_large_tokens_whose_sum_is_infinite_are_read(tmp_path: Path) -> None:
    one = make_tracks("a")
    one.object_tokens[:] = 3e38
    assert_equal(write(tmp_path, one).read("a"), one)
