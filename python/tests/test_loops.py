"""Loops that cannot watch files, as Windows' proactor loop: a thread does it for them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support import (
    ahead_of_quota,
    eventually,
    quiet,
    scheduled,
    watchdog,  # noqa: F401
)

from rate_limited import Resource, _loop


class NoReaders(asyncio.SelectorEventLoop):
    """A loop that watches no files for others."""

    def add_reader(self, *_args: Any) -> None:
        raise NotImplementedError

    def remove_reader(self, *_args: Any) -> bool:
        raise NotImplementedError


def pumps() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rate_limited-pump"]


def run_on(loop: asyncio.AbstractEventLoop, awaitable: Any) -> Any:
    try:
        return loop.run_until_complete(asyncio.wait_for(awaitable, 6))
    finally:
        loop.close()


@pytest.fixture
def own_loop_without_readers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package's own loop is such a loop for the length of a test."""
    monkeypatch.setattr(asyncio, "new_event_loop", NoReaders)
    monkeypatch.setattr(_loop, "_own", None)
    loop = _loop.own_loop()
    assert isinstance(loop, NoReaders)
    yield
    loop.call_soon_threadsafe(loop.stop)


async def echo(n: Any) -> Any:
    await asyncio.sleep(0.001)
    return n


def test_calls_run_and_the_thread_ends() -> None:
    runner = scheduled(quiet(echo), *range(200))
    assert run_on(NoReaders(), runner.run_coro()) == (list(range(200)), [[]] * 200)
    assert pumps() == []


def test_limits_are_kept_and_used_at_once() -> None:
    times: list[float] = []

    async def note(n: int) -> int:
        times.append(time.monotonic())
        return n

    resource = Resource("requests", 10, 0.3, arguments_usage_extractor=lambda _: 1)
    begun = time.monotonic()
    run_on(NoReaders(), scheduled(quiet(note, [resource]), *range(30)).run_coro())
    assert ahead_of_quota(times, begun, 10, 0.3) == []
    assert 0.55 < time.monotonic() - begun < 1.2


def test_calls_scheduled_by_another_thread_wake_the_loop() -> None:
    gate = threading.Event()
    begun: list[float] = []

    async def work(n: int) -> int:
        begun.append(time.monotonic())
        while n == 0 and not gate.is_set():
            await asyncio.sleep(0.01)
        return n

    runner = scheduled(quiet(work), 0)
    sent: list[float] = []

    def add() -> None:
        for n in (1, 2):
            time.sleep(0.1)
            sent.append(time.monotonic())
            runner.schedule(n)
        time.sleep(0.1)
        gate.set()

    threading.Thread(target=add).start()
    assert run_on(NoReaders(), runner.run_coro())[0] == [0, 1, 2]
    assert [late - at < 0.05 for late, at in zip(begun[1:], sent, strict=True)] == [True, True]


def test_quota_that_another_runner_gives_back_wakes_the_loop() -> None:
    resource = Resource(
        "tokens",
        100,
        60,
        results_usage_extractor=lambda _call, _answer: 0,
        max_results_usage_estimator=lambda _call: 60,
    )
    gate = threading.Event()
    holder = scheduled(quiet(lambda n: gate.wait(5), [resource]), 0)
    thread = threading.Thread(target=holder.run)
    thread.start()
    assert eventually(lambda: holder._machine.progress()["in_flight"] == 1)
    threading.Timer(0.2, gate.set).start()
    begun = time.monotonic()
    runner = scheduled(quiet(echo, [resource]), 1)
    assert run_on(NoReaders(), runner.run_coro()) == ([1], [[]])
    assert 0.15 < time.monotonic() - begun < 0.5
    thread.join(5)


def test_one_loop_after_another_and_another_kind() -> None:
    runner = quiet(echo)
    for make in (NoReaders, asyncio.SelectorEventLoop, NoReaders):
        scheduled(runner, 1, 2)
        assert run_on(make(), runner.run_coro()) == ([1, 2], [[], []])
    assert pumps() == []


def test_a_cancelled_run_ends_the_thread() -> None:
    async def main() -> None:
        runner = scheduled(quiet(asyncio.sleep), 60)
        task = asyncio.ensure_future(runner.run_coro())
        await asyncio.sleep(0.05)
        assert len(pumps()) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_on(NoReaders(), main())
    assert pumps() == []


@pytest.mark.usefixtures("own_loop_without_readers")
def test_the_loop_of_the_package_may_be_such_a_loop() -> None:
    runner = scheduled(quiet(echo), *range(50))
    assert runner.run() == (list(range(50)), [[]] * 50)
    assert eventually(lambda: pumps() == [])
    with runner:
        assert list(runner.map(range(300), buffer=16)) == list(range(300))
        assert runner.submit(7).result(5) == 7
    assert eventually(lambda: pumps() == [])
