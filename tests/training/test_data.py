"""Samples of expressions that share their tracks, and of those that do not."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from small_selectors import SMALL, make_selector

from sola.config.entry_points import TrainConfig
from sola.errors import UserError
from sola.selector import SelectionLoss
from sola.shards import ShardReader
from sola.text import TextTokens
from sola.training.batch import collate
from sola.training.data import SelectorDataModule
from sola.training.module import SelectorModule
from sola.training.samples import LabelledTracks, SelectionDataset
from sola.types import Expression

EXPRESSIONS = [
    Expression("v0", "0", "a", ("v0a",)),
    Expression("v0", "1", "b", ("v0b",)),
    Expression("v1", "0", "c", ("v1c",)),
]
LETTERS = {
    "grid": {"v0": "ab", "v1": ""},
    "gdino": {"v0/0": "a", "v0/1": "", "v1/0": "c"},
}
RULE = {"label_iou": 0.7, "empty_frames": "count"}


@pytest.fixture
def open_tracks(write_tracks: Callable[..., Path]) -> Callable[..., LabelledTracks]:
    def open_tracks(*sources: str) -> LabelledTracks:
        readers = [ShardReader(write_tracks("train", name, LETTERS[name])) for name in sources]
        return LabelledTracks(readers, **RULE)

    return open_tracks


@pytest.fixture
def text(config: TrainConfig) -> TextTokens:
    text = TextTokens(Path(config.paths.data_dir) / "text", config.text_encoder)
    text.prepare([expression.text for expression in EXPRESSIONS])
    return text


def ids(dataset: SelectionDataset) -> list[list[tuple[str, str]]]:
    return [[(e.video_id, e.expression_id) for e in sample] for sample in dataset.samples]


@pytest.mark.parametrize(
    ("sources", "skip_empty", "expected"),
    [
        (["grid"], False, [[("v0", "0"), ("v0", "1")], [("v1", "0")]]),
        (["grid"], True, [[("v0", "0"), ("v0", "1")]]),
        (["grid", "gdino"], False, [[("v0", "0")], [("v0", "1")], [("v1", "0")]]),
        (["grid", "gdino"], True, [[("v0", "0")], [("v0", "1")], [("v1", "0")]]),
        (["gdino"], True, [[("v0", "0")], [("v1", "0")]]),
    ],
)
def test_expressions_with_the_same_tracks_share_a_sample(
    open_tracks, text, sources: list[str], skip_empty: bool, expected: list
) -> None:
    tracks = open_tracks(*sources)

    dataset = SelectionDataset(EXPRESSIONS, tracks, text, by_video=True, skip_empty=skip_empty)

    assert ids(dataset) == expected
    for sample in dataset:
        counts = {tracks.num_tracks(expression) for expression in sample.expressions}
        assert counts == {len(sample.tokens)}
        assert sample.labels.shape == (len(sample.expressions), len(sample.tokens))
    alone = SelectionDataset(EXPRESSIONS, tracks, text, by_video=False, skip_empty=skip_empty)
    assert ids(alone) == [[name] for sample in expected for name in sample]


@pytest.mark.parametrize(("limit", "sizes"), [(1, [1] * 7), (3, [2, 2, 3]), (7, [7]), (9, [7])])
def test_video_with_many_expressions_gives_several_samples(
    open_tracks, text, limit: int, sizes: list[int]
) -> None:
    expressions = [Expression("v0", str(number), "a", ("v0a",)) for number in range(7)]
    tracks = open_tracks("grid")
    dataset = SelectionDataset(expressions, tracks, text, by_video=True, max_expressions=limit)
    assert sorted(len(sample) for sample in ids(dataset)) == sizes
    assert sorted(name for sample in ids(dataset) for name in sample) == [
        ("v0", str(number)) for number in range(7)
    ]


def test_only_validation_keeps_expressions_without_tracks(open_tracks, text) -> None:
    tracks = open_tracks("gdino")
    train_set = SelectionDataset(EXPRESSIONS, tracks, text, by_video=True, skip_empty=True)
    valid_set = SelectionDataset(EXPRESSIONS, tracks, text, by_video=True)

    data = SelectorDataModule([train_set], valid_set)

    assert [len(e) for e in ids(data.train_sets[0])] == [1, 1]
    assert [batch.num_tracks for batch in data.val_dataloader()] == [(1,), (0,), (1,)]


def test_split_without_tracks_is_refused(open_tracks, text) -> None:
    with pytest.raises(UserError, match="gdino/tiny: "):
        SelectionDataset(
            EXPRESSIONS[1:2], open_tracks("gdino"), text, by_video=True, skip_empty=True
        )


@pytest.mark.parametrize("name", SMALL)
def test_expression_without_tracks_adds_no_loss(open_tracks, text, name: str) -> None:
    dataset = SelectionDataset(
        EXPRESSIONS, open_tracks("gdino"), text, by_video=False, skip_empty=False
    )
    found, nothing, other = (dataset[idx] for idx in range(3))
    selector = make_selector(name).eval()
    module = SelectorModule(selector, SelectionLoss(1.5, 0.3, 0.07), torch.optim.AdamW, None, None)

    with_it, _ = module.compute(collate([found, nothing, other]))
    without, _ = module.compute(collate([found, other]))
    alone, logits = module.compute(collate([nothing]))

    torch.testing.assert_close(with_it["loss"], without["loss"])
    assert without["loss"] > 0
    assert alone["loss"] == 0
    assert logits.shape == (1, 0)
    alone["loss"].backward()
    assert not any(p.grad.any() for p in module.parameters() if p.grad is not None)


@pytest.mark.parametrize("changes", [{}, {"batch_size": 2}, {"max_tokens": 150}], ids=str)
@pytest.mark.parametrize("num_epochs", [1, 3])
def test_epoch_reads_tokens_of_a_video_once(
    config: TrainConfig,
    write_tracks: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, int],
    num_epochs: int,
) -> None:
    read: list[str] = []
    read_tokens = ShardReader.read_tokens

    def count(reader: ShardReader, video_id: str, expression_id: str = "") -> object:
        read.append(video_id)
        return read_tokens(reader, video_id, expression_id)

    monkeypatch.setattr(ShardReader, "read_tokens", count)
    expressions = [
        Expression(f"v{number % 3}", str(number), "a", (f"v{number % 3}a",)) for number in range(15)
    ]
    tracks = LabelledTracks([ShardReader(write_tracks("train", "grid"))], **RULE, keep=2)
    text = TextTokens(Path(config.paths.data_dir) / "text", config.text_encoder)
    max_tokens = changes.pop("max_tokens", None)
    samples = SelectionDataset(expressions, tracks, text, by_video=False, max_tokens=max_tokens)
    loader = SelectorDataModule(
        [samples], samples, window=2, max_tokens=max_tokens, **changes
    ).train_dataloader()

    for epoch in range(num_epochs):
        loader.batch_sampler.set_epoch(epoch)
        seen = [expression for batch in loader for expression in batch.expressions]
        assert sorted(e.expression_id for e in seen) == sorted(e.expression_id for e in expressions)

    assert num_epochs <= len(read) <= (4 if max_tokens else 3) * num_epochs
    assert tracks._read_tokens[0].cache_info().currsize == 2


@pytest.mark.parametrize(("part", "num_workers"), [("train", 0), ("train", 1), ("val", 1)])
def test_damaged_shard_is_reported_from_any_process(
    open_tracks, text, num_workers: int, part: str
) -> None:
    tracks = open_tracks("grid")
    samples = SelectionDataset(EXPRESSIONS[:2], tracks, text, by_video=True)
    data = SelectorDataModule([samples], samples, num_workers=num_workers)
    loader = data.train_dataloader() if part == "train" else data.val_dataloader()
    (shard,) = tracks.readers[0].tracks_dir.glob("*.h5")
    shard.write_bytes(b"x" * shard.stat().st_size)
    with pytest.raises(UserError, match=r"^[^\n]*\.h5: [^\n]*$"):
        list(loader)
