"""Calls and limits that are unusual, but right: each has one outcome."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from support import (
    ahead_of_quota,
    quiet,
    scheduled,
    watchdog,  # noqa: F401
)

from rate_limited import Resource


class Counting:
    """Answers with its argument, and counts."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __call__(self, n: Any) -> Any:
        self.calls.append(n)
        return n


def test_a_call_scheduled_twice_is_two_calls() -> None:
    count = Counting()
    assert scheduled(quiet(count), 7, 7).run() == ([7, 7], [[], []])
    assert count.calls == [7, 7]


ODD_TEXTS = {
    "a lone surrogate": "a\ud800b",
    "a zero": "a\0b",
    "100 MB": "x" * 100_000_000,
    "a bidi override": "\u202eevil",
    "bytes": b"\xff\xfe",
}


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_odd_and_huge_arguments_arrive_as_they_are(text: Any, kind: str) -> None:
    async def later(given: Any) -> Any:
        return given

    function = Counting() if kind == "sync" else later
    results, exceptions = scheduled(quiet(function), text).run()
    assert results[0] is text
    assert exceptions == [[]]


def test_a_source_that_blocks_keeps_no_call_waiting() -> None:
    count, gate = Counting(), threading.Event()

    def source() -> Any:
        yield from range(5)
        gate.wait(5)
        yield 5

    threading.Timer(0.3, lambda: (count.calls.append("timer"), gate.set())).start()
    with quiet(count) as runner:
        assert list(runner.map(source())) == [0, 1, 2, 3, 4, 5]
    # The first five were called before the source went on.
    assert count.calls.index("timer") == 5


def test_resources_of_one_name_are_two_limits() -> None:
    # Names are for people: "requests" a second and "requests" an hour are both kept.
    second = Resource("requests", 5, 0.3, arguments_usage_extractor=lambda _: 1)
    hour = Resource("requests", 8, 3_600, arguments_usage_extractor=lambda _: 1)
    times: list[float] = []

    def note(n: int) -> None:
        times.append(time.monotonic())

    runner = scheduled(quiet(note, [second, hour]), *range(10))
    begun = time.monotonic()
    threading.Timer(0.8, runner.interrupt).start()
    runner.run()
    assert len(times) == 8
    assert ahead_of_quota(times, begun, 5, 0.3) == []
