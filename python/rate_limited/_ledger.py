"""What is known of each call of a runner: the call, its result, its exceptions."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from rate_limited.calls import Call

UNFINISHED, DONE, FAILED = 0, 1, 2


class TwoParts(float):
    """What a call takes of a resource: what its arguments cost, and what its result may cost at most."""

    __slots__ = ("before",)
    before: float

    def __new__(cls, before: float, at_most: float) -> TwoParts:
        """The sum, which remembers its first part."""
        both = super().__new__(cls, before + at_most)
        both.before = before
        return both


def retries_of(numbers: Mapping[str, int], failed: int) -> int:
    """How often something was tried again; the last attempt of a call that failed is not followed by another.

    >>> retries_of({"failures": 5, "invalid": 1}, failed=2)
    4
    """
    return max(0, numbers["failures"] + numbers["invalid"] - failed)


class Tally:
    """What the runs of one list of calls come to together: one that goes on with an interrupted one adds to it."""

    __slots__ = ("before", "failed", "seconds")

    def __init__(self) -> None:
        # What the machine had counted when the first of these runs began.
        self.before: dict[str, Any] | None = None
        # The calls whose last attempt failed.
        self.failed = 0
        self.seconds = 0.0

    def of(self, counted: dict[str, Any]) -> dict[str, Any]:
        """What the machine has counted since the first of these runs began."""
        before = self.before or counted
        names = ("attempts", "failures", "invalid", "refusals", "timeouts")
        numbers = {**counted, **{name: counted[name] - before[name] for name in names}}
        return {**numbers, "retries": retries_of(numbers, self.failed)}


class Ledger:
    """The calls since the runner last gave out complete results.

    The native scheduler numbers calls from 0 for the life of the runner; `base` is the number of the
    first one here. A worker that is still busy with an older call keeps the older ledger.
    """

    __slots__ = (
        "_ended",
        "_lock",
        "base",
        "calls",
        "costs",
        "exceptions",
        "left_alone",
        "positions",
        "restored",
        "results",
        "retried",
        "rows",
        "seconds",
        "status",
        "tally",
    )

    def __init__(self, base: int) -> None:
        self.base = base
        self.calls: list[Call] = []
        self.results: list[Any] = []
        self.status = bytearray()
        # How many calls have each status but UNFINISHED; to count them all at each tick would be felt.
        self._ended = [0, 0, 0]
        self._lock = threading.Lock()
        # How long the last attempt of each call took.
        self.seconds = array("f")
        # Few calls fail: an empty list for each would cost more than the calls themselves.
        self.exceptions: dict[int, list[BaseException]] = {}
        # Where the journal has each call, if there is one.
        self.positions = array("q")
        # Calls that have no result, and are not run: it is not known whether they were answered before.
        self.left_alone: set[int] = set()
        # Calls that were over before: the journal has what came of them.
        self.restored = 0
        # Those of its calls that failed and were scheduled again.
        self.retried: set[int] = set()
        self.tally = Tally()
        # What each call was taken to cost, kept only where a part of it is not known before its end.
        self.costs: dict[int, list[Any]] = {}
        # The numbers of the rows of a `map`; None: the calls of a run, which are counted from 0.
        self.rows: list[int] | None = None

    def add(self, call: Call) -> None:
        """Appends a call that is to be run."""
        self.calls.append(call)
        self.results.append(None)
        self.status.append(UNFINISHED)
        self.seconds.append(0.0)

    def end(self, index: int, status: int) -> None:
        """The call of this place is done, or has failed for good."""
        with self._lock:
            self._ended[self.status[index]] -= 1
            self._ended[status] += 1
            self.status[index] = status

    @property
    def done(self) -> int:
        """How many calls have a result."""
        return self._ended[DONE]

    @property
    def failed(self) -> int:
        """How many calls have failed for good."""
        return self._ended[FAILED]

    @property
    def left(self) -> int:
        """How many calls are not over."""
        return len(self.status) - self.done - self.failed

    def counts(self) -> dict[str, int]:
        """How many calls there are, and what has become of them, as snapshots tell it."""
        ended = {"done": self.done, "failed": self.failed, "restored": self.restored}
        return {"scheduled": len(self.calls), **ended}

    def drop_last(self) -> None:
        """Takes the last call back: it was refused."""
        self.calls.pop()
        self.results.pop()
        self.status.pop()
        self.seconds.pop()
        if self.positions:
            self.positions.pop()

    def restore_last(self, status: int, result: Any, errors: Sequence[BaseException]) -> None:
        """The last call was over before, or is to be left alone."""
        self.results[-1] = result
        self.end(len(self.calls) - 1, status)
        if status == UNFINISHED:
            self.left_alone.add(len(self.calls) - 1)
        self.restored += status != UNFINISHED
        if errors:
            self.exceptions[len(self.calls) - 1] = list(errors)

    @property
    def is_over(self) -> bool:
        """Whether no call is left to be run."""
        return self.left == len(self.left_alone)

    def unfinished(self) -> list[int]:
        """The places of the calls that are to be run yet."""
        places = enumerate(self.status)
        return [index for index, status in places if status == UNFINISHED and index not in self.left_alone]

    def note(self, index: int, exception: BaseException) -> None:
        """Keeps what went wrong with an attempt."""
        self.exceptions.setdefault(index, []).append(exception)

    def exception_lists(self) -> list[list[BaseException]]:
        """The exceptions of each call, in the order of scheduling."""
        found = self.exceptions
        return [found.get(index, []) for index in range(len(self.calls))]
