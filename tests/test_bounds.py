"""Files that lie about their sizes, or would run code, end in a message; memory stays small."""

import io
import json
import os
import pickle
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clip_files import make_frames, write_video

from sola.datasets.frames import frame_size, read_frame
from sola.datasets.meta import read_annotations
from sola.errors import DamagedFile, UserError
from sola.evaluation import predictions
from sola.evaluation.predictions import find_faults
from sola.files import read_json
from sola.masks import check_codes, decode
from sola.prediction.clip import decoding
from sola.published.importing import read_track
from sola.selector import TrackSelector
from sola.selector.checkpoint import load_selector
from sola.weights_file import read_weights

MAX_BYTES = 1 << 26
"""Of memory that Python and numpy take; what is announced is at least 16 times as much."""


@pytest.fixture(autouse=True)
def _is_small() -> Iterator[None]:
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MAX_BYTES


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """An image of grey whose pixels are missing."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    body = [*chunks, _chunk(b"IDAT", zlib.compress(bytes(1000))), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(body)


def _chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize("read", [read_frame, frame_size])
@pytest.mark.parametrize("side", [8193, 12000, 100_000])
def test_image_with_too_many_pixels_is_refused(
    tmp_path: Path, read: Callable[[Path], object], side: int
) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png(side, side))
    with pytest.raises(UserError, match=rf"x.png: .*{side}"):
        read(path)


def test_image_with_a_huge_text_chunk_is_refused(tmp_path: Path) -> None:
    text = _chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 25)))
    (tmp_path / "x.png").write_bytes(png(8, 8, text))
    with pytest.raises(UserError, match=r"x.png: "):
        read_frame(tmp_path / "x.png")


def _zip(folder: Path, content: bytes) -> Path:
    with zipfile.ZipFile(folder / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("v/0/0.png", content)
    return folder / "x.zip"


def _folder(folder: Path, content: bytes) -> Path:
    (folder / "x/v/0").mkdir(parents=True)
    (folder / "x/v/0/0.png").write_bytes(content)
    return folder / "x"


@pytest.mark.parametrize("pack", [_zip, _folder])
def test_mask_that_unpacks_to_too_many_bytes_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: Callable[[Path, bytes], Path]
) -> None:
    monkeypatch.setattr(predictions, "MAX_FILE_BYTES", 1 << 16)
    path = pack(tmp_path, bytes((1 << 16) + 1))
    (fault,) = find_faults(path, {"v/0/0.png": (8, 8)}, "")
    assert "65537" in fault


def test_mask_with_too_many_pixels_is_a_fault(tmp_path: Path) -> None:
    (fault,) = find_faults(_zip(tmp_path, png(100_000, 100_000)), {"v/0/0.png": (8, 8)}, "")
    assert "100000 x 100000" in fault


def test_pipe_among_masks_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "v/0").mkdir(parents=True)
    os.mkfifo(tmp_path / "v/0/0.png")
    (fault,) = find_faults(tmp_path, {"v/0/0.png": (8, 8)}, "")
    assert "file" in fault


def _npy(shape: tuple[int, ...]) -> bytes:
    header = io.BytesIO()
    about = {"descr": "<f4", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, about)
    return header.getvalue() + bytes(64)


def _npz() -> bytes:
    content = io.BytesIO()
    np.savez(content, a=np.zeros((1, 4), np.float32))
    return content.getvalue()


def _object() -> bytes:
    content = io.BytesIO()
    np.save(content, np.array([{}], object))
    return content.getvalue()


@pytest.mark.parametrize(
    "content", [_npy((1 << 40, 256)), _npy((1 << 20, 1000)), _npy((1 << 62, 8)), _npz(), _object()]
)
def test_invalid_npy_tokens_are_refused(tmp_path: Path, content: bytes) -> None:
    mask = {"size": [2, 2], "counts": "4"}
    about = {"anno_id": 0, "rle": [mask], "prompt_type": "SAM2 AMG MASK"}
    (tmp_path / "0.json").write_text(json.dumps(about))
    (tmp_path / "0.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"0\.npy: damaged"):
        read_track(tmp_path / "0.json", tmp_path / "0.npy", "grid")


@pytest.mark.parametrize("text", ["[" * 100_000, "1" * 5000, '{"a": ', "\ud800"])
def test_invalid_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(text.encode(errors="surrogatepass"))
    for read in (lambda: read_annotations(path), lambda: read_json(path, "Get it again.")):
        with pytest.raises(UserError, match=r"x.json: "):
            read()


def code(*runs: int) -> str:
    """COCO's compressed form of at most three runs."""
    text = ""
    for run in runs:
        while True:
            bits, run = run & 0x1F, run >> 5
            is_last = run == 0 and not bits & 0x10
            text += chr(48 + bits + (0 if is_last else 0x20))
            if is_last:
                break
    return text


@pytest.mark.parametrize(
    ("size", "runs", "reason"),
    [
        ((10**6, 10**6), (10**12,), "at most 67,108,864 pixels"),
        ((4, 4), (2**63 - 1, 2**63 - 1, 18), "it is damaged"),  # 16 modulo 2**64
        ((4, 4), (2**62, 2**62), "it is damaged"),
    ],
)
def test_run_length_code_with_too_many_pixels_is_refused(
    size: tuple[int, int], runs: tuple[int, ...], reason: str
) -> None:
    masklet: Any = [{"size": list(size), "counts": code(*runs)}]
    for read in (lambda: check_codes(masklet, size), lambda: decode(masklet)):
        with pytest.raises(ValueError, match=reason):
            read()


def test_video_whose_frames_grow_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = [tmp_path / "small.h264", tmp_path / "large.h264"]
    write_video(parts[0], make_frames(3))
    write_video(parts[1], make_frames(2, (640, 960)))
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    monkeypatch.setattr(decoding, "MAX_FRAME_PIXELS", 64 * 48)
    with pytest.raises(UserError, match=r"both.h264: "):
        list(decoding.read_footage([path]))


class Program:
    """Unpickled, it would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_checkpoint_never_runs_code(tmp_path: Path) -> None:
    path, trace = tmp_path / "x.ckpt", tmp_path / "trace"
    for save in (torch.save, lambda content, to: to.write_bytes(pickle.dumps(content, protocol=2))):
        save({"state_dict": Program(trace)}, path)
        with pytest.raises(DamagedFile, match=r"x\.ckpt"):
            read_weights(path)
    assert not trace.exists()


def _checkpoint(path: Path) -> bytes:
    network = TrackSelector(token_dim=8, text_dim=16, num_negatives=2, num_layers=1)
    weights = {f"selector.{name}": value for name, value in network.state_dict().items()}
    torch.save({"state_dict": weights, "sola": {"selector": network.description}}, path)
    return path.read_bytes()


def test_compressed_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    _checkpoint(path)
    with zipfile.ZipFile(path) as sound:
        members = {name: sound.read(name) for name in sound.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        for name, content in members.items():
            bomb.writestr(name, content)
    with pytest.raises(UserError, match=r"x\.ckpt"):
        load_selector(path)


def test_flipped_bit_of_a_checkpoint_never_changes_weights(tmp_path: Path) -> None:
    path, rng = tmp_path / "x.ckpt", np.random.default_rng(0)
    content = _checkpoint(path)
    sound = load_selector(path)[0].state_dict()
    num_refused = 0
    for place in rng.integers(len(content), size=100):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            found = load_selector(path)[0].state_dict()
        except UserError:
            num_refused += 1
        else:
            assert all(torch.equal(found[name], value) for name, value in sound.items())
    assert num_refused > 50
