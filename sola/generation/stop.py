"""Ends a run at once and in order: on a signal, or when a process that belongs to it has died."""

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""What clusters and people end a job with."""
LOOK_EVERY_S = 1.0
END_WITHIN_S = 12.0
"""Time of a process to end by itself before it is killed."""
_DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class Stopped(SystemExit):
    """The run was told to end, in the middle of anything."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(status)
        self.reason = reason


class StopSignals:
    """While it is entered, signals raise ``Stopped``, with status 128 + number as shells have it.

    A handler that somebody else has set (a launcher that puts the job back into its queue) stays.
    The death of a process that belongs to this one is like a signal, of status 1.
    """

    def __init__(self) -> None:
        self._children: list[subprocess.Popen[bytes]] = []
        self._before: dict[signal.Signals, Any] = {}
        self._stopped: Stopped | None = None
        self._waits_for_check = False
        self._has_ended = threading.Event()

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._before = {signum: signal.getsignal(signum) for signum in SIGNALS}
            self.put_back()
            threading.Thread(target=self._look, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end_children(is_failure=error is not None)
        self._has_ended.set()
        for signum, handler in self._before.items():
            signal.signal(signum, handler)

    def put_back(self) -> None:
        """Set the handlers again, after lightning has set its own.

        Lightning's wait in the middle of anything for the other processes, which may be dead.
        """
        for signum, before in self._before.items():
            signal.signal(signum, self._handle if before in _DEFAULTS else before)

    def adopt(self, children: list[subprocess.Popen[bytes]]) -> None:
        """Watch the processes that lightning started, and end them with this one.

        They are taken out of lightning's list: it would kill this process without a word.
        """
        self._children += children
        children.clear()

    @contextmanager
    def at_checks(self) -> Iterator[None]:
        """Inside, ``Stopped`` comes at the next ``check``, not in the middle of anything.

        Where threads are about, a lock might be left locked.
        """
        self._waits_for_check = True
        try:
            yield
        finally:
            self._waits_for_check = False
        self.check()

    def check(self) -> None:
        """Raise ``Stopped`` if it is time to."""
        if self._stopped is not None:
            raise self._stopped

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._stopped is None:
            self._stopped = Stopped(f"stopped by {signal.Signals(signum).name}", 128 + signum)
        for signum, before in self._before.items():
            if before in _DEFAULTS:
                signal.signal(signum, signal.SIG_IGN)  # it is being obeyed
        _send(self._children, signal.SIGTERM)
        if not self._waits_for_check:
            raise self._stopped

    def _look(self) -> None:
        while self._stopped is None and not self._has_ended.wait(LOOK_EVERY_S):
            reason = self._find_death()
            if reason is not None:
                self._stopped = Stopped(reason, 1)
                self._signal_myself()
        if not self._has_ended.wait(END_WITHIN_S + LOOK_EVERY_S):
            assert self._stopped is not None
            log.error("%s, in the middle of a long step", self._stopped.reason)
            os._exit(int(self._stopped.code or 1))

    def _signal_myself(self) -> None:
        own = [signum for signum, before in self._before.items() if before in _DEFAULTS]
        if own:
            os.kill(os.getpid(), own[0])

    def _find_death(self) -> str | None:
        for child in self._children:
            if child.poll():
                return f"stopped, as its process {child.pid} ended with status {child.returncode}"
        return None

    def _end_children(self, *, is_failure: bool) -> None:
        if is_failure:
            _send(self._children, signal.SIGTERM)
        for child in self._children:
            try:
                child.wait(END_WITHIN_S)
            except subprocess.TimeoutExpired:
                child.kill()


def _send(children: Sequence[subprocess.Popen[bytes]], signum: signal.Signals) -> None:
    for child in children:
        child.send_signal(signum)  # those that have ended are passed over
