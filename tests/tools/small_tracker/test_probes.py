import pytest
import torch

from tools.small_tracker import probes
from tools.small_tracker.heads import sequence_statistics
from tools.small_tracker.probes import linear_probe_accuracy, majority_figures

pytestmark = pytest.mark.slow


def test_probe_reads_linear_features_but_not_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(probes, "STEPS", 60)
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(3, (200,), generator=generator)
    noise = torch.randn(200, 6, generator=generator)
    told = noise + 4 * torch.nn.functional.one_hot(classes, 6)
    split = slice(0, 120), slice(120, 200)
    args = [classes[split[0]], classes[split[1]]]
    assert linear_probe_accuracy(told[split[0]], args[0], told[split[1]], args[1]) > 0.95
    assert linear_probe_accuracy(noise[split[0]], args[0], noise[split[1]], args[1]) < 0.6


def test_majority_figure_is_the_share_of_the_most_frequent_class() -> None:
    labels = torch.tensor([[0, 1, 2], [0, 1, 3], [0, 2, 4], [1, 2, 5]])
    assert majority_figures(labels) == {"shape": 0.75, "colour": 0.5, "motion": 0.25}


def test_sequence_statistics_of_a_steady_drift_do_not_depend_on_the_stride() -> None:
    line = torch.arange(16.0)[None, :, None]
    every, second = sequence_statistics(line), sequence_statistics(line[:, ::2], stride=2)
    torch.testing.assert_close(every[:, 1], second[:, 1])
    torch.testing.assert_close(every[:, 3], second[:, 3])
    assert every[0, 3].item() == 1
