"""Loading is as fast and as lean as it is meant to be: the benchmark at a size that fits a test."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_loading_meets_its_bars() -> None:
    command = [sys.executable, "benchmarks/loading.py", "--videos", "4", "--plain", "8"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = re.findall(r"ratio loading_(speed|bytes)_\S+ (\S+) bar (\S+)", done.stdout)
    assert [what for what, *_ in found] == ["speed", "bytes"] * 4
    for what, value, bar in found:
        is_met = float(value) >= float(bar) if what == "speed" else float(value) <= float(bar)
        assert is_met, done.stdout
