"""What the runs of a runner did, as text, as JSON, as a page and in a notebook."""

from __future__ import annotations

import asyncio
import html
import json
import re
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support import quiet, scheduled, watchdog  # noqa: F401 - a fixture
from test_feedback import SECONDLY

from rate_limited import Resource, Runner
from rate_limited.apis import Api


class Refused(Exception):
    """As clients show a refusal."""

    status_code = 429
    headers: ClassVar = {"retry-after": "0.01"}


def data(runner: Runner[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(runner.report().json)
    return found


SECRET = "secret prompt"


def make(kind: str) -> Any:
    """A function that answers 30 of 40 calls, one of them after a refusal, and fails the others for ever."""
    seen: set[int] = set()

    def sync(number: int, text: str = SECRET) -> str:
        if number == 39 and number not in seen:
            seen.add(number)
            raise Refused(f"too much of {text}")
        if number % 4 == 2:
            raise KeyError(text)
        return f"answer to {text}"

    async def later(number: int, text: str = SECRET) -> str:
        await asyncio.sleep(0)
        return sync(number, text)

    return sync if kind == "sync" else later


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("way", ["run", "map"])
def test_attempts_and_calls_are_counted(kind: str, way: str) -> None:
    runner = quiet(make(kind), [Resource.per_second("requests", 10_000)], max_retries=2)
    if way == "run":
        scheduled(runner, *range(40)).run()
    else:
        assert len(list(runner.map(range(40)))) == 40
    report = data(runner)
    assert report["calls"] == {
        "requests": 40,
        "succeeded": 30,
        "failed": 10,
        "unfinished": 0,
        "failed_by_code": {"KeyError": 10},
    }
    attempts = report["attempts"]
    assert attempts["by_outcome"] == {"succeeded": 30, "refused": 1, "invalid": 30}
    assert (attempts["total"], attempts["retries"]) == (61, 21)
    assert attempts["refused_by_code"] == {"Refused": 1}
    assert attempts["failed_by_code"] == {"KeyError": 30}
    assert dict(attempts["per_call"]) == {1: 29, 2: 1, 3: 10}
    assert report["latency"]["answers"] == 30
    name = "call" if way == "run" else "row"
    assert all(re.fullmatch(rf"{name} \d+", call["call"]) for call in report["slowest"])
    assert {call["attempts"] for call in report["most_retried"]} == {3}
    assert report["limits"][0]["name"] == "requests"


def test_nothing_of_arguments_answers_and_errors_is_in_it() -> None:
    runner = scheduled(quiet(make("sync"), max_retries=1), *range(40))
    runner.run()
    report = runner.report()
    for form in (report.text, report.json, report.html, report._repr_html_()):
        assert SECRET not in form
        assert "answer to" not in form


def test_several_runs_are_one_report() -> None:
    runner = scheduled(quiet(int), 1, 2)
    runner.run()
    scheduled(runner, 3, "no number").run()
    runner.retry_failed()
    runner.run()
    report = data(runner)
    assert report["runs"] == 3
    assert (report["calls"]["succeeded"], report["calls"]["failed"]) == (3, 1), "a call that is retried is one call"
    assert {call["call"] for call in report["most_retried"]} == {"call 3", "call 4"}


def test_it_is_there_during_a_run_and_before_one() -> None:
    looked = threading.Event()
    work = lambda n: n < 20 or looked.wait(30)  # noqa: E731
    runner = scheduled(quiet(work, [Resource.per_second("requests", 20)]), *range(40))
    assert data(runner)["calls"]["unfinished"] == 40
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    while (report := data(runner))["calls"]["succeeded"] < 20:
        time.sleep(0.01)
    looked.set()
    thread.join()
    assert report["calls"]["succeeded"] == 20
    assert report["calls"]["unfinished"] == 20
    end = data(runner)
    assert end["limits"][0]["peak_share"] == pytest.approx(1.0, abs=0.05)
    assert end["calls"]["succeeded"] == 40
    assert sum(slice_["succeeded"] for slice_ in end["timeline"]) == 40
    assert 950 < end["elapsed_ms"] < 30_000


def test_timeouts_and_calls_that_were_cut_off() -> None:
    over = threading.Event()
    runner = quiet(lambda n: n == 0 or over.wait(30), timeout=1, max_retries=0, grace_seconds=0.1)
    scheduled(runner, 0, 1).run()
    assert data(runner)["attempts"]["by_outcome"] == {"succeeded": 1, "timed out": 1}
    begun = threading.Event()
    runner = scheduled(quiet(lambda n: begun.set() or over.wait(30), grace_seconds=0.05), 0)
    interrupter = threading.Thread(target=lambda: begun.wait(30) and runner.interrupt())
    interrupter.start()
    runner.run()
    interrupter.join()
    over.set()
    report = data(runner)
    assert report["attempts"]["by_outcome"] == {"cut off": 1}
    assert (report["calls"]["succeeded"], report["calls"]["unfinished"]) == (0, 1)


def test_keys_name_calls(tmp_path: Path) -> None:
    limits = [Resource.per_second("requests", 1_000)]
    options = {"journal": tmp_path / "journal", "key": lambda call: f"poem-{call.args[0]}<&>"}
    with quiet(lambda n: time.sleep(n / 100), limits, **options) as runner:
        scheduled(runner, *range(4)).run()
        report = data(runner)
        assert [call["call"] for call in report["slowest"]] == [f"poem-{n}<&>" for n in (3, 2, 1, 0)]
        assert "poem-3&lt;&amp;&gt;" in runner.report().html
        assert report["notes"] == []
    with quiet(lambda n: time.sleep(n / 100), limits, **options) as runner:
        scheduled(runner, *range(6)).run()
        report = data(runner)
        assert report["calls"]["succeeded"] == 6
        assert report["earlier"] == {"runs": 1, "calls": 4, "attempts": 4}
        assert {call["call"] for call in report["slowest"]} == {f"poem-{n}<&>" for n in range(6)}


@pytest.mark.parametrize(
    ("name", "beginning"), [("a.html", "<!doctype html>"), ("a.json", "{"), ("a.TXT", "rate-limited report")]
)
def test_it_is_written_to_a_file(tmp_path: Path, name: str, beginning: str) -> None:
    runner = scheduled(quiet(int), 1)
    runner.run()
    path = tmp_path / name
    for _ in range(2):
        report = runner.report(path)
        assert path.read_text("utf-8").startswith(beginning)
    assert report.text
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    import os

    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    runner = quiet(int)
    path = tmp_path / "results.json"
    path.write_text('{"my": "data"}')
    with pytest.raises(ValueError, match="is there and no report: choose another name"):
        runner.report(path)
    assert path.read_text() == '{"my": "data"}'
    with pytest.raises(
        ValueError, match=r"the name of a report ends in \.html, \.json or \.txt, got 'report'"
    ):
        runner.report("report")
    with pytest.raises(FileNotFoundError):
        runner.report(tmp_path / "missing" / "report.html")


def test_a_notebook_shows_the_page_without_scripts() -> None:
    runner = scheduled(quiet(int), *range(5))
    runner.run()
    report = runner.report()
    shown = report._repr_html_()
    frame = re.fullmatch(r'<iframe srcdoc="([^"]*)" style="[^"]*" sandbox="" title="[^"]*"></iframe>', shown)
    assert frame is not None
    assert html.unescape(frame[1]) == report.html
    assert "<script" not in report.html
    assert "http://" not in report.html.replace("http://www.w3.org", "")
    assert repr(report) == report.text.rstrip() == str(report).rstrip()


def test_its_size_is_bounded() -> None:
    runner = quiet(lambda n: n, [Resource.per_second("requests", 10_000_000)])
    for _ in range(3):
        scheduled(runner, *range(5_000)).run()
    assert len(runner.report().json) < 150_000
    assert data(runner)["calls"]["succeeded"] == 15_000


def told_too_high(tmp_path: Path) -> Runner[..., Any]:
    """A runner that was told 2,500 requests a second, with a call whose answer names 1,250."""
    description = tmp_path / "secondly.toml"
    description.write_text(SECONDLY, encoding="utf-8")

    class Answer:
        status_code = 200
        headers: ClassVar = {"x-limit": "1250", "x-remaining": "1000"}

    limits = Api.load(description).resources(limits={"requests": 2_500})
    return scheduled(quiet(lambda _: Answer(), limits), 1)


def test_a_lower_limit_in_force_is_told(tmp_path: Path) -> None:
    runner = told_too_high(tmp_path)
    runner.run()
    assert data(runner)["limits"][0]["quota"] == "2,500 per 1s, 1,250 in force at last"
    assert "<b>requests</b> 2,500 per 1s, 1,250 in force at last: " in runner.report().html
    told = quiet(str, [Resource.per_second("tokens", 0.5, lambda _: 0.25)])
    scheduled(told, 1).run()
    assert data(told)["limits"][0]["quota"] == "0.5 per 1s"


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_was_so_while_nothing_happened_is_told(kind: str) -> None:
    def sync(number: int) -> int:
        time.sleep(0.1)
        return number

    async def later(number: int) -> int:
        await asyncio.sleep(0.1)
        return number

    requests = Resource("requests", 5, 3, arguments_usage_extractor=lambda _: 1)
    # Where calendars are followed the limits are looked at otherwise.
    searches = Resource.per_day("searches", 9, resets_at="00:00 UTC", arguments_usage_extractor=lambda _: 0)
    runner = quiet(sync if kind == "sync" else later, [requests, searches])
    scheduled(runner, *range(6)).run()
    # Five calls end after 0.1 s; the sixth leaves after 3 s, and takes less than two slices.
    timeline = data(runner)["timeline"]
    *_, last, end = (place for place, it in enumerate(timeline) if it["succeeded"])
    told = timeline[last + 1 : end - 2]
    assert len(told) > 10
    assert {it["in_flight"] for it in told} == {0}
    assert {it["waiting"] for it in told} == {1}
    assert {it["shares"][0][0] for it in told} == {1}


def test_rows_that_nobody_wanted_any_more_are_no_attempts() -> None:
    made: list[int] = []

    def ask(number: int) -> int:
        made.append(number)
        time.sleep(0.002)
        return number

    runner = quiet(ask, max_concurrent=4)
    rows = runner.map(range(200))
    assert next(rows) == 0
    rows.close()
    runner.close()  # waits for what was in flight
    attempts = data(runner)["attempts"]
    assert attempts["total"] == len(made) < 100
    assert attempts["by_outcome"] == {"succeeded": len(made)}
