"""Sentences of any characters, and paths that Hydra cannot read, on the command line."""

from pathlib import Path

import pytest

from sola.config import compose
from sola.config.program import quote

SENTENCES = [
    "the dog's ball",
    'the "big" dog (left), [not] the small one',
    "costs $5 or ${x}",
    "a back\\slash, and one before a quote \\'",
    "ends in a backslash\\",
    "null",
    "123",
    "a: b = {c} # d",
    "穿红衣服的人, кот",
]
PATHS = [
    "epoch=3-step=100.ckpt",
    "runs/my run (1)/best.ckpt",
    "it's [mine].mp4",
]
CLIP = ("dataset=clip", "tracker=small", "paths.output_dir=out")
UNTRAINED = ("selector=detection", *CLIP)


@pytest.mark.parametrize("text", SENTENCES)
def test_sentence_may_have_any_characters(text: str) -> None:
    words = ["video=clip.mp4", f"expression={text}"]

    assert compose("predict", [*map(quote, words), *UNTRAINED]).expression == text


@pytest.mark.parametrize("path", PATHS)
def test_path_may_have_any_characters(path: str) -> None:
    words = [f"video={path}", f"ckpt_path={path}", "expression=a"]

    config = compose("predict", [*map(quote, words), *CLIP])

    assert (config.video, config.ckpt_path) == (path, path)


@pytest.mark.parametrize("name", ["2024", "1e5", "my clip, part 2.mp4"])
def test_name_of_a_file_is_not_interpreted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).touch()
    words = [quote(f"video={name}"), quote("expression=a")]

    assert compose("predict", [*words, *UNTRAINED]).video == name


@pytest.mark.parametrize(
    "word",
    [
        "expression='the dog, left'",
        "ckpt_path=a.ckpt,b.ckpt",
        "ckpt_path='a b.ckpt'",
        "expressions=[a,b]",
        "--help",
        "threshold=0.5",
    ],
)
def test_word_that_hydra_reads_is_kept(word: str) -> None:
    assert quote(word) == word
