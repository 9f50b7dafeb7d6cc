"""Shut a run down cleanly when a signal arrives or one of its processes dies."""

import signal
import subprocess
import threading
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""Signals with which clusters and people end a job."""
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class Stopped(SystemExit):
    """Ends the run; after a signal the exit status is 128 + its number, as in shells."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(status)
        self.reason = reason


class StopSignals:
    """Remembers a signal until ``check`` raises ``Stopped``, as threads may hold locks before that.

    A handler set by other code, such as a launcher that requeues the job, stays. A second signal
    ends the process at once.
    """

    def __init__(self, *, is_child: bool) -> None:
        """Remember the current handlers.

        Args:
            is_child: whether another process started this one and will end it; it then ignores
                signals.
        """
        is_main = threading.current_thread() is threading.main_thread()
        self._before = {signum: signal.getsignal(signum) for signum in SIGNALS if is_main}
        self._is_child = is_child
        self._signum: signal.Signals | None = None
        self._children: list[subprocess.Popen[bytes]] = []

    def listen(self) -> None:
        """Replace Lightning's handlers, which wait for other processes."""
        handler = signal.SIG_IGN if self._is_child else self._handle
        for signum, before in self._before.items():
            signal.signal(signum, handler if before in _DEFAULTS else before)

    def release(self) -> None:
        """Restore the original handlers."""
        for signum, before in self._before.items():
            signal.signal(signum, before)

    def adopt(self, children: list[subprocess.Popen[bytes]]) -> None:
        """Watch the processes that Lightning started, instead of Lightning.

        Args:
            children: Lightning's list, which is emptied here: Lightning would kill this process
                when one of them dies.
        """
        self._children += children
        children.clear()

    def end_children(self, *, kill: bool) -> None:
        """Wait until the child processes have ended, or kill them; staged tracks survive that."""
        for child in self._children:
            if kill:
                child.kill()
            child.wait()

    def check(self) -> None:
        """Raise ``Stopped`` if a signal has arrived or a process of this run has died."""
        if self._signum is not None:
            raise Stopped(self._signum.name, 128 + self._signum)
        for child in self._children:
            if child.poll():
                raise Stopped(f"process {child.pid}, status {child.returncode}", 1)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self._signum = signal.Signals(signum)
        self.release()
