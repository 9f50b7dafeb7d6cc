"""The data set that the trees are of, and the command."""

from collections.abc import Callable
from pathlib import Path

import drawn_split as drawn
import pytest

from sola.config.entry_points import EvaluateConfig
from sola.published.__main__ import parse_arguments, run


@pytest.fixture
def config(tmp_path: Path) -> EvaluateConfig:
    """The drawn split on disk: v1 with two objects, v2 with one, 2 frames of 20 x 20 px."""
    made: EvaluateConfig = drawn.make_config(EvaluateConfig, tmp_path)
    return made


@pytest.fixture
def command(config: EvaluateConfig, tmp_path: Path) -> Callable[..., int]:
    """``command("import", tree, "prompt_source=gt", ...)``: runs it on the drawn split."""

    def command(direction: str, tree: str, *arguments: str) -> int:
        values = ["dataset=mevis", "dataset.name=drawn", f"dataset.root={config.dataset.root}"]
        values += ["split=valid_u", "tracker.token_dim=4", "tracker.name=theirs"]
        values += [f"data_root={config.paths.data_dir}"]
        return run(parse_arguments([direction, tree, *values, *arguments]))

    return command
