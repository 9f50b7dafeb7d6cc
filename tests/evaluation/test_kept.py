"""What an evaluation leaves for others: taken where it is right, made again where it is not."""

import json
import logging
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import drawn_split as drawn
import numpy as np
import pytest

from sola.evaluation import kept, protocol, scored_split
from sola.evaluation.kept import KeptEvaluation, digest_of_task
from sola.evaluation.protocol import VideoTask, measure_video
from sola.evaluation.run import run_evaluation
from sola.evaluation.scores import ExpressionScores, Scores

TESTS_DIR = Path(__file__).parents[1]
NUM_KILLS = 10
MakeConfig = Callable[..., Any]
# A process of its own ends itself before one of the operations on files, another one every time,
# and one that may go on to the end follows with the same command.
DRIVER = """
import os, shutil, signal, sys
from pathlib import Path

import drawn_split as drawn

from sola.config.entry_points import EvaluateConfig
from sola.evaluation import scored_split
from sola.evaluation.run import run_evaluation

OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir")
folder, num_kills = Path(sys.argv[1]), int(sys.argv[2])
count, moment = 0, 0


def note(event, arguments):
    global count
    if event in OPERATIONS and str(folder) in str(arguments):
        count += 1
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)


def evaluate(name):
    global count
    count, child = 0, os.fork()
    if child == 0:
        config.paths.output_dir = str(folder / "output" / name)
        run_evaluation(config)
        (folder / "count").write_text(str(count))
        os._exit(0)
    return os.waitpid(child, 0)[1]


scored_split.TextTokens = drawn.LetterTokens
config = drawn.make_config(EvaluateConfig, folder)
sys.addaudithook(note)
evaluations = folder / "data" / "cache" / "drawn" / "valid_u" / "evaluations"
for _ in range(2):  # the first time, files are written that stay
    assert evaluate("whole") == 0
    shutil.rmtree(evaluations)
total = int((folder / "count").read_text())
for number in range(num_kills):
    moment = 1 + number * total // num_kills
    assert evaluate(str(number)) == signal.SIGKILL
    left = len(list(evaluations.glob("*/videos/*.json")))
    moment = 0
    assert evaluate(str(number)) == 0
    print(left)
    shutil.rmtree(evaluations)
"""


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Videos that were measured, and "scores" for every time that a split was scored."""
    found: list[str] = []
    measure, score = protocol.measure_video, scored_split.score_expressions

    def measure_and_note(task: VideoTask) -> Any:
        found.append(task.expressions[0].video_id)
        return measure(task)

    def score_and_note(*args: Any, **kwargs: Any) -> Scores:
        found.append("scores")
        return score(*args, **kwargs)

    monkeypatch.setattr(protocol, "measure_video", measure_and_note)
    monkeypatch.setattr(scored_split, "score_expressions", score_and_note)
    return found


def folders(config: Any) -> list[Path]:
    return list((Path(config.paths.data_dir) / "cache" / "drawn" / "valid_u").glob("*/*"))


def test_another_threshold_costs_nothing(
    evaluate_config: MakeConfig, measured: list[str], tmp_path: Path
) -> None:
    first = run_evaluation(evaluate_config(threshold=0.5))
    assert measured == ["scores", "v1", "v2"]
    scores = json.loads((tmp_path / "output" / "scores.json").read_text())

    second = run_evaluation(evaluate_config(threshold=0.0))

    assert measured == ["scores", "v1", "v2"]
    assert json.loads((tmp_path / "output" / "scores.json").read_text()) == scores
    (folder,) = folders(evaluate_config())
    for path in folder.rglob("*.json"):
        path.unlink()
    assert run_evaluation(evaluate_config(threshold=0.0)) == second
    assert run_evaluation(evaluate_config(threshold=0.5)) == first
    assert first["curve"] == second["curve"]


def change_checkpoint(config: Any) -> None:
    drawn._write_checkpoint(Path(config.ckpt_path), 4, {"note": "another"})


def change_tracks(config: Any) -> None:
    (path,) = (Path(config.paths.data_dir) / "tracks").rglob("grid/tiny/*.h5")
    os.utime(path, ns=(1, 1))


def change_text(config: Any) -> None:
    path = Path(config.dataset.root) / "valid_u" / "meta_expressions.json"
    path.write_text(path.read_text().replace("the large one", "the huge one"))


def change_masks(config: Any) -> None:
    path = Path(config.dataset.root) / "valid_u" / "mask_dict.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "1": drawn.LARGE}))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda config: None, []),
        (change_checkpoint, ["scores", "v1", "v2"]),
        (change_tracks, ["scores", "v1", "v2"]),
        (change_text, ["scores", "v1", "v2"]),
        (change_masks, ["v1"]),
        (lambda config: setattr(config, "seed", 43), []),  # the same other texts here
        (lambda config: setattr(config, "sources", ["gdino"]), ["scores", "v1", "v2"]),
        (lambda config: setattr(config.text_encoder, "name", "b"), ["scores", "v1", "v2"]),
    ],
)
def test_what_numbers_depend_on_is_asked_for(
    evaluate_config: MakeConfig,
    measured: list[str],
    change: Callable[[Any], None],
    expected: list[str],
) -> None:
    config = evaluate_config(trained_with=None)
    run_evaluation(config)
    measured.clear()

    change(config)
    found = run_evaluation(config)

    assert measured == expected
    for folder in folders(config):
        for path in folder.rglob("*.json"):
            path.unlink()
    assert run_evaluation(config) == found


@pytest.mark.fault
@pytest.mark.parametrize("name", ["scores.json", "videos/v1.json"])
@pytest.mark.parametrize("damage", ["cut off", "digit", "other", "list", "no JSON"])
def test_a_damaged_file_is_not_believed(
    evaluate_config: MakeConfig,
    measured: list[str],
    caplog: pytest.LogCaptureFixture,
    name: str,
    damage: str,
    fault: Callable[..., None],
) -> None:
    first = run_evaluation(evaluate_config())
    (folder,) = folders(evaluate_config())
    path = folder / name
    content = json.loads(path.read_text())
    if damage == "cut off":
        path.write_text(path.read_text()[:-20])
    elif damage == "digit":
        path.write_text(path.read_text().replace("0.0", "0.1", 1))
    else:
        other = {"other": {**content, "key": "another"}, "list": [], "no JSON": None}[damage]
        path.write_bytes(b"\xff\x00" if other is None else json.dumps(other).encode())
    measured.clear()

    with caplog.at_level(logging.WARNING):
        second = run_evaluation(evaluate_config())

    assert second == first
    assert measured == (["scores"] if name == "scores.json" else ["v1"])
    (message,) = caplog.messages
    assert message.startswith(f"{path}: damaged or out of date (")
    assert json.loads(path.read_text()) == content
    what = "kept scores" if name == "scores.json" else "kept results of a video"
    happened = "a warning; computed again, the numbers are the same"
    fault("Evaluation", f"{what} that are damaged ({damage})", happened)


def test_old_evaluations_go(
    evaluate_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MAX_FOLDERS", 3)
    for number in range(5):
        folder = KeptEvaluation(tmp_path, {"number": number}).folder
        os.utime(folder, (number, number))
    again = KeptEvaluation(tmp_path, {"number": 2}).folder  # used last
    os.utime(again, (9, 9))

    KeptEvaluation(tmp_path, {"number": 5})

    left = {KeptEvaluation(tmp_path, {"number": number}).folder for number in (5, 4, 2)}
    assert set(tmp_path.iterdir()) == left


@pytest.mark.fault
def test_a_folder_that_cannot_be_written_is_no_obstacle(
    evaluate_config: MakeConfig,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    fault: Callable[..., None],
) -> None:
    config = evaluate_config()
    (tmp_path / "data" / "cache").write_text("a file")

    with caplog.at_level(logging.WARNING):
        assert run_evaluation(config)["num_expressions"] == 5

    assert "nothing can be kept there" in caplog.messages[0]
    happened = "a warning; all numbers, nothing kept"
    fault("Evaluation", "a cache that cannot be written", happened)


def make_task() -> VideoTask:
    row = {"0": np.array([0.1, 0.9], np.float32), "1": np.array([0.3, 0.2], np.float32)}
    one, other = drawn.EXPRESSIONS[:2]
    scores = Scores({("v1", "0"): ExpressionScores((0, 1), row)}, {})
    truth = drawn.GROUND_TRUTH["v1"]
    return VideoTask("here", drawn.TRACKS["v1"], ("grid", "grid"), truth, (one,), scores, (other,))


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    task, store = make_task(), KeptEvaluation(tmp_path, {})
    results = measure_video(task)
    assert store.read(task) is None

    store.write(task, results)

    assert store.read(task) == results
    assert results[0].other_curve is not None
    scores = task.scores.by_expression["v1", "0"]
    other_row = {**scores.by_text, "0": np.array([0.1, 0.8999], np.float32)}
    changes: list[dict[str, Any]] = [
        {"masklets": task.masklets[::-1]},
        {"ground_truth": {"1": drawn.LARGE, "2": drawn.LARGE}},
        {"others": (None,)},
        {"expressions": (replace(task.expressions[0], object_ids=("2",)),)},
        {"scores": Scores({("v1", "0"): replace(scores, by_text=other_row)}, {})},
    ]
    digests = {digest_of_task(replace(task, **change)) for change in changes}
    assert len(digests | {digest_of_task(task)}) == 6
    assert digest_of_task(replace(task, where="elsewhere")) == digest_of_task(task)


def _evaluate(config: Any, threshold: float) -> None:
    scored_split.TextTokens = drawn.LetterTokens  # type: ignore[misc, assignment]
    config.threshold = threshold
    config.paths.output_dir += f"/{threshold}"
    run_evaluation(config)


@pytest.mark.devices
@pytest.mark.slow
def test_jobs_of_a_sweep_may_run_at_once(evaluate_config: MakeConfig, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    thresholds = [0.3, 0.4, 0.5]
    jobs = [context.Process(target=_evaluate, args=(evaluate_config(), t)) for t in thresholds]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()

    for threshold in thresholds:
        written = (tmp_path / "output" / str(threshold) / "evaluation.json").read_text()
        expected = run_evaluation(evaluate_config(threshold=threshold))
        assert json.loads(written) == expected | {"scores": "scores.json"}
    (folder,) = folders(evaluate_config())
    assert {path.name for path in folder.rglob("*.*")} == {"scores.json", "v1.json", "v2.json"}


@pytest.mark.fault
@pytest.mark.slow
def test_a_killed_evaluation_goes_on(tmp_path: Path, fault: Callable[..., None]) -> None:
    code = f"import sys; sys.path[:0] = [{str(TESTS_DIR)!r}]\n{DRIVER}"

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), str(NUM_KILLS)],
        cwd=TESTS_DIR.parent,
        capture_output=True,
        text=True,
        timeout=250,
    )

    assert done.returncode == 0, done.stderr
    left = [int(line) for line in done.stdout.splitlines() if line.isdigit()]
    assert len(left) == NUM_KILLS
    assert {0, 1} <= set(left)  # videos measured before the kill
    whole = (tmp_path / "output" / "whole" / "evaluation.json").read_bytes()
    for number in range(NUM_KILLS):
        output_dir = tmp_path / "output" / str(number)
        assert (output_dir / "evaluation.json").read_bytes() == whole
    happened = "goes on with the next video; evaluation.json has the same bytes"
    fault(
        "Evaluation",
        f"killed (SIGKILL) {NUM_KILLS} times",
        happened,
        "nothing; the video in work is made again",
    )
