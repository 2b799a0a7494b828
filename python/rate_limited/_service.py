"""Calls that are run as they come: the engine behind `submit`, `map` and `as_completed`."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

from rate_limited import _loop
from rate_limited._attempts import Attempts
from rate_limited._loop import LoopWorkers
from rate_limited._native import Machine
from rate_limited._threads import ThreadWorkers
from rate_limited.calls import Call


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


class Service:
    """Runs calls as they are submitted, until it is closed."""

    def __init__(self, machine: Machine, attempts: Attempts, most: int, is_async: bool) -> None:
        self._machine = machine
        self._ledger = OpenLedger()
        self._futures: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        workers = LoopWorkers if is_async else ThreadWorkers
        ledger: Any = self._ledger
        self._workers = workers(machine, attempts, ledger, most, self._on_over, self._on_ended)
        machine.begin(True, True)
        if is_async:
            _loop.own_loop().call_soon_threadsafe(self._workers.start)
        else:
            self._workers.start()

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

    def _on_ended(self, number: int, why: str) -> None:
        with self._lock:
            future = self._futures.pop(number, None)
        ledger = self._ledger
        ledger.calls.pop(number, None)
        ledger.costs.pop(number, None)
        ledger.status.pop(number, None)
        ledger.seconds.pop(number, None)
        exceptions = ledger.exceptions.pop(number, [])
        result = ledger.results.pop(number, None)
        if future is None or not future.set_running_or_notify_cancel():
            return
        if not why:
            future.set_result(result)
        else:
            error = exceptions[-1] if exceptions else TimeoutError(f"the call failed: {why}")
            error.attempts = exceptions  # type: ignore[attr-defined]
            future.set_exception(error)

    def _on_over(self, why: str) -> None:
        with self._lock:
            left = list(self._futures.values())
            self._futures.clear()
            self._over.set()
        for future in left:
            if not future.cancel():
                future.set_exception(CancelledError(why))


Submit = Callable[..., "Future[Any]"]
