"""The folder that run_report writes: whole, on its own feet, and true to the evaluation."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import drawn_split as drawn
import numpy as np
import pytest
from PIL import Image

from sola.evaluation.tracks import VideoTracks
from sola.masks import decode, encode
from sola.types import Masklet, RunLength, Video
from sola.visualization.report import run_report
from sola.visualization.report.canvas import PNG_SCALE
from sola.visualization.report.plots import read_metrics
from sola.visualization.videos import MAX_SIDE_PX, frames_a_video, show_video


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


def test_everything_that_the_page_loads_is_in_the_folder(report_dir: Path) -> None:
    links = Links(report_dir / "index.html").found

    assert {"colours.css", "style.css", "viewer.js", "data/index.js", "plots/by_kind.png"} <= set(
        links
    )
    for link in links:
        assert link.startswith(("#", "data:")) or (report_dir / link).is_file(), link
    for path in report_dir.glob("*.*"):
        addresses = re.findall(r"https?://[^\s\"']+", path.read_text())
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, path  # a name, never loaded


def test_the_page_has_the_numbers_with_their_names(
    report_dir: Path, evaluation: dict[str, Any]
) -> None:
    text = Links(report_dir / "index.html").text

    for name in ("selection", "oracle", "best_track", "all_tracks"):
        assert f"{100 * evaluation['results'][name]['J&F']:.1f}" in text
    assert "oracle (best choice of the same tracks)" in text
    assert "of the tracks from gdino alone" in text
    assert evaluation["checkpoint"]["sha256"] in text
    assert "above 0.7, as in the labels of a training" in text


def test_every_plot_is_a_png_and_an_svg(report_dir: Path) -> None:
    names = {path.stem for path in (report_dir / "plots").iterdir()}

    assert names == {
        "threshold_curve",
        "score_distribution",
        "by_kind",
        "by_group",
        "training_loss",
        "training_j_and_f",
    }
    for name in names:
        root = ElementTree.parse(report_dir / "plots" / f"{name}.svg").getroot()
        size = [PNG_SCALE * float(root.attrib[side]) for side in ("width", "height")]
        with Image.open(report_dir / "plots" / f"{name}.png") as image:
            assert image.size == tuple(size)
            assert len(image.getcolors(1 << 20) or ()) > 3


def test_the_gallery_has_every_expression(report_dir: Path, evaluation: dict[str, Any]) -> None:
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


def test_a_video_has_its_frames_masks_and_scores(report_dir: Path) -> None:
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
    assert {(track, right) for track, _, right in small} == {(0, True), (1, False), (2, True)}
    assert all(right for _, _, right in both)
    assert [score for _, score, _ in both] == sorted((s for _, s, _ in both), reverse=True)
    with Image.open(report_dir / "frames" / "0" / "1.jpg") as image:
        assert image.size == drawn.SIZE
        assert image.getpixel((3, 3)) == (150, 150, 150)


def test_a_report_takes_the_place_of_an_older_one(
    report_dir: Path, drawn_config: Any, evaluation: dict[str, Any]
) -> None:
    (report_dir / "thumbs" / "999.jpg").touch()
    before = (report_dir / "index.html").read_bytes()

    page = run_report(drawn_config, evaluation)

    assert page.read_bytes() == before
    assert not (report_dir / "thumbs" / "999.jpg").exists()
    assert not list(report_dir.parent.glob("*.part"))


def test_long_and_large_videos_are_shown_small() -> None:
    size, num_frames = (600, 900), 200
    masks = np.zeros((num_frames, *size), dtype=bool)
    masks[:, 300:, 450:] = True
    masklet: Masklet = encode(masks)
    video = Video("v", tuple(Path(f"{idx:05d}.jpg") for idx in range(num_frames)))
    tracks = VideoTracks(
        "v", np.zeros((1, num_frames, 4), np.float32), (masklet,), (), (), {}, size
    )

    shown = show_video(0, video, tracks, {"1": masklet}, 60)

    assert (shown.size, len(shown.frames)) == ((320, MAX_SIDE_PX), 60)
    assert (shown.frames[0], shown.frames[-1]) == (0, num_frames - 1)
    small = decode(shown.track_masks[0])
    assert small.shape == (60, 320, 480)
    assert small[:, 160:, 240:].all()
    assert small.sum() == 60 * 160 * 240
    assert shown.object_masks["1"] == shown.track_masks[0]


@pytest.mark.parametrize(("num_videos", "num_frames"), [(1, 60), (100, 60), (300, 20), (5000, 12)])
def test_many_videos_have_fewer_frames_each(num_videos: int, num_frames: int) -> None:
    assert frames_a_video(num_videos) == num_frames


def test_metrics_are_the_last_of_each_epoch(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("epoch,step,a,b\n0,1,3,\n0,2,4,\n,3,,7\n1,4,5,\n")

    assert read_metrics(path) == {"a": ([0.0, 1.0], [4.0, 5.0])}
    assert read_metrics(tmp_path / "none.csv") == {}


@pytest.mark.parametrize("content", ["step,a\n1,2\n", "epoch,a\n0,word\n", "epoch,a\n0,1,2\n"])
def test_a_file_that_is_no_table_of_metrics_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(content)

    with pytest.raises(ValueError, match=r"metrics\.csv: not a table of metrics by epoch"):
        read_metrics(path)
