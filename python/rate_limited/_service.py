"""Calls that are run as they come: the engine behind `submit`, `map` and `as_completed`."""

from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import CancelledError, Future
from typing import Any

from rate_limited import _loop
from rate_limited._attempts import Attempts, Verdict
from rate_limited._classify import PERMANENT
from rate_limited._loop import LoopWorkers
from rate_limited._native import Machine
from rate_limited._threads import ThreadWorkers
from rate_limited.calls import Call

_CANCELLED: Verdict = (PERMANENT, None, None)


class OpenLedger:
    """As `Ledger`, but calls leave it when they end."""

    base = 0

    def __init__(self) -> None:
        self.calls: dict[int, Call] = {}
        self.results: dict[int, Any] = {}
        self.status: dict[int, int] = defaultdict(int)
        self.seconds: dict[int, float] = {}
        self.exceptions: dict[int, list[BaseException]] = {}
        self.costs: dict[int, list[Any]] = {}

    def note(self, index: int, exception: BaseException) -> None:
        """Keeps what went wrong with an attempt."""
        self.exceptions.setdefault(index, []).append(exception)

    def forget(self, number: int) -> tuple[Any, list[BaseException]]:
        """Drops a call; gives its result and its exceptions."""
        for book in (self.calls, self.costs, self.status, self.seconds):
            book.pop(number, None)
        return self.results.pop(number, None), self.exceptions.pop(number, [])


class Service:
    """Runs calls as they are submitted, until it is closed."""

    def __init__(self, machine: Machine, attempts: Attempts, most: int, is_async: bool) -> None:
        self._machine = machine
        self._attempts = attempts
        self._ledger = OpenLedger()
        self._futures: dict[int, Future[Any]] = {}
        self._begun: set[int] = set()
        self._lock = threading.Lock()
        self._over = threading.Event()
        kind = LoopWorkers if is_async else ThreadWorkers
        ledger: Any = self._ledger
        make: Any = self
        run = machine.begin(True, True)
        workers = kind(machine, run, make, ledger, most, self._on_over, self._on_ended)
        if is_async:
            _loop.own_loop().call_soon_threadsafe(workers.start)
        else:
            workers.start()

    def submit(self, call: Call, costs: list[Any]) -> Future[Any]:
        """Schedules a call; its future has the result, or the last exception."""
        future: Future[Any] = Future()
        with self._lock:
            if self._over.is_set():
                raise RuntimeError("the runner was interrupted or closed: make a new one")
            number = self._machine.schedule(costs)
            self._ledger.calls[number] = call
            self._ledger.costs[number] = costs
            self._futures[number] = future
        return future

    def stop(self) -> None:
        """Starts nothing new; calls that have not begun are cancelled."""
        self._machine.stop()

    def halt(self) -> None:
        """As `stop`, and gives up what is in flight."""
        self._machine.halt()

    def close(self, timeout: float | None = None) -> bool:
        """Waits until all is done; tells whether it is."""
        self._machine.drain()
        return self._over.wait(timeout)

    def blocking(self, ledger: Any, number: int) -> Verdict:
        """Makes an attempt on this thread, unless its future was cancelled."""
        if not self._begins(number):
            return _CANCELLED
        return self._attempts.blocking(ledger, number)

    async def awaited(self, ledger: Any, number: int) -> Verdict:
        """Makes an attempt on the running loop, unless its future was cancelled."""
        if not self._begins(number):
            return _CANCELLED
        return await self._attempts.awaited(ledger, number)

    def cancelled(self, ledger: Any, number: int) -> Verdict:
        """The function raised a cancellation of its own."""
        return self._attempts.cancelled(ledger, number)

    def _begins(self, number: int) -> bool:
        """Whether the call is still wanted; from then on it cannot be cancelled any more."""
        with self._lock:
            future = self._futures.get(number)
            if future is None or number in self._begun:
                return future is not None
            if future.set_running_or_notify_cancel():
                self._begun.add(number)
                return True
            del self._futures[number]
            return False

    def _on_ended(self, number: int, why: str) -> None:
        with self._lock:
            future = self._futures.pop(number, None)
            begun = number in self._begun
            self._begun.discard(number)
            result, exceptions = self._ledger.forget(number)
        if future is None or not (begun or future.set_running_or_notify_cancel()):
            return
        if not why:
            future.set_result(result)
        else:
            error = exceptions[-1] if exceptions else TimeoutError(f"the call failed: {why}")
            error.attempts = exceptions  # type: ignore[attr-defined]
            future.set_exception(error)

    def _on_over(self, why: str) -> None:
        with self._lock:
            left = list(self._futures.items())
            self._futures.clear()
            self._over.set()
        for number, future in left:
            if number in self._begun:
                future.set_exception(CancelledError(why))
            elif future.cancel():
                # Whoever waits for several futures hears of it only by this.
                future.set_running_or_notify_cancel()
