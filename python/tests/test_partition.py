"""Limits for each model: `Resource(..., partition=)`, and the descriptions of APIs."""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

import pytest

from rate_limited import Resource, Runner
from rate_limited.apis import Api
from rate_limited.apis.anthropic import anthropic_resources
from rate_limited.calls import Call


def ask(prompt: str, model: str = "a") -> str:
    return f"{model}: {prompt}"


def of_model(call: Call) -> Any:
    return call.get_argument("model")


def requests(quota: int = 5, seconds: float = 1.0, **more: Any) -> Resource:
    return Resource("requests", quota, seconds, lambda call: 1, partition=of_model, **more)


def test_each_model_has_the_whole_quota() -> None:
    runner = Runner(ask, [requests()], progress=False)
    for number in range(10):
        for model in ("a", "b", "c"):
            runner.schedule(str(number), model=model)
    started = time.monotonic()
    results, _ = runner.run()
    took = time.monotonic() - started
    assert results[:3] == ["a: 0", "b: 0", "c: 0"]
    # Two windows' work for each, and six for all together.
    assert 1.0 <= took < 2.0


def test_a_call_without_a_model_takes_of_the_whole() -> None:
    runner = Runner(ask, [requests(100, 60)], progress=False)
    for model in ("a", "b", "b", "", None):
        runner.schedule("x", model=model)  # type: ignore[arg-type]
    runner.run()
    shown = [line for line in runner.summary().splitlines() if line.startswith("requests")]
    assert shown == [
        "requests: 2 of 100 per 60 s used",
        "requests[a]: 1 of 100 per 60 s used",
        "requests[b]: 2 of 100 per 60 s used",
    ]


def test_one_model_alone_is_shown_by_the_name_of_the_limit() -> None:
    runner = Runner(ask, [requests(100, 60)], progress=False)
    runner.schedule("x", model="a")
    runner.run()
    assert runner.summary().splitlines()[-1] == "requests: 1 of 100 per 60 s used"


def test_futures_and_maps_know_models_too() -> None:
    resource = requests(100, 60)
    with Runner(ask, [resource], progress=False) as runner:
        assert runner.submit("x", model="b").result() == "b: x"
        assert list(runner.map(["y"])) == ["a: y"]
        assert "requests[b]: 1 of 100" in runner.summary()


def test_what_is_used_is_settled_in_the_part_of_the_call() -> None:
    tokens = Resource(
        "tokens",
        100,
        60,
        results_usage_extractor=lambda call, result: len(result),
        max_results_usage_estimator=lambda call: 50,
        partition=of_model,
    )
    runner = Runner(ask, [tokens], progress=False)
    for model in ("a", "a", "bb"):
        runner.schedule("x", model=model)
    runner.run()
    assert "tokens[a]: 8 of 100" in runner.summary()
    assert "tokens[bb]: 5 of 100" in runner.summary()


def test_the_next_run_knows_what_each_model_has_used(tmp_path: Path) -> None:
    def run(models: list[str], path: Path) -> list[str]:
        with Runner(ask, [requests(100, 600)], progress=False, journal=path) as runner:
            for number, model in enumerate(models):
                runner.schedule(str(number), model=model)
            runner.run()
            return [line for line in runner.summary().splitlines() if line.startswith("requests")]

    path = tmp_path / "run.db"
    run(["a", "b", "b"], path)
    # The order is another one, and the limits of this runner have no history of their own.
    shown = run(["a", "b", "b", "c", "b", "a"], path)
    assert shown == [
        "requests[c]: 1 of 100 per 600 s used",
        "requests[b]: 3 of 100 per 600 s used",
        "requests[a]: 2 of 100 per 600 s used",
    ]


def test_a_key_that_is_no_text_is_refused_with_its_resource() -> None:
    runner = Runner(ask, [Resource("requests", 5, 1, lambda call: 1, partition=lambda call: 7)], progress=False)  # type: ignore[arg-type, return-value]
    with pytest.raises(TypeError, match=r"partition of resource 'requests' must give a str or None, got int"):
        runner.schedule("x")
    with pytest.raises(TypeError, match=r"partition of resource 'requests' must be callable"):
        Resource("requests", 5, 1, partition="model")  # type: ignore[arg-type]


def test_an_api_says_whose_part_calls_take() -> None:
    def create(**arguments: Any) -> None:
        return None

    def key(api: str, **arguments: Any) -> Any:
        resource = Api(api).resources(limits={"requests": 5})[0]
        return None if resource.partition is None else resource.partition(Call(create, (), arguments))

    messages: list[Any] = []
    assert key("openai", model="gpt-4o", messages=messages) == "gpt-4o"
    assert key("anthropic", model="claude-opus-4-1", messages=messages) == "claude-opus-4"
    assert key("openai", messages=messages) is None
    assert Api("github").resources("user")[0].partition is None


def test_calls_of_two_models_go_side_by_side_by_a_description() -> None:
    def create(*, model: str, messages: list[Any]) -> str:
        return model

    runner = Runner(create, Api("openai").resources(limits={"requests": (5, 1.0)}), progress=False)
    for _ in range(8):
        for model in ("gpt-4o", "o3", "o4-mini"):
            runner.schedule(model=model, messages=[])
    started = time.monotonic()
    runner.run()
    assert time.monotonic() - started < 2.5
    assert "requests[gpt-4o]" in runner.summary()


def test_the_limits_of_anthropic_are_for_each_class_of_models() -> None:
    def create(*, model: str, messages: list[Any], max_tokens: int) -> dict[str, Any]:
        return {"usage": {"input_tokens": 1, "output_tokens": 2}}

    runner = Runner(create, anthropic_resources(50, 30_000, 8_000), progress=False)
    for model in ("claude-opus-4-1", "claude-opus-4-7", "claude-fable-5"):
        runner.schedule(model=model, messages=[], max_tokens=5)
    runner.run()
    assert "requests_per_minute[claude-opus-4]: 2 of 50" in runner.summary()
    assert "output_tokens_per_minute[claude-fable-5]: 2 of 8,000" in runner.summary()


def shown_of(runner: Runner, name: str = "requests") -> list[str]:
    return [line for line in runner.summary().splitlines() if line.startswith(name)]


def test_a_model_may_have_a_quota_of_its_own() -> None:
    resource = requests(100, 60).quota_for("b", 7).quota_for("c*", 20, 5).quota_for("c1", 1_000)
    runner = Runner(ask, [resource], progress=False)
    for model in ("a", "b", "c1", "c2"):
        runner.schedule("x", model=model)
    runner.run()
    # The first that fits counts.
    assert shown_of(runner) == [
        "requests[a]: 1 of 100 per 60 s used",
        "requests[b]: 1 of 7 per 60 s used",
        "requests[c1]: 1 of 20 per 5 s used",
        "requests[c2]: 1 of 20 per 5 s used",
    ]


def test_the_quota_of_a_model_is_kept_and_binds_no_other() -> None:
    runner = Runner(ask, [requests(100, 1.0).quota_for("slow", 2)], progress=False)
    for _ in range(6):
        for model in ("slow", "fast"):
            runner.schedule("x", model=model)
    started = time.monotonic()
    runner.run()
    # Three windows' work of 2 a second; the others would be done at once.
    assert 2.0 <= time.monotonic() - started < 3.0


def test_a_limit_that_changes_leaves_those_that_have_their_own() -> None:
    resource = requests(100, 60).quota_for("b", 7)
    runner = Runner(ask, [resource], progress=False)
    for model in ("a", "b"):
        runner.schedule("x", model=model)
    runner.run()
    resource.quota = 50
    assert shown_of(runner) == ["requests[a]: 1 of 50 per 60 s used", "requests[b]: 1 of 7 per 60 s used"]


def test_the_models_of_a_calendar_and_of_an_untold_limit_have_their_quota() -> None:
    day = Resource.per_day("requests", 100, resets_at="UTC", partition=of_model).quota_for("b", 7)
    untold = Resource.untold("others", partition=of_model).quota_for("b", 9, 60)
    runner = Runner(ask, [day, untold], progress=False)
    for model in ("a", "b"):
        runner.schedule("x", model=model)
    runner.run()
    assert "requests[b]: 1 of 7" in runner.summary()
    assert "others[b]: 1 of 9 per 60 s used" in runner.summary()


def test_a_copy_keeps_the_quotas_of_models() -> None:
    resource = Resource("requests", 5, 1, partition=of_model).quota_for("b", 7, 2)
    assert repr(copy.deepcopy(resource)) == repr(resource)
    assert repr(resource) == "Resource('requests', quota=5, time_window_seconds=1).quota_for('b', 7, 2)"


@pytest.mark.parametrize(
    ("make", "told", "error", "says"),
    [
        (lambda: Resource("r", 5, 1), ("b", 7), ValueError, "resource 'r' has no parts to tell 'b' a quota"),
        (requests, ("", 7), ValueError, "is empty: calls without a key take of the resource itself"),
        (requests, ("*-*", 7), ValueError, r"key '\*-\*' of a part of resource 'requests' has more than one \*"),
        (requests, (7, 7), TypeError, "key must be a str, not int"),
        (requests, ("b", 0), ValueError, r"quota of resource 'requests\[b\]' is 0: it must be at least 1e-06"),
        (requests, ("b", 7, 0), ValueError, "time_window_seconds of resource 'requests' is 0"),
        (
            lambda: Resource.untold("r", partition=of_model),
            ("b", 7),
            ValueError,
            "the window of resource 'r' is not known, so that of 'b' is not: set time_window_seconds",
        ),
        (
            lambda: Resource.per_day("r", 5, resets_at="UTC", partition=of_model),
            ("b", 7, 60),
            ValueError,
            "follows a calendar",
        ),
    ],
)
def test_what_cannot_be_the_quota_of_a_model_is_refused(make: Any, told: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        make().quota_for(*told)


def test_a_quota_for_a_model_comes_before_the_first_run() -> None:
    resource = requests().quota_for("b", 7)
    Runner(ask, [resource], progress=False)
    # A cell that is run again tells the same.
    assert resource.quota_for("b", 7) is resource
    with pytest.raises(ValueError, match=r"the limit of requests\[b\] cannot be told now"):
        resource.quota_for("b", 8)
