"""Ctrl-C: it ends a program at once while it starts, and is an exception during its work."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit status after Ctrl-C, as in shells."""
_MESSAGE = "interrupted\n"


@contextmanager
def leaving_interrupts() -> Iterator[None]:
    """Let Ctrl-C end the process at once, without clean-up.

    While packages are imported and the configuration is composed, their code may swallow a
    KeyboardInterrupt (OmegaConf's does), and there is nothing to clean up yet. A process that
    ignores Ctrl-C, such as one in the background of a script, continues to ignore it.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def raised_interrupts() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt, so that work can clean up, and then end the process.

    Has no effect outside of ``leaving_interrupts``.
    """
    if signal.getsignal(signal.SIGINT) is not _leave:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        sys.stderr.write(_MESSAGE)
        sys.exit(INTERRUPTED)
    finally:
        signal.signal(signal.SIGINT, _leave)


def _leave(signum: int, frame: FrameType | None) -> None:
    os.write(2, _MESSAGE.encode())
    os._exit(INTERRUPTED)
