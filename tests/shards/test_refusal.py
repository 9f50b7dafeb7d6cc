"""Shards that the system refuses to read are not damaged: nothing is deleted or replaced."""

import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from commands import run_command
from drawn_tracks import DESCRIPTION, assert_equal, make_tracks, write
from refusals import few_descriptors, in_child, refused, tree

from sola.errors import DamagedFile, FileRefused, UserError
from sola.files import readable
from sola.shards import ShardReader, ShardWriter
from sola.shards import writer as writer_module
from sola.shards.repair import check_tracks, unfinish
from sola.types import Tracks

NAMES = "abcdefghijkl"
ENTRIES = [(name, "") for name in NAMES]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Finished tracks, a shard a video."""
    monkeypatch.setattr(writer_module, "MAX_SHARD_BYTES", 1)
    write(tmp_path / "t", *map(tracks_of, NAMES))
    return tmp_path / "t"


@pytest.fixture
def public(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The same tracks, in a folder that every user may enter."""
    parents = [folder, *folder.parents]
    own = [path for path in parents if path.stat().st_mode & 0o777 == 0o700]
    for path in own:
        path.chmod(0o755)
    yield folder
    for path in own:
        path.chmod(0o700)


def tracks_of(name: str) -> Tracks:
    return make_tracks(name, seed=ord(name))


def shard_of(folder: Path, name: str) -> Path:
    return folder / f"shard-{NAMES.index(name):05d}.h5"


def spoil(path: Path) -> None:
    path.write_bytes(b"garbage")


def repair(folder: Path) -> tuple[int, str]:
    told = run_command("sola.cli", "check", "tracks", str(folder), "--repair")
    return told.status, told.output + told.errors


def finish(folder: Path, *made_again: str) -> None:
    """Go on as generate.py does, which must have to make nothing but some videos."""
    writer = ShardWriter(folder, DESCRIPTION)
    assert not writer.is_finished
    assert {name for name in NAMES if not writer.has(name)} == set(made_again)
    writer.start()
    for name in made_again:
        writer.stage(tracks_of(name))
    writer.finish(ENTRIES)
    for name in NAMES:
        assert_equal(ShardReader(folder).read(name), tracks_of(name))


@pytest.mark.parametrize("how", ["EIO", "ENOENT", "ELOOP"])
@pytest.mark.parametrize("name", ["index.json", "shard-00001.h5"])
def test_repair_changes_no_file_while_one_is_refused(folder: Path, how: str, name: str) -> None:
    with refused(folder / name, how), pytest.raises(FileRefused, match=name):
        ShardReader(folder)
    spoil(shard_of(folder, "a"))
    with refused(folder / name, how):
        before = tree(folder)
        status, output = repair(folder)
        assert tree(folder) == before
    assert status == 1
    assert name in output
    assert "elete" not in output
    assert repair(folder)[0] == 0
    finish(folder, "a")


@pytest.mark.parametrize("how", ["EIO", "ENOENT"])
def test_damaged_index_beside_a_refused_shard_loses_no_data(folder: Path, how: str) -> None:
    spoil(folder / "index.json")
    with refused(shard_of(folder, "b"), how):
        before = tree(folder)
        assert repair(folder)[0] == 1
        assert tree(folder) == before
    assert repair(folder)[0] == 0
    finish(folder)


def test_permissions_are_not_damage(public: Path) -> None:
    spoil(shard_of(public, "a"))
    shard_of(public, "b").chmod(0)
    before = tree(public)
    answer = in_child(lambda: vars(check_tracks(public)), as_nobody=True)
    assert "FileRefused" in answer
    assert shard_of(public, "b").name in answer
    answer = in_child(lambda: unfinish(public, check_tracks(public)), as_nobody=True)
    assert answer.startswith("AssertionError")
    (public / "index.json").chmod(0)
    for task in (lambda: ShardReader(public), lambda: check_tracks(public)):
        assert in_child(task, as_nobody=True).startswith("sola.errors.FileRefused")
    assert tree(public) == before


def test_folder_that_cannot_be_listed_is_refused(public: Path) -> None:
    spoil(public / "index.json")
    public.chmod(0o711)
    answer = in_child(lambda: check_tracks(public), as_nobody=True)
    public.chmod(0o755)
    assert answer.startswith("sola.errors.FileRefused")


def test_damaged_files_are_moved_aside_without_overwriting(folder: Path) -> None:
    expected = []
    for content in (b"one", b"two"):
        shard_of(folder, "c").write_bytes(content)
        expected.append(content)
        (folder / "index.json").write_bytes(content)
        assert repair(folder)[0] == 0
        finish(folder, "c")
        aside = sorted(path.read_bytes() for path in (folder / "damaged").iterdir())
        assert aside == sorted(2 * expected)
    assert run_command("sola.cli", "check", "tracks", str(folder)).status == 0


def test_lost_shard_is_made_again(folder: Path) -> None:
    shard_of(folder, "d").unlink()
    assert repair(folder)[0] == 0
    finish(folder, "d")


def test_staged_entries_of_other_settings_are_kept_aside(folder: Path) -> None:
    spoil(shard_of(folder, "a"))
    staging = folder / "staging"
    staging.mkdir()
    (staging / "run.json").write_text("{}")
    (staging / "b.h5").write_bytes(b"of others")
    assert repair(folder)[0] == 0
    assert (folder / "damaged/staging/b.h5").read_bytes() == b"of others"
    finish(folder, "a")


def test_no_file_stays_open(folder: Path) -> None:
    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    reader = ShardReader(folder)
    for _ in range(2):
        for name in NAMES:
            assert_equal(reader.read(name), tracks_of(name))
            assert count() == before


def test_repair_works_with_few_descriptors(folder: Path) -> None:
    spoil(shard_of(folder, "a"))
    with few_descriptors(10):
        unfinish(folder, check_tracks(folder))
    finish(folder, "a")


def test_too_many_open_files_are_not_damage(folder: Path) -> None:
    reader = ShardReader(folder)
    reader.read(NAMES[-1])
    before = tree(folder)
    with few_descriptors(0), pytest.raises(FileRefused, match="ulimit"):
        ShardReader(folder)
    with few_descriptors(0), pytest.raises(FileRefused, match="ulimit"):
        check_tracks(folder)
    assert tree(folder) == before


@pytest.mark.parametrize("hidden", [KeyError("x"), RuntimeError("x"), OSError("no errno")])
def test_errors_of_the_system_that_a_library_hides_are_refusals(
    tmp_path: Path, hidden: Exception
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"content")
    with refused(path, "EIO"), pytest.raises(FileRefused), readable(path, ""):
        raise hidden
    with pytest.raises(DamagedFile), readable(path, ""):
        raise hidden


def test_locked_shards_are_read(folder: Path) -> None:
    with shard_of(folder, "a").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        read = in_child(lambda: ShardReader(folder).read("a").video_id)
    assert read == "a"


def test_forked_processes_share_a_reader(folder: Path) -> None:
    reader = ShardReader(folder)
    reader.read("a")

    def read_often() -> str:
        for _ in range(100):
            assert_equal(reader.read("a"), tracks_of("a"))
        return "same"

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(in_child, [read_often] * 2)) == ["same"] * 2


@pytest.mark.parametrize("how", ["EIO", "ENOENT", "EMFILE"])
def test_refused_staged_entry_is_not_made_again(tmp_path: Path, how: str) -> None:
    writer = ShardWriter(tmp_path, DESCRIPTION)
    writer.start()
    writer.stage(make_tracks("a"))
    path = tmp_path / "staging" / "a.h5"
    with refused(path, how), pytest.raises(FileRefused, match=r"a\.h5"):
        writer.has("a")
    with refused(tmp_path / "staging/run.json", how), pytest.raises(FileRefused):
        ShardWriter(tmp_path, DESCRIPTION)
    assert writer.has("a")


def test_missing_disk_of_the_index_is_not_an_unfinished_run(folder: Path) -> None:
    with refused(folder / "index.json", "ENOENT"):
        with pytest.raises(FileRefused):
            ShardWriter(folder, DESCRIPTION)
        with pytest.raises(FileRefused):
            ShardReader(folder)


def test_other_settings_are_named_without_advice_to_delete(folder: Path) -> None:
    with pytest.raises(UserError, match=r"checkpoint_sha256=abc") as caught:
        ShardWriter(folder, DESCRIPTION | {"checkpoint_sha256": "def"})
    told = str(caught.value)
    assert all(word in told for word in ("def", "tracker.name", "data_root"))
    assert "elete" not in told
