"""Hooks that keep an event loop waiting: the user is told once, with the name and the time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from support import WAYS_TO_RUN, quiet, scheduled, watchdog  # noqa: F401

from rate_limited import Resource

SLOW = 0.06


async def echo(n: Any) -> Any:
    await asyncio.sleep(0)
    return n


def slow_check(_answer: Any) -> bool:
    time.sleep(SLOW)
    return True


def slow_count(_call: Any, _answer: Any) -> int:
    time.sleep(SLOW)
    return 1


def tokens(extractor: Callable[..., Any]) -> Resource:
    return Resource(
        "tokens",
        1_000,
        60,
        results_usage_extractor=extractor,
        max_results_usage_estimator=lambda _: 1,
    )


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    texts = [(record.levelno, record.getMessage()) for record in caplog.records]
    return [text for level, text in texts if level == logging.WARNING and "event loop" in text]


@pytest.mark.parametrize("way", WAYS_TO_RUN)
def test_a_slow_validator_is_named_once(way: Any, caplog: pytest.LogCaptureFixture) -> None:
    runner = quiet(echo, validation=[bool, slow_check])
    for _ in range(2):
        assert way(scheduled(runner, 1, 2, 3))[0] == [1, 2, 3]
    (text,) = said(caplog)
    assert "validator slow_check took" in text
    milliseconds = float(text.split(" took ")[1].split(" ms")[0])
    assert 1_000 * SLOW - 1 <= milliseconds < 1_000
    # And what to do about it.
    assert "make it faster, or do that work after the run" in text


@pytest.mark.parametrize("way", WAYS_TO_RUN)
def test_a_slow_extractor_is_named_once(way: Any, caplog: pytest.LogCaptureFixture) -> None:
    runner = quiet(echo, [tokens(slow_count)])
    assert way(scheduled(runner, 1, 2, 3)) == ([1, 2, 3], [[], [], []])
    (text,) = said(caplog)
    assert "results_usage_extractor slow_count took" in text


def test_one_that_raises_is_named_too(caplog: pytest.LogCaptureFixture) -> None:
    def slow_and_wrong(_answer: Any) -> bool:
        time.sleep(SLOW)
        raise KeyError("text")

    runner = quiet(echo, validation=slow_and_wrong, max_retries=0)
    assert scheduled(runner, 1).run()[0] == [None]
    assert len(said(caplog)) == 1


def test_streams_are_watched_with_the_same_eye(caplog: pytest.LogCaptureFixture) -> None:
    runner = quiet(echo, validation=slow_check)
    assert list(runner.map([1, 2])) == [1, 2]
    runner.close()
    scheduled(runner, 3).run()
    assert len(said(caplog)) == 1


def test_each_runner_warns_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        scheduled(quiet(echo, validation=slow_check), 1).run()
    assert len(said(caplog)) == 2


def test_what_is_quick_is_not_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    def quick(_call: Any, _answer: Any) -> int:
        time.sleep(0.005)
        return 1

    scheduled(quiet(echo, [tokens(quick)], validation=bool), *range(1, 10)).run()
    assert said(caplog) == []


def plain(n: Any) -> Any:
    return n


@pytest.mark.parametrize("function", [plain, lambda n: echo(n)], ids=["plain", "hidden"])
@pytest.mark.parametrize("way", WAYS_TO_RUN)
def test_hooks_on_threads_keep_no_loop_waiting(
    function: Any, way: Any, caplog: pytest.LogCaptureFixture
) -> None:
    runner = quiet(function, [tokens(slow_count)], validation=slow_check)
    assert way(scheduled(runner, 1, 2))[0] == [1, 2]
    assert said(caplog) == []


def test_slow_hooks_of_plain_functions_leave_a_loop_free() -> None:
    # A heartbeat on the caller's loop measures its own lateness meanwhile.
    late: list[float] = []

    async def heartbeat() -> None:
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.005)
            late.append(time.monotonic() - begun - 0.005)

    async def main() -> Any:
        beat = asyncio.create_task(heartbeat())
        runner = scheduled(quiet(plain, validation=slow_check, max_concurrent=4), *range(1, 13))
        results = await runner.run_coro()
        beat.cancel()
        return results

    assert asyncio.run(main())[0] == list(range(1, 13))
    assert len(late) > 10
    # Most beats are on time; the machine may be late for a few.
    assert sorted(late)[len(late) * 8 // 10] < 0.02
