"""What a training shows, read back from the files that W&B and TensorBoard would show."""

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from commands import ROOT, run_command
from PIL import Image
from wandb_file import WandbFile, read_runs

from sola.selector import TrackSelector
from sola.selector.base import PROVENANCE_KEY
from sola.training.module import gradient_norms
from sola.visualization.board import WANDB_DIRS

pytestmark = pytest.mark.usefixtures("wandb_offline")

NUM_FRAMES = {"v0": 9, "v1": 16, "v2": 9}
EXPRESSIONS_A_VIDEO, VIDEOS = 5, len(NUM_FRAMES)
FAST = ["optimizer.lr=1e-2", "trainer.log_every_n_steps=1", "trainer.max_epochs=2"]
AS_WANDB = ["logger=wandb", "dashboard.num_examples=100", *FAST]


@pytest.fixture
def shapes(command: list[str], tmp_path: Path) -> list[str]:
    """``command`` on a data set that has all its frames, without its choice of a logger."""
    split_dir = tmp_path / "data" / "shapes" / "valid_u"
    for number, (video_id, num_frames) in enumerate(NUM_FRAMES.items()):
        for idx in range(num_frames):
            picture = Image.new("RGB", (12, 8), (15 * idx, 90 * number, 120))
            picture.save(split_dir / "JPEGImages" / video_id / f"{idx:05d}.jpg")
    return [word for word in command if not word.startswith(("logger=", "optimizer.lr="))]


def train(words: list[str], run_dir: Path, *more: str) -> None:
    outcome = run_command("train.py", *words, f"hydra.run.dir={run_dir}", *more)
    assert outcome.status == 0, outcome.errors


def rows_of_csv(run_dir: Path, name: str) -> list[float]:
    with (run_dir / "metrics.csv").open() as file:
        return [float(row[name]) for row in csv.DictReader(file) if row.get(name)]


def names_of_csv(run_dir: Path) -> list[str]:
    with (run_dir / "metrics.csv").open() as file:
        return list(csv.DictReader(file).fieldnames or ())


@pytest.fixture(scope="module")
def trained_dirs() -> dict[str, Path]:
    """Folders of the runs that several tests read, by logger."""
    return {}


@pytest.fixture
def trained(
    shapes: list[str], tmp_path: Path, trained_dirs: dict[str, Path]
) -> Callable[[str], Path]:
    """``trained("wandb")``: folder of a run of two epochs, trained once."""

    def trained(logger: str) -> Path:
        if logger not in trained_dirs:
            words = [*shapes, "dashboard.num_examples=100", *FAST, f"logger={logger}"]
            train(words, tmp_path / logger)
            trained_dirs[logger] = tmp_path / logger
        return trained_dirs[logger]

    return trained


@pytest.fixture
def offline_run(trained: Callable[[str], Path]) -> WandbFile:
    (run,) = read_runs(trained("wandb"))
    return run


def test_offline_wandb_run_holds_every_number_of_metrics_csv(
    offline_run: WandbFile, trained: Callable[[str], Path]
) -> None:
    names = set(names_of_csv(trained("csv"))) - {"step"}

    for name in names:
        expected = rows_of_csv(trained("csv"), name)
        assert offline_run.column(name) == pytest.approx(expected, rel=1e-6), name
    num_steps, num_epochs = VIDEOS * EXPRESSIONS_A_VIDEO * 2, 2
    parts = ("motion_encoder", "layers.0", "negative_tokens", "all")
    for name in ("train/loss_step", "train/lr", *(f"grad_norm/{part}" for part in parts)):
        assert len(offline_run.column(name)) == num_steps, name
    for name in ("J", "F", "J&F", "J_best", "F_best", "J&F_best", "threshold_best", "oracle_J&F"):
        assert len(offline_run.column(f"valid/{name}")) == num_epochs, name
    assert offline_run.column("valid_by_source/grid") == pytest.approx(
        offline_run.column("valid/J&F")
    )
    for name in names - {"epoch"}:
        assert offline_run.summary[name] == offline_run.column(name)[-1]


def test_histograms_curve_and_breakdowns_agree_with_the_metrics(offline_run: WandbFile) -> None:
    last = [row for row in offline_run.history if "valid/threshold_curve_table" in str(row)][-1]
    jf = offline_run.column("valid/J&F")[-1]

    right, wrong = (sum(last[f"valid/scores_{which}"]["values"]) for which in ("correct", "wrong"))
    # an expression of a video means 1, 1, 1, 2 and 0 of the 3 tracks
    assert (right, wrong) == (5 * VIDEOS, 10 * VIDEOS)
    by_size = {name: last[f"valid_by_size/{name}"] for name in ("large", "nowhere")}
    assert (4 * by_size["large"] + by_size["nowhere"]) / 5 == pytest.approx(jf)
    points = offline_run.table(last["Custom Chart Tables/valid/threshold_curve_table"])
    lines: dict[str, dict[float, float]] = {}
    for point in points:
        lines.setdefault(point["lineKey"], {})[point["step"]] = point["lineVal"]
    assert set(lines) == {"J", "F", "J&F", "oracle J&F"}
    assert lines["J&F"][0.5] == pytest.approx(jf)
    assert max(lines["J&F"].values()) == pytest.approx(offline_run.column("valid/J&F_best")[-1])
    assert len(lines["J&F"]) == 19


def test_examples_name_selected_missed_and_wrong_tracks(
    offline_run: WandbFile,
) -> None:
    value = offline_run.column("valid/examples")[-1]
    rows = offline_run.table(value)

    assert len(rows) == VIDEOS * EXPRESSIONS_A_VIDEO
    mean = sum(row["J&F"] for row in rows) / len(rows)
    assert mean == pytest.approx(offline_run.column("valid/J&F")[-1])
    for row in rows:
        scores = [word.split() for word in row["scores"].split(", ")]  # "2: 0.91 correct"
        selected = {word[0].rstrip(":") for word in scores if float(word[1]) > 0.5}
        rounded = {word[0].rstrip(":") for word in scores if word[1] == "0.50"}
        selected |= rounded & _names(row["selected"])
        right = {word[0].rstrip(":") for word in scores if len(word) == 3}
        assert {"a": {"0"}, "c": {"2"}, "ab": {"0", "1"}}.get(row["sentence"], right) == right
        assert _names(row["selected"]) == selected
        assert _names(row["missed"]) == right - selected
        assert _names(row["wrong"]) == selected - right
        assert row["size"] == ("nowhere" if row["sentence"] == "nothing" else "large")


def test_named_files_exist_and_videos_play(
    offline_run: WandbFile, trained: Callable[[str], Path]
) -> None:
    named = [offline_run.folder / "files" / each["path"] for each in offline_run.media()]
    named += [offline_run.folder / "files" / path for path in offline_run.files]
    for artifact in offline_run.artifacts:
        entries = [e for e in artifact.manifest.contents if not e.ref]
        named += [Path(entry.local_path) for entry in entries]
        _assert_table_names_only_its_own(entries)
    videos = {path for path in named if path.suffix == ".mp4"}

    shown = [each["path"] for each in offline_run.media() if each["path"].endswith(".mp4")]

    assert all(path.is_file() for path in named)
    assert len(shown) == 2 * VIDEOS * EXPRESSIONS_A_VIDEO
    assert len(videos) == len(set(shown))  # equal videos of a validation are one file
    lengths = set()
    for path in videos:
        with av.open(str(path)) as video:
            lengths.add(sum(1 for _ in video.decode(video=0)))
    assert lengths == {9, 16}
    assert all(path.is_relative_to(trained("wandb")) for path in named)


def test_configuration_code_and_checkpoint_are_recorded(
    offline_run: WandbFile, trained: Callable[[str], Path]
) -> None:
    config, run = offline_run.config, offline_run.run
    assert config["optimizer"]["lr"] == 1e-2
    assert config["provenance"]["checkpoint_sha256"] == "0123"
    assert set(config["git"]) == {"commit", "is_dirty"}
    assert (run.job_type, run.run_group, run.project) == ("train", "", "sola")
    assert "optimizer.lr=1e-2" in run.display_name
    assert "/" not in run.display_name
    (selector,) = (a for a in offline_run.artifacts if a.type == "selector")
    (entry,) = selector.manifest.contents
    best_path = trained("wandb") / "best.ckpt"
    assert Path(entry.local_path).read_bytes() == best_path.read_bytes()
    saved = torch.load(best_path, weights_only=True)[PROVENANCE_KEY]
    assert json.loads(selector.metadata)["metrics"] == saved["metrics"]


@pytest.mark.slow
def test_jobs_of_a_sweep_are_one_wandb_group(shapes: list[str], tmp_path: Path) -> None:
    outcome = run_command(
        *("train.py", "-m", *shapes, "logger=wandb", "seed=0,1", "trainer.max_epochs=1"),
        f"hydra.sweep.dir={tmp_path / 'my_sweep'}",
    )

    assert outcome.status == 0, outcome.errors
    folders = [folder for job in (0, 1) for folder in (tmp_path / "my_sweep").glob(f"{job}_*")]
    assert len(folders) == 2
    runs = [read_runs(folder) for folder in folders]
    assert [len(of_job) for of_job in runs] == [1, 1]
    one, other = (of_job[0].run for of_job in runs)
    assert one.run_group == other.run_group == "my_sweep"
    assert one.run_id != other.run_id
    assert ["seed=0" in one.display_name, "seed=1" in other.display_name] == [True, True]
    for folder, (run,) in zip(folders, runs, strict=True):
        staged = [e.local_path for a in run.artifacts for e in a.manifest.contents if not e.ref]
        assert staged
        assert all(Path(p).is_relative_to(folder) for p in staged)
    assert not set(WANDB_DIRS) & set(os.environ)


def test_documentation_names_every_logged_metric(offline_run: WandbFile) -> None:
    text = (ROOT / "docs" / "dashboards.md").read_text()
    section = text.split("## Training")[1].split("## Generation")[0]
    names = set(re.findall(r"`((?:train|valid|grad_norm|lr-)[\w/&-]*)`", section)) - {"valid"}

    assert len(names) > 20
    assert names - offline_run.summary.keys() == {"valid/threshold_curve"}  # a chart of its own
    written = {name for name in offline_run.summary if name.split("/")[0] in ("train", "valid")}
    assert written - names == {"train/bce_epoch", "train/alignment_epoch"}  # "..." there


@pytest.mark.slow
def test_two_processes_log_the_metrics_of_one(shapes: list[str], tmp_path: Path) -> None:
    words = [*shapes, *AS_WANDB, "trainer.max_epochs=1", "optimizer.lr=1e-5"]
    words += ["selector.dropout=0", "selector.attention_dropout=0"]
    devices = ["trainer.devices=2", "trainer.strategy=ddp"]
    done = subprocess.run(
        [sys.executable, "train.py", *words, *devices, f"hydra.run.dir={tmp_path / 'two'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    train(words, tmp_path / "one", "data.batch_size=2")

    (one,), (two,) = read_runs(tmp_path / "one"), read_runs(tmp_path / "two")
    assert set(one.summary) == set(two.summary)
    for name in ("valid/scores_correct", "valid/scores_wrong"):
        assert one.column(name) == two.column(name)
    for rows in zip(
        *(run.table(run.column("valid/examples")[0]) for run in (one, two)), strict=True
    ):
        assert rows[0] == rows[1]


@pytest.mark.slow
def test_resumed_run_continues_its_wandb_run(shapes: list[str], tmp_path: Path) -> None:
    words, cut = [*shapes, *AS_WANDB, "dashboard.num_examples=0"], tmp_path / "cut"
    train(words, tmp_path / "whole")
    train(words, cut, "trainer.max_epochs=1")
    train(words, cut, "resume=true")
    (whole,), parts = read_runs(tmp_path / "whole"), read_runs(cut)

    first, second = parts
    assert first.run.run_id == second.run.run_id
    rows = [row["_step"] for part in parts for row in part.history]
    assert rows == sorted(set(rows))  # those of the second part follow those of the first
    for name in ("trainer/global_step", "train/loss_step", "valid/J&F", "grad_norm/all"):
        expected = whole.column(name)
        assert first.column(name) + second.column(name) == pytest.approx(expected), name
    longer = (f"ckpt_path={cut / 'last.ckpt'}", "trainer.max_epochs=3")
    ids = {first.run.run_id, whole.run.run_id}
    for name in ("elsewhere", "elsewhere_too"):
        train(words, tmp_path / name, *longer)
        (run,) = read_runs(tmp_path / name)
        ids.add(run.run.run_id)
    assert len(ids) == 4


def test_missing_frames_only_disable_overlays(command: list[str], tmp_path: Path) -> None:
    outcome = run_command(
        "train.py", *command, "logger=wandb", f"hydra.run.dir={tmp_path / 'run'}", *FAST
    )

    assert outcome.status == 0
    assert outcome.errors.count("no overlay video for the dashboard: ") == 2  # one a validation
    (run,) = read_runs(tmp_path / "run")
    rows = run.table(run.column("valid/examples")[0])
    assert len(rows) == 8
    assert {row["overlay"] for row in rows} == {None}


def test_tensorboard_holds_numbers_histograms_pictures_and_table(
    shapes: list[str], tmp_path: Path, trained: Callable[[str], Path]
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train([*shapes, "logger=tensorboard", *FAST], tmp_path / "tensorboard")
    events = EventAccumulator(str(tmp_path / "tensorboard" / "tensorboard"))
    events.Reload()
    tags = events.Tags()

    for name in set(names_of_csv(trained("csv"))) - {"step"}:
        found = [event.value for event in events.Scalars(name)]
        assert found == pytest.approx(rows_of_csv(trained("csv"), name), rel=1e-6), name
    right = events.Histograms("valid/scores_correct")[-1].histogram_value
    assert right.num == sum(right.bucket) == 5 * VIDEOS
    assert {"valid/threshold_curve", "valid/examples/0", "valid/examples/7"} <= set(tags["images"])
    text = events.Tensors("valid/examples/text_summary")[-1].tensor_proto.string_val[0].decode()
    assert len(text.splitlines()) == 2 + 8
    (event,) = events.Tensors("configuration/text_summary")
    text = event.tensor_proto.string_val[0].decode()
    assert "\n    seed: 42\n" in text
    assert "\n      commit: " in text
    assert not list(tmp_path.glob("*/wandb"))


def test_wandb_mode_disabled_logs_nothing(
    shapes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    train([*shapes, *AS_WANDB], tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()} - {".hydra", "train.log"}
    assert names == {"best.ckpt", "last.ckpt"}


def test_gradient_norms_by_part() -> None:
    sizes = {"token_dim": 8, "text_dim": 16, "num_layers": 2, "num_heads": 2, "num_negatives": 3}
    selector = TrackSelector(**sizes)
    logits, tokens = selector(torch.randn(1, 3, 4, 8), torch.randn(1, 2, 16))
    (logits.sum() + tokens.square().sum()).backward()

    norms = gradient_norms(selector)

    assert set(norms) == {
        f"grad_norm/{part}"
        for part in ("motion_encoder", "layers.0", "layers.1", "negative_tokens", "all")
    }
    of_layer = [p.grad.flatten() for p in selector.layers[1].parameters() if p.grad is not None]
    assert float(norms["grad_norm/layers.1"]) == pytest.approx(float(torch.cat(of_layer).norm()))
    of_all = [p.grad.flatten() for p in selector.parameters() if p.grad is not None]
    assert float(norms["grad_norm/all"]) == pytest.approx(float(torch.cat(of_all).norm()))


def test_part_without_parameters_has_no_norm() -> None:
    selector = torch.nn.Module()
    selector.negative_tokens = torch.nn.Parameter(torch.zeros(0, 4))
    selector.out = torch.nn.Linear(4, 1)
    (selector.out(torch.ones(4)).sum() + selector.negative_tokens.sum()).backward()
    assert set(gradient_norms(selector)) == {"grad_norm/out", "grad_norm/all"}


def _names(cell: str) -> set[str]:
    return set(cell.split(", ")) - {""}


def _assert_table_names_only_its_own(entries: list[Any]) -> None:
    paths = {entry.path for entry in entries}
    for entry in entries:
        if entry.path.endswith(".table.json"):
            rows = json.loads(Path(entry.local_path).read_text())["data"]
            cells = [cell for row in rows for cell in row if isinstance(cell, dict)]
            assert {cell["path"] for cell in cells} <= paths
