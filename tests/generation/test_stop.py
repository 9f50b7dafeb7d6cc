"""Signals end a run where it is safe, and leave alone what others have set."""

import os
import signal

import pytest

from sola.generation.stop import SIGNALS, Stopped, StopSignals


@pytest.mark.parametrize("signum", SIGNALS)
def test_signal_raises_at_the_next_check(signum: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    stop = StopSignals(is_child=False)
    stop.listen()
    os.kill(os.getpid(), signum)
    with pytest.raises(Stopped) as stopped:
        stop.check()
    assert stopped.value.code == 128 + signum
    assert [signal.getsignal(each) for each in SIGNALS] == before  # a second one ends it at once


def test_handlers_of_others_stay() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda signum, _: heard.append(signum))
    try:
        stop = StopSignals(is_child=False)
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # as Lightning sets its own
        stop.listen()
        os.kill(os.getpid(), signal.SIGUSR1)
        stop.check()
    finally:
        signal.signal(signal.SIGUSR1, before)
        for signum in SIGNALS[:2]:
            signal.signal(signum, stop._before[signum])
    assert heard == [signal.SIGUSR1]
