"""The report of the drawn split of tests/drawn_split.py, written once."""

from pathlib import Path
from typing import Any

import drawn_split as drawn
import pytest

from sola.config.entry_points import EvaluateConfig
from sola.evaluation import run as evaluation_run
from sola.evaluation.run import run_evaluation
from sola.evaluation.scores import ScoredSplit
from sola.visualization.report import write_report


@pytest.fixture(scope="session")
def drawn_config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("drawn_report")
    return drawn.make_config(EvaluateConfig, folder, report=True, sources=["grid", "gdino"])


@pytest.fixture(scope="session")
def evaluated(drawn_config: Any) -> tuple[ScoredSplit, dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation_run, "TextTokens", drawn.LetterTokens)
        return run_evaluation(drawn_config)


@pytest.fixture(scope="session")
def evaluation(evaluated: tuple[ScoredSplit, dict[str, Any]]) -> dict[str, Any]:
    return evaluated[1]


@pytest.fixture(scope="session")
def report_dir(drawn_config: Any, evaluated: tuple[ScoredSplit, dict[str, Any]]) -> Path:
    output_dir = Path(drawn_config.paths.output_dir)
    return write_report(output_dir, *evaluated).parent
