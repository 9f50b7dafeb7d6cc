"""The wheel in a clean environment: every command from an empty folder."""

import csv
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SMALL = (
    "dataset.maker.num_videos={train: 2, valid_u: 2}",
    "dataset.maker.num_frames=4",
    "dataset.maker.expressions_per_video=3",
    "dataset.maker.rewordings.train.known=0",
    "dataset.maker.max_objects=3",
)
TRAIN = ("train", "experiment=demo", "trainer.max_epochs=1")
TWO = ("trainer.devices=2", "trainer.strategy=ddp")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the files, so that nothing is left in the clone."""
    folder = tmp_path_factory.mktemp("wheel")
    files = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in files:
        if name.split("/")[0] in ("tests", "docs", "benchmarks") or not (ROOT / name).is_file():
            continue
        path = folder / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((ROOT / name).read_bytes())
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation"]
    subprocess.run([*build, "-o", str(folder)], cwd=folder / "source", check=True, timeout=200)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def sola(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The console command in an environment of its own, over the present dependencies."""
    folder = tmp_path_factory.mktemp("env")
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    # a path within a .pth file is searched, but the .pth files there (our editable one) are not
    (site / "present.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = folder / "bin" / "python"
    install = ["-m", "pip", "install", "--no-deps", "--no-index", "--ignore-installed"]
    subprocess.run([python, *install, str(wheel)], check=True, timeout=200)
    return folder / "bin" / "sola"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("empty")


def run(sola: Path, folder: Path, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    ours = ("PYTHONPATH", "SOLA_STARTED_BY")
    environment = {k: v for k, v in os.environ.items() if k not in ours}
    command = [str(sola), *words]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_wheel_holds_configuration_weights_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    for needed in ("sola/conf/train.yaml", "sola/conf/dataset/mevis.yaml", "sola/cli.py"):
        assert needed in names
    assert any(name.endswith("small_tracker.pt") for name in names)
    assert any(name.startswith("sola/visualization/assets/") for name in names)
    assert not [name for name in names if name.split("/")[0] in ("tests", "conf", "tools", "docs")]


def test_every_command_runs_from_an_empty_folder(sola: Path, folder: Path) -> None:
    for split, source in (("train", "gt"), ("valid_u", "grid")):
        run(sola, folder, "generate", f"split={split}", f"prompt_source={source}", *SMALL)
    run(sola, folder, *TRAIN, *SMALL, "hydra.run.dir=run")
    run(sola, folder, "evaluate", "ckpt_path=run/best.ckpt", *SMALL, "hydra.run.dir=eval")
    run(sola, folder, "predict", "ckpt_path=run/best.ckpt", *SMALL, "hydra.run.dir=pred")
    run(sola, folder, "check", "data", *SMALL)
    run(sola, folder, "check", "tracks", "data/tracks/moving_shapes/train/gt/small")
    info = run(sola, folder, "info").stdout

    assert (folder / "run" / "best.ckpt").is_file()
    assert (folder / "eval" / "evaluation.json").is_file()
    assert list((folder / "pred" / "masks").glob("*/*/*.png"))
    assert "moving_shapes/train/gt/small: 2 entries" in info
    kept = {"data", "outputs", "run", "eval", "pred", "steps", "groups", "two", "sweep", "trained"}
    assert {path.name for path in folder.iterdir()} <= kept  # tests may run in any order


def test_any_argument_of_the_trainer_and_other_groups(sola: Path, folder: Path) -> None:
    gt = ("data.train_sources=[gt]", "logger=csv", *SMALL)
    words = ("trainer.max_steps=20", "+trainer.profiler=simple", "trainer.val_check_interval=0.5")
    chosen = ("dataset=moving_shapes", "selector=small")
    done = run(sola, folder, "train", *chosen, *words, *gt, "hydra.run.dir=steps")
    assert "Profiler Report" in done.stderr + done.stdout
    rows = rows_of(folder / "steps" / "metrics.csv")
    assert max(int(row["step"]) for row in rows) == 19
    assert len([row for row in rows if row["valid/J&F"]]) > 2  # twice an epoch

    words = ("optimizer=adamw", "optimizer.lr=1e-4", "scheduler=cosine", "trainer.max_epochs=2")
    patience = "callbacks.early_stopping.patience=3"
    run(sola, folder, "train", *words, patience, *gt, "hydra.run.dir=groups")
    assert (folder / "groups" / "best.ckpt").is_file()


def test_two_processes_and_a_sweep_run_the_console_command(sola: Path, folder: Path) -> None:
    name = "tracker.name=two"
    run(sola, folder, "generate", "split=train", "prompt_source=gt", *SMALL, *TWO, name)
    run(sola, folder, *TRAIN, *SMALL, *TWO, "hydra.run.dir=two")
    sweep = ("threshold=0.3,0.6", "hydra.sweep.dir=sweep")
    run(sola, folder, "evaluate", "-m", "ckpt_path=two/best.ckpt", *SMALL, *sweep)
    swept = ("seed=1,2", "hydra.sweep.dir=trained")
    run(sola, folder, *TRAIN, *SMALL, *TWO, *swept, "-m")

    rows = rows_of(folder / "sweep" / "sweep.csv")
    assert [row["threshold"] for row in rows] == ["0.3", "0.6"]
    assert all(float(row["J&F"]) >= 0 for row in rows)
    rows = rows_of(folder / "trained" / "sweep.csv")
    assert all(float(row["valid/J&F"]) >= 0 for row in rows)
    assert (folder / "data/tracks/moving_shapes/train/gt/two/index.json").is_file()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("evaluate", "ckpt_path=nowhere.ckpt"), "nowhere.ckpt"),
        (("predict", "ckpt_path=nowhere.ckpt"), "nowhere.ckpt"),
        (("train", "dataset=mevis"), "data/mevis"),
        (("generate", "dataset=mevis", "split=train"), "data/mevis"),
    ],
)
def test_missing_path_is_reported_at_once_and_leaves_no_folder(
    sola: Path, tmp_path: Path, words: tuple[str, ...], named: str
) -> None:
    done = run(sola, tmp_path, *words, status=1)

    assert done.stderr.startswith("error: ")
    assert named in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
