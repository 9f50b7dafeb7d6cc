"""What predict.py video=... shows and exports besides masks and overlays."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pycocotools.coco import COCO

from sola.errors import UserError
from sola.masks import decode
from sola.prediction.clip.run import read_sentences, run_clip

MakeConfig = Callable[..., Any]


def test_table_and_video_show_all_candidates(
    clip_config: MakeConfig,
    odd_clip: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="sola")

    path = run_clip(clip_config(odd_clip, "the white block", threshold=0))

    record = json.loads(path.read_text())
    (answer,) = record["expressions"]
    row = capsys.readouterr().out.splitlines()[-1]
    number = len(answer["tracks"])
    assert row.split()[:6] == ["the", "white", "block", str(number), "of", str(number)]
    assert f"{max(answer['scores']):.3f}" in row
    assert record["provenance"]["device"] == "cpu"
    with av.open(str(path.parent / answer["candidates"])) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(record["clip"]["tracked"]["frames"])
    assert "coloured shapes only" in caplog.text


@pytest.mark.filterwarnings("ignore:__array__")  # of pycocotools
@pytest.mark.parametrize("between", ["nearest", "none"])
def test_coco_export_has_the_masks_of_prediction(
    clip_config: MakeConfig, odd_clip: Path, between: str
) -> None:
    options = {"clip.stride": 2, "clip.max_side_px": 40, "clip.between": between}
    config = clip_config(
        odd_clip, "the white block", "nothing", threshold=0, export="coco", **options
    )

    path = run_clip(config)

    record, found = json.loads(path.read_text()), COCO(path.parent / "masks.coco.json")
    frames = record["clip"]["frames"]
    assert [Path(found.imgs[k]["file_name"]).stem for k in sorted(found.imgs)] == frames
    assert [found.cats[k]["name"] for k in sorted(found.cats)] == ["the white block", "nothing"]
    for annotation in found.anns.values():
        masklet = decode(record["tracks"][annotation["track_id"]]["masks"])
        expected = masklet[found.imgs[annotation["image_id"]]["frame_index"]]
        np.testing.assert_array_equal(found.annToMask(annotation).astype(bool), expected)
    selected = [track for answer in record["expressions"] for track in answer["selected"]]
    visible = sum(decode(record["tracks"][track]["masks"]).any((1, 2)).sum() for track in selected)
    assert len(found.anns) == visible > 0


def test_sentences_are_read_from_a_file(
    clip_config: MakeConfig, odd_clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "sentences.txt"
    path.write_bytes("\ufeffthe dog's ${ball}\n\n  два кота, [слева]  \n".encode())
    config = clip_config(odd_clip, "x")
    config.expressions, config.expressions_file = [], str(path)
    assert read_sentences(config) == ["the dog's ${ball}", "два кота, [слева]"]

    for content in (b"\n \n", b"\xff\xfe\x00d"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="sentences"):
            read_sentences(config)
