"""Calls that are run as they come: the engine behind `submit`, `map` and `as_completed`."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from typing import Any

from rate_limited import _loop
from rate_limited._attempts import Attempts, Verdict
from rate_limited._bill import note_spent
from rate_limited._ledger import DONE, UNFINISHED, retries_of
from rate_limited._loop import LoopWorkers
from rate_limited._native import Machine
from rate_limited._run import NEVER_SENT
from rate_limited._threads import ThreadWorkers
from rate_limited.calls import Call


class CallFuture(Future[Any]):
    """The future of a call, with what is known of the call besides its result."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.call = call
        self.number = -1
        # Where the journal has the call, if there is one and it was looked up.
        self.position = -1
        self.errors: list[BaseException] = []
        self.seconds = 0.0
        self.given_up = False
        self.is_restored = False
        # Whether a call that was given up was answered after all, and the answer.
        self.late: tuple[bool, Any] = (False, None)

    def restore(self, status: int, result: Any, errors: Sequence[BaseException]) -> None:
        """The call was over before: the journal has what came of it."""
        self.errors, self.is_restored = list(errors), status != UNFINISHED
        if not self.set_running_or_notify_cancel():
            return
        if status == DONE:
            self.set_result(result)
        else:
            self.set_exception(self.errors[-1] if self.errors else TimeoutError("it failed before"))


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

    def end(self, number: int, status: int) -> None:
        """The call of this number is done."""
        self.status[number] = status

    def forget(self, number: int) -> tuple[Any, list[BaseException], float]:
        """Drops a call; gives its result, its exceptions, and how long its last attempt took."""
        for book in (self.calls, self.costs, self.status):
            book.pop(number, None)
        seconds = self.seconds.pop(number, 0.0)
        return self.results.pop(number, None), self.exceptions.pop(number, []), seconds


class Service:
    """Runs calls as they are submitted, until it is closed."""

    def __init__(self, machine: Machine, attempts: Attempts, most: int, is_async: bool) -> None:
        self.machine = machine
        self._attempts = attempts
        self._ledger = OpenLedger()
        self._futures: dict[int, CallFuture] = {}
        self._begun: set[int] = set()
        self._given_up: dict[int, CallFuture] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._interrupts = 0
        # The calls whose last attempt failed.
        self._failed = 0
        # The attempts that were let go and not made: nobody wanted their calls any more.
        self._not_made = 0
        self._timer: threading.Timer | None = None
        self.why = ""
        self.last_error: BaseException | None = None
        kind = LoopWorkers if is_async else ThreadWorkers
        ledger: Any = self._ledger
        make: Any = self
        run = machine.begin(True, True)
        self._workers = kind(machine, run, make, ledger, most, self._on_over, self._on_ended)
        if isinstance(self._workers, LoopWorkers):
            _loop.own_loop().call_soon_threadsafe(self._workers.start)
        else:
            self._workers.start()

    @property
    def is_over(self) -> bool:
        """Whether no call will be run any more."""
        return self._over.is_set()

    @property
    def busy(self) -> list[int]:
        """Where the journal has the calls that are under way, or will have them."""
        with self._lock:
            return [
                future.position
                for number, future in self._futures.items()
                if not (future.cancelled() and self.machine.withdraw(number))
            ]

    @property
    def is_interrupted(self) -> bool:
        """Whether it was told to start nothing new."""
        return self._interrupts > 0

    @property
    def complaint(self) -> str | None:
        """Why the service stopped, where that lies with the user's functions."""
        return self._attempts.complaint

    def complain(self, complaint: str) -> None:
        """Says why the service stops, if nobody has yet."""
        self._attempts.complain(complaint)

    def snapshot(self) -> dict[str, Any]:
        """The numbers of the calls so far, for the progress."""
        numbers = self.machine.progress()
        numbers["attempts"] -= self._not_made
        numbers["retries"] = retries_of(numbers, self._failed)
        return numbers

    def slow_calls(self) -> dict[int, float]:
        """The calls in flight that take unusually long, by the numbers of their futures."""
        return self._attempts.slow_calls()

    def submit(
        self,
        future: CallFuture,
        costs: list[Any],
        place: tuple[int | None, bool] = (None, False),
        keys: list[str | None] | None = None,
    ) -> None:
        """Schedules the future's call; it gets the result, or the last exception.

        `place` is its position in the journal, and whether it is run when nothing else is left; `keys` whose part
        of each resource it takes.
        """
        with self._lock:
            if self._interrupts or self._over.is_set():
                future.given_up = True
                raise RuntimeError("the runner was interrupted or closed: make a new one")
            number = future.number = self.machine.schedule(costs, *place, keys)
            self._ledger.calls[number] = future.call
            self._ledger.costs[number] = costs
            self._futures[number] = future

    def allow(self, most: int) -> None:
        """Lets so many calls be in flight, as far as workers go."""
        self._workers.allow(most)

    def stop(self) -> None:
        """Starts nothing new; calls that have not begun are cancelled."""
        self._interrupts += 1
        self.machine.stop()

    def interrupt(self, grace_seconds: float) -> None:
        """The first time stops and gives calls in flight so long; the second time ends at once."""
        self.stop()
        if self._interrupts > 1:
            self.halt()
            return
        self._timer = threading.Timer(grace_seconds, self.halt)
        self._timer.daemon = True
        self._timer.start()

    def halt(self) -> None:
        """As `stop`, and gives up what is in flight; hung calls keep nothing waiting."""
        self._interrupts += 1
        self.machine.halt()
        if isinstance(self._workers, LoopWorkers):
            _loop.own_loop().call_soon_threadsafe(self._workers.close)
        self._on_over("asked")

    def close(self, timeout: float | None = None) -> bool:
        """Waits until all is done; tells whether it is."""
        self.machine.drain()
        return self._over.wait(timeout)

    def late_result(self, future: CallFuture) -> tuple[bool, Any]:
        """Whether a call that was given up was answered after all, and the answer."""
        with self._lock:
            books, number = self._ledger, future.number
            if number in books.results:
                future.late = books.status.get(number) == DONE, books.results[number]
            return future.late

    def blocking(self, ledger: Any, number: int, attempt: int) -> Verdict:
        """Makes an attempt on this thread, unless its future was cancelled."""
        if not self._begins(number):
            return self._attempts.not_made()
        return self._attempts.blocking(ledger, number, attempt)

    async def awaited(self, ledger: Any, number: int, attempt: int) -> Verdict:
        """Makes an attempt on the running loop, unless its future was cancelled."""
        if not self._begins(number):
            return self._attempts.not_made()
        return await self._attempts.awaited(ledger, number, attempt)

    def cancelled(self, ledger: Any, number: int, attempt: int) -> Verdict:
        """The function raised a cancellation of its own."""
        return self._attempts.cancelled(ledger, number, attempt)

    def timed_out(self, ledger: Any, number: int) -> None:
        """An attempt was given up because it took too long."""
        self._attempts.timed_out(ledger, number)

    def _begins(self, number: int) -> bool:
        """Whether the call is still wanted; from then on it cannot be cancelled any more."""
        with self._lock:
            future = self._futures.get(number)
            if future is not None and (number in self._begun or future.set_running_or_notify_cancel()):
                self._begun.add(number)
                return True
            self._futures.pop(number, None)
            self._not_made += 1
        # It has not failed: a journal must let a later run make it.
        self.machine.unwanted(number)
        return False

    def _on_ended(self, number: int, why: str) -> None:
        if why == "spent":
            note_spent(self._ledger, number, self._attempts.resources)  # type: ignore[arg-type]
        with self._lock:
            self._failed += why not in ("", *NEVER_SENT)
            future = self._futures.pop(number, None)
            begun = number in self._begun
            self._begun.discard(number)
            late = self._given_up.pop(number, None)
            result, exceptions, seconds = self._ledger.forget(number)
            if late is not None:
                late.late = not why, result
        if future is None or not (begun or future.set_running_or_notify_cancel()):
            return
        future.errors, future.seconds = exceptions, seconds
        if not why:
            future.set_result(result)
        else:
            error = exceptions[-1] if exceptions else TimeoutError(f"the call failed: {why}")
            error.attempts = exceptions  # type: ignore[attr-defined]
            self.last_error = error
            future.set_exception(error)

    def _on_over(self, why: str) -> None:
        with self._lock:
            if self._over.is_set():
                return
            left = list(self._futures.items())
            self._futures.clear()
            self._given_up = {number: future for number, future in left if number in self._begun}
            self.why = why
            self._over.set()
        if self._timer is not None:
            self._timer.cancel()
        for number, future in left:
            future.given_up = True
            if number in self._given_up:
                future.set_exception(CancelledError(why))
            elif future.cancel():
                # Whoever waits for several futures hears of it only by this.
                future.set_running_or_notify_cancel()
