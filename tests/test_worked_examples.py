"""The pages docs/adding_*.md, whose files and commands are what these tests run."""

import json
import shutil
from pathlib import Path

from worked_example import Answer, WorkedExample

EPOCH = ("trainer.max_epochs=1", "logger=csv")
SMALL = "dataset.maker.num_videos={train:2,valid_u:2}"


def run_all(example: WorkedExample, *overrides: str) -> list[Answer]:
    """Every command of the page, on fewer videos."""
    answers = example.run(
        [
            [*c, *overrides, *EPOCH] if c[1] == "train.py" else [*c, *overrides]
            for c in example.commands
        ]
    )
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
    assert "selection" in answers[-1].output


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
    assert "sources is 'boxs'; known are gt, grid, gdino, boxes. Did you mean boxes?" in (
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
