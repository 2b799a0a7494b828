"""SIGINT at many points of a run of two seconds, with a journal and without: what was paid for against what is kept.

Several processes run at once, so these tests have time-outs of their own and no watchdog.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support import Script, dedented

AT_ONCE = 8

# How many points a script is interrupted at: 200 of them are one every 10 ms.
POINTS = int(os.environ.get("RATE_LIMITED_SIGINT_POINTS", "50"))
GRACE_SECONDS = 0.5

# What may pass between the end of the grace and the return.
SLACK_SECONDS = 0.2

# 260 calls of 20 to 60 ms, four at a time: 2.6 s, of which 2 s are looked at. In some runs, a call that begins shortly before the
# signal comes hangs; it answers when it is asked for again.
SETUP = """
    calls = 260
    hung = set()

    def seconds(n):
        if hangs and not hung and time.monotonic() > begin + moment - 0.03:
            hung.add(n)
            return 60
        return 0.02 + (7 * n % 5) * 0.01

    begun, paid, late = [], [], [0.0]
    begin = time.monotonic()

    def beat():
        # How late the machine itself wakes a thread, for it has other things to do.
        while True:
            due = time.monotonic() + 0.01
            time.sleep(0.01)
            late.append(time.monotonic() - due)
    threading.Thread(target=beat, daemon=True).start()
    """

BODIES = {
    "sync": """
    def work(n):
        begun.append(n)
        time.sleep(seconds(n))
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

RUN = """
    def made():
        runner = Runner(
            work, [Resource.per_second("requests", 1_000_000)],
            max_concurrent=4, grace_seconds=grace, progress=False, journal=journal,
        )
        for n in range(calls):
            runner.schedule(n)
        return runner
    runner = made()
    begin = time.monotonic()
    """

WAYS = {
    "script": "results, exceptions = runner.run()",
    "asyncio": """
    async def main():
        return runner.run()
    results, exceptions = asyncio.run(main())
    """,
}

REPORT = """
    returned = time.monotonic()
    early, interrupted = set(paid), runner.interrupted
    kept = {r for r in results if r is not None}
    latest = max(late)
    hung.add(-1)
    again, restored = runner.run()[0], True
    asked = list(begun)
    if journal is not None:
        # Another process would find all of it there.
        runner.close()
        restored = made().run()[0] == again and begun == asked
    say(
        paid=len(early), kept=len(kept), lost=sorted(early - kept), interrupted=interrupted,
        in_place=all(r in (None, n) for n, r in enumerate(results)),
        shape=[len(results), len(exceptions)], returned=returned, late=latest,
        complete=again == list(range(calls)), restored=restored,
        twice=sorted(n for n in set(begun) if begun.count(n) > 1),
    )
    """

SEND = """
    sent = []
    def send():
        # Not before the run has begun: until then Ctrl-C is Python's own.
        while not begun:
            time.sleep(0.001)
        time.sleep(max(0.0, begin + moment - time.monotonic()))
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=send, daemon=True).start()
    """


def settings(number: int, moment: float) -> tuple[str, str]:
    """The kind of the function, and the assignments that a point begins with."""
    kind = ("sync", "async")[number % 2]
    journal = "tempfile.mkdtemp() + '/run.db'" if number // 2 % 2 else "None"
    assigned = f"moment, hangs, grace = {moment}, {number % 5 == 4}, {GRACE_SECONDS}"
    return kind, f"import tempfile\n{assigned}\njournal = {journal}"


def interrupted_once(way: str, number: int, moment: float) -> dict[str, Any]:
    """What a process says that is interrupted so long after the start of its run."""
    kind, assignments = settings(number, moment)
    parts = (assignments, SETUP, BODIES[kind], RUN, SEND, WAYS[way], REPORT)
    script = Script(dedented(*parts, "say(sent=sent[0])"), timeout=60)
    return {**script.succeeded(), "moment": moment, "hangs": number % 5 == 4}


def many(way: str, points: int) -> list[dict[str, Any]]:
    """Points all over the two seconds, several at once."""
    moments = [0.02 + 1.96 * number / points for number in range(points)]
    one: Callable[[int], dict[str, Any]] = lambda n: interrupted_once(way, n, moments[n])  # noqa: E731
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(one, range(points)))


def check(found: list[dict[str, Any]]) -> None:
    """Nothing paid for is lost, and nobody waits longer than the grace allows."""
    for facts in found:
        assert facts["interrupted"], facts
        assert facts["lost"] == [], facts
        assert facts["in_place"], facts
        assert facts["shape"] == [260, 260], facts
        # The run after it does the rest. Only a call that hung is made again.
        assert facts["complete"] and facts["restored"], facts
        assert len(facts["twice"]) <= facts["hangs"], facts
        took = facts["took"] = facts["returned"] - facts["sent"]
        # What the machine itself is late by is allowed for, and no more.
        assert took <= GRACE_SECONDS + SLACK_SECONDS + facts["late"], facts
        if not facts["twice"]:
            # No call in flight takes longer than this.
            assert took <= 0.06 + SLACK_SECONDS + facts["late"], facts
    paid, kept = (sum(facts[name] for facts in found) for name in ("paid", "kept"))
    longest = max(facts["took"] for facts in found)
    hung = sum(len(facts["twice"]) for facts in found)
    print(
        f"{len(found)} interruptions: {paid} answers paid, {kept} kept, 0 lost; {hung} with a call that "
        f"hung; longest return {longest:.3f} s with a grace of {GRACE_SECONDS} s"
    )
    assert paid == kept
    # On a busy machine, no call may have begun just before the signal.
    assert hung > len(found) // 10


def test_in_a_script() -> None:
    check(many("script", POINTS))


def test_under_asyncio() -> None:
    check(many("asyncio", 2 * POINTS // 5))


NOTEBOOK_PREAMBLE = """
import asyncio, json, os, pathlib, threading, time
from rate_limited import Resource, Runner

def say(**facts):
    print(json.dumps(facts))
"""


def test_at_5_points_in_a_kernel(tmp_path: Path) -> None:
    notebooks = pytest.importorskip("notebooks")

    async def one(number: int, moment: float) -> dict[str, Any]:
        marker = tmp_path / str(number)
        kind, assignments = settings(number, moment)
        start = f"begin = time.monotonic()\npathlib.Path({str(marker)!r}).touch()"
        run = f"{start}\nresults, exceptions = runner.run()"
        cells = [
            dedented(NOTEBOOK_PREAMBLE, assignments, SETUP, BODIES[kind], RUN),
            dedented(run, "returned = time.monotonic()"),
            dedented(REPORT.replace("returned = time.monotonic()", "")),
        ]
        cells = [notebooks.nbformat.v4.new_code_cell(text) for text in cells]
        notebook = notebooks.nbformat.v4.new_notebook(cells=cells)
        sent = await notebooks.executed(notebook, marker, after=moment, timeout=30)
        facts: dict[str, Any] = notebooks.facts_of(notebook)
        return {**facts, "sent": sent, "moment": moment, "hangs": number % 5 == 4}

    async def main() -> list[dict[str, Any]]:
        return await asyncio.gather(*(one(n, 0.1 + 0.42 * n) for n in range(5)))

    check(asyncio.run(main()))
