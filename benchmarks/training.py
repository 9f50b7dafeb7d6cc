"""Speed of training the selector, compared with a plain loop, at the paper's sizes.

    python benchmarks/training.py                                     # CPU, some minutes, 6 GiB
    python benchmarks/training.py --device cuda --precision bf16      # on a GPU

Both sides train the default network of 33 M parameters on the same random tracks: 64 tracks of 80
frames and 14 expressions of 14 tokens per video. The plain loop takes one expression per step,
reads track files in the layout of the published code (.npy and JSON), and runs a text encoder of
roberta-large's size (random weights) in the loop, keeping its graph. Ours is the Trainer over
shards and cached text tokens, once for each way of batching. Time is CPU time of the process on a
CPU, which ignores other work, and wall time on a GPU. Prints expressions per second, one line
``ratio training_<way> <value> bar <value>`` each, and a breakdown of our time.
"""

import argparse
import functools
import logging
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from random_tracks import (
    NUM_EXPRESSIONS,
    NUM_FRAMES,
    NUM_TRACKS,
    TEXT_LENGTH,
    open_data,
    read_published,
    write_data,
)

from sola.selector import SelectionLoss, TrackSelector
from sola.selector.losses import TOTAL, LossInputs, SelectorOutputs, combine_terms
from sola.training.module import SelectorModule
from sola.types import Expression

TOKENS_OF_VIDEO = NUM_TRACKS * NUM_FRAMES * NUM_EXPRESSIONS
BARS = {"cpu": 2.5, "cuda": 8.0}
PACKED_VIDEOS = {"cpu": 1, "cuda": 4}
"""Size of a packed step, in videos' numbers of tokens."""


def main() -> None:
    """Measure the plain loop, then ours in every way of batching."""
    options = _parse_arguments()
    torch.set_num_threads(options.threads)
    _quieten()
    budget = PACKED_VIDEOS[options.device] * TOKENS_OF_VIDEO
    ways: dict[str, dict[str, Any]] = {
        "by_expression": {},
        "by_video": {"by_video": True},
        "packed_expressions": {"max_tokens": budget},
        "packed_videos": {"by_video": True, "max_tokens": budget},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expressions = write_data(folder, options.videos)
        plain = _measure_plain(folder, expressions, options)
        print(f"{options.precision} on {options.device}, {options.threads} threads")
        print(f"plain loop: {plain:.2f} expressions/s")
        for way, how in ways.items():
            clock = _measure_ours(folder, expressions, how, options)
            print(f"{way}: {clock.speed:.2f} expressions/s; {clock.shares()}")
            bar = f"{BARS[options.device]:.2f}" if "by_video" in how else "-"  # nothing is shared
            print(f"ratio training_{way} {clock.speed / plain:.2f} bar {bar}")


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="training of the selector against a plain loop")
    parser.add_argument("--device", choices=BARS, default="cpu")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--videos", type=int, default=4)
    parser.add_argument("--expressions", type=int, help="measured a side; 28, on a GPU 560")
    options = parser.parse_args()
    options.expressions = options.expressions or (28 if options.device == "cpu" else 560)
    return options


def _quieten() -> None:
    for name in ("pytorch_lightning", "lightning.pytorch"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


def _measure_plain(
    folder: Path, expressions: list[Expression], options: argparse.Namespace
) -> float:
    """Return expressions per second, with one expression per step."""
    from transformers import RobertaConfig, RobertaModel

    torch.manual_seed(0)
    roberta_large = RobertaConfig(
        vocab_size=50265,
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
        max_position_embeddings=514,
    )
    encoder = RobertaModel(roberta_large, add_pooling_layer=False).to(options.device)
    selector = TrackSelector().to(options.device)
    selection_loss = SelectionLoss(1.5, 0.3, 0.07)
    optimizer = torch.optim.AdamW(selector.parameters(), lr=5e-6)
    num_steps = max(2, options.expressions // 7)
    order = torch.randperm(len(expressions)).repeat(num_steps)[: num_steps + 1]
    is_mixed = options.precision == "bf16"
    start = 0.0
    for step, idx in enumerate(order.tolist()):
        if step == 1:  # the first one warms up
            start = _now(options.device)
        tokens, labels = read_published(folder, expressions[idx])
        tokens, labels = tokens[None].to(options.device), labels[None].to(options.device)
        word_ids = torch.randint(5, 50000, (1, TEXT_LENGTH), device=options.device)
        with torch.autocast(options.device, torch.bfloat16) if is_mixed else nullcontext():
            text = encoder(word_ids).last_hidden_state.float()
            logits, track_tokens = selector(tokens, text)
        outputs = SelectorOutputs(logits, track_tokens, selector.negative_tokens)
        terms = selection_loss(outputs, LossInputs(labels, text))
        has_tracks = torch.ones(1, dtype=torch.bool, device=options.device)
        loss = combine_terms(terms, selection_loss.weights, has_tracks)[TOTAL]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(selector.parameters(), 1.0)
        optimizer.step()
    return num_steps / (_now(options.device) - start)


class Clock(pl.Callback):
    """Times the parts of every step but the first, which warms up."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.num_expressions = 0
        self.seconds = dict.fromkeys(("data", "forward", "backward", "optimiser"), 0.0)
        self._last = 0.0

    @property
    def speed(self) -> float:
        """Return expressions per second."""
        return self.num_expressions / sum(self.seconds.values())

    def shares(self) -> str:
        """Return the share of the time by part."""
        total = sum(self.seconds.values())
        return ", ".join(f"{part} {value / total:.0%}" for part, value in self.seconds.items())

    def _mark(self, part: str, batch_idx: int) -> None:
        now = _now(self.device)
        if batch_idx > 0:
            self.seconds[part] += now - self._last
        self._last = now

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        """End the data part: the batch is on the device."""
        self._batch_idx = batch_idx
        if batch_idx > 0:
            self.num_expressions += len(batch.expressions)
        self._mark("data", batch_idx)

    def on_before_backward(self, *unused: Any) -> None:
        """End the forward part: the loss is computed."""
        self._mark("forward", self._batch_idx)

    def on_after_backward(self, *unused: Any) -> None:
        """End the backward part: the gradients are computed."""
        self._mark("backward", self._batch_idx)

    def on_train_batch_end(self, *unused: Any) -> None:
        """End the optimiser part: the step is done."""
        self._mark("optimiser", self._batch_idx)


def _measure_ours(
    folder: Path, expressions: list[Expression], how: dict[str, Any], options: argparse.Namespace
) -> Clock:
    scorer: Any = None  # nothing is validated
    is_mixed = options.precision == "bf16"
    adamw = functools.partial(torch.optim.AdamW, lr=5e-6, fused=not is_mixed)
    module = SelectorModule(TrackSelector(), SelectionLoss(1.5, 0.3, 0.07), adamw, None, scorer)
    clock = Clock(options.device)
    loader = open_data(folder, expressions, **how).train_dataloader()
    per_step = len(expressions) / len(loader)
    num_steps = 1 + max(1, round(options.expressions / per_step))
    trainer = pl.Trainer(
        accelerator="cpu" if options.device == "cpu" else "gpu",
        devices=1,
        precision="bf16-mixed" if is_mixed else "32-true",
        max_epochs=1,
        gradient_clip_val=1.0,
        limit_val_batches=0,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(module, train_dataloaders=Steps(loader, num_steps))
    return clock


class Steps:
    """Yields a number of batches, over several epochs of a loader."""

    def __init__(self, loader: Any, num_steps: int) -> None:
        self.loader, self.num_steps = loader, num_steps

    def __len__(self) -> int:
        return self.num_steps

    def __iter__(self) -> Iterator[Any]:
        done = 0
        while done < self.num_steps:
            for batch in self.loader:
                yield batch
                done += 1
                if done == self.num_steps:
                    return


def _now(device: str) -> float:
    """Return the time in seconds, after waiting for the device."""
    if device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    main()
