"""What the first and the second signal do, to this very process."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from tune_lpc.engine.interrupt import Interrupt
from tune_lpc.plan.errors import Interrupted

OF_BATCH_SYSTEMS = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
ALL = (signal.SIGINT, signal.SIGTERM, *OF_BATCH_SYSTEMS)
EACH = pytest.mark.parametrize("number", ALL, ids=lambda number: number.name)


@pytest.fixture(autouse=True)
def _handlers_of_the_test_run() -> Iterator[None]:
    """Whatever a test does, pytest has its own handlers again afterwards."""
    before = {number: signal.getsignal(number) for number in ALL}
    for number in OF_BATCH_SYSTEMS:
        signal.signal(number, signal.SIG_DFL)  # also where the tests run under nohup
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@EACH
def test_while_trials_run_the_first_signal_asks_the_search_to_end(number: signal.Signals) -> None:
    with Interrupt() as interrupt, interrupt.graceful():
        assert (interrupt.requested, interrupt.signal_number) == (None, None)
        signal.raise_signal(number)
        assert (interrupt.requested, interrupt.signal_number) == (number.name, number)


@EACH
def test_the_second_signal_ends_it_at_once(number: signal.Signals) -> None:
    with Interrupt() as interrupt, interrupt.graceful():
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted) as caught:
            signal.raise_signal(number)
        assert caught.value.signal_number == number
        assert interrupt.requested == "SIGTERM"


@EACH
def test_before_and_after_the_trials_the_first_signal_ends_it_at_once(number: signal.Signals) -> None:
    with Interrupt() as interrupt:
        with interrupt.graceful():
            pass
        with pytest.raises(Interrupted):
            signal.raise_signal(number)


def test_the_handlers_of_before_are_given_back() -> None:
    def own(number: int, frame: object) -> None:
        raise AssertionError("not called")

    signal.signal(signal.SIGTERM, own)
    with Interrupt():
        assert signal.getsignal(signal.SIGTERM) is not own
    assert signal.getsignal(signal.SIGTERM) is own


@pytest.mark.parametrize("number", OF_BATCH_SYSTEMS, ids=lambda number: number.name)
def test_what_is_ignored_stays_so(number: signal.Signals) -> None:
    signal.signal(number, signal.SIG_IGN)  # as nohup does
    with Interrupt() as interrupt, interrupt.graceful():
        signal.raise_signal(number)
        assert interrupt.requested is None
    assert signal.getsignal(number) is signal.SIG_IGN


def test_the_signals_are_taken_over_again_after_a_library_has_taken_them() -> None:
    with Interrupt() as interrupt, interrupt.graceful():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        interrupt.take_over()
        signal.raise_signal(signal.SIGTERM)
        assert interrupt.requested == "SIGTERM"
