"""The runner: a function, the limits of its API, and a list of calls."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import threading
from collections.abc import Callable, Collection, Coroutine, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from rate_limited import _fork, validators
from rate_limited._attempts import Attempts
from rate_limited._bill import Prices, budget_of
from rate_limited._control import Control
from rate_limited._feedback import Feedback
from rate_limited._hooks import HookWatch
from rate_limited._journal import Recorded, Recorder, RunnerJournal
from rate_limited._ledger import FAILED, Ledger
from rate_limited._log import EventLog
from rate_limited._models import ModelWatch
from rate_limited._native import Machine, Statistics
from rate_limited._plan import Plan, Planned
from rate_limited._records import records
from rate_limited._report import Report, Reported
from rate_limited._results import Results
from rate_limited._rows import Failure, Rows
from rate_limited._run import Run
from rate_limited._sdk_retries import RetryWatch
from rate_limited._service import CallFuture, Service
from rate_limited._setup import (
    checked_progress,
    checked_recording,
    checked_resources,
    cost_function,
    count,
    is_async,
    keys_function,
    named_error,
    native_id,
    one_of,
    seconds,
    shown_as,
)
from rate_limited._signals import on_interrupt
from rate_limited._state import Stated, calls_text, limit_text, lines_of, meter_of
from rate_limited._streams import Streams
from rate_limited.calls import Call
from rate_limited.resources import Resource

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from rate_limited._options import NamedOptions

__all__ = ["Failure", "Plan", "Report", "Runner"]

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("rate_limited")


class Runner(Control, Stated, Planned, Reported, Streams[P, R]):
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
        pacing: seconds over which the first requests of a run are spread, as many as may be in flight
            (64 of them for `max_concurrent="auto"`), at most a day. The run takes at most so much
            longer, once; a limit per second, as one more resource, spreads all of its requests.
            Default None: what the limits allow goes at once.
        max_cost: the most dollars that all calls together may cost. Before a call is sent, the most that it can cost
            is held back: a token for each byte of its arguments, and the longest answer that it allows; what the
            answer says was used settles it. What fails counts in full, what the API rejects (4xx) not. So the sum is
            never passed, as long as the prices are right. Calls that do not fit any more are not made: they have
            no result, and a `BudgetSpentError`. Default None: nothing bounds the costs.
        prices: for `max_cost`: `{"input": 0.15, "output": 0.60}`, in dollars for a million tokens, with those of
            your model, and `"request"` for what each call costs; or a function from a call to the dollars that it
            costs at most. Default None: those of the API's description, where it has some.
        journal: the file of a durable record: what is done is not done again by a later run with the same
            path, also after a crash, and the limits count what was used before. A later `run` or `map` of the
            same runner is a later run, too; within one, two calls that are alike are two. Default None: none.
        key: what a call is known by in the journal, such as the id of a row: gets the call. Default None:
            its arguments, which must be JSON-like then, or of another kind that has a form as data.
        encode, decode: how an answer becomes data (JSON-like, or bytes), and an answer again. Default
            None: JSON-like values, bytes, tuples, dataclasses, pydantic models, numpy and others.
        version: of the function: a new one makes all its calls changed ones.
        on_change: calls whose requests are others than before: `"refuse"` (default) sends nothing and
            tells how many, `"rerun"` sends them again, `"keep"` keeps the old answers.
        on_unknown: calls in flight when the process died: `"retry"` (default) sends them again, `"skip"`
            leaves them alone, `"report"` sends nothing and tells how many.
        on_failure: calls that failed for good in a run before: `"keep"` (default) lets them be failed, `"retry"` sends
            them again.
        durability: what the journal survives: `"process"` (default) any death of the process, `"power"` a
            loss of power too.

    Raises:
        TypeError, ValueError: an argument that is none of these, named with its value.
        JournalError: the journal is in use, damaged, or no journal.

    >>> from rate_limited import Resource, Runner
    >>> limits = [Resource.per_minute("requests", 3_500)]
    >>> runner = Runner(str.upper, limits, validation=lambda text: len(text) > 2, progress=False)
    >>> runner.schedule("honey badgers")
    >>> runner.run()
    (['HONEY BADGERS'], [[]])
    """

    _journal: RunnerJournal | None

    _api = "openai_compatible"
    """The API whose requests those are that no description of a limit names."""

    _names_models = False
    """Whether the argument `model` of calls, and the field of that name in answers, is the name of a model."""

    @overload
    def __init__(
        self,
        function: Callable[P, Coroutine[Any, Any, R]],
        resources: Collection[Resource],
        max_concurrent: int | str = ...,
        max_retries: int = ...,
        validation: Any = ...,
        progress_interval: float = ...,
        long_wait_warning_seconds: float | None = ...,
        **options: Unpack[NamedOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        function: Callable[P, R],
        resources: Collection[Resource],
        max_concurrent: int | str = ...,
        max_retries: int = ...,
        validation: Any = ...,
        progress_interval: float = ...,
        long_wait_warning_seconds: float | None = ...,
        **options: Unpack[NamedOptions],
    ) -> None: ...
    def __init__(
        self,
        function: Callable[P, Any],
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
        pacing: float | None = None,
        max_cost: float | None = None,
        prices: Prices | None = None,
        journal: str | os.PathLike[str] | None = None,
        key: Callable[[Call], object] | None = None,
        encode: Callable[[Any], Any] | None = None,
        decode: Callable[[Any], Any] | None = None,
        version: object = None,
        on_change: str = "refuse",
        on_unknown: str = "retry",
        on_failure: str = "keep",
        durability: str = "process",
    ) -> None:
        if not callable(function):
            raise TypeError(f"function must be callable, got {type(function).__name__}")
        self.function = function
        self._bound = count("max_concurrent", max_concurrent, 1, 100_000, auto=True)
        self.max_retries = count("max_retries", max_retries, 0, 65_535)
        self.timeout = seconds("timeout", timeout)
        self.grace_seconds = seconds("grace_seconds", grace_seconds) or 0.0
        self.progress_interval = seconds("progress_interval", progress_interval) or 1.0
        self.long_wait_warning_seconds = seconds("long_wait_warning_seconds", long_wait_warning_seconds)
        self.pacing = seconds("pacing", pacing, most=86_400)
        self._progress_setting = checked_progress(progress)
        self._resources = checked_resources(resources)
        self._resources += budget_of(max_cost, prices, self._resources, self._api)
        self._checks = validators.normalise(one_of(validation, validation_function))
        # Also where there is no journal yet: a wrong value that is told later is a wrong value all the same.
        recording = checked_recording(
            key=key,
            encode=encode,
            decode=decode,
            version=version,
            on_change=on_change,
            on_unknown=on_unknown,
            on_failure=on_failure,
            durability=durability,
        )
        self._begin()
        if journal is not None:
            self._journal = self._open(journal, **recording)
        self._machine = self._make_machine()
        self._attempts = self._make_attempts(self._machine)
        self.schedule = self._make_schedule()  # type: ignore[method-assign]

    def _begin(self) -> None:
        """What follows from the settings, and a state without calls."""
        self.interrupted, self._paused = False, False
        self._last = Results(([], []))
        # The numbers of the run before, and how long it took.
        self._last_numbers: tuple[dict[str, Any], float] | None = None
        self._generation = _fork.generation
        self._is_async = is_async(self.function)
        self._watch = HookWatch() if self._is_async else None
        self._retries = RetryWatch(self.function)
        self._log = EventLog(self._resources, self.long_wait_warning_seconds)
        self._costs_of = [cost_function(resource) for resource in self._resources]
        self._keys_of = keys_function(self._resources)
        self._in_two_parts = any(
            resource.arguments_usage_extractor and resource.results_usage_extractor
            for resource in self._resources
        )
        self._running, self._lock = threading.Lock(), threading.Lock()
        self._statistics = Statistics()
        self._journal = None
        self._ledger = self._last_ledger = Ledger(0)
        self._run: Run | None = None
        self._rows: Rows | None = None
        # Whether rows were mapped after the last run.
        self._has_mapped = False
        # Calls that were looked up in the journal and are not scheduled yet.
        self._coming: set[CallFuture] = set()
        self._service: Service | None = None

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
        returns the results of all. With nothing scheduled it returns two empty lists, and is no run: `last`,
        `summary()` and `records()` stay those of the run before.

        Returns:
            The results in the order of scheduling, None where there is none; and for each call the
            exceptions of its attempts.

        Raises:
            RuntimeError: the runner is running already.
        """
        with self._exclusively():
            while self._ledger.calls:
                run = self._run = Run(self)
                with on_interrupt(run.interrupt):
                    # From the first call to the last result, Ctrl-C must not get between.
                    run.start()
                    run.wait_blocking()
                    results = self._end(run)
                if results is not None:
                    return results
        return Results(([], []))

    async def run_coro(self) -> tuple[list[R | None], list[list[BaseException]]]:
        """As `run`, awaited. An async function runs on the caller's loop.

        If it is cancelled, nothing new is started and what is in flight is given up; the next run goes
        on with what is left.

        Raises:
            RuntimeError: the runner is running already.
        """
        with self._exclusively():
            while self._ledger.calls:
                run = self._run = Run(self)
                await run.wait()
                results = self._end(run)
                if results is not None:
                    return results
        return Results(([], []))

    def interrupt(self) -> None:
        """Does what Ctrl-C does, from any thread: once drains, twice ends at once."""
        run = self._run
        if run is not None:
            run.interrupt()
        if self._service is not None:
            self._service.interrupt(self.grace_seconds)

    def records(self) -> list[dict[str, Any]]:
        """One plain dict for each call of the last run, in the order of scheduling.

        After a `map`: one for each row that was begun and not given out, with the row's number as `index` and
        `id`; none where it came to its end, since whoever took the rows has them.

        Keys: `index`, `id` (a number that no other call of the runner's runs has), `status` (`"done"`,
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
        return records(self._known(), self._resources)

    def retry_failed(self) -> int:
        """Schedules again what failed in the last run; returns how many calls that are. After a `map` these are rows
        that were not given out.

        >>> from rate_limited import Runner
        >>> runner = Runner(int, [], max_retries=0, progress=False)
        >>> runner.schedule("no number")
        >>> _ = runner.run()
        >>> runner.retry_failed()
        1
        """
        last = self._known()
        failed = [index for index, status in enumerate(last.status) if status == FAILED]
        failed = [index for index in failed if index not in last.retried]
        for index in failed:
            call = last.calls[index]
            again = Call(call.function, call.args, call.kwargs)
            self._enter(again, last.positions[index] if last.positions else -1)
            last.retried.add(index)
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
            self._attempts = self._make_attempts(self._machine)
            self._ledger = Ledger(0)
            self._last_ledger.retried.clear()
        finally:
            self._running.release()

    def close(self) -> None:
        """Waits for the calls that were submitted, frees what they needed, and closes the journal. It ends a pause."""
        self.resume()
        service, self._service = self._service, None
        if service is not None:
            service.close()
        if self._journal is not None:
            self._journal.close()

    @property
    def last(self) -> tuple[list[Any], list[list[BaseException]]]:
        """Results and exceptions of the last run that had any: running a cell again with nothing
        scheduled loses none.

        While a `map` is under way, and after it has been interrupted: those of the rows that were
        begun and not given out.
        """
        left = self._left()
        if left is None:
            return self._last
        return Results((left.results, left.exception_lists()), left.status)

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
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        limits = ", ".join(f"{meter.name}={limit_text(meter)}" for meter in map(meter_of, self._resources))
        return f"<Runner of {name}: {calls_text(self._numbers()[0])}; {limits or 'no limits'}>"

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

    def _open(self, path: str | os.PathLike[str], **options: Any) -> RunnerJournal:
        limits = [native_id(each) for each in self._resources], [each.name for each in self._resources]
        room = self._bound or 64
        return RunnerJournal(path, self.function, limits, room, self._running.locked, self._statistics, **options)

    def _make_machine(self) -> Machine:
        ids = [native_id(resource) for resource in self._resources]
        seed = random.getrandbits(64)
        bound, counted = self._bound or None, self._statistics
        machine = Machine(ids, bound, self.max_retries, self.timeout, seed, self.pacing, counted)
        if self._journal is not None:
            machine.attach(self._journal.native)
        if self._paused:
            machine.pause()
        return machine

    def _make_attempts(self, machine: Machine) -> Attempts:
        recorder = Recorder(self._journal, machine) if self._journal is not None else None
        return Attempts(
            self.function,
            self._resources,
            self._checks,
            self._first_failure,
            self._watch,
            self._retries,
            Feedback(machine, [(resource, native_id(resource)) for resource in self._resources]),
            self._log,
            recorder,
            ModelWatch(self.function, self._resources) if self._names_models else None,
        )

    def _first_failure(self, error: BaseException) -> None:
        shown = self._run or self._rows
        if shown is not None:
            shown.first_failure(error)

    def _make_schedule(self) -> Callable[P, None]:
        function, generation, enter = self.function, self._generation, self._enter

        def schedule(*args: P.args, **kwargs: P.kwargs) -> None:
            if generation != _fork.generation:
                raise _fork.forked()
            enter(Call(function, args, kwargs))

        shown: Callable[P, None] = shown_as(schedule, function)
        return shown

    def _enter(self, call: Call, again: int | None = None) -> None:
        """Adds a call; `again`: it has failed, and the journal has it there, or nowhere (-1)."""
        keys = self._keys_of(call)
        costs = [cost(call) for cost in self._costs_of]
        with self._lock:
            ledger = self._ledger
            if not ledger.calls and (self._rows is None or self._rows.is_over):
                self._begin_list()
            recorded = None
            if self._journal is not None:
                recorded = self._journal.look(call, -1 if again is None else again)
            # First the call, then its number: a worker may take it at once.
            ledger.add(call)
            if recorded is not None:
                ledger.positions.append(recorded.position)
            if self._in_two_parts:
                ledger.costs[len(ledger.calls) - 1] = costs
            try:
                self._schedule_in(self._machine, costs, recorded, keys)
            except BaseException as error:
                ledger.drop_last()
                if self._journal is not None and recorded is not None:
                    self._journal.forget(recorded)
                raise named_error(error, self._resources, costs) from None
            if again is not None and recorded is None:
                # A journal tells that by itself.
                self._statistics.retries(1)
            if recorded is not None and not recorded.runs:
                ledger.restore_last(recorded.status, recorded.result, recorded.errors)

    def _schedule_in(
        self, machine: Machine, costs: list[Any], recorded: Recorded | None, keys: list[str | None] | None
    ) -> int:
        if recorded is None:
            return machine.schedule(costs, keys=keys)
        if recorded.runs:
            return machine.schedule(costs, recorded.position, recorded.last, keys)
        return machine.number()

    def _begin_list(self) -> None:
        """What comes from now on finds in the journal what was done before."""
        ledger, service = self._ledger, self._service
        if self._journal is None or ledger.calls and self._journal.objection(so_far=True):
            # What was refused is not sent beside a list that is scheduled yet.
            return
        busy = {future.position for future in tuple(self._coming)}
        busy.update(ledger.positions[index] for index in ledger.unfinished())
        if service is not None and service.is_over:
            # What came to its end as it was given up is written, too.
            service.machine.flush()
        elif service is not None:
            busy.update(service.busy)
        self._journal.begin_list(busy)

    def _check_process(self) -> None:
        if self._generation != _fork.generation:
            raise _fork.forked()

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        self._check_process()
        if not self._running.acquire(blocking=False):
            raise RuntimeError("the runner is running already: wait for that run, or make another runner")
        if self._ledger.calls:
            self.interrupted, self._rows, self._has_mapped = False, None, False
        self._attempts.complaint = None
        try:
            if self._journal is not None and (objection := self._journal.objection()):
                raise objection
            yield
        finally:
            self._run = None
            self._running.release()

    def _end(self, run: Run) -> Results | None:
        """The results; None where calls were scheduled as the run ended, which have to run yet."""
        run.close()
        self.interrupted = run.why != ""
        self._last_numbers = run.snapshot(), run.seconds
        if self._log.is_on:
            logger.info("the run is over: %s", "; ".join(lines_of(*self._last_numbers)))
        if self._journal is not None:
            self._machine.flush()
            self._statistics.save(self._names())
            self._journal.complain()
        if self._attempts.complaint is not None:
            logger.warning(self._attempts.complaint)
        elif run.why not in ("", "asked"):
            logger.warning("the run stopped early (%s): results have gaps; run() goes on", run.why)
        with self._lock:
            ledger = self._last_ledger = self._ledger
            if self.interrupted:
                found = [list(errors) for errors in ledger.exception_lists()]
                results = Results((list(ledger.results), found), ledger.status)
            elif not ledger.is_over:
                return None
            else:
                results = Results((ledger.results, ledger.exception_lists()), ledger.status)
                self._ledger = Ledger(ledger.base + len(ledger.calls))
        self._last = results
        return results

    def _progress_options(self) -> dict[str, Any]:
        return {
            "setting": self._progress_setting,
            "interval": self.progress_interval,
            "long_wait_warning_seconds": self.long_wait_warning_seconds,
        }

    def _known(self) -> Ledger:
        """What is known of the last run, or of the rows of a `map` after it that were not given out."""
        left = self._left()
        if left is not None:
            return left
        return Ledger(0) if self._has_mapped else self._last_ledger

    def _left(self) -> Ledger | None:
        """What is known of the rows of a `map` that were not given out, if there are any."""
        left = self._rows.left() if self._rows is not None else None
        return left if left is not None and left.calls else None
