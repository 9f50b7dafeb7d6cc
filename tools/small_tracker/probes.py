"""Linear probes of the shape, colour and motion in an object's pointers."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tools.small_tracker.heads import sequence_statistics
from tools.small_tracker.held_out import TrackedClips

WEIGHT_DECAYS = (0.01, 0.1, 1.0)
STEPS = 400


def probe_figures(train: TrackedClips, test: TrackedClips) -> dict[str, float]:
    """Return the accuracy of linear probes on held-out tracks.

    Shape and colour are read from a track's mean pointer, motion from the mean, end minus start,
    spread and mean absolute step of its pointer sequence.

    Args:
        train: tracks to fit the probes on (held out from the tracker's own training).
        test: tracks to score the probes on.
    """
    figures = {}
    for column, name in enumerate(("shape", "colour", "motion")):
        read = sequence_statistics if name == "motion" else _mean_pointer
        figures[name] = linear_probe_accuracy(
            read(train.pointers),
            train.labels[:, column],
            read(test.pointers),
            test.labels[:, column],
        )
    return figures


def linear_probe_accuracy(
    train_inputs: Tensor, train_classes: Tensor, test_inputs: Tensor, test_classes: Tensor
) -> float:
    """Return the test accuracy of a linear classifier.

    Its weight decay is chosen on a fifth of the training part.

    Args:
        train_inputs: (N, D).
        train_classes: (N,) int64.
        test_inputs: (M, D).
        test_classes: (M,) int64.
    """
    mean, std = train_inputs.mean(0), train_inputs.std(0) + 1e-4
    inputs, held_out = (train_inputs - mean) / std, (test_inputs - mean) / std
    num_classes = int(torch.cat([train_classes, test_classes]).max()) + 1
    kept = len(inputs) * 4 // 5
    scored = []
    for decay in WEIGHT_DECAYS:
        probe = _fit(inputs[:kept], train_classes[:kept], num_classes, decay)
        scored.append((_accuracy(probe, inputs[kept:], train_classes[kept:]), decay))
    best_decay = max(scored)[1]
    return _accuracy(_fit(inputs, train_classes, num_classes, best_decay), held_out, test_classes)


def majority_figures(labels: Tensor) -> dict[str, float]:
    """Return the share of the most frequent shape, colour and motion in labels (N, 3)."""
    return {
        name: float(labels[:, column].bincount().max()) / len(labels)
        for column, name in enumerate(("shape", "colour", "motion"))
    }


def _mean_pointer(pointers: Tensor) -> Tensor:
    return pointers.mean(1)


def _fit(inputs: Tensor, classes: Tensor, num_classes: int, decay: float) -> nn.Linear:
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(0)
        probe = nn.Linear(inputs.shape[1], num_classes)
        optimizer = torch.optim.AdamW(probe.parameters(), lr=1e-2, weight_decay=decay)
        for _ in range(STEPS):
            optimizer.zero_grad()
            F.cross_entropy(probe(inputs), classes).backward()
            optimizer.step()
    return probe


@torch.no_grad()
def _accuracy(probe: nn.Linear, inputs: Tensor, classes: Tensor) -> float:
    return float((probe(inputs).argmax(1) == classes).float().mean())
