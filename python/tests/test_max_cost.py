"""The most that a run may cost: it is held back before a call is sent, and never passed."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import quiet, scheduled, watchdog  # noqa: F401 - a fixture

from rate_limited import Resource, Runner
from rate_limited.apis import Api
from rate_limited.apis.anthropic import AnthropicRunner
from rate_limited.apis.openai import OpenAIChatRunner, OpenAIEmbeddingsRunner
from rate_limited.exceptions import BudgetSpentError

PRICES = {"input": 1.0, "output": 10.0}
"""Dollars for a million tokens."""

MESSAGES = [{"role": "user", "content": "Hi"}]


def bound(**arguments: Any) -> float:
    """What a call costs at most: a token for each byte, 64 around them, and its longest answers."""
    body = json.dumps(arguments, separators=(",", ":"), ensure_ascii=False).encode()
    answers = arguments.get("max_tokens", 0) * arguments.get("n", 1)
    return (len(body) + 64) / 1e6 + answers * 10 / 1e6


class Model:
    """Answers with so many tokens; knows what it was paid, and the most that its calls in flight could cost."""

    def __init__(self, prompt: int = 10, answer: int = 50, seconds: float = 0.0) -> None:
        self.prompt, self.answer, self.seconds = prompt, answer, seconds
        self.paid = self.exposed = self.exposed_most = 0.0
        self.calls = 0
        self._lock = threading.Lock()

    def create(self, **arguments: Any) -> dict[str, Any]:
        most = bound(**arguments)
        with self._lock:
            self.calls += 1
            self.exposed += most
            self.exposed_most = max(self.exposed_most, self.paid + self.exposed)
        time.sleep(self.seconds)
        with self._lock:
            self.exposed -= most
            self.paid += self.prompt / 1e6 + self.answer * 10 / 1e6
        return {"usage": {"prompt_tokens": self.prompt, "completion_tokens": self.answer, "total_tokens": 60}}

    async def later(self, **arguments: Any) -> dict[str, Any]:
        await asyncio.sleep(self.seconds)
        return self.create(**arguments)


def chat(runner: Runner[..., Any], calls: int, **more: Any) -> Runner[..., Any]:
    for _ in range(calls):
        runner.schedule(model="m", messages=MESSAGES, **{"max_tokens": 100, **more})
    return runner


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_it_is_never_passed(kind: str) -> None:
    model = Model(seconds=0.002)
    function = model.create if kind == "sync" else model.later
    most = 30 * 510 / 1e6
    runner = chat(quiet(function, max_cost=most, prices=PRICES, max_concurrent=16), 100)
    results, exceptions = runner.run()
    made = [result for result in results if result is not None]
    assert model.paid <= model.exposed_most <= most
    # The last one that is made leaves too little for one more at its most.
    assert most - model.paid < bound(model="m", messages=MESSAGES, max_tokens=100)
    assert model.paid == pytest.approx(len(made) * 510 / 1e6)
    left = [errors for result, errors in zip(results, exceptions, strict=True) if result is None]
    assert len(made) + len(left) == 100
    for errors in left:
        assert [type(error) for error in errors] == [BudgetSpentError]
    first = left[0][0]
    assert isinstance(first, BudgetSpentError)
    assert (first.spent, first.most) == (pytest.approx(model.paid), most)
    assert str(pickle.loads(pickle.dumps(first))) == str(first)


def test_more_money_runs_the_rest() -> None:
    model = Model()
    runner = chat(quiet(model.create, max_cost=0.0105, prices=PRICES), 40)
    runner.run()
    done = model.calls
    assert 10 < done < 30
    assert runner.retry_failed() == 40 - done
    runner.set_limit("max_cost", 1)
    results, _ = runner.run()
    assert (model.calls, len(results), None in results) == (40, 40 - done, False)


def test_what_is_told_of_it() -> None:
    model = Model()
    runner = chat(quiet(model.create, max_cost=5, prices=PRICES), 10)
    plan = runner.plan()
    assert plan.cost["max_cost"] == pytest.approx(10 * bound(model="m", messages=MESSAGES, max_tokens=100))
    assert "max_cost=$5" in plan.text
    assert (plan.unfinished, plan.never_fit) == (0, ())
    runner.run()
    assert runner.summary().splitlines()[-1] == f"max_cost: ${model.paid:.15g} of $5 used"
    assert runner.records()[0]["usage"]["max_cost"] == pytest.approx(0.00051)
    assert json.loads(runner.report().json)["cost"] == {
        "dollars": pytest.approx(model.paid),
        "most_dollars": 5,
    }
    assert repr(runner.resources[-1]) == "Budget(5.0)"
    assert runner.resources[-1].limit == 5
    small = chat(quiet(model.create, max_cost=0.0035, prices=PRICES), 10).plan()
    assert small.unfinished == 7
    assert "with 7 calls not run: the costs would pass max_cost" in small.text


def test_a_resumed_run_goes_on_with_the_same_money(tmp_path: Path) -> None:
    model = Model()
    for attempt in range(2):
        with quiet(
            model.create, max_cost=0.0105, prices=PRICES, journal=tmp_path / "journal", max_concurrent=1
        ) as runner:
            for seed in range(40):
                runner.schedule(model="m", messages=MESSAGES, max_tokens=100, seed=seed)
            results, _ = runner.run()
            if attempt == 0:
                done = model.calls
                assert 10 < done < 30
    assert model.calls == done
    assert sum(result is not None for result in results) == done
    with quiet(model.create, max_cost=1, prices=PRICES, journal=tmp_path / "journal") as runner:
        for seed in range(40):
            runner.schedule(model="m", messages=MESSAGES, max_tokens=100, seed=seed)
        assert None not in runner.run()[0]
    assert model.calls == 40


class Rejected(Exception):
    """As clients show that a call is wrong."""

    status_code = 400


@pytest.mark.parametrize(
    ("error", "charged"), [(Rejected(), False), (ConnectionResetError(), True), (KeyError(), True)]
)
def test_what_fails_counts_in_full_and_what_is_rejected_not(error: Exception, charged: bool) -> None:
    def create(**_arguments: Any) -> None:
        raise error

    runner = chat(quiet(create, max_cost=1, prices=PRICES, max_retries=0), 5)
    runner.run()
    spent = json.loads(runner.report().json)["cost"]["dollars"]
    most = 5 * bound(model="m", messages=MESSAGES, max_tokens=100)
    assert spent == pytest.approx(most if charged else 0.0, abs=1e-8)


def test_an_answer_that_does_not_say_counts_in_full() -> None:
    runner = chat(quiet(lambda **_: {"text": "Hi"}, max_cost=1, prices=PRICES), 5)
    _, exceptions = runner.run()
    assert exceptions == [[]] * 5
    assert json.loads(runner.report().json)["cost"]["dollars"] == pytest.approx(
        5 * bound(model="m", messages=MESSAGES, max_tokens=100)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"messages": MESSAGES}, "it sets no limit on its answer: set max_tokens"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}], "max_tokens": 1},
            'it has "image_url"',
        ),
        (
            {"messages": MESSAGES, "max_tokens": 1, "tools": [{"type": "web_search"}]},
            'it has "tools of the server"',
        ),
        (
            {"messages": iter(MESSAGES), "max_tokens": 1},
            r"the argument 'messages' \(list_iterator\) is no JSON",
        ),
        (
            {"messages": [{"content": iter("Hi")}], "max_tokens": 1},
            r"the argument 'messages' \(list\) is no JSON",
        ),
    ],
)
def test_a_call_whose_price_is_not_known_is_refused(arguments: dict[str, Any], message: str) -> None:
    runner = quiet(lambda **_: None, max_cost=1, prices=PRICES)
    with pytest.raises(
        ValueError, match=f"what the call costs at most is not known, and max_cost is told: .*{message}"
    ):
        runner.schedule(model="m", **arguments)
    assert len(runner) == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_cost": 5}, "the prices are not known, and max_cost is told: tell prices="),
        ({"max_cost": 5, "prices": {"output": 1}}, "the prices are not known"),
        ({"prices": PRICES}, "prices are for max_cost: tell both"),
        ({"max_cost": 0, "prices": PRICES}, "max_cost is 0: it must be above 0"),
        ({"max_cost": "5 $", "prices": PRICES}, "max_cost is '5 \\$' .*must be a number of dollars"),
        ({"max_cost": 5, "prices": {"prompt": 1}}, '\'prompt\' .* is no price: tell "input" and "output"'),
        ({"max_cost": 5, "prices": {"input": -1}}, "the price 'input' is -1: it must be a number of dollars"),
        ({"max_cost": 5, "prices": {"input": float("nan")}}, "the price 'input' is nan"),
    ],
)
def test_wrong_options_are_told_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quiet(len, **options)
    with pytest.raises(TypeError, match="prices must be a mapping or a function of a call, got list"):
        quiet(len, max_cost=5, prices=[1])


def test_a_price_that_is_missing_is_named_by_the_call() -> None:
    runner = quiet(lambda **_: None, max_cost=1, prices={"input": 1})
    with pytest.raises(
        ValueError, match=r'the price of output tokens of "m" is not known: tell prices=\{"output": …\}'
    ):
        chat(runner, 1)


def test_a_function_says_what_calls_cost() -> None:
    sent: list[int] = []
    runner = quiet(sent.append, max_cost=1, prices=lambda call: 0.3)
    results, exceptions = scheduled(runner, *range(5)).run()
    assert (len(sent), [len(errors) for errors in exceptions]) == (3, [0, 0, 0, 1, 1])
    assert results == [None] * 5
    with pytest.raises(ValueError, match="usage of resource 'max_cost' is None"):
        scheduled(quiet(int, max_cost=1, prices=lambda call: None), 1)


def test_rows_and_futures_that_do_not_fit_any_more() -> None:
    runner = quiet(int, max_cost=1, prices=lambda call: 0.3)
    rows = list(runner.map(range(5)))
    assert rows[:3] == [0, 1, 2]
    assert [type(error) for row in rows[3:] for error in row.errors] == [BudgetSpentError] * 2
    with pytest.raises(BudgetSpentError):
        runner.submit(7).result(5)
    runner.close()


def test_each_try_is_paid() -> None:
    tries: list[int] = []
    runner = quiet(
        tries.append, max_cost=1, prices=lambda call: 0.3, validation=lambda _: False, max_retries=9
    )
    _, exceptions = scheduled(runner, 1).run()
    assert len(tries) == 3
    assert [type(error).__name__ for error in exceptions[0]] == ["ValidationError"] * 3 + ["BudgetSpentError"]


class Client:
    """A client of the shape of `openai` and `anthropic`."""

    def __init__(self, usage: dict[str, int]) -> None:
        self.calls = 0
        self.chat = self.completions = self.embeddings = self.messages = self
        self._usage = usage

    def create(self, **_arguments: Any) -> dict[str, Any]:
        self.calls += 1
        return {"usage": self._usage}


def ready_made() -> Iterator[tuple[Any, dict[str, Any], float]]:
    """Runners, their arguments, and what their answers cost."""
    options: dict[str, Any] = {"max_cost": 0.1, "prices": PRICES, "progress": False}
    limits = {"requests_per_minute": 1_000, "tokens_per_minute": 1_000_000}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    call = {"model": "m", "messages": MESSAGES, "max_tokens": 100}
    yield OpenAIChatRunner(Client(usage), **limits, **options), call, 60e-6
    usage = {"prompt_tokens": 10, "total_tokens": 10}
    yield OpenAIEmbeddingsRunner(Client(usage), **limits, **options), {"model": "m", "input": "Hi"}, 10e-6
    usage = {"input_tokens": 10, "output_tokens": 5}
    yield AnthropicRunner(Client(usage), tier="start", **options), call, 60e-6


@pytest.mark.parametrize("number", range(3))
def test_ready_made_runners_have_it(number: int) -> None:
    runner, arguments, cost = list(ready_made())[number]
    runner.schedule(**arguments)
    _, exceptions = runner.run()
    assert exceptions == [[]]
    assert json.loads(runner.report().json)["cost"]["dollars"] == pytest.approx(cost)


def test_a_description_may_know_the_prices(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    model = Model()
    limits = Api.load(path).resources(limits={"requests": 1_000})
    runner = chat(Runner(model.create, limits, max_cost=1, progress=False), 3)
    runner.run()
    assert json.loads(runner.report().json)["cost"]["dollars"] == pytest.approx(model.paid)
    with pytest.raises(ValueError, match='the price of input tokens of "other" is not known'):
        runner.schedule(model="other", messages=MESSAGES, max_tokens=100)


OWN = """
name = "own"
title = "An API of one's own"
as_of = "2026-11-01"
source = "a test"
like = "openai"

[[endpoints]]
path = "/chat"
class = "chat"
generates = true

[[resources]]
name = "requests"
unit = "requests"
window = "1m"
cost = { request = 1 }

[[prices]]
models = "m"
unit = "input_tokens"
usd = 1
per = 1e6

[[prices]]
models = "m"
unit = "output_tokens"
usd = 10
per = 1e6
"""


def test_a_budget_is_no_window() -> None:
    runner = quiet(int, [Resource.per_minute("requests", 60)], max_cost=1, prices=lambda call: 0.3)
    with pytest.raises(ValueError, match="max_cost has no window"):
        runner.set_limit("max_cost", 2, 60)
    with pytest.raises(ValueError, match="max_cost is 0: it must be above 0"):
        runner.set_limit("max_cost", 0)
