"""Calls that run as they come: `submit`, `map`, `as_completed`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from rate_limited._control import MOST_FOUND_OUT
from rate_limited._rows import Rows, total_of
from rate_limited._service import CallFuture, Service
from rate_limited._setup import count
from rate_limited.calls import Call

if TYPE_CHECKING:
    import threading

    from rate_limited._attempts import Attempts
    from rate_limited._journal import RunnerJournal
    from rate_limited._log import EventLog
    from rate_limited._native import Machine, Statistics

P = ParamSpec("P")
R = TypeVar("R")


class Streams(Generic[P, R]):
    """The part of a `Runner` that runs calls as they come, instead of a list of them."""

    function: Callable[..., Any]
    grace_seconds: float
    interrupted: bool
    _bound: int
    _coming: set[CallFuture]
    _has_mapped: bool
    _keys_of: Callable[[Call], list[str | None] | None]
    _costs_of: list[Callable[[Call], Any]]
    _is_async: bool
    _journal: RunnerJournal | None
    _last_numbers: tuple[dict[str, Any], float] | None
    _lock: threading.Lock
    _log: EventLog
    _rows: Rows | None
    _service: Service | None
    _statistics: Statistics

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Runs a call as soon as the limits allow; returns its future at once.

        The future's exception is that of the last attempt; its attribute `attempts` has all of them.

        Raises:
            ValueError: the call exceeds a quota on its own and could never run.
        """
        future = CallFuture(Call(self.function, args, kwargs))
        self._submit_to(self._serve(), future)
        return future

    def map(
        self,
        iterable: Iterable[Any],
        *,
        on_error: str = "return",
        ordered: bool = True,
        buffer: int | None = None,
    ) -> Iterator[Any]:
        """Calls the function with each item, lazily and in bounded memory; yields the results.

        Ctrl-C starts nothing new, waits `grace_seconds` for what is in flight, and is raised; twice, it
        is raised at once. `last` and `records()` then have what was not given out. So they have if the
        iteration is left in another way; what has not begun by then is never called.

        Args:
            iterable: the items, each the only argument of a call; taken a few in advance.
            on_error: `"return"` yields a falsy `Failure` in the place of a row that failed, so that a
                column keeps its length; `"raise"` raises its last exception.
            ordered: in the order of the items, or as they come.
            buffer: the most calls begun and not yielded. Default: 4 × max_concurrent, at least 1,024.

        Raises:
            RateLimitedError: no later row can be any better, as with a wrong key.
            JournalError: the journal has other calls, or may not be used; nothing more is sent.
            ValueError: a row has no form as data, so that the journal cannot know it; nothing more is sent.
            KeyboardInterrupt: Ctrl-C, or `interrupt` from another thread.

        >>> from rate_limited import Resource, Runner
        >>> runner = Runner(len, [Resource.per_minute("requests", 3_500)], progress=False)
        >>> list(runner.map(["a", "bb", "ccc"]))
        [1, 2, 3]
        """
        if on_error not in ("return", "raise"):
            raise ValueError(f'on_error must be "return" or "raise", got {on_error!r}')
        self._check_process()
        room = self._room(buffer)
        raises = on_error == "raise"
        total = total_of(iterable)
        rows = self._results_of(iter(iterable), room, total, ordered=ordered, raises=raises)
        return (row for _, row in rows)

    def as_completed(
        self, iterable: Iterable[Any], *, buffer: int | None = None
    ) -> Iterator[tuple[int, Any]]:
        """As `map`, but yields `(index, result)` as they come; a `Failure` for a row that failed."""
        self._check_process()
        room = self._room(buffer)
        total = total_of(iterable)
        return self._results_of(iter(iterable), room, total, ordered=False, raises=False)

    def _serve(self) -> Service:
        self._check_process()
        with self._lock:
            if self._service is None or self._service.is_over:
                most = self._bound or MOST_FOUND_OUT
                machine = self._make_machine()
                attempts = self._make_attempts(machine)
                self._service = Service(machine, attempts, most, self._is_async)
            return self._service

    def _submit_to(self, service: Service, future: CallFuture) -> None:
        journal, call = self._journal, future.call
        if journal is None:
            keys = self._keys_of(call)
            service.submit(future, [cost(call) for cost in self._costs_of], keys=keys)
            return
        with self._lock:
            recorded = journal.look(call)
            future.position = recorded.position
            # From here on no other list finds it.
            self._coming.add(future)
        try:
            objection = journal.objection(so_far=True)
            if objection is not None:
                raise objection
            if recorded.runs:
                costs = [cost(call) for cost in self._costs_of]
                service.submit(future, costs, (recorded.position, recorded.last), self._keys_of(call))
            else:
                # Rows are numbered as they come, also those that nothing is called for.
                service.machine.number()
                future.restore(recorded.status, recorded.result, recorded.errors)
        finally:
            self._coming.discard(future)
            journal.forget(recorded)

    def _room(self, buffer: int | None) -> int:
        if buffer is None:
            return max(1_024, 4 * (self._bound or 1_024))
        return count("buffer", buffer, 1, 1_000_000_000)

    def _results_of(
        self, items: Iterable[Any], room: int, total: int | None, *, ordered: bool, raises: bool
    ) -> Iterator[tuple[int, Any]]:
        with self._lock:
            self._begin_list()
        rows = Rows(
            self._serve(),
            lambda item: CallFuture(Call(self.function, (item,), {})),
            self._submit_to,
            room,
            self.grace_seconds,
            total,
        )
        self.interrupted, self._rows, begun = False, rows, time.monotonic()
        self._has_mapped = True
        rows.show(self._log, **self._progress_options())
        try:
            yield from rows.results(items, ordered=ordered, raises=raises)
        finally:
            self.interrupted = rows.interrupted
            self._last_numbers = rows.snapshot(), time.monotonic() - begun
            self._statistics.save({})
            if self._rows is rows and rows.is_empty:
                self._rows = None

    def _begin_list(self) -> None:
        raise NotImplementedError

    def _check_process(self) -> None:
        raise NotImplementedError

    def _make_machine(self) -> Machine:
        raise NotImplementedError

    def _make_attempts(self, machine: Machine) -> Attempts:
        raise NotImplementedError

    def _progress_options(self) -> dict[str, Any]:
        raise NotImplementedError
