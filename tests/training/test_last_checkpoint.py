"""When last.ckpt is written within an epoch, and how often processes talk about it."""

import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from sola.training.callbacks import LastCheckpoint


def test_processes_compare_clocks_in_few_steps_and_save_on_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    callback = LastCheckpoint(tmp_path, every_n_steps=None, every_n_minutes=10)
    trainer = Mock(global_step=0, is_last_batch=False, val_check_batch=None, loggers=[])
    trainer.fast_dev_run = False
    trainer.strategy.broadcast.side_effect = lambda value: value
    callback.on_train_start(trainer, Mock())
    saved_at = []
    for step in range(1, 1401):  # 700 s in steps of 0.5 s
        now, trainer.global_step = 1000 + step / 2, step
        callback.on_train_batch_end(trainer, Mock(), None, None, step - 1)
        if trainer.save_checkpoint.call_count > len(saved_at):
            saved_at.append(now - 1000)
    assert saved_at == [pytest.approx(600, abs=1)]
    assert trainer.strategy.broadcast.call_count < 40
