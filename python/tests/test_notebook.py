"""Notebooks, executed by a kernel of their own: interrupted in the middle, and run again."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from notebooks import executed, facts_of, nbformat
from support import watchdog  # noqa: F401 - a fixture

SETUP = """
import asyncio, json, os, pathlib, threading, time
from rate_limited import Resource, Runner
begun, paid, lock = [], [], threading.Lock()

def begin(n):
    with lock:
        begun.append(n)
        if len(begun) == 12:
            pathlib.Path({marker!r}).touch()

def say(**facts):
    print(json.dumps(facts))
"""

BODIES = {
    "sync": """
def work(n):
    begin(n)
    time.sleep(0.05)
    paid.append(n)
    return n
""",
    "async": """
async def work(n):
    begin(n)
    await asyncio.sleep(0.05)
    paid.append(n)
    return n
""",
}

MAKE = """
runner = Runner(work, [Resource.per_second("requests", 1_000)], max_concurrent=4)
for n in range(60):
    runner.schedule(n)
"""

# The cell that is interrupted. An exception in it would end the execution of the notebook.
INTERRUPTED = """
asyncio.get_running_loop()  # raises if the kernel's loop is not running
results, exceptions = runner.run()
say(interrupted=runner.interrupted, partial=results, first_errors=sum(map(len, exceptions)),
    begun_first=len(begun), paid_first=sorted(paid), kept=runner.last[0])
"""

AGAIN = """
results, exceptions = runner.run()
say(full=results, errors=sum(map(len, exceptions)), begun=sorted(begun), paid=sorted(paid),
    still_interrupted=runner.interrupted)
"""

AFTERWARDS = """
kept = runner.run()
say(nothing_left=kept, last=len(runner.last[0]))
for n in range(3):
    runner.schedule(n)
say(awaited=(await runner.run_coro())[0], mapped=list(runner.map([7, 8])))
runner.close()
"""


@pytest.mark.parametrize("kind", BODIES)
def test_interrupted_in_the_middle_and_run_again(tmp_path: Path, kind: str) -> None:
    marker = tmp_path / "begun"
    setup = SETUP.format(marker=str(marker)) + BODIES[kind] + MAKE
    cells = [nbformat.v4.new_code_cell(text) for text in (setup, INTERRUPTED, AGAIN, AFTERWARDS)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    asyncio.run(executed(notebook, marker))
    facts = facts_of(notebook)

    everything = list(range(60))
    assert facts["interrupted"]
    # Each result is in its place or a gap, and whatever was paid for is there.
    partial = facts["partial"]
    assert len(partial) == 60
    assert all(result in (None, n) for n, result in enumerate(partial))
    assert 8 <= facts["begun_first"] < 60
    assert [result for result in partial if result is not None] == facts["paid_first"]
    assert len(facts["paid_first"]) == facts["begun_first"]
    assert facts["kept"] == partial
    # The next cell does the rest, and nothing of it twice.
    assert facts["full"] == facts["begun"] == facts["paid"] == everything
    assert facts["first_errors"] == facts["errors"] == 0
    assert not facts["still_interrupted"]
    # A cell that is run once more does not overwrite what was paid for.
    assert facts["nothing_left"] == [[], []]
    assert facts["last"] == 60
    assert facts["awaited"] == [0, 1, 2]
    assert facts["mapped"] == [7, 8]


def example() -> Path:
    """The notebook among the examples of the sources."""
    for folder in Path(__file__).resolve().parents:
        found = folder / "examples" / "python" / "poems.ipynb"
        if found.exists():
            return found
    pytest.fail("the examples were not found above the tests")


def test_the_example() -> None:
    notebook = nbformat.read(example(), as_version=4)
    asyncio.run(executed(notebook))
    assert "line 1 about raven" in notebook.cells[-1].outputs[-1].data["text/plain"]
