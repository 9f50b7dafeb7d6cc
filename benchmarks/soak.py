"""Soak test: kill generation and training on moving_shapes at random; nothing may be lost.

    make soak                                # 20 minutes, Linux
    python benchmarks/soak.py --minutes 60 --seed 1

Two runs, one of generate.py and one of train.py, last from the first minute to the last; their
resident memory is measured. Beside them, small runs of both, of one or two processes, are killed at
random moments (SIGKILL or SIGTERM, to the whole run or one of its processes), and started again
with the same command until they finish. They are compared with undisturbed runs: every array of the
tracks, every bit of the checkpoints, every row of metrics.csv. Prints the runs, one line
``ratio <name> <value> bar <value>`` for each kind of memory (less is better), and all losses. The
exit status is 1 if anything was lost.
"""

import argparse
import contextlib
import csv
import os
import random
import runpy
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np
import torch
from hydra.core.global_hydra import GlobalHydra

import sola.generation.run
import sola.training.run  # noqa: F401  # once, for all runs
from sola.shards import ShardReader

ROOT = Path(__file__).parents[1]
NUM_VIDEOS, STEADY_VIDEOS_A_MINUTE, MOST_KILLS = 8, 50, 4
SHAPES = "dataset.maker.num_videos={train: %d, valid_u: 4}"
TWO = ("trainer.devices=2", "trainer.strategy=ddp")
TRACKS = "tracks/moving_shapes/train/gt/small"
CHECKPOINTS = ("last.ckpt", "best.ckpt")
COMPARED = ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step")
OUTLIVES_S = 45.0
"""A process that outlives the first one of its run by this many seconds is reported."""
LOOK_EVERY_S = 5.0
WARM_UP_MINUTES = 5.0
"""Memory may grow during these minutes."""


class Run:
    """One command in a session of its own."""

    def __init__(self, words: Sequence[str], log_path: Path) -> None:
        self.began = time.monotonic()
        self.id = os.fork()  # the parent has imported what is heavy, and computes nothing
        if self.id == 0:
            _become(words, log_path)

    def processes(self) -> list[int]:
        """Return the live processes of the session, the first one first."""
        return sorted(each for each, session in _sessions().items() if session == self.id)

    def resident_mib(self) -> float:
        """Return the resident memory of all its processes."""
        paths = [Path(f"/proc/{each}/statm") for each in self.processes()]
        pages = [int(path.read_text().split()[1]) for path in paths]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def has_ended(self) -> bool:
        """Return whether the first process has ended."""
        return os.waitid(os.P_PID, self.id, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def wait(self) -> int:
        """Wait for the first process; return its exit status, or -signal."""
        return os.waitstatus_to_exitcode(os.waitpid(self.id, 0)[1])

    def outlived(self) -> list[int]:
        """End processes that outlive the first one, and return them."""
        until = time.monotonic() + OUTLIVES_S
        while self.processes() and time.monotonic() < until:
            time.sleep(0.1)
        left = self.processes()
        if left:
            os.killpg(self.id, signal.SIGKILL)
        return left


def _become(words: Sequence[str], log_path: Path) -> None:
    os.setsid()
    log_path.parent.mkdir(parents=True, exist_ok=True)
    target = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(target, 1)
    os.dup2(target, 2)
    sys.argv = list(words)
    GlobalHydra.instance().clear()  # sam2 starts it when it is imported
    status = 1
    try:
        runpy.run_path(words[0], run_name="__main__")
        status = 0
    except SystemExit as end:
        status = int(end.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(status)


def _sessions() -> dict[int, int]:
    """Return process -> session of all live processes."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
        if state != "Z":
            found[int(path.parent.name)] = int(session)
    return found


def generate(folder: Path, split: str, name: str, *more: str) -> list[str]:
    """Return the command of a small run whose tracks go to its own data root."""
    return [
        "generate.py",
        f"split={split}",
        "prompt_source=gt",
        SHAPES % NUM_VIDEOS,
        f"dataset.root={folder / 'shapes'}",
        f"data_root={folder / name}",
        f"hydra.run.dir={folder / name / 'run'}",
        *more,
    ]


def train(folder: Path, name: str, *more: str) -> list[str]:
    """Return the command of a small run on the undisturbed tracks."""
    return [
        "train.py",
        "experiment=demo",
        SHAPES % NUM_VIDEOS,
        f"dataset.root={folder / 'shapes'}",
        f"data_root={folder / 'whole'}",
        "data.train_sources=[gt]",
        "data.valid_sources=[gt]",
        "trainer.max_epochs=6",
        "trainer.check_val_every_n_epoch=2",
        "callbacks.last_checkpoint.every_n_steps=3",
        f"hydra.run.dir={folder / name}",
        "resume=true",
        *more,
    ]


def compare_tracks(whole: Path, other: Path) -> list[str]:
    """Return the differences of tracks from the undisturbed ones."""
    wrong = [f"{p} is left" for p in other.iterdir() if p.suffix not in (".json", ".h5")]
    readers = [ShardReader(folder) for folder in (whole, other)]
    if readers[0].videos != readers[1].videos:
        return [*wrong, f"{other}: videos differ"]
    different = []
    for video_id in readers[0].videos:
        a, b = (reader.read(video_id) for reader in readers)
        is_same = a.masklets == b.masklets
        is_same &= repr(a.prompts) == repr(b.prompts)  # NaN is what they lack, and equals nothing
        is_same &= np.array_equal(a.object_tokens, b.object_tokens)
        if not is_same & np.array_equal(a.object_scores, b.object_scores):
            different.append(video_id)
    return wrong + ([f"{other}: other tracks of {', '.join(different)}"] if different else [])


def compare_trainings(whole: Path, other: Path) -> list[str]:
    """Return the differences of a training run from the undisturbed one."""
    wrong = [f"{path} is left" for path in other.glob("*.part")]
    for name in CHECKPOINTS:
        a, b = (torch.load(folder / name, weights_only=True) for folder in (whole, other))
        wrong += [
            f"{other / name}: {key}" for key in COMPARED if not _is_same(a.get(key), b.get(key))
        ]
    tables = []
    for folder in (whole, other):
        with (folder / "metrics.csv").open() as file:
            tables.append([dict(sorted(row.items())) for row in csv.DictReader(file)])
    if tables[0] != tables[1]:
        wrong.append(f"{other}/metrics.csv: rows differ")
    return wrong


def _is_same(a: object, b: object) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_is_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_is_same, a, b))
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return torch.equal(a, b)
    return a == b


class Memory:
    """Resident memory of a long run."""

    def __init__(self, name: str, run: Run) -> None:
        self.name, self.run = name, run
        self.samples: list[tuple[float, float]] = []
        self.looked = 0.0

    def look(self) -> None:
        """Record the memory and the minutes since the start."""
        self.looked = time.monotonic()
        self.samples.append(((time.monotonic() - self.run.began) / 60, self.run.resident_mib()))

    def report(self) -> None:
        """Print the median memory of the last minutes over that around the end of the warm-up."""
        last = self.samples[-1][0]
        warm_up = min(WARM_UP_MINUTES, last / 4)
        early = [mib for minute, mib in self.samples if abs(minute - warm_up) <= last / 20]
        late = [mib for minute, mib in self.samples if minute >= 0.9 * last]
        highest = max(mib for minute, mib in self.samples if minute > warm_up)
        print(
            f"memory of {self.name}: {median(early):.0f} MiB after {warm_up:.0f} minutes, "
            f"{median(late):.0f} MiB after {last:.0f}, at most {highest:.0f} MiB since"
        )
        print(f"ratio soak_memory_{self.name} {median(late) / median(early):.3f} bar 1.05")


class Soak:
    """Runs the soak test in one folder until the time is up."""

    def __init__(self, folder: Path, minutes: float, seed: int) -> None:
        self.folder, self.minutes, self.rng = folder, minutes, random.Random(seed)
        self.done: Counter[str] = Counter()
        self.lost: list[str] = []
        self.steady: list[Memory] = []
        self.took: dict[str, float] = {}
        """Seconds of every kind of undisturbed run."""

    def run(self) -> None:
        """Run the whole test, and print its progress."""
        self._make_whole()
        self._start_steady()
        until, number = time.monotonic() + 60 * self.minutes, 0
        try:
            while time.monotonic() < until:
                kind = list(self.took)[number % len(self.took)]
                number += 1
                self._round(kind, number)
        finally:
            self._end_steady()
        for what, count in sorted(self.done.items()):
            print(f"{count} {what}")
        for memory in self.steady:
            memory.report()
        print("\n".join(["lost:", *self.lost]) if self.lost else "lost: nothing")

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _make_whole(self) -> None:
        """Make the undisturbed runs to compare with."""
        folder = self.folder
        self.took["generation"] = self._finish(generate(folder, "train", "whole"))
        words = generate(folder, "train", "two", *TWO)
        self.took["generation of 2 processes"] = self._finish(words)
        self.lost += compare_tracks(folder / "whole" / TRACKS, folder / "two" / TRACKS)
        self._finish(generate(folder, "valid_u", "whole"))
        self.took["training"] = self._finish(train(folder, "trained"))
        self.took["training of 2 processes"] = self._finish(train(folder, "trained_two", *TWO))
        told = ", ".join(f"{kind} {seconds:.0f} s" for kind, seconds in self.took.items())
        print(f"undisturbed: {told}", flush=True)

    def _finish(self, words: Sequence[str]) -> float:
        """Let a command end by itself; return the seconds that it took."""
        run = Run(words, self._log("whole"))
        status = run.wait()
        if status:
            raise ValueError(f"{' '.join(words)}: status {status}, see {self._log('whole')}.")
        return time.monotonic() - run.began

    def _start_steady(self) -> None:
        """Start two runs that last longer than the test."""
        shapes = f"dataset.root={self.folder / 'many'}"
        videos = SHAPES % int(STEADY_VIDEOS_A_MINUTE * self.minutes + 60)
        words = generate(self.folder, "train", "steady", shapes, videos, "prompt_source=grid")
        self.steady.append(Memory("generation", Run(words, self._log("steady_generation"))))
        endless = ("trainer.max_epochs=1000000", "scheduler=plateau")
        words = train(self.folder, "steady_training", *endless)
        self.steady.append(Memory("training", Run(words, self._log("steady_training"))))

    def _watch(self) -> None:
        for memory in self.steady:
            if not memory.samples or time.monotonic() - memory.looked >= LOOK_EVERY_S:
                memory.look()

    def _round(self, kind: str, number: int) -> None:
        name, more = f"round_{number}", TWO if kind.endswith("2 processes") else ()
        is_training = kind.startswith("training")
        if is_training:
            words = train(self.folder, name, *more)
        else:
            words = generate(self.folder, "train", name, *more)
        num_kills, wrong = self._disturb(words, name, self.took[kind])
        if not wrong and is_training:
            whole = self.folder / ("trained_two" if more else "trained")
            wrong = compare_trainings(whole, self.folder / name)
        elif not wrong:
            wrong = compare_tracks(self.folder / "whole" / TRACKS, self.folder / name / TRACKS)
        self.lost += wrong
        self.done[f"runs of {kind}"] += 1
        told = "; ".join(wrong) or "equal to a run that nothing disturbed"
        print(f"{number}: {kind}, {num_kills} kills: {told}", flush=True)
        if not wrong:
            shutil.rmtree(self.folder / name)

    def _disturb(self, words: Sequence[str], name: str, seconds: float) -> tuple[int, list[str]]:
        """Start a command until it finishes, killing it some times; return kills and faults."""
        wrong: list[str] = []
        num_kills, wanted = 0, self.rng.randint(1, MOST_KILLS)
        while True:
            run = Run(words, self._log(name))
            self.done["starts"] += 1
            moment = run.began + self.rng.uniform(0.1, 1) * seconds
            while not run.has_ended() and (num_kills == wanted or time.monotonic() < moment):
                self._watch()
                time.sleep(0.02)
            was_killed = not run.has_ended()
            if was_killed:
                num_kills += 1
                self._kill(run)
            status = run.wait()
            if left := run.outlived():
                wrong.append(f"{name}: {left} processes outlived their run by {OUTLIVES_S:.0f} s")
            if status == 0 or not was_killed:
                return num_kills, wrong + ([f"{name}: status {status}"] if status else [])

    def _kill(self, run: Run) -> None:
        signum = self.rng.choice([signal.SIGKILL, signal.SIGTERM])
        processes = run.processes()
        if len(processes) > 1 and self.rng.random() < 1 / 3:
            os.killpg(run.id, signum)
            self.done[f"{signum.name} to all processes of a run"] += 1
            return
        victim = self.rng.choice(processes or [run.id])
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(victim, signum)
        which = "first" if victim == run.id else "second"
        self.done[f"{signum.name} to the {which} process"] += 1

    def _end_steady(self) -> None:
        for memory in self.steady:
            if memory.run.has_ended():
                self.lost.append(f"the steady {memory.name} ended: status {memory.run.wait()}")
                continue
            memory.look()
            os.kill(memory.run.id, signal.SIGTERM)
            memory.run.wait()
            memory.run.outlived()
        staged = len(list((self.folder / "steady").rglob("staging/*.h5")))
        self.done["videos tracked by the steady run of generation"] = staged
        steps = torch.load(self.folder / "steady_training/last.ckpt", weights_only=True)
        self.done["optimiser steps of the steady run of training"] = steps["global_step"]


def main() -> None:
    """Make the undisturbed runs, then kill runs until the time is up."""
    options = _parse_arguments()
    folder: Path = options.folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    os.chdir(ROOT)
    soak = Soak(folder, options.minutes, options.seed)
    soak.run()
    sys.exit(1 if soak.lost else 0)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="random kills of generation and training")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("outputs/soak"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
