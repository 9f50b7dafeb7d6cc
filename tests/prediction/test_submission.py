"""Masks to hand in: what is written has no faults, and every fault in any other zip is listed."""

import json
import shutil
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from sola.config.entry_points import PredictConfig
from sola.errors import UserError
from sola.evaluation.predictions import find_faults, wanted_masks
from sola.evaluation.tracks import TrackSources
from sola.masks import resize
from sola.prediction.run import run_predict
from sola.prediction.submission import main

WANTED = {f"{v}/{e}/{f:05d}.png": (4, 6) for v, e in ("a0", "a1", "b0") for f in (0, 1)}
MASK = np.array([[0, 255] * 3] * 4, np.uint8)
Members = list[tuple[str, bytes]]


def png(mask: np.ndarray = MASK) -> bytes:
    return cv2.imencode(".png", mask)[1].tobytes()


def raw_png(depth: int, colour: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", 6, 4, depth, colour, 0, 0, 0)
    palette = chunk(b"PLTE", bytes(6)) if colour == 3 else b""
    body = palette + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")


def write_zip(path: Path, members: Members) -> Path:
    with zipfile.ZipFile(path, "w") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # duplicate names are one of the faults
        for name, data in members:
            file.writestr(name, data)
    return path


def write_folder(folder: Path, members: Members) -> Path:
    for name, data in members:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def without(*prefixes: str) -> Members:
    return [(name, png()) for name in WANTED if not name.startswith(prefixes)]


def changed(name: str, data: bytes) -> Members:
    return [(n, data if n == name else png()) for n in WANTED]


def wrong_palette() -> bytes:
    return raw_png(8, 3, bytes([0] + [1] * 6) * 4)


FIRST = "a/0/00000.png"
FAULTY: list[tuple[str, Members, list[str]]] = [
    ("nothing wrong", without(), []),
    ("a frame", without("a/0/00001"), ["a/0/00001.png: missing"]),
    ("an expression", without("a/1"), ["a/1/: missing, the whole folder"]),
    ("a video", without("b"), ["b/: missing, the whole folder"]),
    ("a stray file", [*without(), ("a/0/x.txt", b"")], ["a/0/x.txt: unexpected"]),
    (
        "a stray video",
        [*without(), ("c/0/00000.png", png()), ("c/1/00000.png", png())],
        ["c/: unexpected, the whole folder"],
    ),
    (
        "all in a top folder",
        [(f"Annotations/{n}", d) for n, d in without("a/0/00001")],
        [
            "Annotations/: holds the videos; they are needed at the top",
            "Annotations/a/0/00001.png: missing",
        ],
    ),
    ("size", changed(FIRST, png(MASK[:2])), [f"{FIRST}: 6 x 2 px; the frames have 6 x 4"]),
    (
        "values",
        changed(FIRST, png(MASK // 255)),
        [f"{FIRST}: has the values 1; expected only 0 and 255"],
    ),
    (
        "many values",
        changed(FIRST, png(np.arange(24, dtype=np.uint8).reshape(4, 6))),
        [f"{FIRST}: has the values 1, 2, 3, 4, 5, ...; expected only 0 and 255"],
    ),
    ("colours", changed(FIRST, png(np.dstack([MASK] * 3))), [f"{FIRST}: RGB; expected one"]),
    (
        "colours, and the size too",
        changed(FIRST, png(np.dstack([MASK[:3]] * 3))),
        [f"{FIRST}: 6 x 3 px; the frames have 6 x 4"],
    ),
    (
        "palette",
        changed(FIRST, wrong_palette()),
        [f"{FIRST}: palette; expected 8-bit grey"],
    ),
    (
        "1 bit",
        changed(FIRST, raw_png(1, 0, bytes([0, 0b10101000]) * 4)),
        [f"{FIRST}: 1-bit grey; expected 8-bit grey"],
    ),
    (
        "16 bits",
        changed(FIRST, png(MASK.astype(np.uint16) * 257)),
        [f"{FIRST}: 16-bit grey; expected 8-bit grey"],
    ),
    ("no PNG", changed(FIRST, b"GIF89a"), [f"{FIRST}: not a PNG"]),
    ("cut off", changed(FIRST, png()[:-20]), [f"{FIRST}: unreadable PNG ("]),
    ("empty", changed(FIRST, b""), [f"{FIRST}: not a PNG"]),
    (
        "a bit turned",
        changed(FIRST, png()[:50] + bytes([png()[50] ^ 1]) + png()[51:]),
        [f"{FIRST}: unreadable PNG ("],
    ),
    (
        "several at once",
        [*changed("b/0/00001.png", b"")[1:], ("notes.txt", b"")],
        [
            "a/0/00000.png: missing",
            "notes.txt: unexpected",
            "b/0/00001.png: not a PNG",
        ],
    ),
]


@pytest.mark.parametrize("write", [write_zip, write_folder])
@pytest.mark.parametrize(
    ("members", "faults"), [case[1:] for case in FAULTY], ids=[case[0] for case in FAULTY]
)
def test_every_fault_is_listed_with_its_file_and_its_reason(
    tmp_path: Path, write: Callable[[Path, Members], Path], members: Members, faults: list[str]
) -> None:
    found = find_faults(write(tmp_path / "masks", members), WANTED, "")

    assert len(found) == len(faults)
    for line, start in zip(found, faults, strict=True):
        assert line.startswith(start)


ONLY_IN_ZIPS: list[tuple[str, Members, list[str]]] = [
    ("twice", [*without(), (FIRST, png())], [f"{FIRST}: 2 times in the zip"]),
    *[
        (name, [*without(), (name, png())], [f"{top}: unexpected"])
        for name, top in (
            ("../a/0/00000.png", "../"),
            ("/a/0/00000.png", "/"),
            ("C:/x.png", "C:/"),
            ("a\\0\\00000.png", "a\\0\\00000.png"),
        )
    ],
    ("folders are listed", [("a/", b""), ("a/0/", b""), *without()], []),
    ("an empty folder", [*without(), ("c/", b"")], ["c/: unexpected, the whole folder"]),
]


@pytest.mark.parametrize(
    ("members", "faults"), [c[1:] for c in ONLY_IN_ZIPS], ids=[c[0] for c in ONLY_IN_ZIPS]
)
def test_bad_member_names_of_a_zip_are_faults(
    tmp_path: Path, members: Members, faults: list[str]
) -> None:
    found = find_faults(write_zip(tmp_path / "m.zip", members), WANTED, "")

    assert len(found) == len(faults)
    for line, start in zip(found, faults, strict=True):
        assert line.startswith(start)


def test_videos_that_lie_at_the_top_and_should_not_are_one_fault(tmp_path: Path) -> None:
    right = [(f"Annotations/{name}", data) for name, data in without()]

    assert find_faults(write_zip(tmp_path / "right.zip", right), WANTED, "Annotations") == []
    faults = find_faults(write_zip(tmp_path / "wrong.zip", without()), WANTED, "Annotations")
    assert faults == [".: holds the videos; they are needed in a folder Annotations/"]


def test_link_in_a_zip_is_a_fault(tmp_path: Path) -> None:
    member = zipfile.ZipInfo(FIRST)
    member.external_attr = 0o120777 << 16
    path = write_zip(tmp_path / "m.zip", without("a/0/00000"))
    with zipfile.ZipFile(path, "a") as file:
        file.writestr(member, "00001.png")

    assert find_faults(path, WANTED, "") == [f"{FIRST}: not a PNG"]


def test_damaged_member_of_a_zip_is_named(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "m.zip", without())
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 4] ^= 1  # of the first member, whose checksum then is wrong
    path.write_bytes(data)

    faults = find_faults(path, WANTED, "")

    (fault,) = faults
    assert fault.startswith(f"{FIRST}: cannot be read (Bad CRC-32")


@pytest.mark.parametrize("top_dir", ["", "Annotations"])
def test_predict_packs_every_mask_in_the_layout_of_the_data_set(
    predict_config: Callable[..., Any], top_dir: str
) -> None:
    config = predict_config(submission=True, threshold=0.49)
    config.dataset.submission_top_dir = top_dir

    run_predict(config)

    output_dir = Path(config.paths.output_dir)
    path = output_dir / "submission.zip"
    dataset = config.dataset.open(config.split)
    wanted = wanted_masks(dataset)
    prefix = f"{top_dir}/" if top_dir else ""
    with zipfile.ZipFile(path) as file:
        assert sorted(file.namelist()) == sorted(prefix + name for name in wanted)
        for name in file.namelist():
            assert file.read(name) == (output_dir / "masks" / name).read_bytes()
    for place in (path, output_dir / "masks"):
        assert find_faults(place, wanted, top_dir) == []
    names = {"submission.zip", "masks", "overlays", "prediction.json", "scores.json"}
    assert {item.name for item in output_dir.iterdir()} == names


def test_same_answer_packs_to_the_same_bytes(predict_config: Callable[..., Any]) -> None:
    config = predict_config(submission=True)
    path = Path(config.paths.output_dir) / "submission.zip"
    run_predict(config)
    first = path.read_bytes()
    for mask_path in (path.parent / "masks").rglob("*.png"):
        mask_path.touch()

    run_predict(config)

    assert path.read_bytes() == first


def test_run_without_a_submission_takes_an_earlier_ones_away(
    predict_config: Callable[..., Any],
) -> None:
    config = predict_config(submission=True)
    run_predict(config)
    config.submission, config.num_overlays = False, 0

    run_predict(config)

    found = {item.name for item in Path(config.paths.output_dir).iterdir()}
    assert found == {"masks", "prediction.json", "scores.json"}


def test_tracks_of_another_size_than_the_frames_are_not_packed(
    predict_config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = predict_config(submission=True, num_overlays=0, threshold=0.0)
    read = TrackSources.read

    def read_small(sources: TrackSources, video_id: str) -> Any:
        candidates = read(sources, video_id)
        object.__setattr__(candidates, "size", (10, 10))
        masklets = tuple(resize(masklet, (10, 10)) for masklet in candidates.masklets)
        object.__setattr__(candidates, "masklets", masklets)
        return candidates

    monkeypatch.setattr(TrackSources, "read", read_small)
    with pytest.raises(UserError, match=r"10 of its masks .* run generate.py again") as error:
        run_predict(config)

    assert "v1/0/00000.png: 10 x 10 px; the frames have 20 x 20" in str(error.value)
    found = {item.name for item in Path(config.paths.output_dir).iterdir()}
    assert found == {"scores.json", "unfinished.part"}


def test_command_lists_the_faults_and_ends_with_status_1(
    predict_config: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    config = predict_config(submission=True)
    run_predict(config)
    folder = Path(config.paths.output_dir) / "masks"
    values = ["dataset=mevis", "dataset.name=drawn", f"dataset.root={config.dataset.root}"]

    with pytest.raises(SystemExit) as end:
        main([str(folder), *values])
    assert end.value.code == 0
    assert "no faults; drawn/valid_u needs 10 masks for 5 expressions" in capsys.readouterr().out

    shutil.rmtree(folder / "v1" / "1")
    (folder / "v2" / "0" / "00001.png").write_bytes(b"")
    with pytest.raises(SystemExit) as end:
        main([str(folder), *values, "split=valid_u"])
    lines = capsys.readouterr().out.splitlines()
    assert end.value.code == 1
    assert lines[:2] == [
        "v1/1/: missing, the whole folder",
        "v2/0/00001.png: not a PNG",
    ]


def test_failed_run_leaves_no_old_record(
    predict_config: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    config: PredictConfig = predict_config(submission=True)
    run_predict(config)

    def fail(*_: Any, **__: Any) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("sola.prediction.submission.cv2.imencode", fail)
    with pytest.raises(OSError, match="disk full"):
        run_predict(config)

    output_dir = Path(config.paths.output_dir)
    assert {item.name for item in output_dir.iterdir()} == {"scores.json", "unfinished.part"}
    assert json.loads((output_dir / "scores.json").read_text())["videos"]
