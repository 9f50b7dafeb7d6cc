"""The page of an answer."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from clip_files import make_frames, write_images

from sola.app.page import MAX_FRAMES, MAX_SIDE_PX, describe_answer, write_answer_page
from sola.masks import decode, encode

TEXT = "</script><b>the block</b> & more"


def _record(num_frames: int, size: tuple[int, int], step: int = 1) -> dict[str, Any]:
    """prediction.json of a track that covers more and more columns."""
    mask = np.zeros((num_frames, *size), bool)
    for idx in range(num_frames):
        mask[idx, :, : (idx + 1) * size[1] // num_frames] = True
    return {
        "threshold": 0.25,
        "clip": {
            "clip_id": "c-1",
            "height": size[0],
            "width": size[1],
            "times_s": [2 + idx / 10 for idx in range(num_frames)],
            "end_s": 2 + num_frames / 10,
            "frames": [f"{20 + idx:05d}" for idx in range(num_frames)],
            "tracked": {"frames": list(range(20, 20 + num_frames, step))},
        },
        "expressions": [{"text": TEXT, "tracks": [0], "scores": [0.75], "selected": [0]}],
        "tracks": [{"masks": encode(mask)}],
    }


def test_page_shows_tracked_frames_with_their_masks_and_times() -> None:
    content = describe_answer(_record(9, (20, 90), step=3))

    assert content["frames"] == ["00020", "00023", "00026"]
    np.testing.assert_allclose(content["times_s"], [0, 0.3, 0.6, 0.9])
    codes = content["tracks"][0]["masks"]
    masks = decode([{"size": list(content["size"]), "counts": code} for code in codes])
    assert masks.shape == (3, 20, 90)
    assert masks.sum(axis=(1, 2)).tolist() == [20 * 10, 20 * 40, 20 * 70]
    assert content["sentences"] == [{"text": TEXT, "tracks": [0], "scores": [0.75]}]


def test_long_and_large_clips_are_shrunk() -> None:
    content = describe_answer(_record(300, (60, 1280)))

    assert content["size"] == (30, MAX_SIDE_PX)
    assert len(content["frames"]) == MAX_FRAMES
    assert content["times_s"][-1] == 30
    assert len(content["tracks"][0]["masks"]) == MAX_FRAMES


def test_page_is_complete(tmp_path: Path) -> None:
    record, output_dir = _record(3, (24, 32)), tmp_path / "output"
    masks_dir = output_dir / "masks" / "c-1" / "0"
    write_images(masks_dir, make_frames(3, (24, 32)))
    (output_dir / "prediction.json").write_text(json.dumps(record))
    frames_dir = write_images(tmp_path / "clips" / "c-1" / "frames", make_frames(3, (24, 32)))
    for idx in range(3):
        (frames_dir / f"{idx}.png").rename(frames_dir / f"{20 + idx:05d}.png")

    page = write_answer_page(tmp_path / "page", output_dir, tmp_path / "clips")

    html = page.read_text()
    assert TEXT not in html
    for name in ("masks.js", "answer.js", "data.js", "style.css", "answer.css", "colours.css"):
        assert name in html
        assert (page.parent / name).is_file()
    script = (page.parent / "data.js").read_text()
    content = json.loads(script.removeprefix("answer.open(").rstrip().removesuffix(");"))
    assert content["sentences"][0]["text"] == TEXT
    assert sorted(path.name for path in page.parent.glob("*.jpg")) == ["0.jpg", "1.jpg", "2.jpg"]
    with zipfile.ZipFile(page.parent / "masks.zip") as archive:
        names = [f"masks/c-1/0/{idx}.png" for idx in range(3)]
        assert archive.namelist() == ["prediction.json", *names]
