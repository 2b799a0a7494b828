"""Records, trying failures again, the decorator, and what else a runner tells of itself."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from rate_limited import Resource, Runner, limited


def odd_fails(n: int) -> int:
    if n % 2:
        raise ValueError(f"{n} is odd")
    return n * 10


def runner(function: Any = odd_fails, **options: Any) -> Runner[Any, Any]:
    limits = [Resource.per_minute("requests", 10_000)]
    return Runner(function, limits, **{"max_retries": 1, "progress": False, **options})


def test_records_have_a_row_for_each_call() -> None:
    made = runner()
    for n in range(3):
        made.schedule(n)
    made.run()
    rows = made.records()
    assert [row["index"] for row in rows] == [0, 1, 2]
    assert [row["status"] for row in rows] == ["done", "failed", "done"]
    assert [row["result"] for row in rows] == [0, None, 20]
    assert [row["attempts"] for row in rows] == [1, 2, 1]
    assert rows[1]["error_type"] == "ValueError"
    assert "1 is odd" in rows[1]["error"]
    assert rows[0]["usage"] == {"requests": 1.0}


def test_records_are_never_those_of_a_run_before_a_map() -> None:
    made = runner()
    for n in (0, 1):
        made.schedule(n)
    made.run()
    assert [record["status"] for record in made.records()] == ["done", "failed"]
    rows = made.map([2, 3, 4])
    assert next(rows) == 20
    # A row is told until its consumer comes for the next one.
    assert [record["id"] for record in made.records()] == [0, 1, 2]
    assert [bool(row) for row in rows] == [False, True]
    assert made.records() == []
    assert made.retry_failed() == 0
    assert made.last[0] == [0, None], "the results of a run are not lost by a map"
    made.schedule(6)
    made.run()
    assert [record["result"] for record in made.records()] == [60]


def test_failures_are_tried_again_alone() -> None:
    broken = threading.Event()
    broken.set()

    def flaky(n: int) -> int:
        if broken.is_set():
            return odd_fails(n)
        return -n

    made = runner(flaky)
    for n in range(4):
        made.schedule(n)
    made.run()
    broken.clear()
    assert made.retry_failed() == 2
    assert made.run()[0] == [-1, -3]


def test_results_of_the_last_run_are_not_lost_by_an_empty_one() -> None:
    made = runner()
    made.schedule(2)
    made.run()
    assert made.run() == ([], [])
    assert made.last == ([20], [[]])


def test_a_runner_says_what_it_has() -> None:
    made = runner()
    made.schedule(2)
    assert len(made) == 1
    assert "0 of 1 calls done" in repr(made)
    made.clear()
    assert len(made) == 0
    assert bool(made)
    assert made.run() == ([], [])


def test_a_function_is_limited_in_place() -> None:
    @limited(Resource.per_minute("requests", 10_000), max_retries=0)
    def double(n: int) -> int:
        """Doubles."""
        if n < 0:
            raise ValueError("negative")
        return 2 * n

    assert double(4) == 8
    assert double.__doc__ == "Doubles."
    with pytest.raises(ValueError, match="negative"):
        double(-1)


def test_an_async_function_is_limited_in_place() -> None:
    @limited(Resource("requests", 2, 0.3, arguments_usage_extractor=lambda _: 1))
    async def same(n: int) -> int:
        return n

    async def all_of_them() -> tuple[float, list[int]]:
        loop = asyncio.get_running_loop()
        start = loop.time()
        results = await asyncio.gather(*(same(n) for n in range(4)))
        return loop.time() - start, list(results)

    took, results = asyncio.run(all_of_them())
    assert results == [0, 1, 2, 3]
    assert took >= 0.3


def test_one_name_is_one_quota() -> None:
    def of(quota: int) -> Resource:
        return Resource("requests", quota, 60, arguments_usage_extractor=lambda _: 1, shared="test-one-name")

    made = Runner(odd_fails, [of(5)], progress=False)
    for _ in range(3):
        made.schedule(0)
    made.run()
    again = Runner(odd_fails, [of(5)], progress=False)
    for _ in range(4):
        again.schedule(0)
    threading.Timer(0.3, again.interrupt).start()
    results, _ = again.run()
    assert results.count(0) == 2, "three of five were used by the first runner"
