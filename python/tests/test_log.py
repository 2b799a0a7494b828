"""What runs tell `logging`: quiet unless asked, never a flood, and nothing of what calls are about."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from support import quiet, scheduled, watchdog  # noqa: F401 - a fixture

from rate_limited import Resource
from rate_limited._log import KINDS_MAX, LINE_SECONDS, EventLog

SECRET = "my secret prompt"


class Refused(Exception):
    """What a client raises when it is refused."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused: {SECRET}")
        self.status_code = status


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Any:
    caplog.set_level(logging.INFO, "rate_limited")
    return lambda: [record.getMessage() for record in caplog.records]


def refusing(times: int, status: int = 429) -> Any:
    left = [times]

    def call(_: str) -> str:
        if left[0] > 0:
            left[0] -= 1
            raise Refused(status)
        return SECRET

    return call


def test_nobody_who_does_not_ask_sees_anything(capfd: pytest.CaptureFixture[str]) -> None:
    runner = scheduled(quiet(refusing(1), []), SECRET)
    runner.run()
    runner.pause()
    runner.resume()
    assert capfd.readouterr() == ("", "")


def test_a_refusal_is_told_without_its_text(lines: Any) -> None:
    scheduled(quiet(refusing(1), []), SECRET).run()
    told = lines()
    assert told[0] == "the server refused a call (Refused, status 429)"
    assert told[-1].startswith("the run is over: 1 of 1 calls done in ") and "1 refused" in told[-1]
    assert SECRET not in " ".join(told)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, "a call failed for good (Refused, status 400)"),
        (401, "the run stops (Refused, status 401)"),
        (500, "an attempt failed, it is tried again (Refused, status 500)"),
        (503, "the server has too much to do (Refused, status 503)"),
    ],
)
def test_each_kind_of_failure_has_its_words(lines: Any, status: int, text: str) -> None:
    scheduled(quiet(refusing(1, status), []), SECRET).run()
    assert lines()[0] == text


def test_answers_that_are_rejected(lines: Any) -> None:
    seen: list[str] = []
    check = lambda answer: bool(seen) or bool(seen.append(answer))  # noqa: E731
    scheduled(quiet(str, [], validation=check), SECRET).run()
    assert lines()[0] == "a call is tried again (ValidationError)"


def test_a_thousand_failures_are_no_thousand_lines(lines: Any) -> None:
    def fail(_: int) -> None:
        raise KeyError(SECRET)

    scheduled(quiet(fail, [], max_retries=0), *range(1_000)).run()
    assert len(lines()) == 2


def test_a_line_now_and_then_with_what_was_left_out(lines: Any) -> None:
    now = [100.0]
    log = EventLog([], 2.0, clock=lambda: now[0])
    for _ in range(5):
        log.attempt("refused", Refused(429))
    now[0] += LINE_SECONDS
    log.attempt("refused", Refused(429))
    log.attempt("refused", Refused(409))
    first = "the server refused a call (Refused, status 429)"
    assert lines() == [
        first,
        f"{first}; 4 more like it since the last line",
        "the server refused a call (Refused, status 409)",
    ]


def test_ever_new_kinds_are_no_flood_either(lines: Any) -> None:
    log = EventLog([], 2.0, clock=lambda: 0.0)
    for number in range(3 * KINDS_MAX):
        log.look({"wait_seconds": 9, "waiting_on": f"limit {number}"})
    assert len(lines()) == KINDS_MAX + 1


def test_long_waits_are_told_without_progress_too(lines: Any) -> None:
    requests = Resource("requests", 1, 0.6, lambda _: 1)
    runner = quiet(str, [requests], progress_interval=0.05, long_wait_warning_seconds=0.2)
    scheduled(runner, 1, 2).run()
    assert "waiting 1 s for quota of requests" in lines()


def test_rows_are_told_of_too(lines: Any) -> None:
    requests = Resource("requests", 1, 0.6, lambda _: 1)
    runner = quiet(str, [requests], progress_interval=0.05, long_wait_warning_seconds=0.2)
    assert list(runner.map([1, 2])) == ["1", "2"]
    assert "waiting 1 s for quota of requests" in lines()


def test_a_limit_that_is_found_out_is_told(lines: Any) -> None:
    requests = Resource.untold("requests", 60)
    log = EventLog([requests], None)
    log.look({})
    assert lines() == []
    requests.quota = 1_500
    log.look({})
    assert lines() == ["the limit of requests in force is 1,500"]


class Hostile(Exception):
    """Its attributes raise."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_no_exception_breaks_it(lines: Any) -> None:
    def fail(_: int) -> None:
        raise Hostile

    results, exceptions = scheduled(quiet(fail, [], max_retries=0), 1).run()
    assert (results, len(exceptions[0])) == ([None], 1)
    assert "(Hostile)" in lines()[0]


def test_it_costs_little_where_nobody_asks() -> None:
    log, error = EventLog([], 2.0), Refused(429)
    begun = time.perf_counter()
    for _ in range(10_000):
        log.attempt("refused", error)
    assert time.perf_counter() - begun < 0.5


def test_the_log_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.log"
    handler = logging.FileHandler(path)
    logger = logging.getLogger("rate_limited")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        scheduled(quiet(refusing(1), []), SECRET).run()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
        handler.close()
    assert len(path.read_text().splitlines()) == 2
