"""`submit`, `map`, `as_completed`, and the runner as a context manager."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from support import eventually, plenty, quiet, scheduled, watchdog  # noqa: F401

from rate_limited import Resource, ValidationError, limited
from rate_limited.runner import Failure


def double(n: int) -> int:
    return 2 * n


async def double_later(n: int) -> int:
    await asyncio.sleep(0.001)
    return 2 * n


KINDS = [pytest.param(double, id="sync"), pytest.param(double_later, id="async")]


def odd_fails(n: int) -> int:
    if n % 2:
        raise ValueError(f"{n} is odd")
    return n


@pytest.mark.parametrize("function", KINDS)
def test_submit_gives_futures(function: Any) -> None:
    with quiet(function) as runner:
        futures = [runner.submit(n) for n in range(10)]
        assert all(isinstance(future, concurrent.futures.Future) for future in futures)
        assert [future.result(5) for future in futures] == list(range(0, 20, 2))


@pytest.mark.parametrize("function", KINDS)
def test_futures_work_with_wait_and_as_completed(function: Any) -> None:
    with quiet(function) as runner:
        futures = [runner.submit(n) for n in range(10)]
        done, left = concurrent.futures.wait(futures, timeout=5)
        assert (len(done), len(left)) == (10, 0)
        more = [runner.submit(n) for n in range(10)]
        found = {future.result() for future in concurrent.futures.as_completed(more, timeout=5)}
        assert found == set(range(0, 20, 2))


@pytest.mark.parametrize("function", KINDS)
def test_futures_can_be_awaited(function: Any) -> None:
    async def main() -> list[int]:
        futures = [asyncio.wrap_future(runner.submit(n)) for n in range(5)]
        return await asyncio.wait_for(asyncio.gather(*futures), 5)

    with quiet(function) as runner:
        assert asyncio.run(main()) == [0, 2, 4, 6, 8]


def test_a_failed_future_has_the_exceptions_of_all_attempts() -> None:
    with quiet(odd_fails, max_retries=1) as runner:
        future = runner.submit(1)
        error = future.exception(5)
    assert isinstance(error, ValueError)
    assert [str(each) for each in error.attempts] == ["1 is odd"] * 2  # type: ignore[attr-defined]


def test_none_and_falsy_results_are_results() -> None:
    with quiet(lambda value: value) as runner:
        assert [runner.submit(value).result(5) for value in (None, 0, "")] == [None, 0, ""]


def test_a_cancelled_future_is_not_called() -> None:
    gate, called = threading.Event(), []

    def work(n: int) -> int:
        called.append(n)
        gate.wait(5)
        return n

    with quiet(work, max_concurrent=1) as runner:
        first, second, third = (runner.submit(n) for n in range(3))
        assert eventually(lambda: bool(called))
        assert second.cancel()
        gate.set()
        assert (first.result(5), third.result(5)) == (0, 2)
        assert second.cancelled()
    assert called == [0, 2]


def test_a_future_in_flight_says_that_it_runs() -> None:
    gate = threading.Event()
    with quiet(lambda n: gate.wait(5)) as runner:
        future = runner.submit(1)
        assert eventually(future.running)
        assert not future.cancel()
        gate.set()
        assert future.result(5) is True


def test_callbacks_may_submit() -> None:
    found: list[int] = []

    def chain(future: Any) -> None:
        found.append(future.result())
        if len(found) < 5:
            runner.submit(len(found)).add_done_callback(chain)

    runner = quiet(double)
    runner.submit(0).add_done_callback(chain)
    assert eventually(lambda: len(found) == 5)
    runner.close()
    assert found == [0, 2, 4, 6, 8]


def test_a_callback_that_raises_or_is_slow_loses_nothing() -> None:
    with quiet(double) as runner:
        future = runner.submit(1)
        future.add_done_callback(lambda _: 1 / 0)
        assert [runner.submit(n).result(5) for n in range(3)] == [0, 2, 4]


def test_submit_refuses_what_can_never_run() -> None:
    resource = Resource("tokens", 10, 60, arguments_usage_extractor=lambda call: call.get_argument("n"))
    with quiet(double, [resource]) as runner:
        with pytest.raises(ValueError, match="exceeds resource quota"):
            runner.submit(11)
        assert runner.submit(1).result(5) == 2


def test_submit_and_run_share_the_quota() -> None:
    resource = Resource("requests", 5, 0.5, arguments_usage_extractor=lambda _: 1)
    times: list[float] = []
    begun = time.monotonic()
    with quiet(lambda n: times.append(time.monotonic()), [resource]) as runner:
        futures = [runner.submit(n) for n in range(5)]
        concurrent.futures.wait(futures, timeout=5)
        scheduled(runner, *range(5)).run()
    assert len(times) == 10
    assert 0.48 < times[-1] - begun < 1.5


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("function", KINDS)
def test_map_gives_the_results(function: Any, ordered: bool) -> None:
    with quiet(function) as runner:
        found = list(runner.map(range(50), ordered=ordered))
    assert (found if ordered else sorted(found)) == list(range(0, 100, 2))


def test_ordered_waits_for_the_first_and_unordered_does_not() -> None:
    def slow_first(n: int) -> int:
        time.sleep(0.2 if n == 0 else 0.001)
        return n

    with quiet(slow_first) as runner:
        assert next(iter(runner.map(range(5), ordered=True))) == 0
        assert list(runner.map(range(5), ordered=False))[-1] == 0


def test_a_failed_row_keeps_its_place_and_is_falsy() -> None:
    with quiet(odd_fails, max_retries=1) as runner:
        rows = list(runner.map(range(4)))
    assert rows[::2] == [0, 2]
    for index in (1, 3):
        failure = rows[index]
        assert isinstance(failure, Failure)
        assert not failure
        assert failure.index == index
        assert [type(error) for error in failure.errors] == [ValueError] * 2
        assert failure.value is None
        assert repr(failure) == f"<Failure: ValueError: {index} is odd; row {index}, 2 errors>"


@pytest.mark.parametrize("no_rows", [5, None])
def test_what_is_no_rows_is_refused_at_once(no_rows: Any) -> None:
    runner = quiet(double)
    for begin in (runner.map, runner.as_completed):
        with pytest.raises(TypeError, match="is not iterable"):
            begin(no_rows)


def test_a_failure_holds_the_answer_that_was_rejected() -> None:
    with quiet(double, max_retries=0, validation=lambda n: n != 2) as runner:
        rows = list(runner.map(range(3)))
    assert (rows[0], rows[2], rows[1].value) == (0, 4, 2)
    assert isinstance(rows[1].errors[0], ValidationError)


def test_a_row_that_can_never_run_fails_alone() -> None:
    resource = Resource("tokens", 10, 60, arguments_usage_extractor=lambda call: call.get_argument("n"))
    with quiet(double, [resource]) as runner:
        rows = list(runner.map([1, 99, 2]))
    assert (rows[0], rows[2]) == (2, 4)
    assert "exceeds resource quota" in str(rows[1].errors[0])


def test_a_row_that_is_never_sent_is_told_on_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    tokens = Resource("tokens", 10, 60, arguments_usage_extractor=lambda call: call.args[0])
    with quiet(double, [tokens], progress=True) as made:
        list(made.map([1, 99, 2]))
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("first ValueError: ") and "exceeds resource quota" in told[0]


def test_a_row_that_can_never_run_has_its_reason_in_the_records() -> None:
    resource = Resource("tokens", 10, 60, arguments_usage_extractor=lambda call: call.args[0])

    def slow_first(n: int) -> int:
        time.sleep(0.1 if n == 1 else 0)
        return 2 * n

    with quiet(slow_first, [resource]) as runner:
        rows = runner.map([1, 99, 2])
        assert next(rows) == 2
        rows.close()  # type: ignore[attr-defined]
        assert eventually(lambda: runner.last[0] == [2, None, 4])
        record = runner.records()[1]
    assert (record["index"], record["status"], record["error_type"]) == (1, "failed", "ValueError")
    assert "exceeds resource quota" in record["error"]


def test_rows_of_a_closed_runner_say_so() -> None:
    runner = quiet(double)
    rows = runner.map(iter(range(100)), buffer=4)
    assert next(rows) == 0
    runner.close()
    with pytest.raises(RuntimeError, match="the runner was closed before all rows were begun"):
        list(rows)


def test_on_error_raise_raises_at_the_row() -> None:
    with quiet(odd_fails, max_retries=0) as runner:
        rows = runner.map(range(4), on_error="raise")
        assert next(rows) == 0
        with pytest.raises(ValueError, match="1 is odd"):
            next(rows)


def test_wrong_options_are_refused_when_map_is_called() -> None:
    with quiet(double) as runner:
        for options in ({"on_error": "ignore"}, {"buffer": 0}, {"buffer": -1}):
            with pytest.raises(ValueError, match=next(iter(options))):
                runner.map([1], **options)


def test_as_completed_gives_index_and_result() -> None:
    with quiet(odd_fails, max_retries=0) as runner:
        found = dict(runner.as_completed(range(6)))
    assert sorted(found) == list(range(6))
    assert [found[index] for index in (0, 2, 4)] == [0, 2, 4]
    assert all(isinstance(found[index], Failure) for index in (1, 3, 5))


class Counted:
    """An endless iterator that counts what was taken from it."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[int]:
        for n in itertools.count():
            self.taken = n + 1
            yield n


@pytest.mark.parametrize("function", KINDS)
@pytest.mark.parametrize("method", ["map", "unordered", "as_completed"])
def test_an_endless_source_is_taken_a_little_at_a_time(method: str, function: Any) -> None:
    source = Counted()
    with quiet(function, max_concurrent=4) as runner:
        if method == "as_completed":
            rows: Iterator[Any] = runner.as_completed(source, buffer=16)
        else:
            rows = runner.map(source, ordered=method == "map", buffer=16)
        assert source.taken == 0
        taken_ahead = 0
        for yielded, _ in enumerate(itertools.islice(rows, 200), start=1):
            taken_ahead = max(taken_ahead, source.taken - yielded)
        time.sleep(0.05)
        assert source.taken <= 200 + 17
        assert taken_ahead <= 17


def test_a_consumer_that_stops_stops_the_source() -> None:
    source = Counted()
    with quiet(double) as runner:
        rows = runner.map(source, buffer=8)
        assert next(rows) == 0
        time.sleep(0.1)
        assert source.taken <= 9
        rows.close()  # type: ignore[attr-defined]


def test_results_are_not_kept_after_they_were_given_out() -> None:
    with quiet(double, max_concurrent=4) as runner:
        for _ in runner.map(range(3_000), buffer=32):
            pass
        service = runner._service
        assert service is not None
        ledger = service._ledger
        sizes = [len(ledger.calls), len(ledger.results), len(ledger.status), len(service._futures)]
    assert max(sizes) <= 32


def test_a_source_that_waits_for_results_gets_them() -> None:
    # A generator whose next item depends on what has been answered: pulling far ahead would hang.
    answered: list[int] = []

    def source() -> Iterator[int]:
        yield from range(5)

    with quiet(double) as runner:
        answered += runner.map(source(), buffer=1)
    assert answered == [0, 2, 4, 6, 8]


@pytest.mark.parametrize("method", ["map", "unordered", "as_completed"])
def test_a_source_that_raises_gives_the_rows_so_far(method: str) -> None:
    def source() -> Iterator[int]:
        yield from range(3)
        raise KeyError("source")

    found: list[Any] = []
    with quiet(double) as runner, pytest.raises(KeyError, match="source"):
        if method == "as_completed":
            rows: Any = (result for _, result in runner.as_completed(source()))
        else:
            rows = runner.map(source(), ordered=method == "map")
        for row in rows:
            found.append(row)  # noqa: PERF402 - what was found before the error counts
    assert sorted(found) == [0, 2, 4]


def test_two_maps_of_one_runner_keep_apart() -> None:
    with quiet(double) as runner:
        pairs = list(zip(runner.map(range(20)), runner.map(range(100, 120)), strict=True))
    assert pairs == [(2 * n, 200 + 2 * n) for n in range(20)]


def test_no_rows_give_no_results() -> None:
    with quiet(double) as runner:
        assert list(runner.map([])) == []
        assert list(runner.as_completed([])) == []


def test_leaving_the_block_waits_for_what_was_submitted() -> None:
    def slow(n: int) -> int:
        time.sleep(0.1)
        return n

    with quiet(slow) as runner:
        futures = [runner.submit(n) for n in range(3)]
    assert [future.done() for future in futures] == [True] * 3


def test_leaving_the_block_by_an_exception_starts_nothing_new() -> None:
    called: list[int] = []

    def slow(n: int) -> None:
        called.append(n)
        time.sleep(0.05)

    begun = time.monotonic()
    with pytest.raises(KeyError), quiet(slow, max_concurrent=2) as runner:
        futures = [runner.submit(n) for n in range(200)]
        assert eventually(lambda: len(called) >= 2)
        raise KeyError
    assert time.monotonic() - begun < 2.0
    assert len(called) < 20
    assert all(future.done() for future in futures)
    assert futures[-1].cancelled()


def test_a_runner_may_be_used_after_it_was_closed() -> None:
    runner = quiet(double)
    for _ in range(3):
        with runner:
            assert runner.submit(2).result(5) == 4
            assert list(runner.map([1])) == [2]
    runner.close()
    runner.close()
    assert scheduled(runner, 3).run() == ([6], [[]])


@pytest.mark.parametrize("function", KINDS)
def test_interrupt_cancels_what_has_not_begun(function: Any) -> None:
    resource = Resource("requests", 1, 60, arguments_usage_extractor=lambda _: 1)
    runner = quiet(function, [resource])
    futures = [runner.submit(n) for n in range(5)]
    assert futures[0].result(5) == 0
    runner.interrupt()
    _, left = concurrent.futures.wait(futures, timeout=5)
    assert not left
    assert [future.cancelled() for future in futures] == [False, True, True, True, True]


class Slow:
    """The first call takes its time; when each one began is noted."""

    def __init__(self) -> None:
        self.begun: dict[int, float] = {}

    def sync(self, n: int) -> int:
        self.begun[n] = time.monotonic()
        time.sleep(0.6 if n == 0 else 0.0)
        return n

    async def later(self, n: int) -> int:
        self.begun[n] = time.monotonic()
        await asyncio.sleep(0.6 if n == 0 else 0.0)
        return n


@pytest.mark.parametrize("kind", ["sync", "later"])
@pytest.mark.parametrize("way", ["submit", "schedule", "limited"])
def test_calls_that_come_while_others_are_in_flight_begin_at_once(way: str, kind: str) -> None:
    slow = Slow()
    runner = quiet(getattr(slow, kind))
    sent: dict[int, float] = {}

    def send(n: int) -> None:
        sent[n] = time.monotonic()
        if way == "submit":
            runner.submit(n)
        elif way == "schedule":
            runner.schedule(n)
        elif kind == "sync":
            threading.Thread(target=limited_function, args=(n,)).start()
        else:
            threading.Thread(target=lambda: asyncio.run(limited_function(n))).start()

    limited_function: Any = limited(*plenty())(getattr(slow, kind))
    send(0)
    if way == "schedule":
        running = threading.Thread(target=runner.run)
        running.start()
    for n in (1, 2):
        time.sleep(0.1)
        send(n)
    assert eventually(lambda: len(slow.begun) == 3)
    assert [slow.begun[n] - sent[n] < 0.1 for n in (1, 2)] == [True, True]
    if way == "schedule":
        running.join(5)
    runner.close()
