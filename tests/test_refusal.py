"""Files of every kind that the system refuses are neither called damaged nor made again."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dataset_trees as trees
import numpy as np
import pytest
import torch
from commands import ROOT
from PIL import Image
from refusals import in_child, refused

from sola.datasets.frames import read_frame
from sola.datasets.mask_dict import MaskDict
from sola.datasets.meta import read_annotations
from sola.errors import DamagedFile, FileRefused
from sola.files import is_there, read_json
from sola.masks import encode
from sola.selector import TrackSelector
from sola.selector.checkpoint import load_selector
from sola.shards import PromptStore
from sola.text import TextEncoder, TextTokens
from sola.trackers.sam2 import Sam2Tracker
from sola.types import FoundPrompts, Prompt
from sola.weights_file import read_weights

Use = tuple[Path, Callable[[], Any]]
"""A file, and what reads it."""


def checkpoint(folder: Path) -> Use:
    torch.manual_seed(0)
    network = TrackSelector(token_dim=8, text_dim=16, num_layers=1, num_negatives=2)
    weights = {f"selector.{name}": value for name, value in network.state_dict().items()}
    content = {"state_dict": weights, "sola": {"selector": network.description}}
    torch.save(content, folder / "best.ckpt")
    return folder / "best.ckpt", lambda: load_selector(folder / "best.ckpt")


def tracker_weights(folder: Path) -> Use:
    torch.save({"model": {}}, folder / "sam2.pt")
    return folder / "sam2.pt", lambda: read_weights(folder / "sam2.pt")


def hub_folder(folder: Path) -> Use:
    TrackSelector(token_dim=8, text_dim=16, num_layers=1).save_pretrained(folder / "hub")
    return folder / "hub/model.safetensors", lambda: load_selector(folder / "hub")


def text_cache(folder: Path) -> Use:
    (folder / "model").mkdir()
    config = TextEncoder("fake", str(folder / "model"), dim=2)
    TextTokens(folder, config).tokens(["red"])
    (path,) = (folder / "fake").iterdir()
    return path, lambda: TextTokens(folder, config).tokens(["red"])


def prompt_store(folder: Path) -> Use:
    store = PromptStore(folder, {"dataset": "d", "split": "s", "source": "gdino"})
    mask = encode(np.eye(3, 4, dtype=bool)[None])[0]
    found = FoundPrompts((3, 4), (0,), 0.2, {"a dog": (Prompt(0, mask, 3, "gdino"),)})
    store.write("v", found)
    return store.folder / "v.h5", lambda: store.read("v", found)


def mask_index(folder: Path) -> Use:
    path, index_path = folder / "mask_dict.json", folder / "mask_dict.json.index"
    trees.write_json(path, {"1": [None]})
    assert MaskDict(path, index_path).sha256
    return index_path, lambda: MaskDict(path, index_path).sha256


def mask_dict(folder: Path) -> Use:
    path, _ = mask_index(folder)
    path = folder / "mask_dict.json"
    return path, lambda: MaskDict(path, None).read(["1"])


def annotations(folder: Path) -> Use:
    trees.write_json(folder / "meta.json", {})
    return folder / "meta.json", lambda: read_annotations(folder / "meta.json")


def own_json(folder: Path) -> Use:
    trees.write_json(folder / "own.json", {})
    return folder / "own.json", lambda: read_json(folder / "own.json", "")


def frame(folder: Path) -> Use:
    Image.new("RGB", (8, 8)).save(folder / "0.png")
    return folder / "0.png", lambda: read_frame(folder / "0.png")


USES = [
    checkpoint,
    tracker_weights,
    hub_folder,
    text_cache,
    prompt_store,
    mask_index,
    mask_dict,
    annotations,
    own_json,
    frame,
]


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that were encoded."""
    texts: list[str] = []

    def encode_texts(self: TextEncoder, given: Any) -> Any:
        texts.extend(given)
        return {text: np.ones((1, self.dim), np.float32) for text in given}

    monkeypatch.setattr(TextEncoder, "encode", encode_texts)
    return texts


@pytest.mark.parametrize("how", ["EIO", "ENOENT", "EMFILE"])
@pytest.mark.parametrize("use", USES)
def test_refused_file_is_named_and_kept(
    tmp_path: Path, encoded: list[str], use: Callable[[Path], Use], how: str
) -> None:
    path, read = use(tmp_path)
    read()
    encoded.clear()
    content = path.read_bytes()
    with refused(path, how), pytest.raises(FileRefused, match=re.escape(str(tmp_path))) as caught:
        read()
    assert "amaged" not in str(caught.value)
    assert encoded == []
    assert path.read_bytes() == content
    read()


@pytest.mark.parametrize("use", USES)
def test_permissions_of_files_and_folders_are_refusals(
    tmp_path: Path, encoded: list[str], use: Callable[[Path], Use]
) -> None:
    _, read = use(tmp_path)
    read()
    answer = in_child(read, as_nobody=True)  # pytest's folders are open to their owner only
    assert answer.startswith("sola.errors.FileRefused"), answer
    assert "permissions" in answer


def test_file_without_permission_is_refused(tmp_path: Path) -> None:
    path, read = checkpoint(tmp_path)
    parents = [p for p in [tmp_path, *tmp_path.parents] if p.stat().st_mode & 0o777 == 0o700]
    try:
        for parent in parents:
            parent.chmod(0o755)
        assert "FileRefused" not in in_child(lambda: read()[0].name, as_nobody=True)
        path.chmod(0)
        answer = in_child(read, as_nobody=True)
    finally:
        for parent in parents:
            parent.chmod(0o700)
    assert answer.startswith(f"sola.errors.FileRefused: {path}")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "Git LFS"),
        (b"\n<!DOCTYPE html><html>Sign in</html>", "HTML"),
        (b"<html>", "HTML"),
    ],
)
@pytest.mark.parametrize("use", [checkpoint, tracker_weights, hub_folder])
def test_stand_in_of_a_checkpoint_is_named(
    tmp_path: Path, use: Callable[[Path], Use], content: bytes, word: str
) -> None:
    path, read = use(tmp_path)
    path.write_bytes(content)
    with pytest.raises(DamagedFile, match=word):
        read()


def test_stand_in_of_a_tracker_is_named_before_its_tracks_are_compared(tmp_path: Path) -> None:
    path = tmp_path / "sam2.pt"
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    tracker = Sam2Tracker("t", "sam2.1/sam2.1_hiera_t.yaml", str(path))
    with pytest.raises(DamagedFile, match="Git LFS"):
        tracker.check()


def test_no_message_advises_to_delete() -> None:
    for path in sorted((ROOT / "sola").rglob("*.py")):
        module = ast.parse(path.read_text())
        documented = {id(node.value) for node in ast.walk(module) if isinstance(node, ast.Expr)}
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and id(node) not in documented:
                assert not re.search(r"\b[Dd]elete\b", str(node.value)), f"{path}: {node.value}"


def test_file_that_another_process_makes_while_it_is_looked_for_is_no_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, stat = tmp_path / "index.json", Path.stat

    def stat_too_early(self: Path) -> object:
        try:
            return stat(self)
        finally:
            path.touch()

    monkeypatch.setattr(Path, "stat", stat_too_early)
    assert not is_there(path)
    assert is_there(path)
