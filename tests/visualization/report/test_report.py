"""The folder that run_report writes: whole, on its own feet, and true to the evaluation."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import drawn_split as drawn
import numpy as np
import pytest
from PIL import Image

from sola.evaluation.scores import ScoredSplit
from sola.masks import decode, encode
from sola.types import Masklet, RunLength, Video
from sola.visualization.report import write_report
from sola.visualization.videos import MAX_SIDE_PX, frames_per_video, show_video


class Links(HTMLParser):
    """What a page loads or leads to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.text = ""
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data: str) -> None:
        self.text += data


def read_script(path: Path) -> Any:
    """What a data file hands to the page."""
    call = re.fullmatch(r"report\.\w+\((?:\d+, )?(.*)\);\n", path.read_text(), flags=re.DOTALL)
    assert call
    return json.loads(call[1])


def test_page_loads_only_files_of_its_folder(report_dir: Path) -> None:
    links = Links(report_dir / "index.html").found

    assert {"colours.css", "style.css", "viewer.js", "data/index.js", "plots/by_group.png"} <= set(
        links
    )
    for link in links:
        assert link.startswith(("#", "data:")) or (report_dir / link).is_file(), link
    for path in report_dir.glob("*.*"):
        addresses = re.findall(r"https?://[^\s\"']+", path.read_text())
        names = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
        assert set(addresses) <= names, path  # never loaded


def test_page_has_every_number_with_its_name(report_dir: Path, evaluation: dict[str, Any]) -> None:
    text = Links(report_dir / "index.html").text

    for name in ("selection", "oracle", "best_track", "all_tracks"):
        assert f"{100 * evaluation['results'][name]['J&F']:.1f}" in text
    assert "oracle (best choice of the same tracks)" in text
    kinds = {entry["kind"] for entry in evaluation["expressions"]}
    assert all(f"kind: {kind}" in text for kind in kinds)
    assert "of the tracks from gdino alone" in text
    assert evaluation["checkpoint"]["sha256"] in text
    assert "above 0.7, as in the labels of a training" in text


def test_every_plot_is_a_png_and_an_svg(report_dir: Path) -> None:
    stems = ("threshold_curve", "score_distribution", "by_group")

    files = {path.name for path in (report_dir / "plots").iterdir()}
    assert files == {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}


def test_gallery_has_every_expression(report_dir: Path, evaluation: dict[str, Any]) -> None:
    index = read_script(report_dir / "data" / "index.js")

    assert (index["threshold"], index["label_iou"]) == (0.5, 0.7)
    assert len(index["expressions"]) == len(evaluation["expressions"]) == 5
    for idx, (shown, entry) in enumerate(
        zip(index["expressions"], evaluation["expressions"], strict=True)
    ):
        assert shown["text"] == entry["text"]
        assert shown["answers"] == {
            name: entry["answers"][name] for name in ("selection", "oracle")
        }
        with Image.open(report_dir / "thumbs" / f"{idx}.jpg") as image:
            assert image.size == drawn.SIZE


def test_video_has_its_frames_masks_and_scores(report_dir: Path) -> None:
    video = read_script(report_dir / "data" / "0.js")

    size = tuple(video["size"])

    def masks(codes: list[str]) -> Any:
        return decode([RunLength(size=list(size), counts=code) for code in codes])

    assert size == drawn.SIZE
    assert video["frames"] == ["00000", "00001"]
    for name, masklet in drawn.GROUND_TRUTH["v1"].items():
        assert np.array_equal(masks(video["objects"][name]), decode(masklet))
    own = [m for (v, _), found in drawn.OWN_TRACKS.items() if v == "v1" for m in found]
    for track, masklet in zip(video["tracks"], [*drawn.TRACKS["v1"], *own], strict=True):
        assert np.array_equal(masks(track["masks"]), decode(masklet))
    assert [track["source"] for track in video["tracks"]] == ["grid"] * 2 + ["gdino"] * 4
    small, both = video["scores"]["0"], video["scores"]["2"]
    assert {(track, right) for track, _, right, _ in small} == {(0, True), (1, False), (2, True)}
    assert all(right for _, _, right, _ in both)
    assert [score for _, score, *_ in both] == sorted((s for _, s, *_ in both), reverse=True)
    ious = {track: iou for track, _, _, iou in both}
    assert (ious[0], ious[1]) == (4 / 16, 12 / 16)  # of the 16 pixels that both objects have
    with Image.open(report_dir / "frames" / "0" / "1.jpg") as image:
        assert image.size == drawn.SIZE
        assert image.getpixel((3, 3)) == (150, 150, 150)


def test_report_replaces_an_older_one(
    report_dir: Path, evaluated: tuple[ScoredSplit, dict[str, Any]]
) -> None:
    (report_dir / "thumbs" / "999.jpg").touch()
    before = (report_dir / "index.html").read_bytes()

    page = write_report(report_dir.parent, *evaluated)

    assert page.read_bytes() == before
    assert not (report_dir / "thumbs" / "999.jpg").exists()
    assert not list(report_dir.parent.glob("*.part"))


def test_long_and_large_videos_are_shown_small(tmp_path: Path) -> None:
    size, num_frames = (600, 900), 200
    masks = np.zeros((num_frames, *size), dtype=bool)
    masks[:, 300:, 450:] = True
    masklet: Masklet = encode(masks)
    frame = Image.new("RGB", size[::-1], (9, 99, 199))
    frame.save(tmp_path / "0.png")
    video = Video("v", (tmp_path / "0.png",) * num_frames)

    shown = show_video(video, size, 60, [masklet], {"1": masklet})

    assert {frame.shape for frame in shown.frames} == {(320, MAX_SIDE_PX, 3)}
    assert (len(shown.frames), shown.frame_idxs[0], shown.frame_idxs[-1]) == (60, 0, num_frames - 1)
    assert (shown.frames[0] == (9, 99, 199)).all()
    small = decode(shown.tracks[0])
    assert small.shape == (60, 320, 480)
    assert small[:, 160:, 240:].all()
    assert small.sum() == 60 * 160 * 240
    assert shown.objects["1"] == shown.tracks[0]


@pytest.mark.parametrize(("num_videos", "num_frames"), [(1, 60), (100, 60), (300, 20), (5000, 12)])
def test_many_videos_have_fewer_frames_each(num_videos: int, num_frames: int) -> None:
    assert frames_per_video(num_videos) == num_frames
