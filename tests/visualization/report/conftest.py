"""The report of the drawn split of tests/drawn_split.py, written once."""

from pathlib import Path
from typing import Any

import drawn_split as drawn
import pytest

from sola import cli
from sola.config.entry_points import EvaluateConfig
from sola.evaluation import scored_split
from sola.evaluation.run import run_evaluation

METRICS = """epoch,step,train/loss_epoch,valid/loss,valid/J&F
,9,,,
0,19,4.0,,
0,19,,3.5,0.25
1,39,2.0,3.0,0.5
"""


@pytest.fixture(scope="session")
def drawn_config(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("drawn_report")
    return drawn.make_config(EvaluateConfig, folder, report=True, sources=["grid", "gdino"])


@pytest.fixture(scope="session")
def evaluation(drawn_config: Any) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scored_split, "TextTokens", drawn.LetterTokens)
        return run_evaluation(drawn_config)


@pytest.fixture(scope="session")
def report_dir(drawn_config: Any, evaluation: dict[str, Any]) -> Path:
    (Path(drawn_config.ckpt_path).parent / "metrics.csv").write_text(METRICS)
    return cli.report(drawn_config, evaluation).parent
