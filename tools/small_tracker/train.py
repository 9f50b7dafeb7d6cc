"""Train the small tracker from scratch: ``python -m tools.small_tracker.train``.

One run goes through the whole curriculum. It logs to <out>/train.log, can be stopped and resumed
with the same command, and writes the averaged weights at the end.
"""

import argparse
import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

CHECKPOINT_EVERY_S = 120.0
LOG_EVERY_STEPS = 25
logger = logging.getLogger("tools.small_tracker.train")


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options of the command."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.small_tracker.train", description=__doc__
    )
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/small_tracker"), help="folder of the run"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="processes of one thread each")
    parser.add_argument(
        "--port", type=int, default=29511, help="free port for the processes to meet"
    )
    parser.add_argument(
        "--steps-scale",
        type=float,
        default=1.0,
        help="scales every stage's largest number of steps (below 1: a trial)",
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the training in one or several processes."""
    options = parse_arguments(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"):
        os.environ.setdefault(name, "4000000000")  # keep freed memory: clip steps are 8 % faster
    if options.processes == 1:
        _work(0, options)
        return
    import torch.multiprocessing as multiprocessing

    multiprocessing.spawn(_work, args=(options,), nprocs=options.processes)


@dataclass
class Progress:
    """Progress of the run, saved in its checkpoint."""

    stage: int = 0
    stage_step: int = 0
    step: int = 0
    seconds: float = 0.0
    """Time spent in training, over all parts of an interrupted run."""
    history: list[dict[str, Any]] = field(default_factory=list)
    """One entry per finished stage."""


class Run:
    """Model, heads, optimiser and progress of one process.

    Args:
        rank: rank of this process.
        options: options of the command.
    """

    def __init__(self, rank: int, options: argparse.Namespace) -> None:
        import copy

        import torch

        from sola.datasets.moving_shapes import scene
        from tools.small_tracker.clips import PLAIN, ClipSource, Vocabulary
        from tools.small_tracker.curriculum import CURRICULUM
        from tools.small_tracker.heads import TrainingHeads
        from tools.small_tracker.initialisation import set_start_values
        from tools.small_tracker.model import build_small_tracker
        from tools.small_tracker.optimisation import make_optimizer

        torch.manual_seed(options.seed)
        self.rank, self.out, self.seed = rank, options.out, options.seed
        self.stages = [
            replace(stage, max_steps=max(1, round(stage.max_steps * options.steps_scale)))
            for stage in CURRICULUM
        ]
        vocabulary = Vocabulary(scene.SHAPES, tuple(scene.COLOURS), scene.MOTIONS)
        self.source = ClipSource(
            scene.make_scene, scene.SceneSettings(**PLAIN), scene.SceneSettings(), vocabulary
        )
        self.model = build_small_tracker()
        set_start_values(self.model)
        self.heads = TrainingHeads(self.model.hidden_dim, vocabulary)
        self.average = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizer = make_optimizer(self.model, self.heads)
        self.progress = Progress()
        self.model.train()
        self._load()

    def train(self) -> None:
        """Train all stages that are not finished yet."""
        while self.progress.stage < len(self.stages):
            self._train_stage(self.stages[self.progress.stage])
            self.progress.stage += 1
            self.progress.stage_step = 0
            self._save()

    def _train_stage(self, stage: Any) -> None:
        from tools.small_tracker.curriculum import RunningFigures

        figures = RunningFigures(stage.window)
        started = last_saved = time.monotonic()
        before = self.progress.seconds
        has_passed = False
        while self.progress.stage_step < stage.max_steps and not has_passed:
            figures.add(self._step(stage))
            self.progress.seconds = before + time.monotonic() - started
            has_passed = self._agree(figures.has_passed(stage))
            if self.progress.step % LOG_EVERY_STEPS == 0:
                self._log(stage, figures.means())
            if time.monotonic() - last_saved > CHECKPOINT_EVERY_S:
                self._save()
                last_saved = time.monotonic()
        self._finish_stage(stage, figures.means(), has_passed=has_passed)

    def _step(self, stage: Any) -> dict[str, float]:
        import numpy as np
        import torch

        from tools.small_tracker import optimisation
        from tools.small_tracker.steps import stage_loss

        rng = np.random.default_rng([self.seed, self.rank, self.progress.step])
        rate = optimisation.learning_rate(stage, self.progress.stage_step, self.progress.step)
        optimisation.set_learning_rate(self.optimizer, rate)
        self.optimizer.zero_grad(set_to_none=True)
        loss, figures = stage_loss(
            self.model, self.heads, self.source, stage, self.progress.stage_step, rng
        )
        loss.backward()
        parameters = [*self.model.parameters(), *self.heads.parameters()]
        optimisation.average_gradients(parameters)
        norm = torch.nn.utils.clip_grad_norm_(parameters, optimisation.MAX_GRADIENT_NORM)
        if not torch.isfinite(norm):
            raise RuntimeError(
                f"stage {stage.name}, step {self.progress.step}: gradients not finite"
            )
        self.optimizer.step()
        self.progress.step += 1
        self.progress.stage_step += 1
        optimisation.update_average(self.average, self.model, self.progress.step)
        return {**figures, "loss": loss.item(), "gradient_norm": norm.item()}

    def _agree(self, answer: bool) -> bool:
        """Return rank 0's decision on all ranks."""
        import torch
        import torch.distributed as dist

        if not dist.is_initialized():
            return answer
        shared = torch.tensor(float(answer))
        dist.broadcast(shared, 0)
        return bool(shared)

    def _finish_stage(self, stage: Any, means: dict[str, float], *, has_passed: bool) -> None:
        self.progress.history.append(
            {
                "stage": stage.name,
                "steps": self.progress.stage_step,
                "has_passed": has_passed or not stage.passes,
                "minutes_so_far": round(self.progress.seconds / 60, 2),
                "figures": {name: round(value, 4) for name, value in means.items()},
                "held_out_track_iou": self._held_out(),
            }
        )
        if self.rank == 0:
            logger.info("end of stage %s", json.dumps(self.progress.history[-1]))
        if has_passed or not stage.passes:
            return
        message = (
            f"stage {stage.name}: {means} after {stage.max_steps} steps, wanted {stage.passes}"
        )
        if stage.must_pass:
            raise RuntimeError(message)
        if self.rank == 0:
            logger.warning("%s; continuing", message)

    def _held_out(self) -> float:
        """Return the averaged weights' mean track IoU on a few held-out easy scenes (rank 0)."""
        from tools.small_tracker.held_out import HELD_OUT_SEEDS, track_clips

        if self.rank != 0:
            return 0.0
        first = HELD_OUT_SEEDS["training_log"]

        def draw(seed: int, indices: Sequence[int]) -> Any:
            return self.source.draw(seed, indices, is_easy=True)

        tracked = track_clips(self.average, draw, range(first, first + 8))
        return round(float(tracked.track_iou.mean()), 4)

    def _log(self, stage: Any, means: dict[str, float]) -> None:
        if self.rank == 0:
            text = " ".join(f"{name} {value:.3f}" for name, value in means.items())
            minutes = self.progress.seconds / 60
            logger.info("%s step %d, %.1f min: %s", stage.name, self.progress.step, minutes, text)

    def _save(self) -> None:
        """Save the checkpoint and the averaged weights (rank 0)."""
        import torch

        from tools.small_tracker.model import save_weights

        if self.rank != 0:
            return
        staged = self.out / "resume.tmp"
        torch.save(
            {
                "model": self.model.state_dict(),
                "average": self.average.state_dict(),
                "heads": self.heads.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "progress": vars(self.progress),
            },
            staged,
        )
        staged.replace(self.out / "resume.pt")
        save_weights(self.average, self.out / "latest.pt")

    def _load(self) -> None:
        """Resume an interrupted run in the same folder."""
        import torch

        path = self.out / "resume.pt"
        if not path.is_file():
            return
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])


def _work(rank: int, options: argparse.Namespace) -> None:
    """Run one process of the training."""
    import torch
    import torch.distributed as dist

    handler = logging.FileHandler(options.out / "train.log")
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(message)s",
        handlers=[handler, logging.StreamHandler()],
    )
    torch.set_num_threads(1)
    if options.processes > 1:
        dist.init_process_group(
            "gloo",
            init_method=f"tcp://127.0.0.1:{options.port}",
            rank=rank,
            world_size=options.processes,
        )
    run = Run(rank, options)
    run.train()
    if rank == 0:
        _write_result(run, options)
    if dist.is_initialized():
        dist.destroy_process_group()


def _write_result(run: Run, options: argparse.Namespace) -> None:
    """Write the averaged weights, and a record of their training."""
    from tools.small_tracker.model import save_weights

    save_weights(run.average, options.out / "small_tracker.pt")
    record = {
        "command": "python -m tools.small_tracker.train "
        f"--seed {options.seed} --processes {options.processes}",
        "seed": options.seed,
        "processes": options.processes,
        "steps": run.progress.step,
        "wall_minutes": round(run.progress.seconds / 60, 1),
        "stages": run.progress.history,
    }
    (options.out / "small_tracker.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
