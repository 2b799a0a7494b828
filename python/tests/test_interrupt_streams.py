"""Ctrl-C while `map` and `as_completed` wait: raised after the drain, and nothing paid for is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from support import Script, dedented, eventually, quiet, scheduled, watchdog  # noqa: F401

from rate_limited import Failure, RateLimitedError, Resource

BODIES = {
    "sync": """
        def work(n):
            with lock:
                begun.append(n)
            time.sleep(seconds(n))
            with lock:
                paid.append(n)
            return n
        """,
    "async": """
        async def work(n):
            begun.append(n)
            await asyncio.sleep(seconds(n))
            paid.append(n)
            return n
        """,
}

# Each takes rows and keeps them as pairs of a number and a result.
ROWS = {
    "map": "rows = enumerate(runner.map(items))",
    "unordered": "rows = ((n, n) for n in runner.map(items, ordered=False))",
    "as_completed": "rows = runner.as_completed(items)",
}

WAYS = {
    "script": "take()",
    "under a loop": """
        async def main():
            take()
        asyncio.run(main())
        """,
}

TAKE = """
    lock, begun, paid, got, facts = threading.Lock(), [], [], [], {}
    items = range(40)

    def take():
        global begin
        rows_of(runner)
        begin = time.monotonic()
        at(*moments)
        for row in rows:
            got.append(row)
            in_between()

    def in_between():
        pass

    def rows_of(runner):
        global rows
        ROWS_HERE
    """

REPORT = """
    before = signal.getsignal(signal.SIGINT)
    try:
        WAY_HERE
    except KeyboardInterrupt:
        took = time.monotonic() - begin
        results, exceptions = runner.last
        records = runner.records()
        say(
            raised=True, took=took, got=got, paid=sorted(paid), begun=sorted(begun),
            results=results, errors=sum(map(len, exceptions)),
            left=[[r["index"], r["status"], r["result"]] for r in records],
            interrupted=runner.interrupted,
            handler=signal.getsignal(signal.SIGINT) is before,
            again=list(runner.map([100, 101])),
            run=[runner.schedule(102), runner.run()][1],
            cleared=runner.last[0],
        )
    """


def script(kind: str, rows: str, way: str, *moments: float, before: str = "", grace: float = 5) -> Script:
    make = f"""
        moments = {moments}
        runner = Runner(
            work, limits(), max_concurrent=2, grace_seconds={grace}, progress=False
        )
        """
    take = TAKE.replace("ROWS_HERE", ROWS[rows])
    indented = dedented(WAYS[way]).strip().replace("\n", "\n" + " " * 8)
    report = REPORT.replace("WAY_HERE", indented)
    return Script(dedented("seconds = lambda n: 0.02", before, BODIES[kind], make, take, before, report))


@pytest.mark.parametrize("moment", [0.05, 0.21])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("kind", BODIES)
def test_once_is_raised_after_the_drain(kind: str, rows: str, way: str, moment: float) -> None:
    facts = script(kind, rows, way, moment).succeeded()
    assert facts["raised"]
    assert facts["interrupted"]
    assert facts["took"] < moment + 0.3
    # All that was paid for is with the consumer or with the runner, under its number, and once.
    kept = facts["got"] + [[n, result] for n, status, result in facts["left"] if status == "done"]
    assert all(n == result for n, result in kept)
    assert sorted(n for n, _ in kept) == facts["paid"] == facts["begun"]
    assert 0 < len(facts["paid"]) < 40
    # What was not given out is there in the order of the items, also what has not begun.
    assert [result for _, _, result in facts["left"]] == facts["results"]
    numbers = sorted([n for n, _ in facts["got"]] + [n for n, _, _ in facts["left"]])
    assert numbers == list(range(40))
    assert facts["errors"] == 0
    # And the runner goes on as if nothing had been.
    assert facts["again"] == [100, 101]
    assert facts["run"] == [[102], [[]]]
    assert facts["cleared"] == [102]
    assert facts["handler"]


HUNG = "seconds = lambda n: 0.0 if n < 4 or n >= 100 else 60"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("kind", BODIES)
def test_twice_ends_at_once(kind: str, rows: str, way: str) -> None:
    ended = script(kind, rows, way, 0.2, 0.3, before=HUNG, grace=30)
    facts = ended.succeeded()
    assert facts["raised"]
    assert 0.28 < facts["took"] < 0.7
    assert sorted(n for n, _ in facts["got"]) == facts["paid"] == [0, 1, 2, 3]
    assert [status for _, status, _ in facts["left"]] == ["unfinished"] * 36
    assert ended.seconds < 6


@pytest.mark.parametrize("kind", BODIES)
def test_a_hung_call_is_given_up_after_the_grace(kind: str) -> None:
    facts = script(kind, "map", "script", 0.2, before=HUNG, grace=0.3).succeeded()
    assert facts["raised"]
    assert 0.45 < facts["took"] < 0.9
    assert facts["paid"] == [0, 1, 2, 3]


@pytest.mark.parametrize("way", WAYS)
def test_what_arrives_within_the_grace_is_kept(way: str) -> None:
    before = "seconds = lambda n: 0.0 if n < 4 else 0.5"
    facts = script("sync", "map", way, 0.2, before=before).succeeded()
    assert facts["paid"] == [0, 1, 2, 3, 4, 5]
    assert facts["left"][:3] == [[4, "done", 4], [5, "done", 5], [6, "unfinished", None]]


def test_in_the_middle_of_the_users_own_work_nothing_is_lost_either() -> None:
    # There it is Python's own, and the loop over the rows is left with it.
    before = """
        def in_between():
            time.sleep(5)
        """
    facts = script("sync", "map", "script", 0.2, before=before).succeeded()
    assert facts["raised"]
    assert facts["took"] < 0.5
    done = [n for n, status, _ in facts["left"] if status == "done"]
    # The row that was worked on is among them: nobody knows how far that came.
    assert facts["got"] == [[0, 0]]
    assert done[0] == 0
    # Those in flight just then end a moment later.
    assert len(set(facts["paid"]) - set(done)) <= 2


def test_many_moments_lose_nothing_and_pay_nothing_twice() -> None:
    facts = Script(
        """
        import random
        paid = []
        def work(n):
            time.sleep(0.001)
            paid.append(n)
            return n
        runner = Runner(work, limits(), max_concurrent=4, grace_seconds=2, progress=False)
        todo, kept, interrupts = list(range(2000)), set(), 0
        while todo:
            got, whole = [], False
            timer = threading.Timer(random.random() * 0.06, os.kill, (os.getpid(), signal.SIGINT))
            try:
                timer.start()
                for row in runner.map(todo, buffer=200):
                    got.append(row)
                whole = True
                timer.cancel()
                timer.join()
                time.sleep(0)
            except KeyboardInterrupt:
                interrupts += 1
                if not whole:
                    time.sleep(0.02)  # it may have come between two rows, with calls in flight
                    got += [r["result"] for r in runner.records() if r["status"] == "done"]
            kept |= set(got)
            todo = [n for n in todo if n not in kept]
        say(complete=kept == set(range(2000)), twice=len(paid) - 2000, interrupts=interrupts)
        """
    ).succeeded()
    assert facts["complete"]
    assert facts["twice"] == 0
    assert facts["interrupts"] > 3


def test_interrupt_from_another_thread_does_the_same() -> None:
    paid: list[int] = []

    def work(n: int) -> int:
        time.sleep(0.02)
        paid.append(n)
        return n

    runner = quiet(work, max_concurrent=2)
    got: list[int] = []
    threading.Timer(0.15, runner.interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        for row in runner.map(iter(range(10**9)), buffer=8):
            got.append(row)  # noqa: PERF402 - what came before the exception counts
    left = [result for result in runner.last[0] if result is not None]
    assert sorted(got + left) == sorted(paid)
    assert runner.interrupted
    assert list(runner.map([1])) == [1]


def test_twice_from_another_thread_ends_at_once() -> None:
    gate = threading.Event()
    runner = quiet(lambda n: gate.wait(5), grace_seconds=30)
    for moment in (0.1, 0.2):
        threading.Timer(moment, runner.interrupt).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(runner.map([1, 2]))
    assert time.monotonic() - begun < 1
    gate.set()
    # What they answer after all is kept too.
    assert eventually(lambda: runner.last[0] == [True, True])


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_rows_that_nobody_wants_any_more_are_not_called_and_take_nothing(kind: str) -> None:
    called: list[int] = []
    free = Resource.per_minute("requests", 100)

    def work(n: int) -> int:
        called.append(n)
        time.sleep(0.05)
        return n

    async def later(n: int) -> int:
        called.append(n)
        await asyncio.sleep(0.05)
        return n

    runner = quiet(work if kind == "sync" else later, [free], max_concurrent=2)
    for row in runner.map(range(90)):
        assert row == 0
        break
    time.sleep(0.3)
    assert len(called) <= 6
    # The quota of the others is free: 90 calls fit into the rest of the minute.
    begun = time.monotonic()
    assert scheduled(quiet(str, [free]), *range(90)).run()[0][89] == "89"
    assert time.monotonic() - begun < 3
    # What was in flight then is kept.
    assert [n for n in runner.last[0] if n is not None] == sorted(called)


class Refused(Exception):
    """As a client's exception for a wrong key."""

    status_code = 401


@pytest.mark.parametrize("method", ["map", "as_completed"])
def test_a_wrong_key_ends_the_rows_with_its_reason(method: str) -> None:
    def work(n: int) -> int:
        if n == 3:
            raise Refused("wrong key")
        return n

    runner = quiet(work, max_concurrent=1)
    got: list[Any] = []
    with pytest.raises(RateLimitedError, match=r"\(fatal\): Refused: wrong key; what was not"):
        for row in getattr(runner, method)(iter(range(10**9)), buffer=8):
            got.append(row)  # noqa: PERF402 - what came before the exception counts
    rows = got if method == "map" else [row for _, row in got]
    assert rows[:3] == [0, 1, 2]
    assert isinstance(rows[3], Failure)
    assert len(rows) == 4
    assert runner.interrupted
    assert {record["status"] for record in runner.records()} == {"unfinished"}
