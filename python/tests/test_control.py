"""Limits, calls in flight and pauses that are changed while a runner runs."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from support import eventually, quiet, scheduled, watchdog  # noqa: F401 - a fixture

from rate_limited import Resource, Runner

KINDS = ["sync", "async"]


class Calls:
    """Calls of a tenth of a second; how many are in flight, and when each began."""

    def __init__(self, kind: str) -> None:
        self.times: list[float] = []
        self.in_flight = self.most = 0
        self._lock = threading.Lock()
        self.function: Callable[[int], Any] = self.sync if kind == "sync" else self.later

    def sync(self, number: int) -> int:
        self._begin()
        time.sleep(0.1)
        self._end()
        return number

    async def later(self, number: int) -> int:
        self._begin()
        await asyncio.sleep(0.1)
        self._end()
        return number

    def _begin(self) -> None:
        with self._lock:
            self.times.append(time.monotonic())
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)

    def _end(self) -> None:
        with self._lock:
            self.in_flight -= 1


def running(runner: Runner[..., Any]) -> threading.Thread:
    """The thread on which the runner runs from now on."""
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("kind", KINDS)
def test_more_calls_in_flight_during_a_run(kind: str) -> None:
    calls = Calls(kind)
    runner = scheduled(quiet(calls.function, max_concurrent=1), *range(40))
    begun = time.monotonic()
    thread = running(runner)
    assert eventually(lambda: len(calls.times) >= 2)
    assert calls.most == 1
    runner.max_concurrent = 20
    thread.join(5)
    # One after the other they take four seconds.
    assert 10 < calls.most <= 20 and time.monotonic() - begun < 3
    assert runner.last[0] == list(range(40))


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_calls_in_flight_during_a_run(kind: str) -> None:
    calls = Calls(kind)
    runner = scheduled(quiet(calls.function, max_concurrent=8), *range(30))
    thread = running(runner)
    assert eventually(lambda: calls.most == 8)
    runner.max_concurrent = 2
    assert runner.max_concurrent == 2
    assert eventually(lambda: calls.in_flight <= 2)
    calls.most = 0
    thread.join(5)
    assert 0 < calls.most <= 2 and len(runner.last[0]) == 30


@pytest.mark.parametrize("kind", KINDS)
def test_a_pause_during_a_run(kind: str) -> None:
    calls = Calls(kind)
    runner = scheduled(quiet(calls.function, max_concurrent=2), *range(6))
    thread = running(runner)
    assert eventually(lambda: len(calls.times) == 2)
    runner.pause()
    assert runner.paused and eventually(lambda: calls.in_flight == 0)
    time.sleep(0.3)
    assert len(calls.times) == 2 and thread.is_alive()
    runner.resume()
    thread.join(5)
    assert runner.last == (list(range(6)), [[]] * 6)


def test_a_paused_run_can_be_interrupted_and_goes_on_after_the_pause() -> None:
    runner = scheduled(quiet(str), 1, 2)
    runner.pause()
    threading.Timer(0.2, runner.interrupt).start()
    assert runner.run() == ([None, None], [[], []])
    runner.resume()
    assert runner.run() == (["1", "2"], [[], []])


@pytest.mark.parametrize("kind", KINDS)
def test_futures_and_rows_are_paused_too(kind: str) -> None:
    calls = Calls(kind)
    with quiet(calls.function, max_concurrent=2) as runner:
        first = runner.submit(1)
        assert first.result(5) == 1
        runner.pause()
        later = [runner.submit(number) for number in range(8)]
        time.sleep(0.2)
        assert len(calls.times) == 1
        runner.max_concurrent = 8
        runner.resume()
        assert [future.result(5) for future in later] == list(range(8))
        assert 2 < calls.most <= 8
        runner.pause()
    # The end of the block waits for all: it ends a pause.
    assert not runner.paused


def test_a_limit_is_raised_during_a_run() -> None:
    runner: Any = quiet(str, [Resource.per_minute("requests", 2)])
    thread = running(scheduled(runner, *range(5)))
    assert eventually(lambda: runner._machine.progress()["done"] == 2)
    runner.set_limit("requests", 600)
    thread.join(5)
    assert runner.last[0] == ["0", "1", "2", "3", "4"]
    assert runner.resources[0].quota == 600


def test_a_limit_is_lowered_during_a_run() -> None:
    calls = Calls("sync")
    runner: Any = quiet(calls.function, [Resource.per_second("requests", 100)], max_concurrent=1)
    begun = time.monotonic()
    thread = running(scheduled(runner, *range(6)))
    assert eventually(lambda: len(calls.times) == 1)
    runner.set_limit("requests", 2, time_window_seconds=1)
    thread.join(5)
    assert calls.times[4] - begun >= 2


def test_what_cannot_be_set() -> None:
    runner: Any = quiet(str)
    with pytest.raises(KeyError, match="no resource is called 'tokens': there is requests"):
        runner.set_limit("tokens", 5)
    with pytest.raises(ValueError, match="quota of resource 'requests' is 0"):
        runner.set_limit("requests", 0)
    both = [Resource.per_minute("requests", 60), Resource.per_day("requests", 1_000)]
    with pytest.raises(ValueError, match="2 resources are called 'requests': set the quota of the one"):
        quiet(str, both).set_limit("requests", 5)
    assert [resource.quota for resource in both] == [60, 1_000]
    with pytest.raises(ValueError, match="max_concurrent must be a whole number from 1"):
        runner.max_concurrent = 0
    assert runner.max_concurrent == 64
    runner.max_concurrent = "auto"
    assert runner.max_concurrent == "auto"


def test_progress_says_that_it_is_paused(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[dict[str, Any]] = []
    runner = scheduled(Runner(str, [], progress=seen.append, progress_interval=0.05), 1)
    runner.pause()
    thread = running(runner)
    assert eventually(lambda: any(each["paused"] and each["waiting_on"] == "resume()" for each in seen))
    runner.resume()
    thread.join(5)
    assert seen[-1]["done"] == 1 and not seen[-1]["paused"]


def test_changes_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    runner: Any = quiet(str)
    with caplog.at_level(logging.INFO, "rate_limited"):
        runner.pause()
        runner.resume()
        runner.max_concurrent = 3
        runner.set_limit("requests", 5)
    texts = [record.getMessage() for record in caplog.records]
    assert texts[:2] == ["paused: nothing new is started before resume()", "resumed"]
    assert "at most 3 calls may be in flight" in texts and "quota=5" in texts[-1]
