"""Videos that cannot be tracked: told at once, passed over, tried again; faults of no video."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from float64 import in_float64
from small_runs import assert_equal, assert_nothing_left, contents

from sola.config.entry_points import GenerateConfig
from sola.errors import UserError
from sola.generation import generator as generator_module
from sola.generation.run import run_generation
from sola.shards import ShardWriter
from sola.trackers.sam2 import Sam2Tracker
from sola.types import Tracks

Config = Callable[..., GenerateConfig]
Hook = Callable[..., None]


def _frame(config: GenerateConfig, number: int) -> Path:
    return sorted(Path(config.dataset.root).glob("train/JPEGImages/*/00001.jpg"))[number]


def _staged(config: GenerateConfig) -> list[str]:
    tracks_dir = Path(config.paths.data_dir) / "tracks/moving_shapes/train"
    return sorted(path.stem for path in tracks_dir.glob("*/*/staging/*.h5"))


@pytest.fixture
def damaged(config: Config) -> tuple[GenerateConfig, list[Tracks], Path, bytes]:
    """A run, the tracks that it ought to make, and a frame of it that is damaged; its content."""
    whole = contents(run_generation(config("tracker.name=whole")))
    made = config()
    path = _frame(made, 1)
    content = path.read_bytes()
    path.write_bytes(b"no picture")
    return made, whole, path, content


@pytest.mark.fault
def test_damaged_video_is_passed_over_and_tried_again(
    damaged: tuple[GenerateConfig, list[Tracks], Path, bytes],
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[..., None],
) -> None:
    config, whole, path, content = damaged
    ids = [tracks.video_id for tracks in whole]
    for _ in range(2):
        caplog.clear()
        with pytest.raises(UserError, match=ids[1]):
            run_generation(config)
        assert f"video {ids[1]} cannot be tracked: {path}: unreadable image" in caplog.text
        shown = capsys.readouterr().out.replace("\n", "")  # the table's lines are broken
        assert f"video {ids[1]}: {path}: unreadable image" in shown
        assert _staged(config) == [ids[0], ids[2]]
    (listed,) = Path(config.paths.data_dir).rglob("failed/*.json")
    assert json.loads(listed.read_text())["video"] == ids[1]

    path.write_bytes(content)
    made: list[str] = []
    stage = ShardWriter.stage
    monkeypatch.setattr(
        ShardWriter, "stage", lambda self, t: made.append(t.video_id) or stage(self, t)
    )
    folder = run_generation(config)
    assert made == [ids[1]]
    assert_equal(whole, contents(folder))
    assert_nothing_left(folder)
    happened = "reported at once and at the end, the others are made, status 1; then tried again"
    fault("Generation", "a video with an unreadable frame", happened)


@pytest.mark.fault
def test_strict_run_ends_with_the_first(config: Config, fault: Callable[..., None]) -> None:
    made = config("strict=true")
    made.dataset.make("train")
    for number in range(3):
        _frame(made, number).write_bytes(b"no picture")
    with pytest.raises(UserError, match=r"00001\.jpg"):
        run_generation(made)
    assert not list(Path(made.paths.data_dir).rglob("failed/*"))
    fault(
        "Generation", "the same with strict=true", "one message, status 1, at the first such video"
    )


def test_fault_of_the_program_ends_the_run(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator_module, "count_pixels", lambda *_: torch.zeros(2).view(3))
    with pytest.raises(RuntimeError, match="shape"):
        run_generation(config())
    monkeypatch.setattr(generator_module, "count_pixels", lambda *_: int("three"))
    with pytest.raises(ValueError, match="invalid literal"):
        run_generation(config())


def test_same_fault_twice_is_no_videos_fault(config: Config) -> None:
    made = config()
    made.dataset.make("train")
    (Path(made.dataset.root) / "train/mask_dict.json").write_text("{")
    with pytest.raises(UserError, match=r"mask_dict\.json"):
        run_generation(made)


def _hook(monkeypatch: pytest.MonkeyPatch, before: Hook | None = None, after: Any = None) -> None:
    """The real tracker in float64, watched where it decodes masks."""

    build_plain = Sam2Tracker.build

    def build(self: Sam2Tracker) -> torch.nn.Module:
        model = in_float64(build_plain(self))
        if before is not None:
            model.sam_mask_decoder.register_forward_pre_hook(before, with_kwargs=True)
        if after is not None:
            model.obj_ptr_proj.register_forward_hook(after)
        return model

    monkeypatch.setattr(Sam2Tracker, "build", build)


def _small_memory(most: int, batches: list[int], num_refused: int = 10**6) -> Hook:
    """Refuse too large batches, or the first of them."""
    refused: list[int] = []

    def refuse(_: torch.nn.Module, __: Any, named: dict[str, torch.Tensor]) -> None:
        batches.append(len(named["sparse_prompt_embeddings"]))
        if batches[-1] > most and len(refused) < num_refused:
            refused.append(batches[-1])
            raise torch.OutOfMemoryError(f"CUDA out of memory: {batches[-1]} at a time")

    return refuse


@pytest.mark.fault
@pytest.mark.parametrize(
    ("source", "most", "things"),
    [
        ("gt", 1, "objects"),
        ("grid", 10, "points"),
        pytest.param("gdino", 2, "boxes", marks=pytest.mark.slow),
    ],
)
def test_less_goes_through_a_small_gpu_at_a_time_with_the_same_result(
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    source: str,
    most: int,
    things: str,
    fault: Callable[..., None],
) -> None:
    from small_detector import GDINO

    rule = [f"prompt_source={source}", "tracker.mask_generator.points_per_side=8"]
    rule += GDINO if source == "gdino" else ()
    ample: list[int] = []
    _hook(monkeypatch, _small_memory(10**6, ample))
    whole = contents(run_generation(config(*rule, "tracker.name=whole", num_videos=2)))
    assert max(ample) > most, "all of it fits: nothing is tested"
    batches: list[int] = []
    _hook(monkeypatch, _small_memory(most, batches))
    again = f"data_root={Path(config().paths.data_dir) / 'again'}"  # prompts are found again
    folder = run_generation(config(*rule, again, num_videos=2))
    assert_equal(whole, contents(folder), atol=1e-6)  # tokens on disk are float32
    said = [text for text in caplog.messages if "out of GPU memory" in text]
    assert [text for text in said if f" {things} at a time" in text]
    assert len(said) == len(set(said)), "logged twice"
    happened = "fewer at a time, reported once; tracks are the same up to rounding"
    fault(
        "Generation", f"out of GPU memory (torch.OutOfMemoryError) with several {things}", happened
    )


@pytest.mark.fault
def test_video_with_one_object_too_large_for_memory_is_skipped(
    config: Config, monkeypatch: pytest.MonkeyPatch, fault: Callable[..., None]
) -> None:
    made = config("tracker.feature_budget_mib=0", num_videos=2)
    _hook(monkeypatch, _small_memory(0, [], num_refused=2))
    with pytest.raises(UserError, match=r"1 of 2 videos.*out of GPU memory \(propagation\)"):
        run_generation(made)
    assert len(_staged(made)) == 1
    happened = "the video is skipped like a damaged one, status 1"
    fault("Generation", "out of GPU memory with one object", happened)


@pytest.mark.parametrize(
    ("words", "error", "stage"),
    [
        ((), torch.OutOfMemoryError("CUDA out of memory"), "propagation"),
        ((), RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "propagation"),
        (("prompt_source=grid",), torch.OutOfMemoryError("CUDA out of memory"), "prompt masks"),
    ],
    ids=["propagation", "cuDNN", "grid"],
)
def test_run_ends_at_the_second_video_too_large_for_memory(
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    error: Exception,
    stage: str,
) -> None:
    def refuse(*_: Any) -> None:
        raise error

    _hook(monkeypatch, refuse)
    made = config(*words)
    with pytest.raises(UserError, match=rf"out of GPU memory \({stage}\)") as raised:
        run_generation(made)
    assert "of 3 videos" not in str(raised.value)
    assert len(list(Path(made.paths.data_dir).rglob("failed/*.json"))) == 1


@pytest.mark.fault
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_tokens_are_never_written(
    config: Config, monkeypatch: pytest.MonkeyPatch, value: float, fault: Callable[..., None]
) -> None:
    calls: list[int] = []

    def spoil(_: torch.nn.Module, __: Any, tokens: torch.Tensor) -> torch.Tensor:
        calls.append(len(tokens))
        return tokens.index_fill(0, torch.tensor([0]), value) if len(calls) == 3 else tokens

    made = config(num_videos=2)
    _hook(monkeypatch, after=spoil)
    with pytest.raises(UserError, match="1 of 2 videos"):
        run_generation(made)
    assert len(_staged(made)) == 1
    happened = "video, track and frame are named, nothing of the video is written, status 1"
    fault("Generation", f"an object token that is {value}", happened)
