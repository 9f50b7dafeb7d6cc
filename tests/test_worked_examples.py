"""The pages docs/adding_*.md, whose files and commands are what these tests run."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from worked_example import Answer, WorkedExample

pytestmark = pytest.mark.timeout(1200)  # several programs in turn, on a machine that others share
EPOCH = ("trainer.max_epochs=1", "logger=csv")
SMALL = "dataset.maker.num_videos={train:2,valid_u:2}"


def shortened(command: list[str], *overrides: str) -> list[str]:
    """A command with some values, and of training one epoch."""
    return [*command, *overrides, *(EPOCH if command[1] == "train.py" else ())]


def run_all(example: WorkedExample, *overrides: str) -> list[Answer]:
    """Every command of the page, on fewer videos."""
    answers = example.run([shortened(command, *overrides) for command in example.commands])
    for command, answer in zip(example.commands, answers, strict=True):
        assert answer.status == 0, f"{command}: {answer.errors}"
    return answers


def test_a_prompt_source_is_two_files(tmp_path: Path) -> None:
    example = WorkedExample("adding_a_prompt_source.md", tmp_path / "sola")
    answers = run_all(example, SMALL)

    data = example.folder / "data"
    tracks = data / "tracks/moving_shapes/train/boxes/small"
    index = json.loads((tracks / "index.json").read_text())
    assert index["source"] == "boxes"
    assert len(index["boxes_sha256"]) == 64
    assert index["config"]["prompt_source"]["options"] == {"min_score": 0.3}
    boxes = json.loads((data / "boxes/moving_shapes/train.json").read_text())
    assert list(index["entries"]) == sorted(boxes)
    likely = {name: [i for i in found if i["score"] > 0.3] for name, found in boxes.items()}
    for name, entry in index["entries"].items():
        assert 0 < entry["num_tracks"] <= len(likely[name])
    assert sum(map(len, likely.values())) < sum(map(len, boxes.values())), "nothing is dropped"
    assert f"{sum(map(len, boxes.values()))} prompts found" not in answers[2].output
    assert "selection" in answers[5].output
    assert "of the tracks from colours alone" in " ".join(answers[-1].output.split())
    of_words = json.loads(
        (data / "tracks/moving_shapes/valid_u/colours/small/index.json").read_text()
    )
    assert all("/" in name for name in of_words["entries"])
    assert of_words["config"]["prompt_source"]["options"] == {"tolerance": 80}


def test_what_is_misspelt_of_an_own_source_is_told(tmp_path: Path) -> None:
    example = WorkedExample("adding_a_prompt_source.md", tmp_path / "sola")
    generate = ["generate.py", "split=train", "prompt_source=boxes"]
    name, option, file, sources, export = example.run(
        [
            ["generate.py", "split=train", "prompt_source=boxs"],
            [*generate, "+prompt_source.options.min_scor=1"],
            generate,
            ["evaluate.py", "ckpt_path=x", "sources=[boxs]"],
            ["sola.published", "export", "tree", *generate[1:]],
        ]
    )
    assert "Did you mean prompt_source=boxes?" in name.errors
    assert (
        "min_scor: boxes does not take it; it takes path, min_score. Did you mean min_score?"
        in (option.errors)
    )
    assert "data/boxes/moving_shapes/train.json: not found. Put your detector's" in file.errors
    assert "sources is 'boxs'; known are gt, grid, gdino, boxes, colours. Did you mean boxes?" in (
        sources.errors
    )
    assert "prompt_source=boxes: the published code has tracks of gt, grid, gdino alone" in (
        export.errors
    )
    assert {each.status for each in (name, option, file, sources, export)} == {1}


def test_a_dataset_is_two_files(tmp_path: Path) -> None:
    example = WorkedExample("adding_a_dataset.md", tmp_path / "sola")
    write, *others = example.commands
    (written,) = example.run([[*write, SMALL]])
    assert written.status == 0, written.errors
    (next(example.folder.glob("data/folders/train/*/frames")) / "notes.txt").touch()  # no odd file
    example.commands = others
    answers = run_all(example)

    check = answers[0].output
    assert "folders/train  (data/folders/train)" in check
    assert "expressions  24" in check
    assert check.count("0 errors, 0 warnings") == 2
    index = json.loads(
        (example.folder / "data/tracks/folders/valid/grid/small/index.json").read_text()
    )
    assert (index["dataset"], len(index["entries"])) == ("folders", 2)
    assert "folders/valid, threshold" in answers[4].output
    (prediction,) = example.folder.glob("outputs/predict/*")
    assert len(list(prediction.glob("masks/*/*"))) == 24


def test_what_is_wrong_with_an_own_dataset_is_told(tmp_path: Path) -> None:
    example = WorkedExample("adding_a_dataset.md", tmp_path / "sola")
    (written,) = example.run([[*example.commands[0], SMALL]])
    assert written.status == 0, written.errors
    first, second = sorted((example.folder / "data" / "folders" / "train").iterdir())
    (first / "masks" / "00003.png").unlink()
    content = json.loads((second / "video.json").read_text())
    content["expressions"][0]["objects"] = [99]
    (second / "video.json").write_text(json.dumps(content))
    shutil.rmtree(example.folder / "data" / "folders" / "valid")

    check, layout, split = example.run(
        [
            ["sola.datasets", "dataset=folders"],
            ["train.py", "dataset=folders", "dataset.layout=folder"],
            ["generate.py", "dataset=folders", "split=valid", "tracker=small"],
        ]
    )
    assert f"video {first.name}: data/folders/train/{first.name}/masks/00003.png: not found" in (
        check.output
    )
    assert f"object 99 of video {second.name}: never visible" in check.output
    assert "moving_shapes, folders, joint. Did you mean folders?" in layout.errors
    assert "no */video.json in it. Splits that are there: train" in split.errors
    assert {each.status for each in (check, layout, split)} == {1}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> WorkedExample:
    """What make demo leaves, of fewer videos; with the metric of the page."""
    example = WorkedExample("adding_a_metric.md", tmp_path_factory.mktemp("demo") / "sola")
    make = ("generate.py", "dataset=moving_shapes", SMALL)
    answers = example.run(
        [
            [*make, "split=train", "prompt_source=gt"],
            [*make, "split=train", "prompt_source=grid"],
            [*make, "split=valid_u", "prompt_source=grid"],
            ["train.py", "experiment=demo", SMALL, *EPOCH, "hydra.run.dir=outputs/demo"],
        ]
    )
    assert {answer.status for answer in answers} == {0}
    return example


def test_a_metric_is_one_file(demo: WorkedExample) -> None:
    evaluate, other, compare = demo.commands
    answers = demo.run([[*evaluate, SMALL], [*other, SMALL], compare])
    assert [answer.status for answer in answers] == [0, 0, 0], [a.errors for a in answers]

    found = json.loads((demo.folder / "outputs/a/evaluation.json").read_text())
    values = [e["answers"]["selection"]["success"] for e in found["expressions"]]
    mean = found["results"]["selection"]
    assert mean["success"] == pytest.approx(sum(values) / len(values))
    lower, upper = mean["interval"]["success"]
    assert lower <= mean["success"] <= upper
    for name, answer in found["results"].items():
        assert 0 <= answer["success"] <= 1, name
    assert found["results"]["oracle"]["success"] > mean["success"]
    of_none = [e["answers"]["none"] for e in found["expressions"] if not e["objects"]]
    assert {(answer["J"], answer["success"]) for answer in of_none} == {(1, 1)}
    assert found["by_group"]["objects"]["0"]["selection"]["success"] >= 0
    assert len(found["metrics"]["success"]["sha256"]) == 64
    assert "success: Share of the frames on which answer and objects overlap" in answers[0].output
    assert "success" in (demo.folder / "outputs/a/report/index.html").read_text()
    assert "success" in answers[2].output


def test_metrics_do_not_change_what_is_kept(demo: WorkedExample) -> None:
    plain = ["evaluate.py", "ckpt_path=outputs/demo/best.ckpt", SMALL]
    folders = ("plain", "own", "again")
    own = demo.folder / "sola" / "metrics" / "success.py"
    runs = [[*plain, f"hydra.run.dir=outputs/{name}"] for name in folders]
    runs[1].append("metrics=[success]")
    assert {answer.status for answer in demo.run(runs)} == {0}
    first, with_own, again = (
        json.loads((demo.folder / "outputs" / name / "evaluation.json").read_text())
        for name in folders
    )
    assert first == again
    assert "success" not in json.dumps(first)
    text = own.read_text()
    own.write_text(text.replace("> 0.5).mean()", "> 2).mean()"))
    (changed,) = demo.run([[*runs[1], "num_workers=2"]])
    assert changed.status == 0, changed.errors
    after = json.loads((demo.folder / "outputs" / "own" / "evaluation.json").read_text())
    assert after["results"]["selection"]["J"] == with_own["results"]["selection"]["J"]
    assert after["results"]["selection"]["success"] == 0 < with_own["results"]["oracle"]["success"]

    own.write_text(text.replace("return float(", "return float('nan') * float("))
    nan, misspelt = demo.run([runs[1], [*plain, "metrics=[sucess]"]])
    own.write_text(text)
    assert "success gives nan for expression" in nan.errors
    assert "metrics is 'sucess'; known are success: files in" in misspelt.errors
    assert "Did you mean success?" in misspelt.errors
    assert (nan.status, misspelt.status) == (1, 1)


def test_masks_that_were_handed_in_are_measured_too(demo: WorkedExample) -> None:
    ckpt = "ckpt_path=outputs/demo/best.ckpt"
    masks = ["evaluate.py", SMALL, "predictions=outputs/masks/masks", "metrics=[success]"]
    selected, predicted, whole = demo.run(
        [
            ["evaluate.py", SMALL, ckpt, "metrics=[success]", "hydra.run.dir=outputs/selected"],
            ["predict.py", SMALL, ckpt, "hydra.run.dir=outputs/masks"],
            [*masks, "hydra.run.dir=outputs/whole"],
        ]
    )
    assert (selected.status, predicted.status, whole.status) == (0, 0, 0), whole.errors
    video = next((demo.folder / "outputs" / "masks" / "masks").iterdir())
    shutil.rmtree(video)
    (lacking,) = demo.run([[*masks, "missing=zero", "hydra.run.dir=outputs/lacking"]])
    assert lacking.status == 0, lacking.errors
    of_selector, of_masks, of_some = (
        json.loads((demo.folder / "outputs" / name / "evaluation.json").read_text())
        for name in ("selected", "whole", "lacking")
    )
    for measure in ("J", "F", "success"):
        wanted = of_selector["results"]["selection"][measure]
        assert of_masks["results"]["selection"][measure] == pytest.approx(wanted)
    left_out = [e for e in of_some["expressions"] if e["video"] == video.name]
    assert {e["answers"]["selection"]["success"] for e in left_out} == {0}


def test_a_selector_is_two_files(demo: WorkedExample) -> None:
    commands = demo.add("adding_a_selector.md")
    answers = demo.run([shortened(command, SMALL) for command in commands])
    assert {answer.status for answer in answers} == {0}, [answer.errors for answer in answers]
    checkpoint = torch.load(demo.folder / "outputs/first_frame/best.ckpt", weights_only=True)
    assert checkpoint["sola"]["selector"]["name"] == "first_frame"
    assert checkpoint["sola"]["selector"]["scale"] == 0.5
    assert "selection" in answers[1].output
