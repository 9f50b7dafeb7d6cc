"""Ctrl-C in code that swallows exceptions, and in code that cleans up."""

import signal
import subprocess
import sys
from pathlib import Path
from textwrap import indent

from sola.interrupts import INTERRUPTED, leaving_interrupts, raised_interrupts

PROGRAM = """
import os, signal
from sola.interrupts import leaving_interrupts, raised_interrupts

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):  # Python runs handlers between instructions
        pass

with leaving_interrupts():
"""


def run(code: str, *, before: str = "") -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", before + PROGRAM + indent(code, "    ")]
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


def test_handler_is_as_before_after_a_program():
    before = signal.getsignal(signal.SIGINT)
    with leaving_interrupts():
        assert signal.getsignal(signal.SIGINT) is not before
        with raised_interrupts():
            assert signal.getsignal(signal.SIGINT) is before
    assert signal.getsignal(signal.SIGINT) is before
