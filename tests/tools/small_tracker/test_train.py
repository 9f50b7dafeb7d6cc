import argparse
import json
from pathlib import Path

import pytest
import torch

from tools.small_tracker import curriculum
from tools.small_tracker.curriculum import Stage
from tools.small_tracker.model import build_small_tracker
from tools.small_tracker.train import Run, _write_result, parse_arguments

pytestmark = pytest.mark.slow


@pytest.fixture
def options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    stages = (
        Stage("disc", "disc", 2, {"image_iou": 0.0}, window=1),
        Stage("two_frames", "clips", 1, clip_lengths=(2,)),
    )
    monkeypatch.setattr(curriculum, "CURRICULUM", stages)
    monkeypatch.setattr(Run, "_held_out", lambda run: 0.0)
    return parse_arguments(["--out", str(tmp_path), "--processes", "1"])


def test_run_goes_through_its_stages_and_writes_loadable_weights(
    options: argparse.Namespace,
) -> None:
    run = Run(0, options)
    before = run.average.state_dict()["image_encoder.trunk.stem.0.weight"].clone()
    run.train()
    _write_result(run, options)
    record = json.loads((options.out / "small_tracker.json").read_text())
    assert [(stage["stage"], stage["steps"]) for stage in record["stages"]] == [
        ("disc", 1),
        ("two_frames", 1),
    ]
    trained = build_small_tracker(checkpoint=options.out / "small_tracker.pt").state_dict()
    assert not torch.equal(trained["image_encoder.trunk.stem.0.weight"], before)


def test_resumed_run_matches_an_uninterrupted_one(options: argparse.Namespace) -> None:
    first = Run(0, options)
    first._train_stage(first.stages[0])
    first.progress.stage, first.progress.stage_step = 1, 0
    first._save()
    second = Run(0, options)
    second.train()
    first.train()
    for one, other in zip(first.model.parameters(), second.model.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_failed_required_stage_stops_the_run_with_its_bar(
    options: argparse.Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage("disc", "disc", 1, {"image_iou": 2.0}, must_pass=True, window=1)
    monkeypatch.setattr(curriculum, "CURRICULUM", (stage,))
    with pytest.raises(RuntimeError, match="wanted"):
        Run(0, options).train()
