"""Trees into shards and out again, and shards into trees and back: nothing is lost on the way."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import drawn_split as drawn
import numpy as np
import pytest
from drawn_split import LARGE, SMALL
from published_tree import read_tree, write_tree

from sola.config.entry_points import EvaluateConfig
from sola.errors import UserError
from sola.masks import empty_masklet
from sola.metrics import count_pixels, mean_iou
from sola.published import importing
from sola.published.exporting import export_tracks, mean_overlaps
from sola.published.importing import import_tracks
from sola.shards import ShardReader, ShardWriter, tracks_dir
from sola.training.sources import LabelledTracks
from sola.types import Labels, MeanOverlaps

NOWHERE = empty_masklet(2, drawn.SIZE)
TREES: dict[str, dict[str, dict[int, Any]]] = {
    "gt": {"v1": {0: SMALL, 1: LARGE}, "v2": {0: SMALL}},
    "grid": {"v1": {0: LARGE, 3: SMALL, 12: NOWHERE}, "v2": {7: SMALL}},
    "gdino": {"v1/0": {2: SMALL}, "v1/1": {}, "v1/10": {0: LARGE, 1: SMALL}, "v2/0": {0: LARGE}},
}


def writer(folder: Path, source: str = "grid") -> ShardWriter:
    description = {"dataset": "d", "split": "s", "source": source, "tracker": "t", "token_dim": 4}
    return ShardWriter(folder, {**description, "checkpoint_sha256": "unknown"})


@pytest.mark.parametrize("overlaps", [("1", "2"), ()], ids=["means", "no ground truth"])
@pytest.mark.parametrize("source", TREES)
def test_a_tree_goes_through_shards_unchanged(
    tmp_path: Path, source: str, overlaps: tuple[str, ...]
) -> None:
    folder = tmp_path / f"{source}_tracks" / "d" / "s"
    tree = write_tree(folder, TREES[source], overlaps=overlaps)

    import_tracks(tree, writer(tmp_path / "shards", source), source, 4, None)
    export_tracks(ShardReader(tmp_path / "shards"), tmp_path / "out")

    assert read_tree(tmp_path / "out") == read_tree(tree)
    assert len(read_tree(tree)) >= 6


def test_what_the_files_do_not_say_is_marked_as_unknown(tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "grid_tracks", {"v1": {3: SMALL, 12: LARGE}})

    import_tracks(tree, writer(tmp_path / "shards"), "grid", 4, None)

    tracks = ShardReader(tmp_path / "shards").read("v1")
    assert tracks.numbers == (3, 12)
    assert tracks.masklets == (SMALL, LARGE)
    assert tracks.labels is None
    assert np.isnan(tracks.object_scores).all()
    for prompt in tracks.prompts:
        assert (prompt.frame_idx, prompt.area, prompt.object_id) == (-1, -1, "")
        assert prompt.mask == NOWHERE[0]
        assert np.isnan([prompt.predicted_iou, prompt.stability_score]).all()


def test_beside_ground_truth_pixels_are_counted(
    tmp_path: Path, command: Callable[..., int], config: EvaluateConfig
) -> None:
    tree = write_tree(tmp_path / "grid_tracks/drawn/valid_u", TREES["grid"])

    command("import", str(tmp_path), "prompt_source=grid", "tracker.checkpoint=unknown")

    folder = tracks_dir(Path(config.paths.data_dir), "drawn", "valid_u", "grid", "theirs")
    labels = ShardReader(folder).read_labels("v1")
    expected = count_pixels((LARGE, SMALL, NOWHERE), drawn.GROUND_TRUTH["v1"], 2)
    assert isinstance(labels, Labels)
    assert labels.object_ids == ("1", "2")
    np.testing.assert_array_equal(labels.intersections, expected.intersections)
    np.testing.assert_array_equal(labels.track_areas, expected.track_areas)

    command("export", str(tmp_path / "again"), "prompt_source=grid")
    again = tmp_path / "again/grid_tracks/drawn/valid_u"
    one = json.loads((again / "sam2_masklets/v1/00003.json").read_text())
    assert one["iou"] == one["precision"] == one["recall"] == {"1": 1, "2": 0}
    old, new = read_tree(tree), read_tree(again)
    for content in new.values():
        for name in ("iou", "precision", "recall") if isinstance(content, dict) else ():
            del content[name]
    assert new == old


def test_shards_made_here_go_through_a_tree_unchanged(tmp_path: Path) -> None:
    tracks = drawn.make_tracks("v1", (SMALL, LARGE))
    labels = count_pixels(tracks.masklets, drawn.GROUND_TRUTH["v1"], 2)
    made = writer(tmp_path / "made")
    made.start()
    made.stage(dataclasses.replace(tracks, labels=labels))
    made.stage(drawn.make_tracks("v2", ()))
    made.finish([("v1", ""), ("v2", "")])

    export_tracks(ShardReader(tmp_path / "made"), tmp_path / "tree")
    for path in (tmp_path / "tree").glob("*/v2"):
        path.rmdir()  # without the data set nothing says how many frames it has
    import_tracks(tmp_path / "tree", writer(tmp_path / "again"), "grid", 4, None)

    again = ShardReader(tmp_path / "again").read("v1")
    assert again.numbers == (0, 1)  # the larger prompt first
    assert again.masklets == (LARGE, SMALL)
    np.testing.assert_array_equal(again.object_tokens, tracks.object_tokens[::-1])
    assert isinstance(again.labels, MeanOverlaps)
    np.testing.assert_array_equal(again.labels.iou, mean_iou(labels, "count")[::-1])
    assert again.size == tracks.size


@pytest.mark.parametrize("token_dtype", ["float16", "float32"])
def test_tokens_go_into_a_tree_as_float32(tmp_path: Path, token_dtype: str) -> None:
    tracks = drawn.make_tracks("v1", (SMALL, LARGE))
    rounded = tracks.object_tokens.astype(token_dtype).astype(np.float32)
    description = {"source": "gt", "token_dim": 4, "token_dtype": token_dtype}
    made = ShardWriter(tmp_path / "made", description)
    made.start()
    made.stage(tracks)
    made.finish([("v1", "")])

    export_tracks(ShardReader(tmp_path / "made"), tmp_path / "tree")

    for number in range(2):
        found = np.load(tmp_path / f"tree/sam2_object_tokens/v1/{number:05d}.npy")
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, rounded[number])


def test_tracks_made_here_get_the_published_numbers(tmp_path: Path) -> None:
    masks = (SMALL, LARGE, SMALL)
    for source, numbers in (("gt", [0, 1, 2]), ("grid", [1, 0, 2])):
        made = writer(tmp_path / source, source)
        made.start()
        made.stage(drawn.make_tracks("v1", masks, source))
        made.finish([("v1", "")])

        export_tracks(ShardReader(tmp_path / source), tmp_path / f"{source}_tree")

        folder = tmp_path / f"{source}_tree/sam2_masklets/v1"
        for number, masklet in zip(numbers, masks, strict=True):
            content = json.loads((folder / f"{number:05d}.json").read_text())
            assert content["rle"] == masklet
            assert content["anno_id"] == number
            assert "iou" not in content


def test_means_over_frames_by_hand() -> None:
    labels = Labels(
        object_ids=("1",),
        intersections=np.array([[[2, 0, 0, 0]]], np.int32),
        track_areas=np.array([[4, 3, 0, 0]], np.int32),
        object_areas=np.array([[8, 0, 5, 0]], np.int32),
    )

    means = mean_overlaps(labels)

    assert means.iou.tolist() == [[(0.2 + 0 + 0 + 1) / 4]]
    assert means.precision.tolist() == [[(0.5 + 0 + 0 + 1) / 4]]
    assert means.recall.tolist() == [[(0.25 + 0 + 0 + 1) / 4]]


def test_expressions_without_a_folder_have_no_tracks(
    tmp_path: Path, command: Callable[..., int], config: EvaluateConfig
) -> None:
    tree = tmp_path / "gdino_tracks/drawn/valid_u"
    write_tree(tree, {"v1/2": {4: LARGE}, "v2/0": {}})

    command("import", str(tmp_path), "prompt_source=gdino", "tracker.checkpoint=unknown")

    folder = tracks_dir(Path(config.paths.data_dir), "drawn", "valid_u", "gdino", "theirs")
    reader = ShardReader(folder)
    counts = {name: entry["num_tracks"] for name, entry in reader.index["entries"].items()}
    assert counts == {"v1/0": 0, "v1/1": 0, "v1/2": 1, "v1/3": 0, "v2/0": 0}
    assert reader.read("v1", "0").object_tokens.shape == (0, 2, 4)
    assert reader.index["detector_sha256"] == "unknown"


def test_a_selector_learns_from_the_stored_means_alone(
    tmp_path: Path, config: EvaluateConfig
) -> None:
    tree = write_tree(tmp_path / "grid_tracks", TREES["grid"], overlaps=("1", "2", "3"))
    import_tracks(tree, writer(tmp_path / "shards"), "grid", 4, None)
    reader = ShardReader(tmp_path / "shards")
    expressions = config.dataset.open("valid_u").expressions

    contents = [read_tree(tree)[f"sam2_masklets/v1/{n:05d}.json"] for n in (0, 3, 12)]
    best = [max(content["iou"]["1"], content["iou"]["2"]) for content in contents]  # of "both"

    rule = {"label_iou": sorted(best)[1], "empty_frames": "count"}
    labels = LabelledTracks([reader], **rule).labels(expressions[2])

    assert labels.tolist() == [iou == max(best) for iou in best]
    skipping = LabelledTracks([reader], label_iou=0.7, empty_frames="skip")
    with pytest.raises(UserError, match="empty_frames"):
        skipping.labels(expressions[2])


def test_an_import_that_was_cut_off_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = write_tree(tmp_path / "grid_tracks", TREES["grid"], overlaps=("1",))
    read, seen = importing.read_track, []

    def read_until_killed(*args: Any) -> Any:
        seen.append(args)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return read(*args)

    monkeypatch.setattr(importing, "read_track", read_until_killed)
    with pytest.raises(KeyboardInterrupt):
        import_tracks(tree, writer(tmp_path / "shards"), "grid", 4, None)
    assert not (tmp_path / "shards" / "index.json").exists()
    import_tracks(tree, writer(tmp_path / "shards"), "grid", 4, None)

    assert len(seen) == 5  # the first video's three tracks were not read again
    export_tracks(ShardReader(tmp_path / "shards"), tmp_path / "out")
    assert read_tree(tmp_path / "out") == read_tree(tree)


def test_an_export_that_was_cut_off_leaves_no_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = write_tree(tmp_path / "grid_tracks", TREES["grid"])
    import_tracks(tree, writer(tmp_path / "shards"), "grid", 4, None)
    reader = ShardReader(tmp_path / "shards")
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            export_tracks(reader, tmp_path / "out")
    assert not (tmp_path / "out").exists()

    export_tracks(reader, tmp_path / "out")

    assert read_tree(tmp_path / "out") == read_tree(tree)
    assert not (tmp_path / "out.part").exists()
    with pytest.raises(ValueError, match="out: already exists"):
        export_tracks(reader, tmp_path / "out")


def test_files_of_other_annotations_are_warned_of(
    tmp_path: Path, config: EvaluateConfig, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = config.dataset.open("valid_u")
    tree = write_tree(tmp_path / "grid_tracks", TREES["grid"], overlaps=("1",))

    import_tracks(tree, writer(tmp_path / "shards"), "grid", 4, dataset)

    assert "video v1, object 1: IoU in the files and by the ground truth differ" in caplog.text
    labels = ShardReader(tmp_path / "shards").read_labels("v1")
    assert labels is not None
    assert mean_iou(labels, "count")[:, 0].tolist() == [0, 1, 0]
