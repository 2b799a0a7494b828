"""What a run will come to, told before it, during it, and after a journal was opened."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest
from support import quiet, scheduled, watchdog  # noqa: F401 - a fixture

from rate_limited import Call, Resource, Runner


def told(runner: Runner[..., Any], **options: Any) -> dict[str, Any]:
    plan = runner.plan(**options)
    return {
        name: getattr(plan, name) for name in ("calls", "binding", "unfinished", "never_fit", "in_flight")
    }


# Requests a minute, calls, seconds of an answer, and when the last one is over: a window each, then an answer.
@pytest.mark.parametrize(
    ("quota", "calls", "latency", "seconds"),
    [(60, 60, 2.0, 2.0), (60, 61, 2.0, 62.0), (100, 250, 5.0, 125.0), (1_000, 100, 3.0, 3.0 * 2)],
)
def test_the_end_is_the_one_of_arithmetic(quota: int, calls: int, latency: float, seconds: float) -> None:
    runner = scheduled(quiet(len, [Resource.per_minute("requests", quota)]), *["word"] * calls)
    plan = runner.plan(latency=latency)
    assert plan.seconds == pytest.approx(seconds, rel=0.05)
    assert plan.calls == calls
    assert plan.cost == {"requests": calls}


def test_the_plan_comes_true() -> None:
    runner = quiet(lambda _: time.sleep(0.02), [Resource.per_second("requests", 50)], max_concurrent=4)
    scheduled(runner, *range(160))
    plan = runner.plan(latency=0.02)
    begun = time.monotonic()
    runner.run()
    assert plan.seconds == pytest.approx(time.monotonic() - begun, rel=0.15)
    assert plan.binding == "requests"
    assert plan.binding_seconds == pytest.approx(plan.limits[0].waited_seconds)
    assert 0.5 < (plan.limits[0].utilisation or 0.0) <= 1.0


def test_nothing_is_sent_and_nothing_changes() -> None:
    sent: list[int] = []
    requests = Resource.per_minute("requests", 100)
    runner = scheduled(quiet(sent.append, [requests]), *range(10))
    first = runner.plan()
    assert runner.plan() == first
    assert runner.plan(range(50)).calls == 60
    assert (sent, len(runner), runner.plan()) == ([], 10, first)
    assert runner.summary().splitlines()[-1] == "requests: 0 of 100 per 60 s used"
    results, _ = runner.run()
    assert sorted(sent) == list(range(10))
    assert len(results) == 10


def test_calls_that_are_done_are_left_out() -> None:
    half, go_on = threading.Event(), threading.Event()

    def call(number: int) -> None:
        if number == 5:
            half.set()
            go_on.wait(5)

    runner = scheduled(quiet(call, max_concurrent=1), *range(10))
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    assert half.wait(5)
    plan = runner.plan(latency=1)
    assert plan.calls == 5
    assert plan.in_flight == 1
    assert 4 <= plan.seconds <= 5
    go_on.set()
    thread.join()
    assert runner.plan().calls == 0


def test_calls_that_a_journal_knows_are_left_out(tmp_path: Path) -> None:
    limits = [Resource.per_minute("requests", 1_000)]
    with quiet(str, limits, journal=tmp_path / "journal") as runner:
        scheduled(runner, *range(6)).run()
    with quiet(str, limits, journal=tmp_path / "journal") as runner:
        scheduled(runner, *range(10))
        assert runner.plan().calls == 4
        assert runner.plan().cost == {"requests": 4}


def test_what_can_never_fit_is_named() -> None:
    tokens = Resource.per_minute("tokens", 100, arguments_usage_extractor=lambda call: call.args[0])
    runner = quiet(int, [tokens])
    assert runner.plan([10, 101, 20, 500]).never_fit == (1, 3)
    assert (
        "2 calls are above tokens=100/60s and can never be sent (call 1, 3)"
        in runner.plan([10, 101, 20, 500]).text
    )
    # A limit that is lowered when calls are there already.
    scheduled(runner, 10, 90, 20, 80)
    assert runner.plan().never_fit == ()
    tokens.quota = 50
    plan = runner.plan([60])
    assert (plan.calls, plan.never_fit, plan.unfinished) == (2, (1, 3, 4), 0)


def test_numbers_are_those_of_this_run() -> None:
    tokens = Resource.per_minute("tokens", 1_000, arguments_usage_extractor=lambda call: call.args[0])
    runner = scheduled(quiet(int, [tokens]), 1, 2, 3)
    runner.run()
    scheduled(runner, 1, 700)
    tokens.quota = 500
    assert runner.plan().never_fit == (1,)


def test_what_helps_most_is_told() -> None:
    runner = scheduled(quiet(len, [Resource.per_minute("requests", 60)]), *["word"] * 200)
    plan = runner.plan()
    assert plan.helps == "twice the limit of requests=60/60s"
    assert plan.helps_seconds == pytest.approx(63, abs=2)
    runner = scheduled(quiet(len, max_concurrent=2), *["word"] * 200)
    plan = runner.plan(latency=1)
    assert plan.binding == "in flight"
    assert plan.in_flight_seconds == pytest.approx(99, abs=2)
    assert (plan.helps or "").startswith("max_concurrent: 2 in flight bind")
    assert "helps" not in scheduled(quiet(len), "word").plan().text


def test_reservations_that_lie_idle_are_told() -> None:
    tokens = Resource.per_second(
        "tokens",
        2_000,
        results_usage_extractor=lambda _call, _result: 10,
        max_results_usage_estimator=lambda _call: 100,
    )
    runner = scheduled(quiet(lambda _: time.sleep(0.005), [tokens]), *range(30))
    runner.run()
    plan = scheduled(runner, *range(2_000)).plan(latency=2)
    assert plan.limits[0].cost == pytest.approx(20_000, rel=0.01)
    assert plan.limits[0].reserved == pytest.approx(200_000, rel=0.01)
    assert (plan.helps or "").startswith("tokens: calls reserve 10.0 × what they use")


def test_the_past_is_the_default() -> None:
    limits = [Resource.per_second("requests", 1_000)]
    runner = quiet(lambda n: time.sleep(0.05) if n % 2 else int("no"), limits, max_retries=1)
    assert runner.plan().latency == 2.0
    scheduled(runner, *range(20)).run()
    plan = runner.plan([1])
    assert plan.latency == pytest.approx(0.05, rel=0.5)
    assert plan.failure_rate == pytest.approx(20 / 30, abs=0.01)
    assert "in the mean, as those so far" in plan.text
    plan = runner.plan([1], latency=7, failure_rate=0)
    assert (plan.latency, plan.failure_rate) == (7, 0)


def test_failures_take_attempts() -> None:
    runner = scheduled(quiet(len, [Resource.per_minute("requests", 10_000)]), *["word"] * 1_000)
    assert runner.plan(failure_rate=0.2).cost["requests"] == pytest.approx(1_250, rel=0.03)


def test_a_pause_and_pacing_are_looked_through() -> None:
    runner = scheduled(quiet(len, pacing=30.0, max_concurrent=10), *["word"] * 10)
    runner.pause()
    assert runner.plan(latency=1).seconds == pytest.approx(28, abs=2)
    assert runner.paused
    # The same for rows that are no calls yet.
    rows = quiet(len, pacing=30.0, max_concurrent=10)
    assert rows.plan(["word"] * 10, latency=1).seconds == pytest.approx(28, abs=2)
    assert "pacing adds at most 30 s" in rows.plan(["word"] * 90, latency=1).text
    plan = scheduled(runner, *["word"] * 90).plan(latency=1)
    assert plan.seconds == pytest.approx(10, abs=1)
    assert "pacing adds at most 30 s" in plan.text


@pytest.mark.parametrize("is_async", [False, True])
def test_an_interrupted_run_is_planned_as_it_goes_on(is_async: bool) -> None:
    async def later(number: int) -> int:
        return number

    runner = quiet(later if is_async else int, [Resource.per_minute("requests", 5)], grace_seconds=0.1)
    scheduled(runner, *range(8))
    threading.Timer(0.3, runner.interrupt).start()
    runner.run()
    assert told(runner, latency=1) == {
        "calls": 3,
        "binding": "requests",
        "unfinished": 0,
        "never_fit": (),
        "in_flight": 3,
    }


def test_rows_that_a_map_has_begun_are_planned() -> None:
    runner = quiet(lambda n: time.sleep(0.2), max_concurrent=1)
    rows = runner.map(range(5), buffer=4)
    next(rows)
    assert 1 <= runner.plan().calls <= 4
    rows.close()  # type: ignore[attr-defined]
    runner.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latency": 0}, "latency must be a number of seconds"),
        ({"latency": "fast"}, "latency must be a number of seconds"),
        ({"failure_rate": 1}, "failure_rate is 1: it must be a share of attempts from 0 to below 1"),
        ({"failure_rate": True}, "failure_rate is True"),
    ],
)
def test_wrong_numbers_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quiet(len).plan(**options)


def test_it_can_be_read() -> None:
    runner = scheduled(quiet(len, [Resource.per_minute("<requests>", 60)]), *["word"] * 61)
    plan = runner.plan()
    assert repr(plan) == plan.text.rstrip()
    html = plan._repr_html_()
    assert "&lt;requests&gt;" in html
    assert "<requests>" not in html
    assert [limit.name for limit in plan.limits] == ["<requests>"]
    assert html.count("<tr>") == 2 + len([line for line in plan.text.splitlines() if line[0] != " "]) - 1
    assert ">calls</th><td" in html and ">61 calls; nothing is sent<" in html


def test_a_plan_knows_the_parts_of_a_limit() -> None:
    def ask(prompt: str, model: str = "a") -> str:
        return prompt

    requests = Resource("requests", 60, 60, lambda call: 1, partition=lambda call: call.get_argument("model"))
    runner = Runner(ask, [requests.quota_for("slow", 30)], progress=False)
    for _ in range(60):
        for model in ("fast", "slow", "other"):
            runner.schedule("x", model=model)
    plan = runner.plan(latency=1)
    # One window's work for each, and two for the one that has half the quota; as one limit it would be three.
    assert 60 <= plan.seconds < 70
    assert plan.binding == "requests[slow]"
    assert plan.cost == {"requests": 0, "requests[fast]": 60, "requests[slow]": 60, "requests[other]": 60}
    lines = [line for line in plan.text.splitlines() if "requests" in line]
    assert any("requests[slow]=30/60s" in line for line in lines)
    assert any("requests[fast]=60/60s" in line for line in lines)
    assert not any("requests=60/60s" in line for line in lines)
    # A notebook shows those limits, and no others.
    html = plan._repr_html_()
    assert [html.count(f">{limit.name}</td>") for limit in plan.limits] == [0, 1, 1, 1]
    assert [limit.part_of for limit in plan.limits] == [None, "requests", "requests", "requests"]


def test_a_notebook_shows_as_many_parts_as_the_text() -> None:
    requests = Resource("requests", 60, 60, lambda call: 1, partition=lambda call: call.args[0])
    plan = Runner(str.upper, [requests], progress=False).plan([f"model-{n:02}" for n in range(20)])
    html = plan._repr_html_()
    assert "8 more parts, waited for less (limits names all)" in html
    assert [f"requests[model-{n:02}]" in html for n in range(20)] == [
        f"requests[model-{n:02}]" in plan.text for n in range(20)
    ]


def test_a_notebook_shows_times_as_the_text_does() -> None:
    plan = Runner(len, [Resource.per_day("requests", 2)], progress=False).plan(["a"] * 13, latency=2)
    assert "waited for 6 d" in plan.text
    waited = plan.text.split("waited for ")[1].splitlines()[0]
    assert f">{waited}</td>" in plan._repr_html_()


def test_items_that_are_planned_take_from_their_parts() -> None:
    def ask(prompt: str) -> str:
        return prompt

    requests = Resource("requests", 10, 60, lambda call: 1, partition=lambda call: call.args[0])
    plan = Runner(ask, [requests], progress=False).plan(["a", "b", "c"] * 10, latency=1)
    assert plan.seconds < 5
    assert plan.cost["requests[b]"] == 10


def test_parts_of_a_limit_are_shown_as_the_limit_is() -> None:
    def of_model(call: Call) -> str:
        return call.args[0]

    tokens = Resource("tokens", 9_000, 60, lambda call: 10, partition=of_model).quota_for("small", 3_000)
    requests = Resource.untold("requests", arguments_usage_extractor=lambda call: 1, partition=of_model)
    text = Runner(str.upper, [tokens, requests], progress=False).plan(["big", "small"], latency=1).text
    for shown in ("tokens[big]=9,000/60s", "tokens[small]=3,000/60s", "requests[big]: not told; the run finds it out"):
        assert shown in text, text


def test_never_and_advice_name_the_part() -> None:
    tokens = Resource("tokens", 100, 60, lambda call: len(call.args[0]), partition=lambda call: call.args[0][0])
    runner = Runner(str.upper, [tokens.quota_for("x", 50)], progress=False)
    text = runner.plan(["y" * 90, "y" * 80, "x" * 70], latency=1).text
    assert "above tokens[x]=50/60s" in text, text
    assert "twice the limit of tokens[y]=100/60s" in text, text
