"""The runner: a function, the limits of its API, and a list of calls."""

from __future__ import annotations

import contextlib
import itertools
import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar

from rate_limited import _fork, validators
from rate_limited._attempts import Attempts
from rate_limited._ledger import DONE, FAILED, UNFINISHED, Ledger
from rate_limited._native import Machine
from rate_limited._records import records
from rate_limited._rows import Failure, Source
from rate_limited._run import Run
from rate_limited._service import Service
from rate_limited._setup import (
    checked_resources,
    cost_function,
    count,
    is_async,
    named_error,
    native_id,
    seconds,
    shown_as,
)
from rate_limited._signals import on_interrupt
from rate_limited.calls import Call
from rate_limited.resources import Resource

__all__ = ["Failure", "Runner"]

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("rate_limited")


class Runner(Generic[P, R]):
    """Runs calls of one function as fast as the limits of its API allow, and never faster.

    Args:
        function: any callable: a function, a method, a partial, a coroutine function, a class with
            `__call__`, …. Sync ones run on threads, async ones on a loop.
        resources: the limits; each call takes of all of them, or of none.
        max_concurrent: how many calls may be in flight at once. Default 64. `"auto"` finds it out.
        max_retries: how often a failed call is tried again. Default 5. Refusals (429) do not count.
        validation: a function that says whether an answer is good, or a list of them that all must. An
            answer that is not is asked for again.
        progress_interval: seconds between two updates of the progress. Default 1.
        long_wait_warning_seconds: from how many seconds on a wait is shown. Default 2; None: never.
        validation_function: another name of `validation`, kept for programs written for it.
        timeout: seconds that one attempt may take. Default None: as long as it takes.
        grace_seconds: how long calls in flight may go on after the first Ctrl-C. Default 5.
        progress: True shows it, False does not, a callable gets it as a dict.

    Raises:
        TypeError, ValueError: an argument that is none of these, named with its value.

    >>> from rate_limited import Resource, Runner
    >>> limits = [Resource.per_minute("requests", 3_500)]
    >>> runner = Runner(str.upper, limits, validation=lambda text: len(text) > 2, progress=False)
    >>> runner.schedule("honey badgers")
    >>> runner.run()
    (['HONEY BADGERS'], [[]])
    """

    def __init__(
        self,
        function: Callable[P, R],
        resources: Collection[Resource],
        max_concurrent: int | str = 64,
        max_retries: int = 5,
        validation: Any = None,
        progress_interval: float = 1.0,
        long_wait_warning_seconds: float | None = 2.0,
        *,
        validation_function: Any = None,
        timeout: float | None = None,
        grace_seconds: float = 5.0,
        progress: Any = True,
    ) -> None:
        if not callable(function):
            raise TypeError(f"function must be callable, got {type(function).__name__}")
        if validation is not None and validation_function is not None:
            raise TypeError("give validation or validation_function, not both: they are one thing")
        self.function = function
        self.max_concurrent = count("max_concurrent", max_concurrent, 1, 100_000, auto=True)
        self.max_retries = count("max_retries", max_retries, 0, 65_535)
        self.timeout = seconds("timeout", timeout)
        self.grace_seconds = seconds("grace_seconds", grace_seconds) or 0.0
        self.progress_interval = seconds("progress_interval", progress_interval) or 1.0
        self.long_wait_warning_seconds = seconds(
            "long_wait_warning_seconds", long_wait_warning_seconds
        )
        self.interrupted = False
        self.last: tuple[list[Any], list[list[BaseException]]] = ([], [])
        if not isinstance(progress, bool) and not callable(progress):
            raise TypeError(f"progress must be True, False or a callable, got {progress!r}")
        self._progress_setting = progress
        self._generation = _fork.generation
        self._resources = checked_resources(resources)
        self._checks = validators.normalise(
            validation if validation_function is None else validation_function
        )
        self._is_async = is_async(function)
        self._costs_of = [cost_function(resource) for resource in self._resources]
        self._in_two_parts = any(
            resource.arguments_usage_extractor and resource.results_usage_extractor
            for resource in self._resources
        )
        self._machine = self._make_machine()
        self._attempts = self._make_attempts()
        self._ledger = self._last_ledger = Ledger(0)
        self._lock = threading.Lock()
        self._running = threading.Lock()
        self._run: Run | None = None
        self._service: Service | None = None
        self.schedule = self._make_schedule()  # type: ignore[method-assign]

    def schedule(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Schedules a call with these arguments; `run` runs it.

        Raises:
            ValueError: the call exceeds a quota on its own and could never run.
        """
        raise NotImplementedError  # each runner has one of its own, which shows the wrapped function

    def run(self) -> tuple[list[R | None], list[list[BaseException]]]:
        """Runs the scheduled calls; blocks until that is done, in a script as in a notebook.

        Ctrl-C once starts nothing new, waits `grace_seconds` for what is in flight, and returns what is
        there; twice returns at once. A run that was interrupted goes on with the next `run`, which
        returns the results of all.

        Returns:
            The results in the order of scheduling, None where there is none; and for each call the
            exceptions of its attempts.

        Raises:
            RuntimeError: the runner is running already.
        """
        with self._exclusively():
            while True:
                run = self._run = Run(self)
                run.start()
                with on_interrupt(run.interrupt):
                    run.over.acquire()
                results = self._end(run)
                if results is not None:
                    return results

    async def run_coro(self) -> tuple[list[R | None], list[list[BaseException]]]:
        """As `run`, awaited. An async function runs on the caller's loop.

        If it is cancelled, nothing new is started and what is in flight is given up; the next run goes
        on with what is left.

        Raises:
            RuntimeError: the runner is running already.
        """
        with self._exclusively():
            while True:
                run = self._run = Run(self)
                await run.wait()
                results = self._end(run)
                if results is not None:
                    return results

    def interrupt(self) -> None:
        """Does what Ctrl-C does, from any thread: once drains, twice ends at once."""
        run = self._run
        if run is not None:
            run.interrupt()
        if self._service is not None:
            self._service.stop()

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Runs a call as soon as the limits allow; returns its future at once.

        The future's exception is that of the last attempt; its attribute `attempts` has all of them.

        Raises:
            ValueError: the call exceeds a quota on its own and could never run.
        """
        call = Call(self.function, args, kwargs)
        costs = [cost(call) for cost in self._costs_of]
        return self._serve().submit(call, costs)

    def map(
        self,
        iterable: Iterable[Any],
        *,
        on_error: str = "return",
        ordered: bool = True,
        buffer: int | None = None,
    ) -> Iterator[Any]:
        """Calls the function with each item, lazily and in bounded memory; yields the results.

        Args:
            iterable: the items, each the only argument of a call; taken a few in advance.
            on_error: `"return"` yields a falsy `Failure` in the place of a row that failed, so that a
                column keeps its length; `"raise"` raises its last exception.
            ordered: in the order of the items, or as they come.
            buffer: the most calls begun and not yielded. Default: 4 × max_concurrent, at least 1,024.

        >>> from rate_limited import Resource, Runner
        >>> runner = Runner(len, [Resource.per_minute("requests", 3_500)], progress=False)
        >>> list(runner.map(["a", "bb", "ccc"]))
        [1, 2, 3]
        """
        if on_error not in ("return", "raise"):
            raise ValueError(f'on_error must be "return" or "raise", got {on_error!r}')
        self._check_process()
        room = self._room(buffer)
        rows = self._in_order(iterable, room) if ordered else self._as_they_come(iterable, room)
        return (row for _, row in self._rows(rows, raises=on_error == "raise"))

    def as_completed(
        self, iterable: Iterable[Any], *, buffer: int | None = None
    ) -> Iterator[tuple[int, Any]]:
        """As `map`, but yields `(index, result)` as they come; a `Failure` for a row that failed."""
        self._check_process()
        return self._rows(self._as_they_come(iterable, self._room(buffer)), raises=False)

    def records(self) -> list[dict[str, Any]]:
        """One plain dict for each call of the last run, in the order of scheduling.

        Keys: `index`, `id` (a number that no other call of the runner has), `status` (`"done"`,
        `"failed"`, `"unfinished"`), `result`, `error_type` and `error` of a call without a result,
        `attempts`, `seconds` that the last attempt took, and `usage` by resource.

        >>> from rate_limited import Resource, Runner
        >>> runner = Runner(len, [Resource.per_minute("requests", 3_500)], progress=False)
        >>> runner.schedule("four")
        >>> _ = runner.run()
        >>> record = runner.records()[0]
        >>> record["status"], record["result"], record["attempts"], record["usage"]
        ('done', 4, 1, {'requests': 1.0})
        """
        return records(self._last_ledger, self._resources)

    def retry_failed(self) -> int:
        """Schedules again what failed in the last run; returns how many calls that are.

        >>> from rate_limited import Runner
        >>> runner = Runner(int, [], max_retries=0, progress=False)
        >>> runner.schedule("no number")
        >>> _ = runner.run()
        >>> runner.retry_failed()
        1
        """
        last = self._last_ledger
        failed = [index for index, status in enumerate(last.status) if status == FAILED]
        for index in failed:
            call = last.calls[index]
            self.schedule(*call.args, **call.kwargs)
        return len(failed)

    def clear(self) -> None:
        """Forgets the calls that are scheduled or were interrupted.

        Raises:
            RuntimeError: the runner is running.
        """
        if not self._running.acquire(blocking=False):
            raise RuntimeError("the runner is running: interrupt it before clear()")
        try:
            self._machine = self._make_machine()
            self._ledger = Ledger(0)
        finally:
            self._running.release()

    def close(self) -> None:
        """Waits for the calls that were submitted, and frees what they needed."""
        service, self._service = self._service, None
        if service is not None:
            service.close()

    @property
    def scheduled_calls(self) -> list[Call]:
        """The calls that the next run has to do or to return."""
        return self._ledger.calls

    def __len__(self) -> int:
        return len(self._ledger.calls)

    def __bool__(self) -> bool:
        # A runner without calls is a runner all the same.
        return True

    def __repr__(self) -> str:
        done = self._ledger.status.count(DONE)
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        limits = ", ".join(f"{resource.name}={resource.quota:g}" for resource in self._resources)
        return f"<Runner of {name}: {len(self)} calls, {done} done; {limits or 'no limits'}>"

    def __enter__(self) -> Runner[P, R]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None and self._service is not None:
            self._service.stop()
        self.close()

    def __getstate__(self) -> None:
        raise TypeError("a Runner cannot be pickled: make one in each process")

    def _make_machine(self) -> Machine:
        ids = [native_id(resource) for resource in self._resources]
        most = None if self.max_concurrent == 0 else self.max_concurrent
        return Machine(ids, most, self.max_retries, self.timeout, random.getrandbits(64))

    def _make_attempts(self) -> Attempts:
        return Attempts(self.function, self._resources, self._checks, self._first_failure)

    def _first_failure(self, error: BaseException) -> None:
        run = self._run
        if run is not None:
            run.first_failure(error)

    def _make_schedule(self) -> Callable[P, None]:
        function, costs_of, lock = self.function, self._costs_of, self._lock
        generation = self._generation

        def schedule(*args: P.args, **kwargs: P.kwargs) -> None:
            if generation != _fork.generation:
                raise _fork.forked()
            call = Call(function, args, kwargs)
            costs = [cost(call) for cost in costs_of]
            with lock:
                # First the call, then its number: a worker may take it at once.
                ledger = self._ledger
                ledger.calls.append(call)
                ledger.results.append(None)
                ledger.status.append(UNFINISHED)
                ledger.seconds.append(0.0)
                if self._in_two_parts:
                    ledger.costs[len(ledger.calls) - 1] = costs
                try:
                    self._machine.schedule(costs)
                except BaseException as error:
                    ledger.drop_last()
                    raise named_error(error, self._resources, costs) from None

        shown: Callable[P, None] = shown_as(schedule, function)
        return shown

    def _check_process(self) -> None:
        if self._generation != _fork.generation:
            raise _fork.forked()

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        self._check_process()
        if not self._running.acquire(blocking=False):
            raise RuntimeError(
                "the runner is running already: wait for that run, or make another runner"
            )
        self.interrupted = False
        self._attempts.complaint = None
        try:
            yield
        finally:
            self._run = None
            self._running.release()

    def _end(self, run: Run) -> tuple[list[Any], list[list[BaseException]]] | None:
        """The results; None where calls were scheduled as the run ended, which have to run yet."""
        run.close()
        self.interrupted = run.why != ""
        if self._attempts.complaint is not None:
            logger.warning(self._attempts.complaint)
        elif run.why not in ("", "asked"):
            logger.warning("the run stopped early (%s): results have gaps; run() goes on", run.why)
        with self._lock:
            ledger = self._last_ledger = self._ledger
            if self.interrupted:
                results = (
                    list(ledger.results),
                    [list(found) for found in ledger.exception_lists()],
                )
            elif UNFINISHED in ledger.status:
                return None
            else:
                results = (ledger.results, ledger.exception_lists())
                self._ledger = Ledger(ledger.base + len(ledger.calls))
        if results[0]:
            self.last = results
        return results

    def _serve(self) -> Service:
        self._check_process()
        with self._lock:
            if self._service is None:
                most = self.max_concurrent or 4_096
                machine, attempts = self._make_machine(), self._make_attempts()
                self._service = Service(machine, attempts, most, self._is_async)
            return self._service

    def _submitted(self, item: Any) -> Future[Any]:
        try:
            return self.submit(item)  # type: ignore[call-arg]
        except Exception as error:  # noqa: BLE001 - it fails this row, not the others
            future: Future[Any] = Future()
            future.set_exception(error)
            return future

    def _room(self, buffer: int | None) -> int:
        if buffer is None:
            return max(1_024, 4 * (self.max_concurrent or 1_024))
        return count("buffer", buffer, 1, 1_000_000_000)

    def _rows(
        self, rows: Iterator[tuple[int, Future[Any]]], *, raises: bool
    ) -> Iterator[tuple[int, Any]]:
        """The results of the rows. Ctrl-C starts nothing new, waits for what is in flight, and is raised."""
        try:
            for index, future in rows:
                error = future.exception()
                if error is None:
                    yield index, future.result()
                elif raises:
                    raise error
                else:
                    yield index, Failure(index, getattr(error, "attempts", [error]))
        except KeyboardInterrupt:
            service, self._service = self._service, None
            if service is not None:
                service.stop()
                service.close(self.grace_seconds)
            raise

    def _in_order(self, items: Iterable[Any], room: int) -> Iterator[tuple[int, Future[Any]]]:
        waiting: deque[tuple[int, Future[Any]]] = deque()
        source = Source(items)
        for index, item in source:
            waiting.append((index, self._submitted(item)))
            while waiting and (len(waiting) >= room or waiting[0][1].done()):
                yield waiting.popleft()
        yield from waiting
        source.raise_error()

    def _as_they_come(self, items: Iterable[Any], room: int) -> Iterator[tuple[int, Future[Any]]]:
        waiting: dict[Future[Any], int] = {}
        source = Source(items)
        while True:
            for index, item in itertools.islice(source, room - len(waiting)):
                waiting[self._submitted(item)] = index
            if not waiting:
                source.raise_error()
                return
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                yield waiting.pop(future), future
