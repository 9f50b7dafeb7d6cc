"""Generation end to end on two small videos, cut off and run again, and on what has no tracks."""

import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_detector import GDINO

from sola.config.entry_points import GenerateConfig
from sola.errors import UserError
from sola.generation.run import run_generation
from sola.prompts import Grid, PromptedVideo
from sola.prompts.grounding_dino import Detections, GroundingDino
from sola.shards import ShardReader, ShardWriter
from sola.trackers.sam2 import Sam2Tracker
from sola.trackers.sam2.mask_generator import MaskGenerator
from sola.types import Tracks

ROOT = Path(__file__).parents[2]

Compose = Callable[..., Any]
Capture = pytest.CaptureFixture[str]


def _config(compose: Compose, source: str = "grid", *overrides: str) -> GenerateConfig:
    config: GenerateConfig = compose(
        "generate",
        "split=train",
        f"prompt_source={source}",
        "dataset.maker.num_frames=5",
        "dataset.maker.num_videos={train: 2}",
        "dataset.maker.first_seed={train: 1}",
        *overrides,
    )
    return config


def _contents(folder: Path) -> list[Tracks]:
    reader = ShardReader(folder)
    return [reader.read(video_id) for video_id in reader.videos]


def _assert_equal(ones: list[Tracks], others: list[Tracks]) -> None:
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        assert one.masklets == other.masklets
        np.testing.assert_array_equal(one.object_tokens, other.object_tokens)
        assert [prompt.mask for prompt in one.prompts] == [prompt.mask for prompt in other.prompts]
        assert (one.evidence is None) == (other.evidence is None)
        if one.evidence is not None and other.evidence is not None:
            assert one.evidence.frame_idxs == other.evidence.frame_idxs
            np.testing.assert_array_equal(one.evidence.scores, other.evidence.scores)


@pytest.mark.parametrize("source", ["gt", "grid"])
def test_tracks_fit_the_videos_and_find_the_objects(compose: Compose, source: str) -> None:
    for tracks in _contents(run_generation(_config(compose, source))):
        num_tracks = len(tracks.masklets)
        assert num_tracks > 0
        assert tracks.object_tokens.shape == (num_tracks, 5, 128)
        assert tracks.size == (128, 128)
        assert {len(masklet) for masklet in tracks.masklets} == {5}
        assert tracks.evidence is None
        assert tracks.labels is not None
        labels = tracks.labels
        union = labels.track_areas[:, None] + labels.object_areas[None] - labels.intersections
        iou = (labels.intersections / np.maximum(union, 1)).mean(axis=2)
        assert iou.max(axis=0).mean() > 0.5, "the objects are not found"


def test_interrupted_run_resumes_with_equal_results(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _contents(run_generation(_config(compose)))
    config = _config(compose)
    config.tracker.name = "again"
    staged: list[str] = []
    stage = ShardWriter.stage

    def stop_before_the_second(self: ShardWriter, tracks: Tracks) -> int:
        if len(staged) == 1:
            raise KeyboardInterrupt
        staged.append(tracks.video_id)
        return stage(self, tracks)

    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "stage", stop_before_the_second)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run_generation(config)
    staged_again: list[str] = []

    def count(self: ShardWriter, tracks: Tracks) -> int:
        staged_again.append(tracks.video_id)
        return stage(self, tracks)

    monkeypatch.setattr(ShardWriter, "stage", count)
    again = _contents(run_generation(config))
    assert len(staged) == len(staged_again) == 1
    assert staged != staged_again
    _assert_equal(whole, again)


def test_float16_holds_the_tokens_of_a_run_in_bf16(compose: Compose) -> None:
    precision = "trainer.precision=bf16-mixed"
    halves = run_generation(_config(compose, "gt", precision))
    whole = run_generation(
        _config(compose, "gt", precision, "token_dtype=float32", "tracker.name=whole")
    )
    dtypes = [ShardReader(folder).index["token_dtype"] for folder in (halves, whole)]
    assert dtypes == ["float16", "float32"]
    _assert_equal(_contents(halves), _contents(whole))
    with pytest.raises(UserError, match=r"token_dtype=float16, .* float32"):
        run_generation(_config(compose, "gt", precision, "token_dtype=float32"))


@pytest.mark.devices
@pytest.mark.slow
@pytest.mark.parametrize("num_videos", [1, 3])
def test_two_processes_make_the_tracks_of_one(tmp_path: Path, num_videos: int) -> None:
    folders = []
    for devices in (1, 2):
        data_dir = tmp_path / str(devices)
        command = [
            sys.executable,
            str(ROOT / "generate.py"),
            "split=valid_u",
            "prompt_source=gt",
            f"dataset.maker.num_videos={{train: 1, valid_u: {num_videos}}}",
            f"data_root={data_dir}",
            f"trainer.devices={devices}",
            "trainer.strategy=ddp",
            f"hydra.run.dir={data_dir}/run",
        ]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        folders.append(data_dir / "tracks/moving_shapes/valid_u/gt/small")
    _assert_equal(*map(_contents, folders))


def test_finished_tracks_are_not_made_again(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_generation(_config(compose))
    monkeypatch.setattr(Sam2Tracker, "load", lambda *_: pytest.fail("loaded again"))
    assert run_generation(_config(compose)) == folder
    with pytest.raises(UserError, match="max_tracks"):
        run_generation(_config(compose, "grid", "prompt_source.rule.max_tracks=3"))


@pytest.mark.slow
def test_other_caps_track_the_kept_prompts(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    cap = "prompt_source.rule.max_tracks=2"
    rule = ("tracker.name=again", cap, "prompt_source.part_overlap=0.9")
    elsewhere = f"data_root={tmp_path / 'elsewhere'}"
    wanted = _contents(run_generation(_config(compose, "grid", *rule, elsewhere)))
    assert [len(tracks.masklets) for tracks in wanted] == [2, 2]
    run_generation(_config(compose))
    capsys.readouterr()

    monkeypatch.setattr(MaskGenerator, "generate", lambda *_: pytest.fail("looked for again"))
    _assert_equal(_contents(run_generation(_config(compose, "grid", *rule))), wanted)

    assert re.search(r"dropped: .*[1-9]\d* over_cap$", capsys.readouterr().out, re.MULTILINE)


def test_video_without_prompts_has_no_tracks(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = Grid.find

    def find_in_one(self: Grid, video: PromptedVideo, *args: Any) -> Any:
        is_first = video.video_id.endswith("1")
        return find(self, video, *args) if is_first else {"": []}

    monkeypatch.setattr(Grid, "find", find_in_one)
    full, empty = _contents(run_generation(_config(compose)))
    assert len(full.masklets) > 0
    assert empty.object_tokens.shape == (0, 5, 128)
    assert empty.labels is not None
    assert empty.labels.intersections.shape[0] == 0


def _empty_masks(folder: Path) -> None:
    path = folder / "mask_dict.json"
    masks = json.loads(path.read_text())
    path.write_text(json.dumps({name: [None] * len(of) for name, of in masks.items()}))


def _forget_objects(folder: Path) -> None:
    path = folder / "meta_expressions.json"
    meta = json.loads(path.read_text())
    for video in meta["videos"].values():
        for expression in video["expressions"].values():
            del expression["anno_id"]
    path.write_text(json.dumps(meta))


@pytest.mark.parametrize("damage", [_empty_masks, _forget_objects])
def test_split_without_a_visible_object_is_refused(
    compose: Compose, damage: Callable[[Path], None]
) -> None:
    config = _config(compose, "gt")
    config.dataset.make("train")
    damage(Path(config.dataset.root) / "train")

    with pytest.raises(UserError, match=f"{config.dataset.root}/train: .*obj_id or anno_id"):
        run_generation(config)
    assert not list(Path(config.paths.data_dir).rglob("index.json"))


def test_split_without_prompts_is_refused_again_without_a_search(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _config(compose, "grid", "tracker.mask_generator.stability_score_thresh=1")
    with pytest.raises(UserError, match="stability_score_thresh"):
        run_generation(config)

    monkeypatch.setattr(Sam2Tracker, "load", lambda *_: pytest.fail("built again"))
    with pytest.raises(UserError, match="stability_score_thresh"):
        run_generation(config)


def test_tracks_of_other_annotations_are_not_taken_for_these(compose: Compose) -> None:
    config = _config(compose)
    run_generation(config)
    path = Path(config.dataset.root) / "train" / "meta_expressions.json"
    path.write_text(path.read_text() + " ")
    with pytest.raises(UserError, match=r"annotations_sha256.meta_expressions.json="):
        run_generation(config)


def test_run_that_fails_before_its_first_video_stands_in_nobodys_way(
    compose: Compose, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.pt"
    torch.save({"model": {}}, wrong)
    with pytest.raises(UserError, match=r"wrong\.pt"):
        run_generation(_config(compose, "gt", f"tracker.checkpoint={wrong}"))
    assert len(_contents(run_generation(_config(compose, "gt")))) == 2


def test_random_trackers_of_two_seeds_are_two_trackers(compose: Compose) -> None:
    random = ("gt", "tracker.checkpoint=random", "dataset.maker.num_videos={train: 1}")
    run_generation(_config(compose, *random))
    with pytest.raises(UserError, match="checkpoint_sha256"):
        run_generation(_config(compose, *random, "seed=1"))


def test_configuration_is_not_changed(compose: Compose) -> None:
    config = _config(compose)
    before = copy.deepcopy(config.values)
    run_generation(config)
    assert copy.deepcopy(config.values) == before


def _expressions(folder: Path) -> list[Tracks]:
    reader = ShardReader(folder)
    names = [name.split("/") for name in reader.index["entries"]]
    return [reader.read(video_id, expression_id) for video_id, expression_id in names]


def test_every_expression_has_tracks_of_its_boxes_or_validly_none(compose: Compose) -> None:
    folder = run_generation(_config(compose, "gdino", *GDINO, "prompt_source.rule.max_tracks=3"))
    found = _expressions(folder)

    assert len(found) == 6
    assert any(tracks.prompts for tracks in found), "nothing is found: nothing is tested"
    for tracks in found:
        num_tracks = len(tracks.masklets)
        assert num_tracks <= 3
        assert tracks.object_tokens.shape == (num_tracks, 5, 128)
        assert tracks.labels is not None
        assert {prompt.frame_idx for prompt in tracks.prompts} <= {0, 4}
        assert tracks.evidence is not None
        assert tracks.evidence.frame_idxs == (0, 4)
        assert tracks.evidence.scores.shape == (num_tracks, 2)
        for prompt, scores in zip(tracks.prompts, tracks.evidence.scores, strict=True):
            assert scores[prompt.frame_idx // 4] >= np.float32(max(prompt.token_scores))
            assert prompt.stability_score >= 0.5
            assert max(prompt.token_scores) > 0.2
            assert prompt.box is not None
    index = ShardReader(folder).index
    assert index["detector_sha256"] == "random, seed 42"
    assert index["source"] == "gdino"


def test_higher_thresholds_are_tracked_without_the_detector(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowest = min(_scores(_expressions(run_generation(_config(compose, "gdino", *GDINO)))))
    rule = (
        *GDINO,
        "tracker.name=again",
        "prompt_source.rule.max_tracks=2",
        "prompt_source.stability_threshold=0.6",
        f"prompt_source.box_threshold={lowest}",  # no box that scores this is above it
    )
    elsewhere = f"data_root={tmp_path / 'elsewhere'}"
    wanted = _expressions(run_generation(_config(compose, "gdino", *rule, elsewhere)))
    assert any(tracks.prompts for tracks in wanted), "nothing is found: nothing is tested"

    monkeypatch.setattr(GroundingDino, "detect", lambda *_: pytest.fail("looked for again"))
    found = _expressions(run_generation(_config(compose, "gdino", *rule)))

    _assert_equal(found, wanted)
    assert min(_scores(found)) > lowest


def _scores(entries: list[Tracks]) -> list[float]:
    return [max(prompt.token_scores) for tracks in entries for prompt in tracks.prompts]


@pytest.mark.slow
def test_lower_threshold_looks_for_boxes_again(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_generation(_config(compose, "gdino", *GDINO))
    looked: list[int] = []
    detect = GroundingDino.detect

    def counted(
        self: GroundingDino, frame: np.ndarray, texts: Sequence[str], box_threshold: float
    ) -> list[Detections]:
        looked.append(len(texts))
        return detect(self, frame, texts, box_threshold)

    monkeypatch.setattr(GroundingDino, "detect", counted)
    lower = ("tracker.name=again", "prompt_source.box_threshold=0.1")
    run_generation(_config(compose, "gdino", *GDINO, *lower))
    assert looked == [3] * 4  # two prompted frames of each of two videos


def test_expression_without_prompts_has_no_tracks(compose: Compose) -> None:
    config = _config(compose, "gdino", *GDINO)
    num_boxes = [len(tracks.prompts) for tracks in _expressions(run_generation(config))]
    highest = max(_scores(_expressions(run_generation(config))))
    below = float(np.nextafter(np.float32(highest), np.float32(0)))
    rule = ("tracker.name=best", f"prompt_source.box_threshold={below}")
    found = _expressions(run_generation(_config(compose, "gdino", *GDINO, *rule)))

    assert all(num_boxes)
    empty = [tracks for tracks in found if not tracks.prompts]
    assert len(empty) == len(found) - 1
    for tracks in empty:
        assert tracks.object_tokens.shape == (0, 5, 128)
        assert tracks.evidence is not None
        assert tracks.evidence.scores.shape == (0, 2)


def test_split_with_all_boxes_below_the_threshold_is_refused(compose: Compose) -> None:
    config = _config(compose, "gdino", *GDINO, "prompt_source.box_threshold=1")
    with pytest.raises(UserError, match=r"prompt_source.box_threshold"):
        run_generation(config)


@pytest.mark.slow
def test_run_interrupted_between_expressions_resumes_with_equal_results(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _expressions(run_generation(_config(compose, "gdino", *GDINO)))
    config = _config(compose, "gdino", *GDINO)
    config.tracker.name = "again"
    staged: list[str] = []
    stage = ShardWriter.stage

    def stop_after_four(self: ShardWriter, tracks: Tracks) -> int:
        if len(staged) == 4:
            raise KeyboardInterrupt
        staged.append(tracks.expression_id)
        return stage(self, tracks)

    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "stage", stop_after_four)
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            run_generation(config)
    again = _expressions(run_generation(config))

    assert [tracks.expression_id for tracks in again] == [t.expression_id for t in whole]
    _assert_equal(whole, again)


def test_missing_detector_is_named_before_anything_is_made(
    compose: Compose, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pth"):
        run_generation(_config(compose, "gdino", "prompt_source.detector.checkpoint=nowhere.pth"))
    assert not (tmp_path / "data").exists()
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="safetensors"):
        run_generation(
            _config(compose, "gdino", f"prompt_source.detector.checkpoint={tmp_path / 'folder'}")
        )
