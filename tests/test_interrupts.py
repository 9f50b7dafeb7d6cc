"""Ctrl-C in code that swallows exceptions, and in code that cleans up."""

import subprocess
import sys
from pathlib import Path

from sola.interrupts import INTERRUPTED

PROGRAM = """
import os, signal
from sola.interrupts import leave_on_interrupt, raised_interrupts

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):  # Python runs handlers between instructions
        pass

leave_on_interrupt()
"""


def run(code: str, *, before: str = "") -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", before + PROGRAM + code]
    root = Path(__file__).parents[1]
    return subprocess.run(words, cwd=root, capture_output=True, text=True, timeout=60)


def test_interrupt_that_a_package_would_swallow_ends_the_program():
    done = run("try:\n    interrupt()\nexcept BaseException:\n    pass\nprint('went on')")
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "interrupted\n")


def test_interrupted_work_cleans_up():
    work = "    try:\n        interrupt()\n    finally:\n        print('clean')"
    done = run(f"with raised_interrupts():\n{work}")
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "clean\n", "interrupted\n")


def test_program_in_the_background_of_a_script_continues():
    ignore = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    done = run("interrupt()\nprint('went on')", before=ignore)
    assert (done.returncode, done.stdout) == (0, "went on\n")
