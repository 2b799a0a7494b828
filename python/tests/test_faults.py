"""Faults of the user's own code: each has one outcome, none hangs or loses an answer."""

from __future__ import annotations

import asyncio
import builtins
import decimal
import fractions
import gc
import math
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from support import (
    WAYS_TO_RUN,
    ahead_of_quota,
    eventually,
    in_thread,
    kinds,
    quiet,
    scheduled,
    watchdog,  # noqa: F401
)

from rate_limited import Resource, ValidationError


class Counting:
    """Answers with its argument, and counts."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __call__(self, n: Any) -> Any:
        self.calls.append(n)
        return n


def by_result(extractor: Callable[..., Any], quota: float = 1_000) -> Resource:
    return Resource(
        "tokens",
        quota,
        60,
        results_usage_extractor=extractor,
        max_results_usage_estimator=lambda _call: 10,
    )


def raises(error: BaseException) -> Callable[..., Any]:
    def function(*_args: Any) -> Any:
        raise error

    return function


def returns(value: Any) -> Callable[..., Any]:
    return lambda *_args: value


BAD_USAGE = {
    "raises": raises(KeyError("usage")),
    "none": returns(None),
    "nan": returns(math.nan),
    "infinite": returns(math.inf),
    "negative": returns(-1),
    "huge": returns(10**400),
    "str": returns("12"),
    "array": returns(numpy.array([1, 2])),
    "decimal nan": returns(decimal.Decimal("sNaN")),
    "complex": returns(1j),
}

GOOD_USAGE = {
    "zero": returns(0),
    "negative zero": returns(-0.0),
    "decimal": returns(decimal.Decimal("1.5")),
    "fraction": returns(fractions.Fraction(1, 3)),
    "numpy int": returns(numpy.int64(3)),
    "numpy float": returns(numpy.float32(0.5)),
    "numpy array of one": returns(numpy.array(2)),
    "bool": returns(True),
    "more than the estimate": returns(500),
}


@pytest.mark.parametrize("way", WAYS_TO_RUN)
@pytest.mark.parametrize("extractor", BAD_USAGE.values(), ids=BAD_USAGE.keys())
def test_a_wrong_usage_of_an_answer_keeps_the_answer(extractor: Any, way: Any) -> None:
    count = Counting()
    runner = scheduled(quiet(count, [by_result(extractor)]), 1, 2)
    results, exceptions = way(runner)
    assert results == [1, 2]
    assert [len(errors) for errors in exceptions] == [1, 1]
    assert sorted(count.calls) == [1, 2]


def test_a_usage_far_above_the_quota_is_counted_and_the_answer_kept() -> None:
    runner = scheduled(quiet(Counting(), [by_result(returns(10**9))]), 1)
    assert runner.run() == ([1], [[]])


@pytest.mark.parametrize("extractor", GOOD_USAGE.values(), ids=GOOD_USAGE.keys())
def test_usage_may_be_any_real_number(extractor: Any) -> None:
    before = Resource("requests", 1_000, 60, arguments_usage_extractor=extractor)
    runner = scheduled(quiet(Counting(), [before, by_result(extractor)]), 1, 2)
    assert runner.run() == ([1, 2], [[], []])


@pytest.mark.parametrize("name", [name for name in BAD_USAGE if name != "raises"])
def test_a_wrong_cost_is_refused_at_schedule(name: str) -> None:
    resource = Resource("tokens", 1_000, 60, arguments_usage_extractor=BAD_USAGE[name])
    runner = quiet(Counting(), [resource])
    with pytest.raises(ValueError, match="tokens"):
        runner.schedule(1)
    assert runner.scheduled_calls == []
    assert runner.run() == ([], [])


def test_an_extractor_that_raises_at_schedule_tells_the_caller() -> None:
    resource = Resource("tokens", 9, 60, arguments_usage_extractor=raises(KeyError("model")))
    runner = quiet(Counting(), [resource])
    with pytest.raises(KeyError, match="model"):
        runner.schedule(1)
    assert runner.run() == ([], [])


def test_without_usage_the_estimate_stays_charged() -> None:
    # Each of two calls holds 10 of 20: a third has to wait for the window.
    resource = Resource(
        "tokens",
        20,
        0.5,
        results_usage_extractor=raises(KeyError("usage")),
        max_results_usage_estimator=lambda _call: 10,
    )
    begun = time.monotonic()
    results, _ = scheduled(quiet(Counting(), [resource]), 1, 2, 3).run()
    assert results == [1, 2, 3]
    assert 0.45 < time.monotonic() - begun < 2.0


def test_the_cost_of_a_call_is_asked_for_once() -> None:
    asked: list[Any] = []

    def count(call: Any) -> int:
        asked.append(call)
        return 1

    resource = Resource(
        "tokens",
        100,
        60,
        arguments_usage_extractor=count,
        results_usage_extractor=lambda _call, _result: 1,
        max_results_usage_estimator=lambda _call: 1,
    )
    assert scheduled(quiet(Counting(), [resource]), 1).run() == ([1], [[]])
    assert len(asked) == 1


def test_arguments_changed_after_schedule_change_no_cost() -> None:
    resource = Resource(
        "items", 10, 60, arguments_usage_extractor=lambda call: len(call.get_argument("items"))
    )

    def length(items: list[int]) -> int:
        return len(items)

    runner = quiet(length, [resource])
    items = [1, 2, 3]
    runner.schedule(items)
    items.extend(range(1_000))
    assert runner.run() == ([1_003], [[]])
    items.clear()
    runner.schedule(items)
    assert runner.run() == ([0], [[]])


@pytest.mark.parametrize("way", WAYS_TO_RUN)
def test_a_validator_that_raises_means_not_valid(way: Any) -> None:
    def validate(answer: Any) -> bool:
        return bool(answer["text"])

    answers = iter([{"txt": 1}, {"txt": 2}, {"text": 3}])
    runner = quiet(lambda: next(answers), validation=validate)
    runner.schedule()
    results, exceptions = way(runner)
    assert results == [{"text": 3}]
    assert kinds(exceptions) == [["ValidationError"] * 2]
    for error, value in zip(exceptions[0], ({"txt": 1}, {"txt": 2}), strict=True):
        assert isinstance(error, ValidationError)
        assert error.value == value
        assert isinstance(error.__cause__, KeyError)
        assert error.call.args == ()


def ill_named(answer: Any) -> Any:
    return answr == 1  # type: ignore[name-defined]  # noqa: F821


def ill_imported(_answer: Any) -> Any:
    import no_such_module_anywhere  # type: ignore[import-not-found]  # noqa: F401


@pytest.mark.parametrize("validate", [ill_named, ill_imported])
def test_what_data_cannot_cause_is_not_retried(validate: Any) -> None:
    count = Counting()
    results, exceptions = scheduled(quiet(count, validation=validate), 7).run()
    assert results == [None]
    assert kinds(exceptions) == [["ValidationError"]]
    assert exceptions[0][0].value == 7  # type: ignore[attr-defined]
    assert count.calls == [7]


@pytest.mark.parametrize("most", [1, 8, 64])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_validator_that_only_raises_stops_the_run(most: int, kind: str) -> None:
    count = Counting()

    async def later(n: int) -> int:
        await asyncio.sleep(0.001)
        return count(n)  # type: ignore[no-any-return]

    def now(n: int) -> int:
        time.sleep(0.001)
        return count(n)  # type: ignore[no-any-return]

    function = now if kind == "sync" else later
    runner = quiet(function, max_concurrent=most, validation=raises(KeyError("text")))
    results, exceptions = scheduled(runner, *range(500)).run()
    assert results == [None] * 500
    assert runner.interrupted
    assert 20 <= len(count.calls) <= 20 + 2 * most
    kept = [error.value for errors in exceptions for error in errors]  # type: ignore[attr-defined]
    assert sorted(kept) == sorted(count.calls)


def test_a_run_stopped_by_its_validator_says_so(caplog: pytest.LogCaptureFixture) -> None:
    runner = quiet(Counting(), validation=raises(KeyError("text")), max_concurrent=1)
    scheduled(runner, *range(30)).run()
    assert "validation" in caplog.text
    assert "KeyError" in caplog.text


def test_a_validator_that_raises_sometimes_stops_nothing() -> None:
    def validate(n: int) -> bool:
        if n % 2:
            raise KeyError(n)
        return True

    runner = scheduled(quiet(Counting(), validation=validate, max_retries=1), *range(60))
    results, _ = runner.run()
    assert results == [None if n % 2 else n for n in range(60)]
    assert not runner.interrupted


class Unusual(BaseException):
    """No `Exception`."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class Unreadable(Exception):
    """Whatever is asked of it raises."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def _group(text: str, errors: list[Exception]) -> BaseException:
    # Python 3.10 has no groups: there a plain exception stands for one.
    kind = getattr(builtins, "ExceptionGroup", lambda _text, found: found[0])
    made: BaseException = kind(text, errors)
    return made


FAULTS: dict[str, Callable[[], BaseException]] = {
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "BaseException": lambda: Unusual("no"),
    "__str__ raises": Unprintable,
    "attributes raise": Unreadable,
    "huge message": lambda: ValueError("x" * 50_000_000),
    "MemoryError": MemoryError,
    "RecursionError": RecursionError,
    "TimeoutError": TimeoutError,
    "a group": lambda: _group("no", [ValueError("a"), KeyError("b")]),
}


def failing_once_at(n: int, make: Callable[[], BaseException], kind: str) -> Callable[..., Any]:
    """A function that raises for one argument."""

    def fail(item: int) -> int:
        if item == n:
            raise make()
        return item

    async def fail_later(item: int) -> int:
        await asyncio.sleep(0)
        return fail(item)

    return {"sync": fail, "async": fail_later, "hidden": lambda item: fail_later(item)}[kind]


@pytest.mark.parametrize("way", WAYS_TO_RUN)
@pytest.mark.parametrize("kind", ["sync", "async", "hidden"])
@pytest.mark.parametrize("make", FAULTS.values(), ids=FAULTS.keys())
def test_whatever_a_call_raises_is_its_own_failure(make: Any, kind: str, way: Any) -> None:
    runner = quiet(failing_once_at(2, make, kind), max_retries=0)
    results, exceptions = way(scheduled(runner, *range(5)))
    assert results == [0, 1, None, 3, 4]
    assert kinds(exceptions) == [[], [], [type(make()).__name__], [], []]
    assert not runner.interrupted


@pytest.mark.parametrize("way", WAYS_TO_RUN)
@pytest.mark.parametrize("kind", ["sync", "async", "hidden"])
def test_stop_iteration_is_a_failure(kind: str, way: Any) -> None:
    runner = quiet(failing_once_at(2, StopIteration, kind), max_retries=0)
    results, exceptions = way(scheduled(runner, *range(5)))
    assert results == [0, 1, None, 3, 4]
    # A coroutine cannot raise it: the language makes a RuntimeError of it.
    name = "StopIteration" if kind == "sync" else "RuntimeError"
    assert kinds(exceptions) == [[], [], [name], [], []]


@pytest.mark.parametrize("way", WAYS_TO_RUN)
@pytest.mark.parametrize("kind", ["sync", "async", "hidden"])
@pytest.mark.parametrize("make", [SystemExit, KeyboardInterrupt])
def test_an_exit_in_a_call_stops_the_run_with_results(make: Any, kind: str, way: Any) -> None:
    runner = quiet(failing_once_at(2, make, kind), max_concurrent=1)
    results, exceptions = way(scheduled(runner, *range(50)))
    assert results == [0, 1, None, *[None] * 47]
    assert kinds(exceptions)[2] == [make.__name__]
    assert runner.interrupted
    # Others go on as before.
    assert way(scheduled(quiet(failing_once_at(-1, make, kind)), 1, 2)) == ([1, 2], [[], []])


def test_a_printed_failure_may_be_unprintable(capsys: pytest.CaptureFixture[str]) -> None:
    runner = quiet(failing_once_at(2, Unprintable, "sync"), max_retries=0, progress=True)
    assert scheduled(runner, 1, 2).run()[0] == [1, None]
    assert "Unprintable" in capsys.readouterr().err


def test_a_huge_message_is_cut_where_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    make = FAULTS["huge message"]
    runner = quiet(failing_once_at(2, make, "sync"), max_retries=0, progress=True)
    _, exceptions = scheduled(runner, 1, 2).run()
    assert len(capsys.readouterr().err) < 5_000
    assert len(str(exceptions[1][0])) == 50_000_000


class Heavy:
    """Something large that an attempt holds."""


@pytest.mark.parametrize("kind", ["plain", "chained", "in a validator"])
def test_exceptions_keep_no_frames(kind: str) -> None:
    alive: list[weakref.ref[Heavy]] = []

    def work() -> None:
        heavy = Heavy()
        alive.append(weakref.ref(heavy))
        if kind != "chained":
            raise ValueError("no")
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("no") from error

    if kind == "in a validator":
        runner = quiet(str, max_retries=0, validation=lambda _: work())
    else:
        runner = quiet(lambda _: work(), max_retries=0)
    _, exceptions = scheduled(runner, 1).run()
    gc.collect()
    assert len(exceptions[0]) == 1
    assert [reference() for reference in alive] == [None]


def test_an_exception_object_raised_for_every_call_is_kept_for_each() -> None:
    error = ValueError("one for all")
    _, exceptions = scheduled(quiet(raises(error), max_retries=0), 1, 2, 3).run()
    assert exceptions == [[error]] * 3


def test_calls_scheduled_by_other_threads_during_a_run_belong_to_it() -> None:
    gate = threading.Event()

    def wait(n: int) -> int:
        if n == 0:
            gate.wait(5)
        return n

    runner = scheduled(quiet(wait), 0)

    def add() -> None:
        for n in range(1, 101):
            runner.schedule(n)
        gate.set()

    threading.Timer(0.05, add).start()
    results, exceptions = runner.run()
    assert results == list(range(101))
    assert exceptions == [[]] * 101


@pytest.mark.parametrize("way", WAYS_TO_RUN)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_calls_scheduled_by_calls_belong_to_the_run(kind: str, way: Any) -> None:
    def grow(n: int) -> int:
        if n < 30:
            runner.schedule(n + 1)
        return n

    async def grow_later(n: int) -> int:
        await asyncio.sleep(0)
        return grow(n)

    runner = quiet(grow if kind == "sync" else grow_later)
    assert way(scheduled(runner, 0))[0] == list(range(31))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_no_call_is_lost_or_doubled_when_runs_end_while_others_schedule(kind: str) -> None:
    count = Counting()

    async def later(n: int) -> int:
        return count(n)  # type: ignore[no-any-return]

    runner = quiet(count if kind == "sync" else later)
    threads = [
        threading.Thread(
            target=lambda first=first: [
                (runner.schedule(n), time.sleep(0.0002)) for n in range(first, first + 500)
            ]
        )
        for first in (0, 1_000)
    ]
    for thread in threads:
        thread.start()
    returned: list[Any] = []
    while any(thread.is_alive() for thread in threads):
        returned += runner.run()[0]
    returned += runner.run()[0]
    expected = Counter([*range(500), *range(1_000, 1_500)])
    assert Counter(count.calls) == expected
    assert Counter(returned) == expected


def test_two_runs_at_once_are_refused() -> None:
    gate = threading.Event()
    runner = scheduled(quiet(lambda n: gate.wait(5)), 1)
    first = threading.Thread(target=runner.run)
    first.start()
    assert eventually(lambda: runner._running.locked())
    for attempt in (runner.run, lambda: asyncio.run(runner.run_coro()), runner.clear):
        with pytest.raises(RuntimeError, match="running"):
            attempt()
    gate.set()
    first.join(5)
    assert scheduled(runner, 2).run() == ([True], [[]])


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_run_inside_a_run_is_refused(kind: str) -> None:
    def nested(_n: int) -> Any:
        return runner.run()

    async def nested_later(_n: int) -> Any:
        return await runner.run_coro()

    runner = quiet(nested if kind == "sync" else nested_later, max_retries=0)
    results, exceptions = scheduled(runner, 1).run()
    assert results == [None]
    assert kinds(exceptions) == [["RuntimeError"]]


def test_another_runner_inside_a_run_works() -> None:
    def nested(n: int) -> Any:
        return scheduled(quiet(str), n).run()[0][0]

    assert scheduled(quiet(nested), 1, 2).run() == (["1", "2"], [[], []])


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_cancelled_run_coro_stops_calling_and_can_go_on(kind: str) -> None:
    count = Counting()

    def slow(n: int) -> int:
        count(n)
        time.sleep(0.03)
        return n

    async def slow_later(n: int) -> int:
        count(n)
        await asyncio.sleep(0.03)
        return n

    runner = quiet(slow if kind == "sync" else slow_later, max_concurrent=2, max_retries=0)
    scheduled(runner, *range(20))

    async def main() -> None:
        task = asyncio.create_task(runner.run_coro())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    begun = len(count.calls)
    assert 2 <= begun <= 10
    time.sleep(0.1)
    assert len(count.calls) == begun
    assert in_thread(runner.run) == (list(range(20)), [[]] * 20)
    # What was in flight when it was cancelled may have been asked for again; the rest was not.
    assert len(count.calls) <= 22
    assert set(count.calls) == set(range(20))


def test_failed_attempts_take_their_share_of_the_quota() -> None:
    # A server counts them too: eight attempts of four calls, two in any 0.3 s.
    begun, times = time.monotonic(), list[float]()

    def fail(n: int) -> None:
        times.append(time.monotonic())
        raise ValueError(n)

    resource = Resource("requests", 2, 0.3, arguments_usage_extractor=lambda _: 1)
    _, exceptions = scheduled(quiet(fail, [resource], max_retries=1), *range(4)).run()
    assert [len(errors) for errors in exceptions] == [2] * 4
    assert len(times) == 8
    assert ahead_of_quota(times, begun, 2, 0.3) == []


def test_rejected_answers_take_their_share_of_the_quota() -> None:
    begun, times = time.monotonic(), list[float]()

    def answer(n: int) -> int:
        times.append(time.monotonic())
        return n

    resource = Resource("requests", 2, 0.3, arguments_usage_extractor=lambda _: 1)
    runner = quiet(answer, [resource], max_retries=1, validation=lambda _: False)
    _, exceptions = scheduled(runner, *range(4)).run()
    assert [len(errors) for errors in exceptions] == [2] * 4
    assert len(times) == 8
    assert ahead_of_quota(times, begun, 2, 0.3) == []


@pytest.mark.parametrize("way", WAYS_TO_RUN)
def test_a_call_that_no_longer_fits_fails_alone(way: Any) -> None:
    # The limit is lowered below what a waiting call needs, while others go on.
    resource = Resource("tokens", 10, 0.2, arguments_usage_extractor=lambda call: call.args[0])
    runner = quiet(Counting(), [resource])
    scheduled(runner, 4, 9, 4)
    resource.quota = 5
    results, exceptions = way(runner)
    assert results == [4, None, 4]
    assert kinds(exceptions) == [[], ["ValueError"], []]
    assert "exceeds resource quota" in str(exceptions[1][0])


def test_too_many_hung_calls_stop_the_run_and_say_so(caplog: pytest.LogCaptureFixture) -> None:
    gate = threading.Event()
    runner = quiet(lambda n: gate.wait(5), timeout=0.03, max_retries=0, max_concurrent=2)
    scheduled(runner, *range(20)).run()
    gate.set()
    assert runner.interrupted
    assert "3 calls hang" in caplog.text
    assert "see what the function waits for" in caplog.text
