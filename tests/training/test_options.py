"""Early stopping, averaged weights, steps packed to a budget, and precision."""

import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_selectors import TRAINED
from torch import Tensor

from sola.config.entry_points import TrainConfig
from sola.selector.checkpoint import load_selector
from sola.text import TextTokens
from sola.training import run
from sola.training.data import SelectorDataModule
from sola.training.run import train
from sola.training.samples import SelectionDataset, open_tracks

pytestmark = pytest.mark.usefixtures("dataset")

MakeConfig = Callable[..., TrainConfig]


def last_checkpoint(config: TrainConfig) -> dict[str, dict[str, Tensor]]:
    path = train(config).best_path.with_name("last.ckpt")
    content: dict[str, dict[str, Tensor]] = torch.load(path, weights_only=True)
    return content


@pytest.mark.parametrize(("patience", "num_epochs"), [(2, 3), ("null", 6)])
def test_training_stops_early_only_with_patience(
    make_config: MakeConfig,
    patience: int | str,
    num_epochs: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    nothing_gets_better = ("optimizer.lr=1e-12", "scheduler=plateau", "trainer.max_epochs=6")
    config = make_config(*nothing_gets_better, f"callbacks.early_stopping.patience={patience}")
    with caplog.at_level(logging.INFO):
        path = train(config).best_path

    _, provenance = load_selector(path.with_name("last.ckpt"))
    assert provenance["epoch"] == num_epochs - 1
    assert ("stopped after epoch 3" in caplog.text) == (patience != "null")


class TestWeightAveraging:
    @pytest.fixture
    def train(self, make_config: MakeConfig, tmp_path: Path) -> Callable[..., dict]:
        """last.ckpt of a run in a folder of tmp_path, without a schedule."""

        def train(name: str, *overrides: str) -> dict[str, dict[str, Tensor]]:
            folder = f"paths.output_dir={tmp_path / name}"
            return last_checkpoint(make_config("scheduler=plateau", folder, *overrides))

        return train

    def test_averaged_weights_are_validated_and_saved(
        self, train: Callable[..., dict], tmp_path: Path
    ) -> None:
        plain = train("plain", "trainer.max_epochs=1")["state_dict"]  # two steps
        half = ("trainer.max_epochs=1", "trainer.limit_train_batches=0.5")
        first = train("first", *half)["state_dict"]

        averaged = train(
            "averaged", "trainer.max_epochs=1", "callbacks.weight_averaging.decay=0.75"
        )

        torch.testing.assert_close(averaged["current_model_state"], plain, rtol=0, atol=0)
        for name, value in averaged["state_dict"].items():
            torch.testing.assert_close(value, 0.75 * first[name] + 0.25 * plain[name])
        best, _ = load_selector(tmp_path / "averaged" / "best.ckpt")
        expected = averaged["state_dict"]["selector.negative_tokens"]
        torch.testing.assert_close(best.negative_tokens, expected, rtol=0, atol=0)
        assert not torch.equal(expected, plain["selector.negative_tokens"])

    def test_max_steps_within_an_epoch_saves_averaged_weights(
        self, train: Callable[..., dict], tmp_path: Path
    ) -> None:
        one_expression = ("data.group_by=expression", "data.batch_size=1")
        train("few", *one_expression, "trainer.max_steps=3", "callbacks.weight_averaging.decay=0.5")

        best, provenance = load_selector(tmp_path / "few" / "best.ckpt")
        last, _ = load_selector(tmp_path / "few" / "last.ckpt")
        assert provenance["step"] == 3
        torch.testing.assert_close(best.state_dict(), last.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(("group_by", "num_workers"), [("expression", 1), ("video", 0)])
def test_packed_steps_train(make_config: MakeConfig, group_by: str, num_workers: int) -> None:
    packed = ("data.batch_size=1", "data.max_tokens=300", f"data.group_by={group_by}")
    config = make_config(*packed, f"data.num_workers={num_workers}", "trainer.max_epochs=1")
    _, provenance = load_selector(train(config).best_path)
    # 5 expressions x (5 x 9 + 3 x 16 + 4 x 9) tokens
    assert provenance["step"] in (3, 4)


@pytest.mark.parametrize(("max_videos", "num_videos"), [(1, 1), (2, 2), (9, 3)])
def test_max_videos_limits_training_to_the_first_videos(
    make_config: MakeConfig, max_videos: int, num_videos: int
) -> None:
    words = ("data.batch_size=1", "trainer.max_epochs=1", f"data.max_videos={max_videos}")
    config = make_config(*words)
    _, data = run._open_data(config, torch.device("cpu"))
    (train_set,) = data.train_sets
    used = [sample[0].video_id for sample in train_set.samples]
    assert used == ["v0", "v1", "v2"][:num_videos]
    assert len(data.valid_set.samples) == 3, "validation has all videos"

    _, provenance = load_selector(train(config).best_path)

    assert provenance["step"] == num_videos
    assert provenance["data"]["max_videos"] == max_videos


@pytest.mark.parametrize("selector", [(), *TRAINED.values()], ids=["TrackSelector", *TRAINED])
def test_bfloat16_trains(
    make_config: MakeConfig, tmp_path: Path, selector: tuple[str, ...]
) -> None:
    unchanged = ("optimizer.lr=1e-12", "scheduler=plateau", "trainer.max_epochs=1")
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        words = (f"trainer.precision={precision}", f"paths.output_dir={tmp_path / precision}")
        _, provenance = load_selector(train(make_config(*selector, *unchanged, *words)).best_path)
        losses[precision] = provenance["metrics"]["valid/loss"]
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.02)
    assert losses["bf16-mixed"] != losses["32-true"], "nothing ran in bfloat16"


@pytest.mark.parametrize("group_by", ["expression", "video"])
def test_each_expression_is_in_one_pack_within_the_budget(
    make_config: MakeConfig, group_by: str
) -> None:
    config = make_config()
    split = config.dataset.open("train")
    data_dir = Path(config.paths.data_dir)
    rule = {"label_iou": 0.7, "empty_frames": "count"}
    tracks = open_tracks(data_dir, split, ["gt", "grid"], "tiny", **rule)
    text = TextTokens(data_dir / "text", config.text_encoder)
    by_video = group_by == "video"
    samples = SelectionDataset(split.expressions, tracks, text, by_video=by_video, max_tokens=200)
    data = SelectorDataModule([samples], samples, max_tokens=200)

    steps = [[samples[idx] for idx in step] for step in data.train_dataloader().batch_sampler]

    found = [e for samples in steps for sample in samples for e in sample.expressions]
    assert Counter(found) == Counter(split.expressions)
    for samples in steps:
        assert sum(len(s.expressions) * s.tokens[..., 0].numel() for s in samples) <= 200
    assert any(len(samples) > 1 for samples in steps)
