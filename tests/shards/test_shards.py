"""What is written is read back, and nothing unfinished or foreign is ever read."""

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from drawn_tracks import DESCRIPTION, assert_equal, edit_index, make_tracks, write

from sola.errors import UserError
from sola.shards import ShardReader, ShardWriter
from sola.shards import writer as writer_module
from sola.types import DetectionEvidence, Tracks


def test_written_tracks_are_read_back(tmp_path: Path) -> None:
    one, other = make_tracks("a"), make_tracks("b", num_tracks=4, num_frames=1, seed=1)
    reader = write(tmp_path, one, other)
    assert reader.videos == ("a", "b")
    assert reader.source == "grid"
    assert_equal(reader.read("a"), one)
    assert_equal(reader.read("b"), other)
    np.testing.assert_array_equal(reader.read_tokens("b"), other.object_tokens)
    labels = reader.read_labels("b")
    assert labels is not None
    assert labels.object_ids == ("17",)


def test_no_tracks_and_no_labels_are_valid(tmp_path: Path) -> None:
    empty, unlabelled = make_tracks("a", num_tracks=0), replace(make_tracks("b"), labels=None)
    reader = write(tmp_path, empty, unlabelled)
    assert_equal(reader.read("a"), empty)
    assert reader.read_tokens("a").shape == (0, 3, 4)
    assert reader.read_labels("b") is None


def test_tracks_of_expressions_are_kept_apart(tmp_path: Path) -> None:
    one = replace(make_tracks("a"), expression_id="0")
    other = replace(make_tracks("a", seed=5), expression_id="1")
    reader = write(tmp_path, one, other)
    assert reader.videos == ("a",)
    assert_equal(reader.read("a", "0"), one)
    assert_equal(reader.read("a", "1"), other)


def test_detection_evidence_of_a_prompt_is_kept(tmp_path: Path) -> None:
    tracks = replace(make_tracks("a"), expression_id="0")
    said = [
        {"box": (0.5, 1.0, 4.25, 7.0), "phrase": "red dog", "token_scores": (0.25, 0.5)},
        {"box": (-1.0, 0.0, 2.0, 2.0), "phrase": "", "token_scores": (0.75,)},
    ]
    prompts = tuple(replace(p, **d) for p, d in zip(tracks.prompts, said, strict=True))
    tracks = replace(tracks, prompts=prompts)
    assert_equal(write(tmp_path, tracks).read("a", "0"), tracks)


@pytest.mark.parametrize(("num_tracks", "frames"), [(2, (0, 2)), (0, (0, 2)), (0, ())])
def test_evidence_of_a_detector_is_kept(
    tmp_path: Path, num_tracks: int, frames: tuple[int, ...]
) -> None:
    scores = np.random.default_rng(0).random((num_tracks, len(frames))).astype(np.float32)
    evidence = DetectionEvidence(frames, scores)
    one = replace(make_tracks("a", num_tracks), expression_id="0", evidence=evidence)
    reader = write(tmp_path, one, replace(make_tracks("a"), expression_id="1"))

    assert_equal(reader.read("a", "0"), one)
    found = reader.read_evidence("a", "0")
    assert found is not None
    assert found.frame_idxs == frames
    np.testing.assert_array_equal(found.scores, scores)
    assert found.scores.dtype == np.float32
    assert reader.read_evidence("a", "1") is None
    reader.check("a", "0")


def test_shards_are_split_by_size_and_read_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "MAX_SHARD_BYTES", 1)
    tracks = [make_tracks(name, seed=idx) for idx, name in enumerate("abc")]
    reader = write(tmp_path, *tracks)
    assert len(list(tmp_path.glob("shard-*.h5"))) == 3
    for item in tracks:
        assert_equal(reader.read(item.video_id), item)


def test_reader_travels_to_another_process(tmp_path: Path) -> None:
    reader = write(tmp_path, make_tracks("a"))
    reader.read("a")
    assert_equal(pickle.loads(pickle.dumps(reader)).read("a"), make_tracks("a"))


def test_unfinished_run_is_not_readable_and_resumes(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, DESCRIPTION)
    writer.start()
    writer.stage(make_tracks("a"))
    with pytest.raises(UserError, match=r"no finished tracks. Make them with: python generate.py"):
        ShardReader(tmp_path)
    again = ShardWriter(tmp_path, DESCRIPTION)
    again.start()
    assert again.has("a")
    assert not again.has("b")
    assert not again.is_finished
    again.stage(make_tracks("b"))
    again.finish([("a", ""), ("b", "")])
    assert again.is_finished
    assert not (tmp_path / "staging").exists()
    assert_equal(ShardReader(tmp_path).read("a"), make_tracks("a"))


def test_entry_that_fails_in_mid_write_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = ShardWriter(tmp_path, DESCRIPTION)
    writer.start()

    def fail(group: h5py.Group, tracks: Tracks, token_dtype: str) -> None:
        group["object_tokens"] = tracks.object_tokens
        raise OSError("disk full")

    monkeypatch.setattr(writer_module, "write_entry", fail)
    with pytest.raises(OSError, match="disk full"):
        writer.stage(make_tracks("a"))
    assert not writer.has("a")


@pytest.mark.fault
@pytest.mark.parametrize("step", ["shard", "index"])
def test_kill_while_packing_loses_no_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, fault: Callable[..., None]
) -> None:
    writer = ShardWriter(tmp_path, DESCRIPTION)
    writer.start()
    for name in "ab":
        writer.stage(make_tracks(name))
    entries = [("a", ""), ("b", "")]
    with monkeypatch.context() as patch:
        if step == "shard":  # killed while the second video is copied
            copy = h5py.Group.copy
            patch.setattr(
                h5py.Group,
                "copy",
                lambda *args: copy(*args) if args[-1] == "a" else _kill(),
            )
        else:
            patch.setattr(Path, "write_text", lambda *_: _kill())
        with pytest.raises(KeyboardInterrupt):
            writer.finish(entries)
    assert not (tmp_path / "index.json").exists()
    assert (tmp_path / "shard-00000.h5").exists() == (step == "index")
    again = ShardWriter(tmp_path, DESCRIPTION)
    assert again.has("a")
    assert again.has("b")
    again.finish(entries)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "shard-00000.h5"]
    assert_equal(ShardReader(tmp_path).read("b"), make_tracks("b"))
    what = "the second video is copied" if step == "shard" else "index.json is written"
    happened = "the staged files remain and are packed again"
    fault("Tracks on disk", f"a kill while {what}", happened)


def test_staged_file_that_was_cut_off_is_named_and_made_again(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, DESCRIPTION)
    writer.start()
    writer.stage(make_tracks("a"))
    path = tmp_path / "staging" / "a.h5"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"staging/a.h5: damaged or cut off .* Run the same"):
        writer.finish([("a", "")])
    assert not writer.has("a")
    writer.stage(make_tracks("a"))
    writer.finish([("a", "")])
    assert_equal(ShardReader(tmp_path).read("a"), make_tracks("a"))


def _kill() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("is_finished", [True, False])
def test_tracks_made_with_other_settings_are_refused(tmp_path: Path, is_finished: bool) -> None:
    if is_finished:
        write(tmp_path, make_tracks("a"))
    else:
        unfinished = ShardWriter(tmp_path, DESCRIPTION)
        unfinished.start()
        unfinished.stage(make_tracks("a"))
    other = DESCRIPTION | {"config": {"prompt_source": {"max_tracks": 16}}}
    message = r"config.prompt_source.max_tracks=64, .* 16"
    with pytest.raises(UserError, match=message):
        ShardWriter(tmp_path, other)


def test_another_format_version_is_refused(tmp_path: Path) -> None:
    write(tmp_path, make_tracks("a"))
    path = tmp_path / "index.json"
    edit_index(path, lambda index: index.update(format_version=99))
    with pytest.raises(UserError, match="shard format 99"):
        ShardReader(tmp_path)


def test_missing_video_is_named(tmp_path: Path) -> None:
    reader = write(tmp_path, make_tracks("a"))
    with pytest.raises(UserError, match="no tracks of b"):
        reader.read("b")
    with pytest.raises(UserError, match="no tracks of b"):  # missing is not empty
        reader.num_tracks("b")
    assert reader.num_tracks("a") == 2
