"""Batches of samples."""

import pytest
import torch
from small_selectors import SMALL, make_selector
from torch import Tensor

from sola.selector import Selector
from sola.training.batch import Batch, Sample, collate
from sola.types import Expression

D, E = 8, 16


def make_sample(video_id: str, num_tracks: int, num_frames: int, text_lengths: list[int]) -> Sample:
    generator = torch.Generator().manual_seed(len(text_lengths) + 10 * num_tracks)
    return Sample(
        tokens=torch.randn(num_tracks, num_frames, D, generator=generator),
        texts=tuple(torch.randn(length, E, generator=generator) for length in text_lengths),
        labels=torch.rand(len(text_lengths), num_tracks, generator=generator) < 0.5,
        expressions=tuple(
            Expression(video_id, str(idx), "", ()) for idx in range(len(text_lengths))
        ),
    )


def run(selector: Selector, batch: Batch) -> Tensor:
    logits, _ = selector(
        batch.tokens,
        batch.text,
        batch.track_mask,
        batch.frame_mask,
        batch.text_mask,
        video_idx=batch.video_idx,
    )
    return logits


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(
    "samples",
    [
        [make_sample("a", 3, 9, [4])],
        [make_sample("a", 3, 9, [4, 2, 3])],
        [make_sample("a", 3, 9, [4]), make_sample("b", 3, 9, [4])],
        [make_sample("a", 3, 9, [4]), make_sample("b", 1, 17, [2])],
        [make_sample("a", 3, 9, [4, 2]), make_sample("b", 0, 5, [3]), make_sample("c", 5, 4, [1])],
    ],
    ids=["one", "one video", "equal", "padded", "videos"],
)
def test_batch_scores_match_single_samples(samples: list[Sample], name: str) -> None:
    selector = make_selector(name, D, E).eval()
    batch = collate(samples)

    logits = run(selector, batch)

    alone = [
        (selector(sample.tokens[None], text[None])[0][0], labels)
        for sample in samples
        for text, labels in zip(sample.texts, sample.labels, strict=True)
    ]
    mask = batch.label_mask
    for row, (expected, labels) in enumerate(alone):
        count = batch.num_tracks[row]
        torch.testing.assert_close(logits[row, :count], expected, rtol=1e-4, atol=1e-4)
        assert torch.equal(batch.labels[row, :count], labels)
        assert not batch.labels[row, count:].any()
        assert mask is None or mask[row].tolist() == [n < count for n in range(mask.shape[1])]
        assert batch.has_tracks[row] == (count > 0)


def test_batch_without_padding_has_no_mask() -> None:
    batch = collate([make_sample("a", 3, 9, [4]), make_sample("b", 3, 9, [4])])
    assert batch.track_mask is batch.frame_mask is batch.text_mask is batch.video_idx is None


def test_batch_moves_with_all_its_tensors() -> None:
    batch = collate([make_sample("a", 3, 9, [4, 2]), make_sample("b", 1, 5, [3])]).to("meta")
    tensors = [value for value in vars(batch).values() if isinstance(value, Tensor)]
    assert len(tensors) == 9
    assert {tensor.device.type for tensor in (*tensors, batch.layout.indices)} == {"meta"}


def test_planned_layout_is_that_of_the_masks() -> None:
    shapes = [(3, 9, [4, 2]), (0, 5, [3]), (5, 4, [1]), (3, 9, [2, 2]), (1, 9, [4])]
    batch = collate([make_sample("a", *shape) for shape in shapes])
    assert [group[1:] for group in batch.layout.shapes] == [(3, 9, 2), (5, 4, 1), (1, 9, 1)]
    selector = make_selector("TrackSelector", D, E).eval()
    inputs = (batch.tokens, batch.text, batch.track_mask, batch.frame_mask, batch.text_mask)
    planned = selector(*inputs, video_idx=batch.video_idx, layout=batch.layout)
    found = selector(*inputs, video_idx=batch.video_idx)
    torch.testing.assert_close(planned, found, rtol=0, atol=0)
