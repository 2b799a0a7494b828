"""How a runner and its results look: as text, and in a notebook."""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
import threading
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from support import eventually, quiet, scheduled, watchdog  # noqa: F401 - a fixture
from test_report import told_too_high

from rate_limited import Resource, Runner


class Checked(HTMLParser):
    """Reads HTML: its text, and whether each tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "span"}
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def texts_of(shown: Any) -> str:
    return "\n".join(Checked(shown._repr_html_()).texts)


def some_fail(number: int) -> int:
    if number % 3 == 0:
        raise ValueError(f"no <b>{number}</b>")
    return number


def test_before_any_run() -> None:
    runner = scheduled(quiet(str, [Resource.per_minute("requests", 60), Resource.untold("tokens")]), 1, 2)
    lines = runner.summary().splitlines()
    assert lines[1:] == [
        "0 of 2 calls done, 0 failed",
        "0 attempts; 0 in flight, 0 tried again, 0 refused, 0 timed out",
        "requests: 0 of 60 per 60 s used",
        "tokens: 0 of a limit that is not known yet used",
    ]
    assert "requests" in texts_of(runner)


def test_after_a_run() -> None:
    runner = scheduled(quiet(some_fail, [Resource.per_minute("requests", 60)], max_retries=1), *range(6))
    runner.run()
    lines = runner.summary().splitlines()
    assert lines[1].startswith("6 of 6 calls done in 0.") and lines[1].endswith(" s, 2 failed")
    # The last attempt of a call that failed is not followed by another.
    assert lines[2] == "8 attempts; 0 in flight, 2 tried again, 0 refused, 0 timed out"
    assert lines[3] == "requests: 8 of 60 per 60 s used"
    # Calls that are scheduled since then are what comes next.
    runner.schedule(1)
    assert "0 of 1 calls done" in runner.summary()


def test_the_short_form() -> None:
    runner = quiet(str, [Resource.per_minute("requests", 60), Resource.untold("tokens")])
    limits = "requests=60, tokens=not known yet"
    assert repr(runner) == f"<Runner of str: 0 of 0 calls done, 0 failed; {limits}>"
    assert repr(scheduled(runner, 1)) == f"<Runner of str: 0 of 1 calls done, 0 failed; {limits}>"
    runner.run()
    assert repr(runner) == f"<Runner of str: 1 of 1 calls done, 0 failed; {limits}>"
    list(runner.map([1, 2]))
    assert repr(runner) == f"<Runner of str: 2 of 2 calls done, 0 failed; {limits}>"
    assert repr(quiet(str, [])) == "<Runner of str: 0 of 0 calls done, 0 failed; no limits>"


@pytest.mark.parametrize("way", ["run", "map"])
@pytest.mark.parametrize("awaited", [False, True])
def test_with_nothing_scheduled_it_is_no_run(way: str, awaited: bool) -> None:
    runner = quiet(str)
    if way == "run":
        scheduled(runner, 1, 2).run()
    else:
        rows = runner.map([1, 2, 3])
        next(rows)
        assert eventually(lambda: "3 of 3 calls done" in runner.summary())
        rows.close()

    def told() -> Any:
        report = re.sub(r" in .*", "", runner.report().text.splitlines()[1])
        return runner.summary(), repr(runner), report, runner.last, runner.records(), runner.interrupted

    before = told()
    assert len(before[4]) == (2 if way == "run" else 3)
    assert (asyncio.run(runner.run_coro()) if awaited else runner.run()) == ([], [])
    assert told() == before
    assert " runs" not in runner.report().text
    scheduled(runner, 3).run()
    assert "1 of 1 calls done" in runner.summary() and runner.last[0] == ["3"]


def test_a_limit_that_was_found_out_is_told_from_the_one_that_was_told(tmp_path: Path) -> None:
    runner = told_too_high(tmp_path)
    assert "requests=2,500>" in repr(runner)
    runner.run()
    assert "requests=1,250 in force, 2,500 told>" in repr(runner)
    assert "of 1,250 per 1 s used (2,500 told)" in runner.summary()


def test_a_run_that_goes_on_is_summed_up_with_the_interrupted_one() -> None:
    def ask(number: int) -> int:
        if number == 3:
            time.sleep(0.11)
            runner.interrupt()
        if number in (1, 5) and number not in failed:
            failed.add(number)
            raise ValueError("no")
        return number

    failed: set[int] = set()
    runner = scheduled(quiet(ask, max_concurrent=1, max_retries=1), *range(8))
    runner.run()
    first = runner.summary().splitlines()
    done = int(first[1].split(" ")[0])
    assert 3 <= done < 8 and first[1].startswith(f"{done} of 8 calls done in 0.")
    time.sleep(0.5)
    assert runner.summary().splitlines() == first, "what is between two runs is no run"
    runner.run()
    lines = runner.summary().splitlines()
    assert lines[1].startswith("8 of 8 calls done in 0.") and "in 0.0 s" not in lines[1]
    assert lines[2] == "10 attempts; 0 in flight, 2 tried again, 0 refused, 0 timed out"
    # The next list of calls begins anew.
    scheduled(runner, 9)
    assert runner.summary().splitlines()[2].startswith("0 attempts; 0 in flight, 0 tried again")
    runner.run()
    assert runner.summary().splitlines()[2].startswith("1 attempt; 0 in flight, 0 tried again")


def test_calls_that_a_journal_brings_are_told(tmp_path: Path) -> None:
    for calls, way in ((3, "run"), (8, "run"), (9, "map")):
        with quiet(str, journal=tmp_path / "run.db") as runner:
            if way == "run":
                scheduled(runner, *range(calls)).run()
            else:
                list(runner.map(range(calls)))
            told = runner.summary().splitlines()
        earlier = {3: "", 8: " (3 of them in earlier runs)", 9: " (8 of them in earlier runs)"}[calls]
        assert told[1].endswith(f"0 failed{earlier}")
        assert told[2].startswith({3: "3 attempts", 8: "5 attempts", 9: "1 attempt"}[calls])


def test_what_a_bucket_gives_back_is_no_number_of_six_decimals() -> None:
    runner = scheduled(quiet(str, [Resource.per_day("tokens", 14_400, lambda _: 4.784282)], max_cost=0.001,
                             prices=lambda _: 0.00045), 1)  # fmt: skip
    runner.run()
    books = runner.summary().splitlines()[-2:]
    assert books == ["tokens: 4.78 of 14,400 per day used", "max_cost: $0.00045 of $0.001 used"]
    assert all(line.partition(": ")[2] in texts_of(runner) for line in books)


def test_while_it_waits() -> None:
    runner = scheduled(quiet(str, [Resource("requests", 2, 1.5, lambda _: 1)]), 1, 2, 3)
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    assert eventually(lambda: runner._machine.progress()["done"] == 2)
    text = runner.summary()
    assert "2 of 3 calls done in" in text and "requests: 2 of 2 per 1.5 s used" in text
    # Until when, on the clock of the wall.
    clock = text.split("(until ")[1][:8]
    assert time.strptime(clock, "%H:%M:%S") and ") for quota of requests" in text
    assert "quota of requests" in texts_of(runner) and "width:100%" in runner._repr_html_()
    thread.join(5)


@pytest.mark.parametrize("calls", [1, 2])
def test_a_time_out_is_no_time_at_which_an_answer_comes(calls: int) -> None:
    told: list[dict[str, Any]] = []
    may_end = threading.Event()
    runner = scheduled(
        quiet(
            lambda _: may_end.wait(5),
            timeout=600,
            max_concurrent=1,
            progress=told.append,
            progress_interval=0.02,
        ),
        *range(calls),
    )
    thread = threading.Thread(target=runner.run)
    thread.start()
    on = "answers" if calls == 1 else "calls in flight"
    assert eventually(lambda: any(state["waiting_on"] == on for state in list(told)))
    may_end.set()
    thread.join()
    assert {state["wait_seconds"] for state in told if state["waiting_on"] == on} == {None}


def test_while_it_is_paused() -> None:
    runner = quiet(str)
    runner.pause()
    assert "paused: resume() goes on" in runner.summary()
    scheduled(runner, 1)
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    assert eventually(lambda: runner._run is not None)
    assert "paused: resume() goes on" in texts_of(runner)
    runner.resume()
    thread.join(5)
    assert "paused" not in runner.summary()


def test_rows_under_way_and_given_out() -> None:
    runner = quiet(some_fail, max_retries=0)
    rows = runner.map(range(1, 5))
    next(rows)
    assert " done, " in runner.summary()
    assert len(list(rows)) == 3
    assert runner.summary().splitlines()[1].startswith("4 of 4 calls done in ")
    assert "1 failed" in runner.summary()


@pytest.mark.parametrize("way", ["closed", "interrupted"])
def test_rows_that_were_never_called_are_not_done(way: str) -> None:
    made: list[int] = []
    begun, may_end = threading.Event(), threading.Event()

    def ask(number: int) -> int:
        made.append(number)
        if number == 2:
            begun.set()
            may_end.wait(5)
        return number

    runner = quiet(ask, [Resource.per_minute("requests", 3_500)], max_concurrent=1)
    rows = runner.map(range(100))
    assert (next(rows), next(rows)) == (0, 1) and begun.wait(5)
    if way == "closed":
        rows.close()
    else:
        runner.interrupt()
    may_end.set()
    if way == "interrupted":
        with pytest.raises(KeyboardInterrupt):
            list(rows)
    runner.close()
    assert made == [0, 1, 2]
    for told in (runner.summary(), texts_of(runner)):
        assert "3 of 100 calls done, 0 failed" in told and "3 attempts; 0 in flight" in told
    assert "requests: 3 of 3,500" in runner.summary()


def test_results_are_a_tuple_in_every_way() -> None:
    pair = scheduled(quiet(some_fail, max_retries=0), 1, 2).run()
    results, exceptions = pair
    assert pair == ([1, 2], [[], []]) == (results, exceptions)
    assert isinstance(pair, tuple) and len(pair) == 2 and repr(pair) == "([1, 2], [[], []])"
    assert pickle.loads(pickle.dumps(pair)) == pair == copy.deepcopy(pair)


def test_results_as_html() -> None:
    async def run() -> Any:
        return await scheduled(quiet(some_fail, max_retries=1), *range(60)).run_coro()

    html = asyncio.run(run())._repr_html_()
    text = "\n".join(Checked(html).texts)
    assert "60 calls, 40 with a result" in text
    assert "exceptions of attempts: ValueError 40" in text and "10 of 20 calls with exceptions:" in text
    # Each line stands above its table, and says what is not shown.
    places = [text.index(each) for each in ("the first 3 of 40 results:", "\n1\n", "10 of 20 calls", "last exception")]
    assert places == sorted(places)
    # What an exception says is text, and no HTML.
    assert "ValueError: no <b>0</b>" in text and "<b>" not in html


@pytest.mark.parametrize("copied", [lambda pair: pair, copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_none_is_a_result(copied: Any) -> None:
    def ask(number: int) -> None:
        if number == 1:
            raise ValueError("no")

    text = texts_of(copied(scheduled(quiet(ask, max_retries=0), 0, 1, 2).run()))
    assert "3 calls, 2 with a result" in text and "\n0\nNone\n2\nNone" in text
    assert "\n1\nno result\n1\nValueError: no" in text
    waiting = quiet(ask)
    rows = waiting.map([0, 2])
    next(rows)
    assert eventually(lambda: "2 calls, 2 with a result" in texts_of(waiting.last))
    rows.close()


def test_the_first_results_are_shown() -> None:
    html = scheduled(quiet("<{}>".format), *range(9)).run()._repr_html_()  # type: ignore[attr-defined]
    text = "\n".join(Checked(html).texts)
    assert "9 calls, 9 with a result" in text and "last exception" not in text
    assert "the first 3 of 9 results:" in text
    assert "\n0\n'<0>'\n1\n'<1>'\n2\n'<2>'" in text and "<3>" not in text


def test_results_of_any_size_and_kind_are_shown_in_short() -> None:
    class Mute:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    for result in ["x" * 10**6, list(range(10**6)), Mute()]:
        html = scheduled(quiet(lambda _, found=result: found), 1).run()._repr_html_()  # type: ignore[attr-defined]
        assert len(html) < 2_000 and len(Checked(html).texts) == 6


def test_names_are_text() -> None:
    runner = Runner(str, [Resource.per_minute("<script>", 60)], progress=False)
    assert "<script>" in texts_of(runner) and "<script>" not in runner._repr_html_()


def test_in_a_notebook() -> None:
    notebooks = pytest.importorskip("notebooks")
    setup = """
from rate_limited import Resource, Runner
runner = Runner(len, [Resource.per_minute("requests", 60)])
runner.schedule("four")
runner.schedule(5)
runner.run()"""
    cells = [
        setup,
        "runner",
        "results, exceptions = runner.last\nprint(results)",
    ]
    notebook = notebooks.nbformat.v4.new_notebook(
        cells=[notebooks.nbformat.v4.new_code_cell(cell) for cell in cells]
    )
    asyncio.run(notebooks.executed(notebook))

    def html_of(cell: int) -> str:
        outputs = notebook.cells[cell].outputs
        return "".join(
            output.data["text/html"] for output in outputs if output.output_type == "execute_result"
        )

    assert "2 calls, 1 with a result" in html_of(0) and "TypeError" in html_of(0)
    assert "Runner of len" in html_of(1) and "width:" in html_of(1)
    assert notebook.cells[2].outputs[0].text == "[4, None]\n"
