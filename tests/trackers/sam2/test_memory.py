"""Memory does not grow with the video: the benchmark at a size that fits a test."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]


def test_video_ten_times_as_long_takes_hardly_more_memory() -> None:
    command = [sys.executable, "benchmarks/memory.py", "--frames", "120", "--short", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = re.search(r"ratio long_video_memory (\S+) bar 1.30", done.stdout)
    assert found is not None, done.stdout
    assert 0.5 < float(found[1]) <= 1.3
