"""Trees of the published code become shards: nothing is lost, nothing is made up."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import drawn_split as drawn
import numpy as np
import pytest
from drawn_split import LARGE, SMALL
from published_tree import read_tree, write_tree

from sola.config.entry_points import EvaluateConfig
from sola.masks import empty_masklet
from sola.metrics import count_pixels
from sola.published import importing
from sola.published.importing import import_tracks
from sola.shards import ShardReader, ShardWriter, tracks_dir
from sola.types import Labels

NOWHERE = empty_masklet(2, drawn.SIZE)
TREE: dict[str, dict[int, Any]] = {"v1": {0: LARGE, 3: SMALL, 12: NOWHERE}, "v2": {7: SMALL}}


def writer(folder: Path) -> ShardWriter:
    names = {"dataset": "d", "split": "s", "source": "grid", "tracker": "t"}
    return ShardWriter(folder, {**names, "token_dim": 4, "checkpoint_sha256": "unknown"})


@pytest.mark.parametrize("source", ["gt", "grid"])
def test_masks_and_tokens_are_those_of_the_files(
    tmp_path: Path, command: Callable[..., int], config: EvaluateConfig, source: str
) -> None:
    tree = write_tree(tmp_path / f"{source}_tracks/drawn/valid_u", TREE)

    command("import", str(tmp_path), f"prompt_source={source}", "tracker.checkpoint=unknown")

    folder = tracks_dir(Path(config.paths.data_dir), "drawn", "valid_u", source, "theirs")
    tracks = ShardReader(folder).read("v1")
    assert tracks.masklets == (LARGE, SMALL, NOWHERE)
    files = read_tree(tree)
    for number, tokens in zip((0, 3, 12), tracks.object_tokens, strict=True):
        dtype, shape, content = files[f"sam2_object_tokens/v1/{number:05d}.npy"]
        assert (tokens.dtype, tokens.shape, tokens.tobytes()) == (dtype, shape, content)
    expected = count_pixels(tracks.masklets, drawn.GROUND_TRUTH["v1"], 2)
    assert isinstance(tracks.labels, Labels)
    assert tracks.labels.object_ids == ("1", "2")
    np.testing.assert_array_equal(tracks.labels.intersections, expected.intersections)
    assert np.isnan(tracks.object_scores).all()
    for prompt in tracks.prompts:  # the files do not say
        assert (prompt.frame_idx, prompt.area, prompt.object_id) == (-1, -1, "")
        assert prompt.mask == NOWHERE[0]
        assert np.isnan([prompt.predicted_iou, prompt.stability_score]).all()


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


def test_interrupted_import_resumes(
    tmp_path: Path, config: EvaluateConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = config.dataset.open("valid_u")
    tree = write_tree(tmp_path / "grid_tracks", TREE)
    read, seen = importing.read_track, []

    def read_until_killed(*args: Any) -> Any:
        seen.append(args)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return read(*args)

    monkeypatch.setattr(importing, "read_track", read_until_killed)
    with pytest.raises(KeyboardInterrupt):
        import_tracks(tree, writer(tmp_path / "shards"), "grid", 4, dataset)
    assert not (tmp_path / "shards" / "index.json").exists()
    import_tracks(tree, writer(tmp_path / "shards"), "grid", 4, dataset)
    assert len(seen) == 5  # the first video's three tracks were not read again
    assert ShardReader(tmp_path / "shards").read("v2").masklets == (SMALL,)
