"""What tests of generation share: the configuration of a small run."""

from collections.abc import Callable
from typing import Any

import pytest
from small_runs import small_run

from sola.config.entry_points import GenerateConfig


@pytest.fixture
def config(compose: Callable[..., Any]) -> Callable[..., GenerateConfig]:
    """``config("strict=true", num_videos=3)``: the configuration of a small run."""

    def make(*overrides: str, num_videos: int = 3) -> GenerateConfig:
        made: GenerateConfig = compose("generate", *small_run(num_videos), *overrides)
        return made

    return make
