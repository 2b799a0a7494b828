"""Pacing: the first requests of a run are spread, the others are not."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from support import WAYS_TO_RUN, plenty, quiet, scheduled, watchdog  # noqa: F401

from rate_limited import Resource


class Noting:
    """Notes when each call began.

    A busy machine notes a moment late, never early: so the least distances are counted from the start.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.restart()

    def restart(self) -> None:
        self.moments: list[float] = []
        self.start = time.monotonic()

    def sync(self, n: Any) -> Any:
        self.moments.append(time.monotonic())
        time.sleep(self.seconds)
        return n

    async def later(self, n: Any) -> Any:
        self.moments.append(time.monotonic())
        await asyncio.sleep(self.seconds)
        return n

    def of_kind(self, kind: str) -> Any:
        return self.sync if kind == "sync" else self.later

    def since_the_start(self) -> list[float]:
        return [moment - self.start for moment in sorted(self.moments)]


@pytest.mark.parametrize("way", WAYS_TO_RUN)
@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_the_first_requests_keep_a_distance_and_the_others_do_not(
    kind: str, way: Any, seconds: float
) -> None:
    noting = Noting(seconds)
    runner = quiet(noting.of_kind(kind), pacing=0.4, max_concurrent=8)
    noting.restart()
    assert way(scheduled(runner, *range(40)))[0] == list(range(40))
    took = time.monotonic() - noting.start
    since = noting.since_the_start()
    # Eight in 0.4 s: one each 50 ms.
    for number in range(8):
        assert since[number] >= 0.05 * number
    assert since[7] < 0.35 + 0.4
    # Without pacing the 40 calls take five times as long as one.
    assert took < 0.4 + 5 * seconds + 0.5


def test_each_run_is_paced_anew_and_streams_are_too() -> None:
    noting = Noting()
    runner = quiet(noting.sync, pacing=0.2, max_concurrent=4)
    for _ in range(2):
        noting.restart()
        scheduled(runner, *range(6)).run()
        assert noting.since_the_start()[3] >= 0.15
    noting.restart()
    assert list(runner.map(range(6))) == list(range(6))
    assert noting.since_the_start()[3] >= 0.15
    runner.close()


def test_without_pacing_nothing_waits() -> None:
    noting = Noting(0.05)
    noting.restart()
    scheduled(quiet(noting.sync, max_concurrent=8), *range(8)).run()
    assert noting.since_the_start()[7] < 0.3


def test_one_at_a_time_needs_no_pacing() -> None:
    begun = time.monotonic()
    scheduled(quiet(str, pacing=5, max_concurrent=1), *range(20)).run()
    assert time.monotonic() - begun < 1


def test_the_bound_that_is_found_out_begins_with_64() -> None:
    noting = Noting()
    runner = quiet(noting.sync, pacing=0.64, max_concurrent="auto")
    noting.restart()
    scheduled(runner, *range(70)).run()
    assert 0.63 <= noting.since_the_start()[63] < 1.2


def test_limits_hold_all_the_same() -> None:
    noting = Noting()
    window = Resource("requests", 4, 0.3, arguments_usage_extractor=lambda _: 1)
    runner = quiet(noting.sync, [window], pacing=0.2, max_concurrent=4)
    noting.restart()
    scheduled(runner, *range(8)).run()
    since = noting.since_the_start()
    assert since[3] >= 0.15
    assert since[4] >= 0.3
    assert since[7] < 0.3 + 0.2 + 0.4


def test_large_and_small_calls_still_run_side_by_side() -> None:
    # Pacing must not hide from the scheduler which calls are large.
    tokens = Resource("tokens", 10, 0.5, arguments_usage_extractor=lambda call: call.get_argument("n"))
    noting = Noting()
    begun: dict[int, float] = {}

    def note(n: int) -> None:
        begun[n] = time.monotonic()
        noting.sync(n)

    runner = quiet(note, [tokens], pacing=0.02, max_concurrent=2)
    scheduled(runner, 6, 9, 3).run()
    assert begun[3] - begun[6] < 0.2
    assert begun[9] - begun[6] > 0.45


def test_what_it_waits_for_is_said() -> None:
    seen: list[dict[str, Any]] = []
    runner = quiet(str, plenty(), pacing=0.6, max_concurrent=2, progress=seen.append)
    runner.progress_interval = 0.05
    scheduled(runner, 1, 2).run()
    assert "the pacing of the first requests" in {each["waiting_on"] for each in seen}


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf"), True, "1", 86_401])
def test_what_is_no_time_is_named(wrong: Any) -> None:
    with pytest.raises(ValueError, match="pacing must be a number of seconds above 0"):
        quiet(str, pacing=wrong)
