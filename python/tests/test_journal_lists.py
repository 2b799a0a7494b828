"""One runner with a journal, and lists of calls one after another: a cell that is run again sends nothing again."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import quiet

from rate_limited import Failure, Resource, Runner
from rate_limited.exceptions import BudgetSpentError, JournalError


class Api:
    """What is called, and what it was called with."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.fails: set[Any] = set()

    def ask(self, question: Any) -> str:
        self.sent.append(question)
        if question in self.fails:
            raise OSError("no answer")
        return f"answer {question}"

    def taken(self) -> list[Any]:
        found = sorted(self.sent)
        self.sent.clear()
        return found


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def made(api: Api, tmp_path: Path) -> Iterator[Runner[..., Any]]:
    with quiet(api.ask, journal=tmp_path / "run.db") as runner:
        yield runner


def cell(runner: Runner[..., Any], calls: Any, *, way: str) -> list[Any]:
    """What a user runs again: it schedules and runs, or maps."""
    if way == "map":
        return list(runner.map(calls))
    if way == "as_completed":
        return [result for _, result in sorted(runner.as_completed(calls), key=lambda row: row[0])]
    for call in calls:
        runner.schedule(call)
    return runner.run()[0]


WAYS = ["run", "map", "as_completed"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("next_way", WAYS)
def test_the_same_calls_again_are_not_sent_again(
    api: Api, made: Runner[..., Any], way: str, next_way: str
) -> None:
    first = cell(made, range(20), way=way)
    assert api.taken() == list(range(20))
    second = cell(made, range(25), way=next_way)
    assert api.taken() == list(range(20, 25))
    assert second[:20] == first and second[24] == "answer 24"
    calls = made.report().text.splitlines()[1]
    assert calls.startswith("25 calls: 25 succeeded, 0 failed"), calls


@pytest.mark.parametrize("way", WAYS)
def test_within_a_list_equal_calls_are_two(api: Api, made: Runner[..., Any], way: str) -> None:
    for sent in (["a", "a"], []):
        assert cell(made, ["a", "a"], way=way) == ["answer a"] * 2
        assert api.taken() == sent
    cell(made, ["a"] * 3, way=way)
    assert api.taken() == ["a"], "the third one is new"


def test_an_interrupted_run_is_no_list_of_its_own(api: Api, tmp_path: Path) -> None:
    def ask(question: Any) -> str:
        time.sleep(0.02)
        return api.ask(question)

    with quiet(ask, journal=tmp_path / "run.db", max_concurrent=1) as runner:
        for _ in range(20):
            runner.schedule("a")
        threading.Timer(0.1, runner.interrupt).start()
        runner.run()
        assert runner.interrupted and 0 < len(api.sent) < 20
        runner.schedule("a")
        results, _ = runner.run()
        assert len(results) == len(api.taken()) == 21, "they are alike, and 21 calls all the same"


@pytest.mark.parametrize("way", WAYS)
def test_what_was_cleared_or_interrupted_is_found_by_the_next_list(
    api: Api, tmp_path: Path, way: str
) -> None:
    def ask(question: Any) -> str:
        time.sleep(0.02)
        return api.ask(question)

    with quiet(ask, journal=tmp_path / "run.db", max_concurrent=2) as runner:
        threading.Timer(0.1, runner.interrupt).start()
        try:
            cell(runner, range(30), way=way)
        except KeyboardInterrupt:
            assert way != "run"
        runner.clear()
        assert runner.interrupted and 0 < len(api.sent) < 30
        assert len(cell(runner, range(30), way=way)) == 30
        assert api.taken() == list(range(30)), "each once"


def test_a_map_that_was_left_is_found_by_the_next_one(api: Api, made: Runner[..., Any]) -> None:
    rows = made.map(range(1_000), buffer=10)
    assert [next(rows) for _ in range(50)] == [f"answer {row}" for row in range(50)]
    assert list(made.map(range(1_000))) == [f"answer {row}" for row in range(1_000)]
    # What was under way as the second one began may have been sent twice, and nothing else.
    assert len(api.taken()) <= 1_000 + 10
    rows.close()


def test_rows_that_nobody_wanted_any_more_are_made_once_by_the_next_map(api: Api, tmp_path: Path) -> None:
    limits = [Resource("requests", 5, 0.3, lambda call: 1)]
    path = tmp_path / "run.db"
    with quiet(api.ask, limits, journal=path, max_concurrent=2) as runner:
        for row in runner.map(range(30)):
            assert row == "answer 0"
            break
        # Those that were begun and are not wanted any more still wait for their turn.
        assert list(runner.map(range(30))) == [f"answer {row}" for row in range(30)]
        time.sleep(0.4)
        assert list(runner.map(range(30))) == [f"answer {row}" for row in range(30)]
    with quiet(api.ask, journal=path) as runner:
        assert cell(runner, range(30), way="run")[-1] == "answer 29"
    # At most what was in flight as the first map was left.
    assert set(api.sent) == set(range(30)) and len(api.sent) <= 32


def test_a_cancelled_call_leaves_nothing(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with quiet(api.ask, [Resource("requests", 1, 0.2, lambda call: 1)], journal=path) as runner:
        first = runner.submit("a")
        runner.submit("b").cancel()
        assert runner.submit("b").result(timeout=30) == "answer b"
        assert first.result(timeout=30) == "answer a"
    with quiet(api.ask, journal=path) as runner:
        assert cell(runner, ["a", "b"], way="run") == ["answer a", "answer b"]
    assert sorted(api.sent) == ["a", "b"]


def test_a_map_beside_an_interrupted_run_finds_what_that_did(api: Api, tmp_path: Path) -> None:
    def ask(question: Any) -> str:
        time.sleep(0.02)
        return api.ask(question)

    with quiet(ask, journal=tmp_path / "run.db", max_concurrent=1) as runner:
        for call in range(20):
            runner.schedule(call)
        threading.Timer(0.1, runner.interrupt).start()
        runner.run()
        done = len(api.taken())
        assert 0 < done < 20
        for _ in range(2):
            assert list(runner.map(range(done))) == [f"answer {call}" for call in range(done)]
        assert api.taken() == []
        assert runner.run()[0] == [f"answer {call}" for call in range(20)]
        assert api.taken() == list(range(done, 20))


def test_a_map_that_goes_on_is_one_list(api: Api, made: Runner[..., Any]) -> None:
    for index, row in enumerate(made.map(["a", "b"] * 1_000, buffer=4)):
        assert row in ("answer a", "answer b")
        if index < 3:
            made.schedule("a")
    assert len(api.taken()) == 2_000, "rows that are alike are calls of their own"
    assert made.run()[0] == ["answer a"] * 3


def test_submitted_calls_are_of_the_list_that_is_there(api: Api, made: Runner[..., Any]) -> None:
    for _ in range(2):
        assert made.submit("a").result(timeout=30) == "answer a"
    assert api.taken() == ["a", "a"], "each call of submit is a call"
    assert cell(made, ["a", "a", "a"], way="run") == ["answer a"] * 3
    assert api.taken() == ["a"]


@pytest.mark.parametrize("way", WAYS)
def test_failures_stay_or_are_sent_again(api: Api, tmp_path: Path, way: str) -> None:
    for on_failure, sent in (("keep", []), ("retry", [1])):
        api.fails = {1}
        path = tmp_path / f"{on_failure}.db"
        with quiet(api.ask, journal=path, on_failure=on_failure, max_retries=0) as runner:
            assert not cell(runner, range(3), way=way)[1]
            assert api.taken() == [0, 1, 2]
            assert not cell(runner, range(3), way=way)[1]
            assert api.taken() == sent
            api.fails.clear()
            assert bool(cell(runner, range(3), way=way)[1]) is bool(sent)
            assert api.taken() == sent
            calls = runner.report().text.splitlines()[1]
            ends = "3 succeeded, 0 failed" if sent else "2 succeeded, 1 failed"
            assert calls.startswith(f"3 calls: {ends}"), calls


@pytest.mark.parametrize("has_journal", [True, False])
def test_a_call_that_is_retried_is_one_call(api: Api, tmp_path: Path, has_journal: bool) -> None:
    api.fails = {1, 2, 3}
    journal = tmp_path / "run.db" if has_journal else None
    with quiet(api.ask, journal=journal, max_retries=0) as runner:
        cell(runner, range(10), way="run")
        assert runner.retry_failed() == 3
        told = calls_of(runner)
        assert (told["requests"], told["succeeded"], told["failed"], told["unfinished"]) == (10, 7, 0, 3)
        api.fails = {2}
        assert runner.run()[0] == ["answer 1", None, "answer 3"]
        told = calls_of(runner)
        assert (told["requests"], told["succeeded"], told["failed"]) == (10, 9, 1)
        api.fails.clear()
        assert (runner.retry_failed(), runner.retry_failed()) == (1, 0), "it is scheduled already"
        runner.run()
        told = calls_of(runner)
        assert (told["requests"], told["succeeded"], told["failed_by_code"]) == (10, 10, {})


def test_a_call_that_is_retried_is_known_by_what_was_sent(api: Api, tmp_path: Path) -> None:
    options: dict[str, Any] = {"journal": tmp_path / "run.db", "key": lambda call: 1, "max_retries": 0}
    api.fails = {"former"}
    with quiet(api.ask, **options) as runner:
        cell(runner, ["former"], way="run")
    api.taken()
    with quiet(api.ask, on_change="keep", **options) as runner:
        assert cell(runner, ["latter"], way="run") == [None]
        runner.retry_failed()
        assert runner.run()[0] == ["answer latter"]
    with quiet(api.ask, **options) as runner:
        assert cell(runner, ["latter"], way="run") == ["answer latter"]
    with quiet(api.ask, **options) as runner, pytest.raises(JournalError, match="1 changed"):
        cell(runner, ["former"], way="run")
    assert api.taken() == ["latter"]


def test_a_failure_can_be_retried_after_clear(api: Api, tmp_path: Path) -> None:
    api.fails = {1}
    with quiet(api.ask, journal=tmp_path / "run.db", max_retries=0) as runner:
        cell(runner, range(3), way="run")
        for _ in range(2):
            assert runner.retry_failed() == 1
            runner.clear()
        api.fails.clear()
        assert runner.retry_failed() == 1
        assert runner.run()[0] == ["answer 1"]
        told = calls_of(runner)
        assert (told["succeeded"], told["failed"]) == (3, 0)


def test_failures_of_an_earlier_process_are_retried_as_one_call(api: Api, tmp_path: Path) -> None:
    api.fails = {1}
    for fails in ({1}, set()):
        with quiet(api.ask, journal=tmp_path / "run.db", max_retries=0) as runner:
            cell(runner, range(3), way="run")
            api.fails = fails
            assert runner.retry_failed() == 1
            runner.run()
            told = calls_of(runner)
            assert (told["succeeded"], told["failed"]) == (3 - len(fails), len(fails))


def test_rows_that_were_not_given_out_are_retried_in_their_places(api: Api, tmp_path: Path) -> None:
    api.fails = {3}
    with quiet(api.ask, journal=tmp_path / "run.db", max_retries=0) as runner:
        rows = runner.map(range(10))
        for row in range(3):
            assert next(rows) == f"answer {row}"
        while [record["status"] for record in runner.records()].count("failed") == 0:
            time.sleep(0.01)
        while len(api.sent) < 10:
            time.sleep(0.01)
        rows.close()
        api.taken()
        api.fails.clear()
        assert runner.retry_failed() == 1
        assert runner.run()[0] == ["answer 3"]
        assert api.taken() == [3]
        assert cell(runner, range(10), way="map")[3] == "answer 3"
        assert api.taken() == []


def test_a_later_list_may_have_other_calls_but_none_that_changed(api: Api, tmp_path: Path) -> None:
    with quiet(api.ask, journal=tmp_path / "run.db", key=lambda call: call.args[0][0]) as runner:
        cell(runner, ["a1", "b1"], way="run")
        assert cell(runner, ["c1"], way="run") == ["answer c1"], "a batch more"
        api.taken()
        runner.schedule("a2")
        with pytest.raises(JournalError, match="0 unchanged, 1 changed"):
            runner.run()
        with pytest.raises(JournalError, match="0 unchanged, 1 changed"):
            list(runner.map(["a2"]))
        runner.clear()
        assert cell(runner, ["a1"], way="map") == ["answer a1"]
        assert api.taken() == []


def test_calls_that_were_never_sent_do_not_change(api: Api, tmp_path: Path) -> None:
    with quiet(api.ask, journal=tmp_path / "run.db", key=lambda call: call.args[0][0]) as runner:
        runner.schedule("a1")
        runner.clear()
        assert cell(runner, ["a2"], way="run") == ["answer a2"]


def test_a_cell_again_after_the_budget_was_raised_is_counted_once(api: Api, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_cost": 0.02, "prices": lambda call: 0.01}
    with quiet(api.ask, journal=tmp_path / "run.db", **options) as runner:
        for _ in range(2):
            assert sum(result is not None for result in cell(runner, range(5), way="run")) == 2
            told = calls_of(runner)
            assert (told["requests"], told["succeeded"], told["failed"]) == (5, 2, 3)
        runner.set_limit("max_cost", 1)
        assert cell(runner, range(5), way="run")[-1] == "answer 4"
        told = calls_of(runner)
        assert (told["requests"], told["succeeded"], told["failed"]) == (5, 5, 0)
    assert api.taken() == list(range(5))


def test_what_was_too_dear_is_asked_again(api: Api, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_cost": 0.02, "prices": lambda call: 0.01}
    with quiet(api.ask, journal=tmp_path / "run.db", **options) as runner:
        for _ in range(5):
            runner.schedule("a")
        results, exceptions = runner.run()
        assert results.count("answer a") == 2
        assert all(isinstance(errors[-1], BudgetSpentError) for errors in exceptions if errors)
        runner.set_limit("max_cost", 1)
        assert runner.retry_failed() == 3
        assert runner.run()[0] == ["answer a"] * 3
        told = calls_of(runner)
        assert (told["succeeded"], told["failed"]) == (5, 0)
    assert len(api.taken()) == 5


def test_a_stream_with_a_journal_is_bounded_in_memory(tmp_path: Path) -> None:
    """What is over is in the file, and not in memory."""
    limits: list[Resource] = []
    with quiet(lambda row: None, limits, journal=tmp_path / "run.db") as runner:
        rows = iter(runner.map(range(60_000)))
        for _ in range(20_000):
            next(rows)
        before = resident()
        for row in rows:
            assert not isinstance(row, Failure)
        assert resident() - before < 4 << 20, "40,000 rows, 100 bytes each at most"


def calls_of(runner: Runner[..., Any]) -> dict[str, Any]:
    """What the report tells of calls."""
    calls: dict[str, Any] = json.loads(runner.report().json)["calls"]
    return calls


def resident() -> int:
    """Bytes of this process in memory."""
    fields = Path("/proc/self/statm").read_text().split()
    return int(fields[1]) * 4_096
