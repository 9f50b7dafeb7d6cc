"""Defaults of predict.py video=...: data set, tracker, sources."""

from pathlib import Path

import pytest
import torch

from sola.config import compose
from sola.config.entry_points import PredictConfig
from sola.errors import UserError
from sola.evaluation.scorers import DetectionScorer
from sola.prediction.clip.command_line import complete


def test_without_training_a_cpu_gets_the_tiny_tracker() -> None:
    words = complete(["video=clip.mp4", "expression=the dog", "trainer.accelerator=cpu"])

    assert words[3:] == ["dataset=clip", "tracker=sam2.1_hiera_tiny", "selector=detection"]
    folders = ["paths.output_dir=out"]
    config: PredictConfig = compose("predict", [*words, *folders])
    assert config.tracker.name == "sam2.1_hiera_tiny"
    assert config.sources == ["gdino"]
    assert config.selector is not None
    assert isinstance(config.selector(), DetectionScorer)


def test_gpu_gets_the_large_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    assert "tracker=sam2.1_hiera_large" in complete(["video=clip.mp4"])


def test_typed_values_are_kept() -> None:
    typed = ["video=clip.mp4", "dataset=mevis", "ckpt_path=best.ckpt"]
    assert complete(typed) == typed
    typed = ["video=clip.mp4", "tracker=small"]
    assert complete(typed) == [*typed, "dataset=clip", "selector=detection"]
    assert complete(["dataset=mevis"]) == ["dataset=mevis"]


def test_checkpoint_chooses_what_it_was_trained_with(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    record = {"tracker": "small", "text_encoder": "minilm", "valid_sources": ["grid"]}
    torch.save({"state_dict": {}, "sola": record}, path)

    words = complete(["video=clip.mp4", f"ckpt_path={path}"])

    expected = ["dataset=clip", "tracker=small", "text_encoder=minilm", "sources=[grid]"]
    assert sorted(words[2:]) == sorted(expected)
    typed = ["video=clip.mp4", f"ckpt_path={path}", "tracker=mine", "sources=[gdino]"]
    assert complete(typed)[4:] == ["dataset=clip", "text_encoder=minilm"]


def test_names_without_a_file_are_left_to_the_user(tmp_path: Path) -> None:
    path = tmp_path / "best.ckpt"
    torch.save({"state_dict": {}, "sola": {"tracker": "mine", "text_encoder": "minilm"}}, path)
    typed = ["video=clip.mp4", f"ckpt_path={path}"]
    assert not any(word.startswith("tracker=") for word in complete(typed))

    (tmp_path / "tracker").mkdir()
    (tmp_path / "tracker/mine.yaml").touch()
    assert "tracker=mine" in complete(["--config-dir", str(tmp_path), *typed])


def test_typed_clip_and_null_checkpoint_keep_the_defaults() -> None:
    typed = ["video=clip.mp4", "dataset=clip", "ckpt_path=null", "trainer.accelerator=cpu"]
    assert complete(typed)[4:] == ["tracker=sam2.1_hiera_tiny", "selector=detection"]


@pytest.mark.parametrize("wrong", ["sources=[grid]", "sources=[grid,gdino]", "ckpt_path=best.ckpt"])
def test_detection_needs_a_detector_and_no_checkpoint(wrong: str) -> None:
    words = ["video=clip.mp4", "expression=a", "dataset=clip", "paths.output_dir=out"]
    words += ["tracker=small", "selector=detection"]

    with pytest.raises(UserError, match=wrong.partition("=")[0]):
        compose("predict", [*words, wrong])
