"""The pages docs/adding_*.md: their files and commands, run in a folder of a user's own."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from worked_example import Answer, WorkedExample

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
PAGES = [
    "adding_a_prompt_source.md",
    "adding_a_detector.md",
    "adding_a_selector.md",
    "adding_a_loss.md",
    "adding_a_metric.md",
    "adding_a_scorer.md",
    "adding_a_text_encoder.md",
    "adding_a_callback.md",
    "adding_a_dataset.md",
    "adding_a_tracker.md",
]
MAKER = "dataset.maker"
SMALL = [f"{MAKER}.num_videos={{train:2,valid_u:2}}", f"{MAKER}.num_frames=8"]
SMALL += [f"{MAKER}.expressions_per_video=6"]
QUICKSTART = [
    ["sola", "generate", "dataset=moving_shapes", "split=train", "prompt_source=gt"],
    ["sola", "generate", "dataset=moving_shapes", "split=valid_u", "prompt_source=grid"],
    ["sola", "train", "experiment=demo", "hydra.run.dir=outputs/demo"],
]
"""Their tracks and selector are what the pages start from."""


def shortened(command: list[str]) -> list[str]:
    """A command on few videos; training takes one epoch."""
    if command[:2] == ["sola", "check"] or command[0] != "sola":
        return command
    epoch = ["trainer.max_epochs=1", "trainer.log_every_n_steps=1"]
    is_own = any(word.startswith(("dataset=mine", "video=")) for word in command)
    few = [] if is_own else SMALL
    return [*command, *(epoch if command[1] == "train" else []), *few]


@dataclass(frozen=True)
class Ran:
    """All pages in one folder, and what their commands answered."""

    folder: Path
    answers: dict[str, list[Answer]]
    """By page."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Every command of every page, in one process."""
    example = WorkedExample(tmp_path_factory.mktemp("user"))
    commands = {"quickstart": QUICKSTART} | {page: example.add(page) for page in PAGES}
    answers = iter(example.run([shortened(each) for own in commands.values() for each in own]))
    by_page = {page: [next(answers) for _ in own] for page, own in commands.items()}
    for answer in (each for own in by_page.values() for each in own):
        assert answer.status == 0, f"{answer.command}\n{answer.errors}"
    return Ran(example.folder, by_page)


def read_json(path: Path):
    return json.loads(path.read_text())


def test_prompt_source(ran: Ran) -> None:
    index = read_json(ran.folder / "data/tracks/moving_shapes/valid_u/mine/small/index.json")

    assert index["source"] == "mine"
    assert all("/" in name for name in index["entries"]), "tracks are of a sentence"
    assert 0 < max(entry["num_tracks"] for entry in index["entries"].values()) <= 2
    assert index["config"]["prompt_source"]["tolerance"] == 60
    assert len(index["prompt_source_code_sha256"]) == 64
    assert "selection" in ran.answers["adding_a_prompt_source.md"][1].output


def test_detector(ran: Ran) -> None:
    found = read_json(ran.folder / "outputs/colour_words/evaluation.json")
    answered = read_json(ran.folder / "outputs/colour_words_clip/prediction.json")

    assert (found["scorer"], found["threshold"]) == ({"name": "detection"}, 0.3)
    assert found["results"]["selection"]["J&F"] > 0
    for expression in answered["expressions"]:
        for track in expression["tracks"]:
            assert answered["tracks"][track]["prompt"]["phrase"] in expression["text"]


def test_selector(ran: Ran) -> None:
    checkpoint = torch.load(ran.folder / "outputs/first_frame/best.ckpt", weights_only=True)

    described = checkpoint["sola"]["selector"]
    assert described["_target_"] == "my_code.first_frame.FirstFrame"
    assert (described["scale"], described["text_dim"]) == (0.5, 384)
    assert "selection" in ran.answers["adding_a_selector.md"][1].output


def test_loss(ran: Ran) -> None:
    with (ran.folder / "outputs/focal/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))

    (valid,) = [row for row in rows if row["valid/loss"]]
    total = float(valid["valid/focal"]) + 0.2 * float(valid["valid/penalty"])
    assert float(valid["valid/loss"]) == pytest.approx(total)
    for name in ("loss", "focal", "penalty"):
        assert any(row[f"train/{name}_step"] for row in rows)
        assert any(row[f"train/{name}_epoch"] for row in rows)


def test_metric(ran: Ran) -> None:
    found = read_json(ran.folder / "outputs/success/evaluation.json")

    values = [each["answers"]["selection"]["success"] for each in found["expressions"]]
    mean = found["results"]["selection"]
    assert mean["success"] == pytest.approx(sum(values) / len(values))
    lower, upper = mean["interval"]["success"]
    assert lower <= mean["success"] <= upper
    assert found["metrics"]["success"]["target"] == "my_code.success.success"
    (answer,) = ran.answers["adding_a_metric.md"]
    assert "success" in answer.output


def test_scorer(ran: Ran) -> None:
    found = read_json(ran.folder / "outputs/longest/evaluation.json")

    assert found["scorer"] == {"scorer": "longest", "power": 2.0}
    assert 0 < found["results"]["selection"]["J&F"] < found["results"]["oracle"]["J&F"]


def test_text_encoder(ran: Ran) -> None:
    checkpoint = torch.load(ran.folder / "outputs/words/best.ckpt", weights_only=True)

    assert checkpoint["sola"]["selector"]["text_dim"] == 64
    assert checkpoint["sola"]["text_encoder"] == "mine"
    assert list((ran.folder / "data/text/mine").glob("*.h5"))


def test_callback_and_logger(ran: Ran) -> None:
    limited, _ = ran.answers["adding_a_callback.md"]
    written = (ran.folder / "outputs/lines/metrics.jsonl").read_text()
    rows = [json.loads(line) for line in written.splitlines()]

    assert "stopped after 0.001 minutes" in limited.errors
    assert (ran.folder / "outputs/limited/best.ckpt").is_file()
    assert any("valid/J&F" in row for row in rows)
    assert read_json(ran.folder / "outputs/lines/values.json")["seed"] == 42


def test_dataset(ran: Ran) -> None:
    _, check, *_, evaluate = ran.answers["adding_a_dataset.md"]

    assert "mine/train" in check.output
    assert check.output.count("0 errors, 0 warnings") == 2
    index = read_json(ran.folder / "data/tracks/mine/valid/grid/small/index.json")
    assert (index["dataset"], list(index["entries"])) == ("mine", ["a", "b"])
    assert "mine/valid" in evaluate.output


def test_tracker(ran: Ran) -> None:
    index = json.loads(
        (ran.folder / "data/tracks/moving_shapes/train/gt/copies/index.json").read_text()
    )
    assert index["token_dim"] == 8
    assert index["config"]["tracker"] == {"threshold": 200}
    assert (ran.folder / "outputs/copies/best.ckpt").is_file()
