"""Rows of `Runner.map`: where they come from, what stands for one that failed, and what is left."""

from __future__ import annotations

import operator
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from queue import SimpleQueue
from typing import Any

from rate_limited._encode import NoFormError
from rate_limited._ledger import DONE, FAILED, UNFINISHED, Ledger
from rate_limited._log import EventLog
from rate_limited._progress import Progress, ProgressSetting, failure_text
from rate_limited._service import CallFuture, Service
from rate_limited._signals import on_interrupt
from rate_limited._ticker import Ticker
from rate_limited.exceptions import JournalError, RateLimitedError


class Failure:
    """Stands in the place of a result that `Runner.map` could not get. It is falsy.

    Attributes: `index`, the number of the row from 0; `errors`, the exceptions of all attempts; `value`,
    the last answer that the validation rejected, or None.
    """

    __slots__ = ("errors", "index", "value")

    def __init__(self, index: int, errors: list[BaseException]) -> None:
        self.index = index
        self.errors = errors
        self.value = getattr(errors[-1], "value", None) if errors else None

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        # What went wrong comes first: a data frame shows no more than that.
        last = f"{failure_text(self.errors[-1])}; " if self.errors else ""
        count = len(self.errors)
        return f"<Failure: {last}row {self.index:,}, {count:,} error{'' if count == 1 else 's'}>"


class Source:
    """Numbered items. An exception of theirs ends them, and is raised after the rows so far were given."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = enumerate(items)
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        return self

    def __next__(self) -> tuple[int, Any]:
        if self._error is not None:
            raise StopIteration
        try:
            return next(self._items)
        except StopIteration:
            raise
        except Exception as error:  # noqa: BLE001 - raised later
            self._error = error
            raise StopIteration from None

    def raise_error(self) -> None:
        """Raises what the items raised, if they did."""
        if self._error is not None:
            raise self._error


def total_of(items: Iterable[Any]) -> int | None:
    """How many items there are, where that is known before they are taken.

    >>> total_of([1, 2]), total_of(iter(range(3))), total_of(n for n in range(3))
    (2, 3, None)
    """
    try:
        return operator.length_hint(items) or None
    except Exception:  # noqa: BLE001 - a `__len__` may raise anything, and is only shown
        return None


class Rows:
    """The rows of one `map`: begun a few in advance, given out once, kept until then.

    Args:
        service: runs the calls.
        future_of: from an item to a future that is not scheduled yet.
        submit: schedules a future; what it raises fails that row.
        room: the most rows begun and not given out.
        grace_seconds: how long calls in flight may go on after Ctrl-C.
        total: how many rows there are, as far as that is known; it is only shown.
    """

    def __init__(
        self,
        service: Service,
        future_of: Callable[[Any], CallFuture],
        submit: Callable[[Service, CallFuture], None],
        room: int,
        grace_seconds: float,
        total: int | None = None,
    ) -> None:
        self._service = service
        self._future_of = future_of
        self._submit = submit
        self._room = room
        self._grace_seconds = grace_seconds
        self._total, self._begun = total, 0
        # In the order of the items.
        self._waiting: dict[CallFuture, int] = {}
        self._before = service.snapshot()
        self._given, self._failures, self._restored = 0, 0, 0
        # Since when the next row in order keeps all others waiting, if it does.
        self._stalled_since: float | None = None
        self.interrupted = False
        # Whether nobody is given any row any more.
        self.is_over = False
        self._ticker: Ticker | None = None
        self.first_failure: Callable[[BaseException], None] = lambda _: None

    def show(self, log: EventLog, *, setting: ProgressSetting, interval: float, **options: Any) -> None:
        """Shows and logs the progress from now on, until the rows have ended."""
        if setting is not False or log.is_on:
            progress = Progress(self._total, setting=setting, interval=interval, **options)
            self.first_failure = progress.first_failure
            self._ticker = Ticker(progress, interval, self.snapshot, log)
            self._ticker.start()

    def results(self, items: Iterable[Any], *, ordered: bool, raises: bool) -> Iterator[tuple[int, Any]]:
        """Each row's number and result.

        Ctrl-C while it waits starts nothing new, waits for what is in flight, and is raised. Between two
        rows it is the consumer's own; then the row that it was given last counts as not given out.
        """
        source = Source(items)
        try:
            for index, future in self._in_order(source) if ordered else self._as_they_come(source):
                error = future.exception()
                if error is None:
                    yield index, future.result()
                elif raises:
                    raise error
                else:
                    yield index, Failure(index, future.errors or [error])
                # Only whoever comes back for the next row has surely kept this one.
                del self._waiting[future]
                self._given += 1
                self._failures += error is not None
            self._total = self._total and self._begun
            source.raise_error()
        except KeyboardInterrupt:
            self.interrupted = True
            self._drain()
            raise
        finally:
            self.is_over = True
            # Whoever does not want the rows any more does not want to pay for them.
            for future in list(self._waiting):
                future.cancel()
            if self._ticker is not None:
                self._ticker.close()

    @property
    def is_empty(self) -> bool:
        """Whether all rows that were begun were given out."""
        return not self._waiting

    def left(self) -> Ledger:
        """The rows that were begun and not given out."""
        ledger = Ledger(0)
        ledger.rows = []
        for future, row in list(self._waiting.items()):
            index = len(ledger.calls)
            status, result = self._state(future)
            ledger.add(future.call)
            ledger.results[index], ledger.seconds[index] = result, future.seconds
            ledger.end(index, status)
            ledger.rows.append(row)
            ledger.positions.append(future.position)
            errors = future.errors
            if status == FAILED and not errors and (error := future.exception()):
                errors = [error]
            if errors:
                ledger.exceptions[index] = errors
        return ledger

    def snapshot(self) -> dict[str, Any]:
        """The numbers of the rows, for the progress."""
        numbers, before = self._service.snapshot(), self._before
        for name in ("attempts", "failures", "invalid", "refusals", "timeouts", "retries"):
            numbers[name] -= before[name]
        waiting = list(self._waiting.items())
        # What was cancelled or given up is over, and no call that is done.
        ended = Counter(self._state(future)[0] for future, _ in waiting)
        numbers["scheduled"], numbers["restored"] = self._total, self._restored
        numbers["failed"] = self._failures + ended[FAILED]
        numbers["done"] = self._given - self._failures + ended[DONE]
        slow = self._service.slow_calls()
        numbers["slow_calls"] = {row: slow[future.number] for future, row in waiting if future.number in slow}
        since = self._stalled_since
        if since is not None and waiting:
            behind = ended[DONE] + ended[FAILED]
            numbers["waiting_on"] = f"call {waiting[0][1]:,}, {behind:,} results behind it"
            numbers["wait_seconds"] = time.monotonic() - since
        return numbers

    def _state(self, future: CallFuture) -> tuple[int, Any]:
        if future.given_up:
            done, result = self._service.late_result(future)
            return (DONE, result) if done else (UNFINISHED, None)
        if not future.done() or future.cancelled():
            return UNFINISHED, None
        return (DONE, future.result()) if future.exception() is None else (FAILED, None)

    def _in_order(self, source: Source) -> Iterator[tuple[int, CallFuture]]:
        waiting = self._waiting
        for index, item in source:
            self._begin(index, item)
            while waiting and (len(waiting) >= self._room or next(iter(waiting)).done()):
                self._stalled_since = time.monotonic() if len(waiting) >= self._room else None
                row = self._take(next(iter(waiting)))
                self._stalled_since = None
                yield row
        while waiting:
            yield self._take(next(iter(waiting)))

    def _as_they_come(self, source: Source) -> Iterator[tuple[int, CallFuture]]:
        waiting, done = self._waiting, SimpleQueue[CallFuture]()
        for index, item in source:
            self._begin(index, item).add_done_callback(done.put)  # type: ignore[arg-type]
            while len(waiting) >= self._room or not done.empty():
                yield self._take(self._first_of(done))
        while waiting:
            yield self._take(self._first_of(done))

    def _begin(self, index: int, item: Any) -> CallFuture:
        future = self._future_of(item)
        self._begun += 1
        if self._total is not None and self._begun > self._total:
            # A length that is not that of the rows tells nothing.
            self._total = None
        # First kept, then scheduled: an interruption between the two must lose no answer.
        self._waiting[future] = index
        try:
            self._submit(self._service, future)
        except Exception as error:  # noqa: BLE001 - it fails this row, not the others
            if future.given_up:
                raise self._ended() from None
            if isinstance(error, JournalError) and not error._is_of_call:
                raise
            if isinstance(error, NoFormError):
                # It is the same with every row that is like this one.
                raise ValueError(f"row {index:,}: {error}") from None
            self.first_failure(error)
            future.set_exception(error)
        self._restored += future.is_restored
        return future

    def _take(self, future: CallFuture) -> tuple[int, CallFuture]:
        if not future.done():
            with on_interrupt(_raise_interrupt):
                try:
                    future.exception()
                except CancelledError:
                    pass
        if future.given_up:
            raise self._ended()
        return self._waiting[future], future

    def _first_of(self, done: SimpleQueue[CallFuture]) -> CallFuture:
        if not done.empty():
            return done.get()
        with on_interrupt(_raise_interrupt):
            return done.get()

    def _ended(self) -> BaseException:
        """What to raise where the service ended before the rows did."""
        why = self._service.why
        self.interrupted = True
        complaint, last = self._service.complaint, self._service.last_error
        if not (why or self._service.is_interrupted):
            return RuntimeError("the runner was closed before all rows were begun: map them again")
        if why in ("", "asked") and complaint is None:
            return KeyboardInterrupt()
        text = complaint or (failure_text(last) if last is not None else why)
        return RateLimitedError(
            f"the calls stopped early ({why}): {text}; what was not given out is in runner.records()"
        )

    def _drain(self) -> None:
        """Waits for what is in flight, as long as the grace allows and no second Ctrl-C comes."""
        self._service.stop()
        over = False
        try:
            with on_interrupt(_raise_interrupt):
                over = self._service.close(self._grace_seconds)
        except KeyboardInterrupt:
            pass
        if not over:
            self._service.halt()


def _raise_interrupt() -> None:
    raise KeyboardInterrupt
