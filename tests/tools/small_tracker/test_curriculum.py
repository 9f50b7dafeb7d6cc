from tools.small_tracker.curriculum import CURRICULUM, RunningFigures, Stage
from tools.small_tracker.optimisation import WARMUP_STEPS, learning_rate


def test_stage_passes_only_when_every_figure_holds_over_a_full_window() -> None:
    stage = Stage("a", "images", 10, {"x": 0.6, "y": 0.5}, window=2)
    figures = RunningFigures(stage.window)
    figures.add({"x": 1.0, "y": 1.0})
    assert not figures.has_passed(stage)
    figures.add({"x": 0.0, "y": 0.2})
    assert not figures.has_passed(stage)
    figures.add({"x": 0.0, "y": 0.9})
    assert not figures.has_passed(stage)
    figures.add({"x": 1.3, "y": 0.9})
    assert figures.has_passed(stage)


def test_stage_without_criteria_never_passes_early() -> None:
    figures = RunningFigures(1)
    figures.add({"x": 1.0})
    assert not figures.has_passed(Stage("a", "clips", 10, window=1))


def test_curriculum_ends_with_a_decay_of_a_fixed_number_of_steps() -> None:
    last = CURRICULUM[-1]
    assert last.is_decayed
    assert not last.passes
    assert all(stage.passes for stage in CURRICULUM[:-1])


def test_learning_rate_warms_up_holds_and_decays() -> None:
    plain = Stage("a", "images", 100, lr=1e-3)
    assert learning_rate(plain, 0, 0) == 1e-3 / WARMUP_STEPS
    assert learning_rate(plain, 99, 5000) == 1e-3
    decayed = Stage("b", "clips", 100, lr=1e-3, is_decayed=True)
    rates = [learning_rate(decayed, step, 5000) for step in range(101)]
    assert rates[0] == 1e-3
    assert rates == sorted(rates, reverse=True)
    assert abs(rates[-1] - 3e-5) < 1e-12
