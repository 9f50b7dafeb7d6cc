"""Masks of any system, scored as those of this one are."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import drawn_split as drawn
import numpy as np
import pytest
from PIL import Image

from sola.config.entry_points import EvaluateConfig
from sola.config.sections import Paths
from sola.errors import UserError
from sola.evaluation import run as evaluation_run
from sola.evaluation.compare import compare, read_run
from sola.evaluation.run import run_evaluation
from sola.masks import decode
from sola.prediction.run import run_predict

TRUTH = {"v1/0": drawn.SMALL, "v1/1": drawn.LARGE, "v2/0": drawn.SMALL}
NOTHING = np.zeros((drawn.NUM_FRAMES, *drawn.SIZE), dtype=bool)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setattr(evaluation_run, "TextTokens", drawn.LetterTokens)
    return lambda **changes: drawn.make_config(EvaluateConfig, tmp_path, **changes)


@pytest.fixture
def right(tmp_path: Path) -> Path:
    """Everything right, except that only the small one of "both" is found."""
    for e in drawn.EXPRESSIONS:
        name = f"{e.video_id}/{e.expression_id}"
        folder = tmp_path / "masks" / name
        folder.mkdir(parents=True)
        masks = decode(TRUTH[name]) if name in TRUTH else NOTHING
        masks = decode(drawn.SMALL) if name == "v1/2" else masks
        for idx, mask in enumerate(masks):
            cv2.imwrite(str(folder / f"{idx:05d}.png"), mask.astype(np.uint8) * 255)
    return tmp_path / "masks"


def numbers(config: Any) -> dict[str, float]:
    return run_evaluation(config)[1]["protocol"]["numbers"]


@pytest.mark.parametrize("packed", [False, True])
def test_numbers_are_those_worked_out_by_hand(
    config: Callable[..., Any], right: Path, packed: bool
) -> None:
    path = Path(shutil.make_archive(str(right), "zip", right)) if packed else right
    j, boundary_f = (4 + 4 / 16) / 5, (4 + 8 / 15) / 5

    found = config(predictions=str(path))
    assert numbers(found) == pytest.approx({"J": j, "F": boundary_f, "J&F": (j + boundary_f) / 2})
    written = json.loads((Path(found.paths.output_dir) / "evaluation.json").read_text())
    assert written["protocol"]["name"] == "mevis"
    assert (written["num_expressions"], written["num_missing_as_zero"]) == (5, 0)


def test_predicted_masks_score_as_in_evaluation(
    config: Callable[..., Any], predict_config: Callable[..., Any]
) -> None:
    masks_dir = run_predict(predict_config(num_overlays=0)).parent / "masks"
    expected = run_evaluation(config())[1]["protocol"]

    assert run_evaluation(config(predictions=str(masks_dir)))[1]["protocol"] == expected


def test_masks_are_compared_with_a_selection(
    config: Callable[..., Any], right: Path, tmp_path: Path
) -> None:
    ours = run_evaluation(config(paths=Paths(str(tmp_path / "data"), str(tmp_path / "ours"))))[1]
    theirs = run_evaluation(config(predictions=str(right)))[1]

    found = compare(read_run(tmp_path / "ours"), read_run(tmp_path / "output"), "selection")

    means = [run["results"]["selection"] for run in (ours, theirs)]
    assert found["all"]["difference"]["J"] == pytest.approx(means[1]["J"] - means[0]["J"])
    assert found["b"]["predictions"] == str(right)
    assert theirs["by_group"].keys() == ours["by_group"].keys()
    assert theirs["by_kind"]["appearance"]["selection"]["J"] == 1
    assert theirs["results"].keys() == {"selection"}
    assert "tracks" not in theirs["expressions"][0]["answers"]["selection"]


def test_missing_masks_are_listed(config: Callable[..., Any], right: Path) -> None:
    shutil.rmtree(right / "v2")
    (right / "v1" / "3" / "00001.png").unlink()

    with pytest.raises(UserError, match="masks of 2 of 5 expressions are missing") as error:
        run_evaluation(config(predictions=str(right)))

    assert str(error.value).splitlines()[1:] == [
        "v1/3/00001.png: missing",
        "v2/: missing, the whole folder",
    ]


def test_missing_masks_can_count_as_zero(
    config: Callable[..., Any], right: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(right / "v1" / "0")
    (right / "v1" / "3" / "00001.png").unlink()  # of the one that means nothing: empty was right

    with caplog.at_level("INFO"):
        found = numbers(config(predictions=str(right), missing="zero"))

    assert found["J"] == pytest.approx((2 + 4 / 16) / 5)
    assert "5 expressions (2 missing ones count 0): selection by" in caplog.text


def test_mask_of_another_size_is_refused(config: Callable[..., Any], right: Path) -> None:
    cv2.imwrite(str(right / "v1" / "0" / "00000.png"), np.zeros((3, 4), np.uint8))

    with pytest.raises(UserError, match=r"v1/0/00000.png: 4 x 3 px; the frames have 20 x 20"):
        run_evaluation(config(predictions=str(right)))


def test_masks_of_any_one_channel_png_are_read(config: Callable[..., Any], right: Path) -> None:
    expected = numbers(config(predictions=str(right)))
    for idx, path in enumerate(sorted(right.rglob("*.png"))):
        mask = Image.open(path).point(lambda value: value and 1)  # 0 and 1
        if idx % 3 == 0:
            mask.putpalette([0, 0, 0, 128, 0, 0])
        elif idx % 3 == 1:
            mask = mask.point(lambda value: value * 255).convert("1")
        mask.save(path)

    assert numbers(config(predictions=str(right))) == expected
