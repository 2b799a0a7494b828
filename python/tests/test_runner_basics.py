"""What `schedule`, `run` and the constructor promise, apart from faults and interrupts."""

from __future__ import annotations

import asyncio
import inspect
import re
import threading
import time
import warnings
from typing import Any

import pytest
from support import (
    WAYS_TO_RUN,
    ahead_of_quota,
    kinds,
    plenty,
    quiet,
    scheduled,
    watchdog,  # noqa: F401
)

from rate_limited import Resource, Runner, ValidationError, limited
from rate_limited.apis import Api
from rate_limited.calls import Call


class Flaky:
    """Fails so often for each argument before it answers."""

    def __init__(self, failures: int, error: type[Exception] = ValueError) -> None:
        self.failures, self.error = failures, error
        self.attempts: list[Any] = []

    def __call__(self, item: Any) -> Any:
        self.attempts.append(item)
        attempt = self.attempts.count(item)
        if attempt <= self.failures:
            raise self.error(f"attempt {attempt} of {item}")
        return item


@pytest.mark.parametrize("way", WAYS_TO_RUN)
def test_results_are_in_the_order_of_scheduling(way: Any) -> None:
    def slower_first(n: int) -> int:
        time.sleep(0.002 * (20 - n))
        return n

    results, exceptions = way(scheduled(quiet(slower_first), *range(20)))
    assert results == list(range(20))
    assert exceptions == [[]] * 20


@pytest.mark.parametrize("way", WAYS_TO_RUN)
def test_no_calls_give_empty_lists(way: Any) -> None:
    assert way(quiet(len)) == ([], [])


@pytest.mark.parametrize("result", [None, 0, False, "", [], ValueError("returned"), Ellipsis, NotImplemented])
def test_any_result_is_a_result(result: Any) -> None:
    calls: list[int] = []

    def answer(n: int) -> Any:
        calls.append(n)
        return result

    runner = scheduled(quiet(answer), 1)
    results, exceptions = runner.run()
    assert results == [result]
    assert exceptions == [[]]
    assert calls == [1]
    assert runner.run() == ([], [])


def test_each_attempt_leaves_its_exception() -> None:
    flaky = Flaky(2)
    runner = scheduled(quiet(flaky, max_retries=2), "a")
    results, exceptions = runner.run()
    assert results == ["a"]
    assert [str(error) for error in exceptions[0]] == ["attempt 1 of a", "attempt 2 of a"]
    assert flaky.attempts == ["a"] * 3


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_a_call_is_tried_again_so_often(retries: int) -> None:
    flaky = Flaky(100)
    results, exceptions = scheduled(quiet(flaky, max_retries=retries), "a").run()
    assert results == [None]
    assert kinds(exceptions) == [["ValueError"] * (retries + 1)]
    assert len(flaky.attempts) == retries + 1


def test_five_retries_are_the_default() -> None:
    rejected: list[str] = []

    def reject(answer: str) -> bool:
        rejected.append(answer)
        return False

    results, exceptions = scheduled(quiet(str.upper, validation=reject), "a").run()
    assert (results, len(exceptions[0]), len(rejected)) == ([None], 6, 6)


def test_a_failed_call_leaves_the_others_alone() -> None:
    def odd_only(n: int) -> int:
        if n % 2 == 0:
            raise ValueError(n)
        return n

    results, exceptions = scheduled(quiet(odd_only, max_retries=0), *range(6)).run()
    assert results == [None, 1, None, 3, None, 5]
    assert [len(errors) for errors in exceptions] == [1, 0, 1, 0, 1, 0]


def test_a_function_that_always_fails_ends_the_run() -> None:
    # A mistake in the function fails each call; with no retries there is nothing to wait for.
    def wrong(n: int) -> int:
        raise KeyError(n)

    runner = scheduled(quiet(wrong, max_retries=0), *range(40))
    timer = threading.Timer(6.0, lambda: [runner.interrupt() for _ in range(2)])
    timer.start()
    results, exceptions = runner.run()
    timer.cancel()
    assert not runner.interrupted, "the run had to be interrupted"
    assert results == [None] * 40
    assert [len(errors) for errors in exceptions] == [1] * 40


def test_a_complete_run_clears_what_was_scheduled() -> None:
    runner = scheduled(quiet(str.upper), "a", "b")
    assert [call.args for call in runner.scheduled_calls] == [("a",), ("b",)]
    assert all(isinstance(call, Call) for call in runner.scheduled_calls)
    assert len(runner) == 2
    assert runner.run()[0] == ["A", "B"]
    assert runner.scheduled_calls == []
    assert len(runner) == 0
    assert bool(runner)


def test_the_next_run_returns_new_calls_only() -> None:
    runner = scheduled(quiet(str.upper), "a", "b")
    first, _ = runner.run()
    second, exceptions = scheduled(runner, "c").run()
    assert (first, second, exceptions) == (["A", "B"], ["C"], [[]])
    assert runner.run() == ([], [])


def test_last_keeps_the_results_of_the_last_run_that_had_any() -> None:
    runner = scheduled(quiet(str.upper), "a")
    runner.run()
    runner.run()
    assert runner.last == (["A"], [[]])


def test_what_a_run_returned_is_never_changed_by_the_next() -> None:
    runner = scheduled(quiet(Flaky(1), max_retries=1), "a")
    results, exceptions = runner.run()
    scheduled(runner, "b").run()
    assert results == ["a"]
    assert kinds(exceptions) == [["ValueError"]]


def test_clear_forgets_what_was_scheduled() -> None:
    runner = scheduled(quiet(str.upper), "a", "b")
    runner.clear()
    assert runner.run() == ([], [])
    assert scheduled(runner, "c").run()[0] == ["C"]


def documented(text: str, times: int = 2) -> str:
    """Repeats a text."""
    return text * times


def other(number: int) -> int:
    """Negates a number."""
    return -number


def test_schedule_shows_the_wrapped_function() -> None:
    before = (documented.__doc__, dict(documented.__annotations__), dict(vars(documented)))
    first, second = quiet(documented), quiet(other)
    assert first.schedule.__wrapped__ is documented
    assert second.schedule.__wrapped__ is other
    assert "Repeats a text." in (first.schedule.__doc__ or "")
    assert "Negates" not in (first.schedule.__doc__ or "")
    assert "(text: 'str', times: 'int' = 2)" in (first.schedule.__doc__ or "")
    assert first.schedule.__annotations__ == {**documented.__annotations__, "return": None}
    assert list(inspect.signature(first.schedule).parameters) == ["text", "times"]
    after = (documented.__doc__, dict(documented.__annotations__), dict(vars(documented)))
    assert after == before
    assert documented("a") == "aa"
    assert first.schedule("a", times=3) is None


def test_schedule_of_a_class_is_not_changed_by_an_instance() -> None:
    before = Runner.schedule.__doc__
    quiet(documented)
    assert Runner.schedule.__doc__ == before
    assert not hasattr(Runner.schedule, "__wrapped__")


def tokens(quota: float, **options: Any) -> Resource:
    def count(call: Call) -> Any:
        return call.get_argument("n")

    return Resource("tokens", quota, 60, arguments_usage_extractor=count, **options)


def echo(n: Any) -> Any:
    return n


def test_a_call_above_the_quota_is_refused_with_numbers() -> None:
    runner = quiet(echo, [tokens(100)])
    runner.schedule(1)
    with pytest.raises(ValueError, match="exceeds resource quota") as caught:
        runner.schedule(101)
    for part in ("101", "100", "tokens"):
        assert part in str(caught.value)
    runner.schedule(2)
    assert runner.run()[0] == [1, 2]


def test_a_call_of_exactly_the_quota_runs() -> None:
    assert scheduled(quiet(echo, [tokens(100)]), 100).run()[0] == [100]


def test_an_estimate_above_the_quota_is_refused() -> None:
    resource = Resource(
        "tokens",
        10,
        60,
        arguments_usage_extractor=lambda _: 6,
        results_usage_extractor=lambda _call, _result: 1,
        max_results_usage_estimator=lambda _: 5,
    )
    with pytest.raises(ValueError, match="exceeds resource quota"):
        quiet(echo, [resource]).schedule(1)


@pytest.mark.parametrize(
    ("changes", "error", "named"),
    [
        ({"function": 3}, TypeError, "function"),
        ({"resources": [3]}, TypeError, "Resource"),
        ({"max_concurrent": 0}, ValueError, "max_concurrent"),
        ({"max_concurrent": -1}, ValueError, "max_concurrent"),
        ({"max_concurrent": True}, ValueError, "max_concurrent"),
        ({"max_concurrent": 1.5}, ValueError, "max_concurrent"),
        ({"max_concurrent": 10**6}, ValueError, "max_concurrent"),
        ({"max_concurrent": float("nan")}, ValueError, "max_concurrent"),
        ({"max_concurrent": "many"}, ValueError, "max_concurrent"),
        ({"max_retries": -1}, ValueError, "max_retries"),
        ({"max_retries": True}, ValueError, "max_retries"),
        ({"max_retries": 10**9}, ValueError, "max_retries"),
        ({"max_retries": None}, ValueError, "max_retries"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"timeout": -1}, ValueError, "timeout"),
        ({"timeout": float("nan")}, ValueError, "timeout"),
        ({"timeout": "1"}, ValueError, "timeout"),
        ({"grace_seconds": -1}, ValueError, "grace_seconds"),
        ({"progress_interval": 0}, ValueError, "progress_interval"),
        ({"long_wait_warning_seconds": "2"}, ValueError, "long_wait_warning_seconds"),
        ({"validation": 3}, TypeError, "validation"),
        ({"validation": [len, 3]}, TypeError, "validation"),
        ({"validation": len, "validation_function": len}, TypeError, "validation"),
        ({"progress": "yes"}, (TypeError, ValueError), "progress"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_wrong_arguments_are_named(changes: dict[str, Any], error: Any, named: str) -> None:
    with pytest.raises(error, match=named):
        Runner(**{"function": len, "resources": [], **changes})


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrent": "auto"},
        {"max_concurrent": 1},
        {"max_concurrent": 100_000},
        {"long_wait_warning_seconds": None},
        {"resources": []},
        {"resources": ()},
        {"grace_seconds": 0.01},
        {"timeout": 5},
    ],
    ids=str,
)
def test_arguments_at_the_edges(options: dict[str, Any]) -> None:
    resources = options.pop("resources", plenty())
    runner = Runner(str.upper, resources, progress=False, **options)
    assert scheduled(runner, *"abc").run()[0] == ["A", "B", "C"]


def test_a_progress_callable_gets_the_numbers() -> None:
    seen: list[dict[str, Any]] = []
    runner = quiet(lambda n: time.sleep(0.03), progress=seen.append, progress_interval=0.01)
    scheduled(runner, *range(4)).run()
    assert seen[-1]["scheduled"] == 4
    assert seen[-1]["done"] == 4


def test_numbers_of_the_second_run_do_not_count_the_first() -> None:
    seen: list[dict[str, Any]] = []
    runner = quiet(str.upper, progress=seen.append, progress_interval=0.01)
    scheduled(runner, *"abc").run()
    seen.clear()
    scheduled(runner, "d").run()
    if seen:
        assert (seen[-1]["scheduled"], seen[-1]["done"]) == (1, 1)


class Recorder:
    """Remembers when it was called."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, n: int) -> int:
        self.times.append(time.monotonic())
        return n


def run_together(*runners: Runner[..., Any]) -> float:
    begun = time.monotonic()
    threads = [threading.Thread(target=runner.run, daemon=True) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    return time.monotonic() - begun


def test_two_runners_keep_a_shared_quota_together() -> None:
    window = 0.5
    resource = Resource("requests", 10, window, arguments_usage_extractor=lambda _: 1)
    recorder = Recorder()
    runners = [scheduled(quiet(recorder, [resource]), *range(15)) for _ in range(2)]
    begun = time.monotonic()
    took = run_together(*runners)
    assert len(recorder.times) == 30
    assert ahead_of_quota(recorder.times, begun, 10, window) == []
    assert 2 * window * 0.95 <= took < 2 * window + 0.5


def test_one_after_the_other_the_quota_is_kept_too() -> None:
    resource = Resource("requests", 5, 0.5, arguments_usage_extractor=lambda _: 1)
    recorder = Recorder()
    begun = time.monotonic()
    for _ in range(2):
        scheduled(quiet(recorder, [resource]), *range(5)).run()
    assert ahead_of_quota(recorder.times, begun, 5, 0.5) == []


def test_resources_of_one_key_are_one() -> None:
    recorder = Recorder()
    begun = time.monotonic()
    for _ in range(2):
        resource = Resource("requests", 5, 0.5, arguments_usage_extractor=lambda _: 1, shared="basics")
        scheduled(quiet(recorder, [resource]), *range(5)).run()
    assert ahead_of_quota(recorder.times, begun, 5, 0.5) == []


def test_different_resources_do_not_disturb_each_other() -> None:
    recorders = [Recorder(), Recorder()]
    runners = [
        scheduled(
            quiet(recorder, [Resource("requests", 10, 30, arguments_usage_extractor=lambda _: 1)]),
            *range(10),
        )
        for recorder in recorders
    ]
    assert run_together(*runners) < 1.0
    assert [len(recorder.times) for recorder in recorders] == [10, 10]


@pytest.mark.parametrize("name", ["validation", "validation_function"])
def test_both_names_of_the_validation(name: str) -> None:
    answers = iter("abc")
    runner = quiet(lambda: next(answers), **{name: lambda answer: answer == "c"})
    runner.schedule()
    results, exceptions = runner.run()
    assert results == ["c"]
    assert [error.value for error in exceptions[0]] == ["a", "b"]  # type: ignore[attr-defined]
    assert all(isinstance(error, ValidationError) for error in exceptions[0])


def test_validation_is_the_fifth_parameter() -> None:
    runner = Runner(str.upper, plenty(), 64, 0, lambda _: False, progress=False)
    assert kinds(scheduled(runner, "a").run()[1]) == [["ValidationError"]]


def test_validators_stop_at_the_first_that_refuses() -> None:
    asked: list[str] = []

    def says(name: str, verdict: bool) -> Any:
        def validate(_answer: Any) -> bool:
            asked.append(name)
            return verdict

        return validate

    checks = [says("first", True), says("second", False), says("third", True)]
    scheduled(quiet(str.upper, max_retries=1, validation=checks), "a").run()
    assert asked == ["first", "second"] * 2


def test_a_failed_validation_is_tried_again_without_waiting() -> None:
    runner = quiet(str.upper, validation=lambda _: False, max_retries=5)
    begun = time.monotonic()
    results, exceptions = scheduled(runner, *"abcdefgh").run()
    assert time.monotonic() - begun < 1.0
    assert results == [None] * 8
    assert [len(errors) for errors in exceptions] == [6] * 8


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_calls_at_once_than_allowed(most: int) -> None:
    lock, now, peak = threading.Lock(), [0], [0]

    def count(_n: int) -> None:
        with lock:
            now[0] += 1
            peak[0] = max(peak[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1

    scheduled(quiet(count, max_concurrent=most), *range(12)).run()
    assert peak[0] == most


def test_repr_names_function_and_limits() -> None:
    text = repr(scheduled(quiet(documented, [Resource.per_minute("requests", 7)]), "a"))
    assert "documented" in text
    assert "requests=7" in text
    assert "1 call" in text


@pytest.mark.parametrize("run", WAYS_TO_RUN)
def test_arguments_that_the_function_does_not_take_are_tried_once(run: Any) -> None:
    async def one(number: int) -> int:
        return number

    for function in (one, lambda number: number):
        runner = quiet(function, max_retries=3)
        runner.schedule(1, 2)
        runner.schedule(nmber=3)
        results, exceptions = run(runner)
        assert results == [None, None] and kinds(exceptions) == [["TypeError"], ["TypeError"]]


def test_a_type_error_of_the_function_itself_is_tried_again() -> None:
    _, exceptions = scheduled(quiet(lambda number: number + "", max_retries=2), 1).run()
    assert kinds(exceptions) == [["TypeError"] * 3]


@pytest.mark.parametrize(
    "resources", [Resource.per_minute("requests", 60), "requests", {"requests": 60}, 60, None]
)
def test_resources_that_are_no_list_of_them(resources: Any) -> None:
    with pytest.raises(TypeError, match="resources must be a list of Resource objects, as in "):
        Runner(str, resources)


def test_a_resource_that_counts_nothing_is_warned_of() -> None:
    resource = Resource("requests", 40, 5)
    with pytest.warns(UserWarning, match="resource 'requests' counts nothing") as caught:
        runner = Runner(str, [resource], progress=False)
    assert [warning.filename for warning in caught] == [__file__]
    text = str(caught[0].message)
    assert "no call takes from it" in text
    # Once is enough, and nothing else is changed: as in rate_limited 0.4 it limits nothing.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        begun = time.monotonic()
        assert scheduled(runner, *range(120)).run()[0] == [str(n) for n in range(120)]
        assert time.monotonic() - begun < 4
        quiet(str, [resource])
        # What it says to write counts.
        told = re.search(r"Resource\('requests'.*?lambda call: 1\)", text)
        assert told is not None
        counting = scheduled(quiet(str, [eval(told[0])]), 1, 2, 3)
        counting.run()
    assert [record["usage"] for record in counting.records()] == [{"requests": 1}] * 3
    with pytest.warns(UserWarning, match="'requests'"):
        quiet(str, [Resource("requests", 40, 5)])


def test_the_warning_is_of_the_line_that_names_the_resource() -> None:
    with pytest.warns(UserWarning, match="counts nothing") as caught:

        @limited(Resource("requests", 40, 5))
        def double(n: int) -> int:
            return 2 * n

        assert double(2) == 4
    assert {warning.filename for warning in caught} == {__file__}


@pytest.mark.parametrize(
    "resource",
    [
        pytest.param(lambda: Resource("r", 99, 60, lambda call: 0), id="before"),
        pytest.param(lambda: Resource("r", 99, 60, None, lambda call, result: 1), id="after"),
        pytest.param(lambda: Resource("r", 99, 60, None, lambda c, r: 1, lambda c: 2), id="estimated"),
        pytest.param(lambda: Resource.per_minute("r", 99), id="counted"),
        pytest.param(lambda: Resource.per_minute("r", 99, partition=lambda call: "m"), id="parts"),
        pytest.param(lambda: Resource.per_day("r", 99, resets_at="UTC"), id="calendar"),
        pytest.param(lambda: Resource.untold("r"), id="untold"),
    ],
)
def test_what_counts_is_not_warned_of(resource: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduled(quiet(str, [resource()], max_cost=1, prices=lambda call: 0.1), 1).run()


def test_descriptions_are_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("openai", "anthropic", "github", "openai_compatible"):
            quiet(str, Api(name).resources())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_time_outs_are_told_like_other_failures(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    def hangs(_: int) -> None:
        time.sleep(0.3)

    async def hangs_async(_: int) -> None:
        await asyncio.sleep(5)

    function: Any = hangs if kind == "sync" else hangs_async
    scheduled(Runner(function, plenty(), max_retries=0, timeout=0.05), 1).run()
    shown = capsys.readouterr().err
    assert "first TimeoutError: the attempt took too long\n" in shown
    assert "1 of 1 calls failed; exceptions by type: TimeoutError 1\n" in shown


def test_an_interruption_is_told_and_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    runner: Any = Runner(
        lambda number: runner.interrupt() if number == 1 else None, plenty(), max_concurrent=1
    )
    scheduled(runner, *range(5)).run()
    assert "interrupted: 2 of 5 calls done; run() goes on with the others\n" in capsys.readouterr().err
    runner.run()
    assert "interrupted" not in capsys.readouterr().err
