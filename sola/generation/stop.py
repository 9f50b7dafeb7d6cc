"""End a run in order when a signal arrives."""

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""What clusters and people end a job with."""
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class Stopped(SystemExit):
    """The run was told to end; its status is 128 + the signal's number, as in shells."""

    def __init__(self, signum: signal.Signals) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class StopSignals:
    """Remembers a signal until ``check`` raises ``Stopped``: threads may hold locks in between.

    A handler that somebody else has set (a launcher that puts the job back into its queue) stays.
    A second signal ends the process at once.
    """

    def __init__(self, *, is_leader: bool) -> None:
        """Note the handlers that are set.

        Args:
            is_leader: other processes ignore signals; they end with the one that started them.
        """
        is_main = threading.current_thread() is threading.main_thread()
        self._before = {signum: signal.getsignal(signum) for signum in SIGNALS if is_main}
        self._is_leader = is_leader
        self._signum: signal.Signals | None = None

    def listen(self) -> None:
        """Set the handlers in place of Lightning's, which wait for other processes."""
        handler = self._handle if self._is_leader else signal.SIG_IGN
        for signum, before in self._before.items():
            signal.signal(signum, handler if before in _DEFAULTS else before)

    def check(self) -> None:
        """Raise ``Stopped`` if a signal has arrived."""
        if self._signum is not None:
            raise Stopped(self._signum)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self._signum = signal.Signals(signum)
        for each, before in self._before.items():
            signal.signal(each, before)
