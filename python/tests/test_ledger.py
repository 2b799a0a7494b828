"""The counts of a ledger are those of its calls, whatever becomes of them."""

import random
import threading

import pytest

from rate_limited._ledger import DONE, FAILED, UNFINISHED, Ledger
from rate_limited.calls import Call


def check(ledger: Ledger) -> None:
    assert ledger.done == ledger.status.count(DONE)
    assert ledger.failed == ledger.status.count(FAILED)
    assert ledger.left == ledger.status.count(UNFINISHED) == len(ledger.unfinished()) + len(ledger.left_alone)


@pytest.mark.parametrize("seed", range(20))
def test_counts_follow_whatever_happens(seed):
    chance = random.Random(seed)
    ledger = Ledger(0)
    for _ in range(200):
        what = chance.randrange(5)
        if what == 0 and ledger.calls:
            # A failed call may be answered late, and then it is done.
            ledger.end(chance.randrange(len(ledger.calls)), chance.choice([DONE, FAILED]))
        elif what == 1:
            ledger.add(Call(len, ("refused",), {}))
            ledger.drop_last()
        elif what == 2:
            ledger.add(Call(len, ("known",), {}))
            ledger.restore_last(chance.choice([DONE, FAILED]), 5, [])
        else:
            ledger.add(Call(len, ("new",), {}))
        check(ledger)


def test_calls_left_alone_are_not_over_and_not_to_be_run():
    ledger = Ledger(0)
    ledger.add(Call(len, ("in doubt",), {}))
    ledger.restore_last(UNFINISHED, None, [])
    check(ledger)
    assert ledger.is_over
    assert ledger.left == 1


def test_threads_that_end_calls_at_once_lose_none():
    ledger = Ledger(0)
    for _ in range(8_000):
        ledger.add(Call(len, ("x",), {}))

    def end(first: int) -> None:
        for index in range(first, 8_000, 8):
            ledger.end(index, FAILED)
            ledger.end(index, DONE)

    threads = [threading.Thread(target=end, args=(first,)) for first in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(ledger)
    assert ledger.done == 8_000
