"""Signals end a run, where it is safe, and leave alone what others have set."""

import os
import signal

import pytest

from sola.generation.stop import SIGNALS, Stopped, StopSignals


def test_a_signal_raises_at_once_with_the_status_of_shells() -> None:
    def work() -> None:
        with StopSignals():
            os.kill(os.getpid(), signal.SIGUSR1)
            signal.pause()

    before = [signal.getsignal(signum) for signum in SIGNALS]
    with pytest.raises(Stopped) as stopped:
        work()
    assert (stopped.value.code, stopped.value.reason) == (138, "stopped by SIGUSR1")
    assert [signal.getsignal(signum) for signum in SIGNALS] == before


def test_where_threads_are_about_it_waits_for_a_check() -> None:
    steps = []

    def work() -> None:
        with StopSignals() as stop, stop.at_checks():
            steps.append("before")
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)  # again, as impatient people do
            steps.append("after")
            stop.check()
            steps.append("never")

    with pytest.raises(Stopped):
        work()
    assert steps == ["before", "after"]


def test_a_run_that_ends_before_a_check_is_stopped_all_the_same() -> None:
    with pytest.raises(Stopped), StopSignals() as stop, stop.at_checks():
        os.kill(os.getpid(), signal.SIGTERM)


def test_handlers_of_others_stay() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda signum, _: heard.append(signum))
    try:
        with StopSignals() as stop:
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # as lightning sets its own
            stop.put_back()
            os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert heard == [signal.SIGUSR1]
