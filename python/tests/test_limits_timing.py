"""Limits and time-outs in real time, with generous margins."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from support import (
    WAYS_TO_RUN,
    ahead_of_quota,
    kinds,
    quiet,
    scheduled,
    watchdog,  # noqa: F401
)

from rate_limited import Resource


class Sleeper:
    """Sleeps, and remembers when each call began."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.times: list[float] = []

    def sync(self, n: Any) -> Any:
        self.times.append(time.monotonic())
        time.sleep(self.seconds)
        return n

    async def later(self, n: Any) -> Any:
        self.times.append(time.monotonic())
        await asyncio.sleep(self.seconds)
        return n

    def of_kind(self, kind: str) -> Any:
        return self.sync if kind == "sync" else self.later


def one_at_a_time() -> Resource:
    """Only one call fits: each holds 60 of 100 until its answer gives back all."""
    return Resource(
        "tokens",
        100,
        60,
        results_usage_extractor=lambda _call, _result: 0,
        max_results_usage_estimator=lambda _call: 60,
    )


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_comes_back_is_used_at_once(kind: str) -> None:
    sleeper = Sleeper(0.01)
    runner = scheduled(quiet(sleeper.of_kind(kind), [one_at_a_time()]), *range(20))
    begun = time.monotonic()
    assert runner.run()[0] == list(range(20))
    assert 0.19 < time.monotonic() - begun < 1.0


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_comes_back_wakes_another_runner(kind: str) -> None:
    resource = one_at_a_time()
    sleeper = Sleeper(0.01)
    runners = [scheduled(quiet(sleeper.of_kind(kind), [resource]), *range(10)) for _ in range(2)]
    threads = [threading.Thread(target=runner.run) for runner in runners]
    begun = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert time.monotonic() - begun < 1.0
    assert len(sleeper.times) == 20


@pytest.mark.parametrize("way", WAYS_TO_RUN)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_no_window_has_more_than_the_quota(kind: str, way: Any) -> None:
    window = 0.5
    resource = Resource("requests", 20, window, arguments_usage_extractor=lambda _: 1)
    sleeper = Sleeper(0.001)
    runner = scheduled(quiet(sleeper.of_kind(kind), [resource]), *range(60))
    begun = time.monotonic()
    way(runner)
    assert ahead_of_quota(sleeper.times, begun, 20, window) == []
    assert 2 * window * 0.98 < time.monotonic() - begun < 2 * window + 0.4


def test_two_limits_bind_together() -> None:
    requests = Resource("requests", 10, 0.3, arguments_usage_extractor=lambda _: 1)
    tokens = Resource("tokens", 100, 0.6, arguments_usage_extractor=lambda _: 10)
    sleeper = Sleeper(0.001)
    begun = time.monotonic()
    scheduled(quiet(sleeper.sync, [requests, tokens]), *range(20)).run()
    assert len(sleeper.times) == 20
    assert ahead_of_quota(sleeper.times, begun, 10, 0.6) == []


def test_a_small_call_runs_while_a_large_one_waits() -> None:
    resource = Resource("tokens", 10, 0.6, arguments_usage_extractor=lambda call: call.get_argument("n"))
    begun: dict[int, float] = {}

    def note(n: int) -> None:
        begun[n] = time.monotonic()

    start = time.monotonic()
    scheduled(quiet(note, [resource]), 6, 9, 3).run()
    assert begun[3] - start < 0.2
    assert 0.55 < begun[9] - start < 1.6


def test_a_larger_quota_takes_effect_during_a_run() -> None:
    resource = Resource("requests", 1, 60, arguments_usage_extractor=lambda _: 1)
    runner = scheduled(quiet(str, [resource]), *range(5))

    def raise_quota() -> None:
        resource.quota = 100

    threading.Timer(0.1, raise_quota).start()
    begun = time.monotonic()
    assert runner.run()[0] == list("01234")
    assert 0.05 < time.monotonic() - begun < 1.0


def test_one_instant_call_is_instant() -> None:
    quickest = 9.0
    for _ in range(5):
        runner = scheduled(quiet(str), 1)
        begun = time.monotonic()
        runner.run()
        quickest = min(quickest, time.monotonic() - begun)
    assert quickest < 0.01


def test_a_failed_call_is_tried_again_on_time() -> None:
    # The first back-off is at most half a second, the second at most one; others keep the run busy.
    def fail(n: int) -> int:
        if n:
            raise ConnectionResetError(n)
        time.sleep(0.05)
        return n

    for _ in range(2):
        begun = time.monotonic()
        _, exceptions = scheduled(quiet(fail, max_retries=2), 1, 2, 0, 3).run()
        assert [len(errors) for errors in exceptions] == [3, 3, 0, 3]
        assert time.monotonic() - begun < 2.0


class Stuck:
    """Its first attempts hang until they are let go."""

    def __init__(self, attempts: int) -> None:
        self.left = attempts
        self.gate = threading.Event()
        self.begun: list[Any] = []

    def sync(self, n: Any) -> Any:
        self.begun.append(n)
        self.left -= 1
        if self.left >= 0:
            self.gate.wait(6)
            return f"late {n}"
        return n

    async def later(self, n: Any) -> Any:
        self.begun.append(n)
        self.left -= 1
        if self.left >= 0:
            await asyncio.sleep(6)
        return n


@pytest.mark.parametrize("way", WAYS_TO_RUN)
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_hung_attempt_is_given_up_and_made_again(kind: str, way: Any) -> None:
    stuck = Stuck(1)
    function = stuck.sync if kind == "sync" else stuck.later
    runner = scheduled(quiet(function, timeout=0.1, max_retries=1, max_concurrent=1), 1, 2)
    begun = time.monotonic()
    results, exceptions = way(runner)
    assert time.monotonic() - begun < 2.0
    stuck.gate.set()
    assert results == [1, 2]
    assert kinds(exceptions) == [["TimeoutError"], []]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_call_that_always_hangs_fails(kind: str) -> None:
    stuck = Stuck(2)
    function = stuck.sync if kind == "sync" else stuck.later
    runner = scheduled(quiet(function, timeout=0.1, max_retries=1), 1)
    results, exceptions = runner.run()
    stuck.gate.set()
    assert results == [None]
    assert kinds(exceptions) == [["TimeoutError", "TimeoutError"]]
    assert len(stuck.begun) == 2


def test_the_answer_of_an_attempt_given_up_still_counts() -> None:
    # The first attempt answers after its time-out, while the second one hangs.
    stuck = Stuck(2)
    runner = scheduled(quiet(stuck.sync, timeout=1.0, max_retries=5), 1)
    threading.Timer(1.2, stuck.gate.set).start()
    results, exceptions = runner.run()
    assert results == ["late 1"]
    assert kinds(exceptions) == [["TimeoutError"]]


def test_a_late_answer_never_replaces_one_that_was_given_out() -> None:
    stuck = Stuck(1)
    runner = scheduled(quiet(stuck.sync, timeout=0.05, max_retries=3), 1)
    results, _ = runner.run()
    assert results == [1]
    stuck.gate.set()
    time.sleep(0.1)
    assert results == [1]
    assert scheduled(runner, 5).run() == ([5], [[]])


def test_threads_that_hang_are_bounded() -> None:
    stuck = Stuck(1_000)
    runner = quiet(stuck.sync, timeout=0.03, max_retries=0, max_concurrent=3)
    scheduled(runner, *range(50))
    before = threading.active_count()
    runner.run()
    alive = threading.active_count() - before
    stuck.gate.set()
    assert runner.interrupted
    assert alive <= 2 * 3 + 2
    assert len(stuck.begun) <= 2 * 3 + 1


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_moment_comes_although_all_who_waited_waited_for_something_else(kind: str) -> None:
    # While call 1 holds nearly all, one worker waits for its end. Then call 2 keeps a worker busy,
    # and call 3 can go as soon as the window of call 1 has passed: somebody has to look then.
    held, used = {0: 1, 1: 90, 2: 30, 3: 50}, {0: 0, 1: 40, 2: 30, 3: 50}
    took = {0: 0.05, 1: 0.2, 2: 1.5, 3: 0.0}
    resource = Resource(
        "tokens",
        100,
        0.4,
        results_usage_extractor=lambda call, _answer: used[call.args[0]],
        max_results_usage_estimator=lambda call: held[call.args[0]],
    )
    begun: dict[int, float] = {}

    def work(n: int) -> None:
        begun[n] = time.monotonic()
        time.sleep(took[n])

    async def later(n: int) -> None:
        begun[n] = time.monotonic()
        await asyncio.sleep(took[n])

    runner = scheduled(quiet(work if kind == "sync" else later, [resource]), 0, 1)
    threading.Timer(0.1, lambda: scheduled(runner, 2, 3)).start()
    runner.run()
    assert 0.35 < begun[3] - begun[2] < 1.0


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_another_runner_gives_back_is_used_although_all_workers_are_busy(kind: str) -> None:
    resource = one_at_a_time()
    gate = threading.Event()
    holder = scheduled(quiet(lambda _: gate.wait(5), [resource]), 0)
    thread = threading.Thread(target=holder.run)
    thread.start()
    time.sleep(0.05)
    begun: dict[Any, float] = {}
    # Neither call needs what the other one holds; the second one waits for the other runner.
    free = Resource.per_minute("requests", 100)

    def work(n: int) -> None:
        begun[n] = time.monotonic()
        time.sleep(0.8 if n == 0 else 0.0)

    async def later(n: int) -> None:
        begun[n] = time.monotonic()
        await asyncio.sleep(0.8 if n == 0 else 0.0)

    tokens = Resource(
        "tokens",
        100,
        60,
        results_usage_extractor=lambda _call, _answer: 0,
        max_results_usage_estimator=lambda call: 60 * call.args[0],
    )
    tokens._identity = resource._identity
    runner = scheduled(quiet(work if kind == "sync" else later, [free, tokens]), 0, 1)
    threading.Timer(0.2, gate.set).start()
    start = time.monotonic()
    runner.run()
    thread.join(5)
    assert begun[1] - start < 0.5
