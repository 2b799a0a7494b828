"""Windows that follow a calendar."""

from __future__ import annotations

import asyncio
import copy
import pickle
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from support import quiet, scheduled, watchdog  # noqa: F401

from rate_limited import Resource, Runner
from rate_limited.apis import Api

WINDOW = 3.0


def time_of_day(hours: int) -> str:
    """The time in so many hours, as a day may begin."""
    return (datetime.now(timezone.utc) + timedelta(hours=hours)).strftime("%H:%M UTC")


def on_the_wall(moment: datetime) -> str:
    """The moment here, with the day where that is not today."""
    here = moment.astimezone()
    is_today = here.date() == datetime.now().astimezone().date()
    return here.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M")


class Sent:
    """When calls were sent, by the wall clock."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def sync(self, n: int) -> int:
        self.at.append(time.time())
        return n

    async def later(self, n: int) -> int:
        await asyncio.sleep(0)
        return self.sync(n)


@pytest.mark.parametrize("kind", ["sync", "later"])
def test_a_window_of_the_clock_is_full_until_it_ends(kind: str) -> None:
    sent = Sent()
    requests = Resource.per_calendar("requests", 4, f"clock {WINDOW}s")
    runner = quiet(getattr(sent, kind), [requests])
    # From the middle of a window on.
    time.sleep((WINDOW * 1.5 - time.time() % WINDOW) % WINDOW)
    for n in range(10):
        runner.schedule(n)
    assert runner.run()[0] == list(range(10))
    windows = [int(at // WINDOW) for at in sent.at]
    first = windows[0]
    assert windows == [first] * 4 + [first + 1] * 4 + [first + 2] * 2
    # Soon after it began: a window of three seconds has a guard of a few milliseconds.
    assert sent.at[4] % WINDOW < 1


def test_what_was_used_today_counts_in_the_next_process(tmp_path: Path) -> None:
    def charged(hours: int, name: str, calls: range) -> float:
        requests = Resource.per_day("requests", 100, resets_at=time_of_day(hours))
        runner = Runner(lambda n: n, [requests], journal=str(tmp_path / name), progress=False)
        for n in calls:
            runner.schedule(n)
        runner.run()
        books = runner.summary().splitlines()[-1]
        assert books.endswith(f" of 100 per {requests.calendar} used")
        return float(books.split()[1])

    assert charged(12, "a.db", range(3)) == 3
    # Another resource, as another process would make it; three of the five calls are known.
    assert charged(12, "a.db", range(5)) == 5


def test_a_limit_that_changes_keeps_its_calendar() -> None:
    requests = Resource.per_day("requests", 2, resets_at=time_of_day(12))
    runner = quiet(lambda n: n, [requests])
    runner.schedule(1)
    runner.run()
    requests.quota = 5
    assert repr(requests) == f"Resource.per_calendar('requests', 5, {requests.calendar!r})"
    with pytest.raises(ValueError, match="follows a calendar .*no other window"):
        requests.time_window_seconds = 60
    for n in range(4):
        runner.schedule(n)
    begun = time.monotonic()
    assert runner.run()[0] == [0, 1, 2, 3]
    assert time.monotonic() - begun < 10


def test_copies_follow_the_same_calendar() -> None:
    month = Resource.per_calendar("tokens", 5, "month Europe/Berlin", shared="a month of tokens")
    for other in [copy.deepcopy(month), pickle.loads(pickle.dumps(month))]:
        assert other.calendar == "month Europe/Berlin"
    with pytest.raises(ValueError, match="'a month of tokens' follows month Europe/Berlin, not none"):
        Resource("tokens", 5, 60, shared="a month of tokens")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: Resource.per_day("r", 1, resets_at="Mars"), "resource 'r': \"Mars\" is no known time zone"),
        (lambda: Resource.per_calendar("r", 1, "week UTC"), "names no window of the calendar: write minute"),
        (lambda: Resource.per_calendar("r", 0, "day UTC"), "quota of resource 'r' is 0"),
        (lambda: Resource.per_calendar("r", 1, 5), "calendar must be a str, not int"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_calendar_says_what_to_write(make: Any, expected: str) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert expected in str(error.value)


def test_the_description_of_an_api_brings_its_calendar() -> None:
    (requests,) = Api("gemini").resources(limits={"requests_per_day": 250})
    assert requests.calendar == "day America/Los_Angeles"
    (requests,) = Api("gemini").resources(limits={"requests_per_day": (250, 3_600.0)})
    assert requests.calendar is None


def test_a_plan_says_when_a_window_ends() -> None:
    day = Resource.per_day("requests", 10, resets_at=time_of_day(5))
    runner = quiet(str, [day, Resource.per_minute("beside", 1_000)])
    scheduled(runner, *range(8)).run()
    plan = scheduled(runner, *range(5)).plan(latency=1)
    end = (datetime.now(timezone.utc) + timedelta(hours=5)).replace(second=0, microsecond=0)
    requests, beside = plan.limits
    # This minute, or the one before if it has just passed.
    assert requests.resets_at is not None and timedelta(0) <= end - requests.resets_at <= timedelta(minutes=1)
    assert beside.resets_at is None
    # Three calls wait for that end.
    assert plan.seconds == pytest.approx(5 * 3_600, abs=120)
    told = {line.split("=")[0].split()[-1]: line for line in plan.text.splitlines() if "taken" in line}
    assert f"requests=10/{day.calendar}" in told["requests"]
    assert told["requests"].endswith(f"; back at {on_the_wall(requests.resets_at)}")
    assert "back at" not in told["beside"]
    assert (plan.helps, plan.helps_seconds) == (f"twice the limit of requests=10/{day.calendar}", pytest.approx(1, abs=1))
    page = plan._repr_html_()
    assert ">back at<" in page and f">{requests.resets_at.astimezone():%Y-%m-%d %H:%M}<" in page


def test_a_plan_without_a_calendar_has_no_column_for_it() -> None:
    page = scheduled(quiet(str, [Resource.per_minute("requests", 10)]), 1).plan()._repr_html_()
    assert "back at" not in page


def test_parts_follow_the_calendar_of_the_whole_in_a_plan() -> None:
    day = Resource.per_calendar("requests", 50, "day Europe/Berlin", partition=lambda call: call.args[0])
    runner = scheduled(quiet(str, [day.quota_for("slow", 20)]), *["fast", "slow"] * 5)
    plan = runner.plan()
    assert len({limit.resets_at for limit in plan.limits}) == 1 and plan.limits[0].resets_at is not None
    for shown in ("requests[fast]=50/day Europe/Berlin", "requests[slow]=20/day Europe/Berlin"):
        assert shown in plan.text, plan.text


def test_a_report_says_when_a_window_ends() -> None:
    day = Resource.per_day("requests", 10, resets_at=time_of_day(5))
    runner = quiet(str, [day, Resource.per_minute("beside", 1_000)])
    scheduled(runner, *range(8)).run()
    end = runner.plan().limits[0].resets_at
    assert end is not None
    text = runner.report().text
    assert f"limit requests (10 per {day.calendar}, back at {on_the_wall(end)})" in text, text
    assert "limit beside (1,000 per 60s)" in text, text
