"""The programs that a user starts: help, mistakes, and the whole chain."""

import json
import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
ENTRY_POINTS = ["train.py", "generate.py", "evaluate.py", "predict.py"]
HELP_LIMIT_S = 1.0


def _run(entry: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    return subprocess.run(
        [sys.executable, str(ROOT / entry), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("entry", ENTRY_POINTS)
def test_help_takes_less_than_a_second(entry, tmp_path):
    before = getrusage(RUSAGE_CHILDREN)
    done = _run(entry, "--help", cwd=tmp_path)
    after = getrusage(RUSAGE_CHILDREN)

    assert done.returncode == 0
    assert done.stdout.startswith(entry)
    assert f"python {entry} " in done.stdout
    # processor time: other programs may keep the machine busy
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < HELP_LIMIT_S


DRIVER = """
import json, runpy, sys

for command in json.loads(sys.argv[1]):
    print("#", *command, file=sys.stderr)
    sys.argv = command
    try:
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as end:
        print("# status", end.code, file=sys.stderr)
"""


@dataclass
class Chain:
    """The commands of the demo, in small, and what they left."""

    folder: Path
    messages: list[str]
    """stderr of each command."""
    output: str
    """stdout of all commands."""


@pytest.fixture(scope="module")
def chain(tmp_path_factory) -> Chain:
    """All commands run in one process of their own: importing takes longer than running."""
    folder = tmp_path_factory.mktemp("chain")
    shared = ["num_threads=1", f"data_root={folder}"]
    small = [f"dataset.maker.num_videos.{split}=2" for split in ("train", "valid_u")]
    small += [f"dataset.maker.{key}" for key in ("num_frames=6", "expressions_per_video=4")]
    small += ["dataset.maker.max_objects=3", *shared]
    best = f"ckpt_path={folder}/run/best.ckpt"
    commands = [
        ["generate.py", "split=train", "prompt_source=gt"],
        ["generate.py", "split=train", "prompt_source=grid"],
        ["generate.py", "split=valid_u", "prompt_source=grid"],
        ["generate.py", "split=valid_u", "prompt_source=grid"],
        ["train.py", "experiment=demo", "trainer.max_epochs=1", f"hydra.run.dir={folder}/run"],
        ["evaluate.py", best, "report=true", f"hydra.run.dir={folder}/evaluation"],
        [
            *("predict.py", best, "num_overlays=1", "submission=true"),
            f"hydra.run.dir={folder}/prediction",
        ],
        [
            *("predict.py", best, "expressions=[the circle, 'all, but the \"red\" ones']"),
            f"video={folder}/moving_shapes/valid_u/JPEGImages/shapes_01000000",
            f"hydra.run.dir={folder}/clip",
        ],
    ]
    for command in commands:
        command += [f"hydra.run.dir={folder}/generate"] if command[0] == "generate.py" else []
        command += shared if any(word.startswith("video=") for word in command) else small
    environment = dict(os.environ)
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(commands)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    messages = re.split(r"^# (?!status).*\n", done.stderr, flags=re.MULTILINE)
    return Chain(folder, messages[1:], done.stdout)


def test_generate_writes_videos_and_tracks(chain):
    for split, source in (("train", "gt"), ("train", "grid"), ("valid_u", "grid")):
        folder = chain.folder / "tracks" / "moving_shapes" / split / source / "small"
        index = json.loads((folder / "index.json").read_text())
        assert (index["dataset"], index["split"], index["source"]) == (
            "moving_shapes",
            split,
            source,
        )
        assert len(index["entries"]) == 2
    assert len(list((chain.folder / "moving_shapes" / "train").rglob("*.jpg"))) == 2 * 6


def test_second_generate_finds_everything_done(chain):
    first, second = chain.messages[2:4]

    assert "2/2" in first
    assert "2/2" not in second
    assert "nothing to do" in second


def test_train_writes_checkpoint_and_metrics(chain):
    assert (chain.folder / "run" / "best.ckpt").is_file()
    assert "valid/J&F" in (chain.folder / "run" / "metrics.csv").read_text()


def test_evaluate_writes_and_prints_numbers(chain):
    evaluation = json.loads((chain.folder / "evaluation" / "evaluation.json").read_text())

    assert evaluation["split"] == "valid_u"
    assert evaluation["num_expressions"] == len(evaluation["expressions"]) == 8
    assert "J&F" in chain.output
    assert "oracle" in chain.output


def test_evaluate_writes_report_and_logs_its_path(chain):
    report_dir = chain.folder / "evaluation" / "report"

    assert f"{report_dir}/index.html: the report" in chain.messages[5]
    assert len(list((report_dir / "thumbs").iterdir())) == 8
    assert len(list((report_dir / "frames").rglob("*.jpg"))) == 2 * 6
    assert (report_dir / "plots" / "threshold_curve.svg").is_file()


def test_predict_writes_a_mask_for_every_frame_of_every_expression(chain):
    masks_dir = chain.folder / "prediction" / "masks"

    assert len(list(masks_dir.glob("*/*/*.png"))) == 8 * 6
    assert len(list((chain.folder / "prediction" / "overlays").iterdir())) == 1
    with zipfile.ZipFile(chain.folder / "prediction" / "submission.zip") as file:
        assert len(file.namelist()) == 8 * 6


def test_console_shows_own_messages_only(chain):
    for messages in chain.messages:
        for line in messages.splitlines():
            assert re.match(r"\d\d:\d\d:\d\d (INFO|WARNING) ", line), line


def test_predict_answers_sentences_about_a_clip(chain):
    record = json.loads((chain.folder / "clip" / "prediction.json").read_text())

    assert [e["text"] for e in record["expressions"]] == ["the circle", 'all, but the "red" ones']
    assert record["clip"]["num_frames"] == 6
    for expression in record["expressions"]:
        assert len(list((chain.folder / "clip" / expression["masks"]).iterdir())) == 6
        assert (chain.folder / "clip" / expression["overlay"]).is_file()
