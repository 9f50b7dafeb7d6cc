"""An early end, averaged weights, and steps packed to a budget."""

import logging
from collections import Counter
from pathlib import Path

import pytest
import torch
from sola.config.schema import DataConfig, OptimizerConfig, SelectorConfig, TrainConfig
from torch import Tensor

from sola.datasets import open_dataset
from sola.selector.checkpoint import load_selector
from sola.text import TextTokens
from sola.training.data import SelectorDataModule
from sola.training.run import run_training
from sola.training.sources import open_tracks


@pytest.fixture
def dataset(write_tracks, write_split, letter_encoder) -> None:
    for split in ("train", "valid_u"):
        write_split(split)
        write_tracks(split, "grid")
    write_tracks("train", "gt", {"v0": "ab", "v1": "", "v2": "c"})


def last_checkpoint(config: TrainConfig, folder: Path) -> dict[str, dict[str, Tensor]]:
    config.paths.output_dir = str(folder)
    path = run_training(config).with_name("last.ckpt")
    content: dict[str, dict[str, Tensor]] = torch.load(path, weights_only=True)
    return content


@pytest.mark.usefixtures("dataset")
class TestOptions:
    @pytest.mark.parametrize(("patience", "num_epochs"), [(2, 3), (None, 6)])
    def test_training_ends_early_only_where_it_is_asked_to(
        self, config: TrainConfig, patience: int | None, num_epochs: int, caplog
    ) -> None:
        config.optimizer = OptimizerConfig(lr=1e-12)  # nothing gets better
        config.trainer.max_epochs, config.trainer.early_stopping_patience = 6, patience
        with caplog.at_level(logging.INFO):
            path = run_training(config)

        _, provenance = load_selector(path.with_name("last.ckpt"))
        assert provenance["epoch"] == num_epochs - 1
        assert ("stopped after epoch 3" in caplog.text) == (patience is not None)

    def test_averaged_weights_are_what_is_validated_and_saved(
        self, config: TrainConfig, tmp_path: Path
    ) -> None:
        config.optimizer = OptimizerConfig(lr=1e-2)
        config.trainer.max_epochs = 1  # of two steps
        plain = last_checkpoint(config, tmp_path / "plain")["state_dict"]
        config.trainer.limit_train_batches = 0.5
        first = last_checkpoint(config, tmp_path / "first")["state_dict"]
        config.trainer.limit_train_batches, config.trainer.ema_decay = 1.0, 0.75

        averaged = last_checkpoint(config, tmp_path / "averaged")

        torch.testing.assert_close(averaged["current_model_state"], plain, rtol=0, atol=0)
        for name, value in averaged["state_dict"].items():
            torch.testing.assert_close(value, 0.75 * first[name] + 0.25 * plain[name])
        best, _ = load_selector(tmp_path / "averaged" / "best.ckpt")
        expected = averaged["state_dict"]["selector.negative_tokens"]
        torch.testing.assert_close(best.negative_tokens, expected, rtol=0, atol=0)
        assert not torch.equal(expected, plain["selector.negative_tokens"])

    def test_a_run_with_averaged_weights_goes_on_as_if_never_stopped(
        self, config: TrainConfig, tmp_path: Path
    ) -> None:
        config.optimizer = OptimizerConfig(lr=1e-3)
        config.selector.dropout = config.selector.attention_dropout = 0.0
        config.data.batch_size, config.trainer.ema_decay = 3, 0.5  # one step an epoch
        config.trainer.max_epochs = 3
        whole = last_checkpoint(config, tmp_path / "whole")
        config.trainer.max_epochs = 2
        last_checkpoint(config, tmp_path / "begun")
        config.trainer.max_epochs, config.ckpt_path = 3, str(tmp_path / "begun" / "last.ckpt")

        resumed = last_checkpoint(config, tmp_path / "resumed")

        for key in ("state_dict", "current_model_state"):
            torch.testing.assert_close(resumed[key], whole[key])

    @pytest.mark.parametrize("group_by", ["expression", "video"])
    @pytest.mark.parametrize("num_workers", [0, 1])
    def test_packed_steps_train(self, config: TrainConfig, group_by: str, num_workers: int) -> None:
        config.data = DataConfig(group_by=group_by, max_tokens=300, num_workers=num_workers)
        config.trainer.max_epochs = 1
        _, provenance = load_selector(run_training(config))
        # 5 expressions x (5 x 9 + 3 x 16 + 4 x 9) tokens
        assert provenance["step"] in (3, 4)

    @pytest.mark.parametrize("name", ["track_selector", "baseline"])
    def test_bfloat16_trains(self, config: TrainConfig, name: str) -> None:
        if name == "baseline":
            config.selector = SelectorConfig(name, token_dim=8, text_dim=16)
        config.optimizer, config.trainer.max_epochs = OptimizerConfig(lr=1e-12), 1
        losses = {}
        for precision in ("32-true", "bf16-mixed"):
            config.trainer.precision = precision
            _, provenance = load_selector(run_training(config))
            losses[precision] = provenance["metrics"]["valid/loss"]
        assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.02)
        assert losses["bf16-mixed"] != losses["32-true"], "nothing ran in bfloat16"

    @pytest.mark.parametrize("by_video", [False, True])
    def test_each_expression_is_in_one_pack_of_at_most_the_budget(
        self, config: TrainConfig, by_video: bool
    ) -> None:
        split = open_dataset(config.dataset, "train")
        tracks = open_tracks(config, split, ["gt", "grid"])
        text = TextTokens(Path(config.paths.data_dir) / "text", config.text_encoder)
        config.data = DataConfig(group_by="video" if by_video else "expression", max_tokens=200)
        both = (split.expressions, tracks)
        data = SelectorDataModule(both, both, text, config.data)

        steps = [[data.train_set[idx] for idx in step] for step in data.train_dataloader().steps]

        found = [e for samples in steps for sample in samples for e in sample.expressions]
        assert Counter(found) == Counter(split.expressions)
        for samples in steps:
            assert sum(len(s.expressions) * s.tokens[..., 0].numel() for s in samples) <= 200
        assert any(len(samples) > 1 for samples in steps)
