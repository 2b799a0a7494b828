"""Anything that can be called can be run, in each of the ways to run."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import operator
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support import (
    WAYS_TO_RUN,
    in_thread,
    kinds,
    quiet,
    run_awaited,
    run_plain,
    scheduled,
    watchdog,  # noqa: F401
)


def double(n: int) -> int:
    return 2 * n


async def double_later(n: int) -> int:
    await asyncio.sleep(0.001)
    return 2 * n


def times(factor: int, n: int) -> int:
    return factor * n


async def times_later(factor: int, n: int) -> int:
    await asyncio.sleep(0.001)
    return factor * n


class Doubler:
    def method(self, n: int) -> int:
        return 2 * n

    async def later(self, n: int) -> int:
        await asyncio.sleep(0.001)
        return 2 * n

    @classmethod
    def of_class(cls, n: int) -> int:
        return 2 * n

    @classmethod
    async def of_class_later(cls, n: int) -> int:
        await asyncio.sleep(0.001)
        return 2 * n

    @staticmethod
    def static(n: int) -> int:
        return 2 * n


class Called:
    def __call__(self, n: int) -> int:
        return 2 * n


class CalledLater:
    async def __call__(self, n: int) -> int:
        await asyncio.sleep(0.001)
        return 2 * n


class Awaited:
    """An awaitable that is no coroutine."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __await__(self) -> Any:
        yield from asyncio.sleep(0.001).__await__()
        return 2 * self.n


class Made:
    """A class is called as any function; two of the same number are equal."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __eq__(self, other: object) -> bool:
        return other == 2 * self.n

    __hash__ = None  # type: ignore[assignment]


class Slotted:
    """It allows no weak reference and has no name."""

    __slots__ = ()

    def __call__(self, n: int) -> int:
        return 2 * n


class Secretive:
    """Whatever one asks about it raises, apart from what makes it callable."""

    @property
    def __signature__(self) -> Any:
        raise RuntimeError("no signature")

    def __call__(self, n: int) -> int:
        return 2 * n


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that hides that the function is a coroutine function."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def logged_later(function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return await function(*args, **kwargs)

    return wrapper


CALLABLES = {
    "def": double,
    "async def": double_later,
    "partial of def": functools.partial(times, 2),
    "partial of async def": functools.partial(times_later, 2),
    "partial of a partial": functools.partial(functools.partial(times_later), 2),
    "partial of an object with async __call__": functools.partial(CalledLater()),
    "lambda": lambda n: 2 * n,
    "lambda that returns a coroutine": lambda n: double_later(n),
    "lambda that returns an awaitable": lambda n: Awaited(n),
    "bound method": Doubler().method,
    "async bound method": Doubler().later,
    "classmethod": Doubler.of_class,
    "async classmethod": Doubler.of_class_later,
    "staticmethod": Doubler.static,
    "object with __call__": Called(),
    "object with async __call__": CalledLater(),
    "object with slots": Slotted(),
    "object without signature": Secretive(),
    "class": Made,
    "builtin": functools.partial(operator.mul, 2),
    "builtin without signature": operator.methodcaller("__mul__", 2),
    "wrapped def": logged(double),
    "wrapped async def": logged(double_later),
    "decorated async def": logged_later(double_later),
    "lru_cache": functools.lru_cache(double),
    "singledispatch": functools.singledispatch(double),
}


@pytest.mark.parametrize("way", WAYS_TO_RUN)
@pytest.mark.parametrize("function", CALLABLES.values(), ids=CALLABLES.keys())
def test_any_callable(function: Callable[..., Any], way: Any) -> None:
    runner = scheduled(quiet(function, max_retries=0), *range(5))
    results, exceptions = way(runner)
    assert exceptions == [[]] * 5
    assert results == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("builtin", [max, min, iter, dict.get, getattr], ids=repr)
def test_builtins_that_hide_their_signature(builtin: Any) -> None:
    runner = quiet(builtin, max_retries=0)
    arguments = ({"real": 1}, "real") if builtin is dict.get else ([1, 2],)
    arguments = (1, "real") if builtin is getattr else arguments
    runner.schedule(*arguments)
    results, exceptions = runner.run()
    assert exceptions == [[]]
    assert results[0] is not None


@pytest.mark.parametrize("way", WAYS_TO_RUN)
@pytest.mark.parametrize("kind", ["sync", "async", "hidden"])
def test_exceptions_come_back_from_each_kind(kind: str, way: Any) -> None:
    async def fail_later(n: int) -> int:
        await asyncio.sleep(0)
        raise KeyError(n)

    def fail(n: int) -> int:
        raise KeyError(n)

    function = {"sync": fail, "async": fail_later, "hidden": lambda n: fail_later(n)}[kind]
    results, exceptions = way(scheduled(quiet(function, max_retries=0), 1, 2))
    assert results == [None, None]
    assert kinds(exceptions) == [["KeyError"]] * 2


@pytest.mark.parametrize("way", WAYS_TO_RUN)
@pytest.mark.parametrize("kind", ["sync", "async", "hidden"])
def test_context_variables_are_kept(kind: str, way: Any) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def read_later(_n: int) -> str:
        await asyncio.sleep(0)
        return variable.get()

    def read(_n: int) -> str:
        return variable.get()

    function = {"sync": read, "async": read_later, "hidden": lambda n: read_later(n)}[kind]

    def action() -> Any:
        variable.set("ours")
        runner = scheduled(quiet(function), *range(3))
        return runner.run() if way is run_plain else way(runner)

    assert in_thread(action) == (["ours"] * 3, [[]] * 3)
    assert variable.get() == "unset"


def test_a_call_on_a_thread_does_not_see_what_another_sets() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=-1)

    def exchange(n: int) -> int:
        before = variable.get()
        variable.set(n)
        return before

    results, _ = scheduled(quiet(exchange, max_concurrent=1), *range(4)).run()
    assert results == [-1] * 4


def test_sync_functions_run_on_other_threads_at_the_same_time() -> None:
    barrier = threading.Barrier(4)

    def meet(_n: int) -> str:
        barrier.wait(5)
        return threading.current_thread().name

    results, _ = scheduled(quiet(meet, max_retries=0), *range(4)).run()
    assert len(set(results)) == 4
    assert threading.current_thread().name not in results


def test_async_functions_run_at_the_same_time_on_one_thread() -> None:
    async def sleep(_n: int) -> int:
        await asyncio.sleep(0.1)
        return threading.get_ident()

    begun = time.monotonic()
    results, _ = scheduled(quiet(sleep), *range(40)).run()
    assert time.monotonic() - begun < 1.0
    assert len(set(results)) == 1
    assert results[0] != threading.get_ident()


def test_run_coro_runs_async_functions_on_the_loop_of_the_caller() -> None:
    async def loop(_n: int) -> Any:
        return asyncio.get_running_loop()

    async def main() -> Any:
        runner = scheduled(quiet(loop), *range(3))
        return asyncio.get_running_loop(), await runner.run_coro()

    mine, (results, _) = asyncio.run(main())
    assert results == [mine] * 3


def test_run_coro_leaves_the_loop_free_while_sync_calls_block() -> None:
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0.01)

    async def main() -> None:
        ticker = asyncio.create_task(tick())
        await scheduled(quiet(lambda n: time.sleep(0.2)), *range(4)).run_coro()
        ticker.cancel()

    asyncio.run(main())
    assert len(ticks) >= 8


def test_every_run_finds_the_same_loop() -> None:
    async def loop(_n: int) -> int:
        return id(asyncio.get_running_loop())

    runners = [scheduled(quiet(loop), 1) for _ in range(3)]
    found = {runner.run()[0][0] for runner in runners}
    assert len(found) == 1


def test_runs_of_one_runner_may_use_each_way_in_turn() -> None:
    runner = quiet(double_later)
    for way in (run_plain, run_awaited, run_plain, run_awaited):
        assert way(scheduled(runner, 1, 2)) == ([2, 4], [[], []])


def test_keywords_and_defaults_arrive() -> None:
    def show(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    runner = quiet(show)
    runner.schedule()
    runner.schedule(1, two=2)
    runner.schedule(self=1, function=2, args=3, kwargs=4, call=5, costs=6)
    results, _ = runner.run()
    last = {"self": 1, "function": 2, "args": 3, "kwargs": 4, "call": 5, "costs": 6}
    assert results == [((), {}), ((1,), {"two": 2}), ((), last)]


def test_a_generator_function_gives_its_generator() -> None:
    def generate(n: int) -> Any:
        yield from range(n)

    results, _ = scheduled(quiet(generate), 3).run()
    assert list(results[0]) == [0, 1, 2]
