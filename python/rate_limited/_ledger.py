"""What is known of each call of a runner: the call, its result, its exceptions."""

from __future__ import annotations

from array import array
from typing import Any

from rate_limited.calls import Call

UNFINISHED, DONE, FAILED = 0, 1, 2


class Ledger:
    """The calls since the runner last gave out complete results.

    The native scheduler numbers calls from 0 for the life of the runner; `base` is the number of the
    first one here. A worker that is still busy with an older call keeps the older ledger.
    """

    __slots__ = ("base", "calls", "exceptions", "results", "seconds", "status")

    def __init__(self, base: int) -> None:
        self.base = base
        self.calls: list[Call] = []
        self.results: list[Any] = []
        self.status = bytearray()
        # How long the last attempt of each call took.
        self.seconds = array("f")
        # Few calls fail: an empty list for each would cost more than the calls themselves.
        self.exceptions: dict[int, list[BaseException]] = {}

    def drop_last(self) -> None:
        """Takes the last call back: it was refused."""
        self.calls.pop()
        self.results.pop()
        self.status.pop()
        self.seconds.pop()

    def note(self, index: int, exception: BaseException) -> None:
        """Keeps what went wrong with an attempt."""
        self.exceptions.setdefault(index, []).append(exception)

    def exception_lists(self) -> list[list[BaseException]]:
        """The exceptions of each call, in the order of scheduling."""
        found = self.exceptions
        return [found.get(index, []) for index in range(len(self.calls))]
