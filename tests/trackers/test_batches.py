"""Where memory is too small, what was kept goes first, and then less is done at a time."""

import numpy as np
import pytest
import torch

from sola.trackers.batches import BatchSize


def test_batches_are_halved_until_they_fit_without_repeats() -> None:
    done: list[list[int]] = []

    def work(batch: np.ndarray) -> int:
        if len(batch) > 2:
            raise torch.OutOfMemoryError
        done.append(batch.tolist())
        return int(batch.sum())

    size = BatchSize("things", 8)
    assert list(size.run(range(5), work)) == [1, 5, 4]
    assert done == [[0, 1], [2, 3], [4]]


def test_kept_features_are_freed_first() -> None:
    kept, sizes = ["features"], []

    def work(batch: np.ndarray) -> list[int]:
        sizes.append(len(batch))
        if kept:
            raise torch.OutOfMemoryError
        return list(batch.tolist())

    def make_room() -> bool:
        return bool(kept) and not kept.clear()

    assert list(BatchSize("things", 2).run(range(2), work, make_room)) == [[0, 1]]
    assert sizes == [2, 2]


def test_batch_of_one_that_does_not_fit_is_reported() -> None:
    def work(_: np.ndarray) -> None:
        raise torch.OutOfMemoryError("too much")

    with pytest.raises(torch.OutOfMemoryError, match="too much"):
        list(BatchSize("things", 4).run(range(3), work))


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if ...",
        "CUDA error: out of memory",
    ],
)
def test_libraries_that_run_out_of_memory_are_met_with_less(text: str) -> None:
    def work(batch: np.ndarray) -> int:
        if len(batch) > 1:
            raise RuntimeError(text)
        return int(batch[0])

    assert list(BatchSize("things", 4).run(range(2), work)) == [0, 1]


def test_other_errors_are_not_met_with_less() -> None:
    def work(_: np.ndarray) -> None:
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        list(BatchSize("things", 4).run(range(3), work))
