"""Calls that were in flight when the process died: sent again, left alone, or told before anything is sent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Six calls, one after another; the process dies in the third one, where it is told to.
JOB = """
import asyncio, json, os, sys
from rate_limited import Runner
from rate_limited.exceptions import JournalError

path, way, on_unknown = sys.argv[1:]
sent = []

def ask(number):
    if way == "die" and number == 2:
        os._exit(9)
    sent.append(number)
    return number

def shown(pairs):
    return [[result, *(type(error).__name__ for error in errors)] for result, errors in pairs]

runner = Runner(ask, [], journal=path, max_concurrent=1, on_unknown=on_unknown, progress=False)
try:
    if way == "map":
        rows = runner.map(range(6))
        results = [[None, type(row.errors[-1]).__name__] if hasattr(row, "errors") else [row] for row in rows]
    elif way == "submit":
        futures = [runner.submit(number) for number in range(6)]
        errors = [[future.exception()] if future.exception() else [] for future in futures]
        results = shown((None if error else future.result(), error) for future, error in zip(futures, errors))
    else:
        for number in range(6):
            runner.schedule(number)
        results = shown(zip(*(asyncio.run(runner.run_coro()) if way == "await" else runner.run())))
        assert not runner.interrupted
except JournalError as error:
    results = str(error)
runner.close()
print(json.dumps([results, sent]))
"""

LEFT = [None, "EarlierError"]
ALL = [[0], [1], [2], [3], [4], [5]]


def job(path: Path, way: str, on_unknown: str = "retry") -> tuple[Any, list[int]]:
    arguments = [sys.executable, "-c", JOB, str(path), way, on_unknown]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert done.returncode == (9 if way == "die" else 0), done.stderr
    results, sent = json.loads(done.stdout or "[null, []]")
    return results, sent


@pytest.mark.parametrize("way", ["run", "await", "map", "submit"])
def test_what_may_have_been_answered_is_left_alone(tmp_path: Path, way: str) -> None:
    path = tmp_path / "run.db"
    job(path, "die")
    left = [LEFT if number == 2 else [number] for number in range(6)]
    assert job(path, way, "skip") == (left, [3, 4, 5])
    # It is asked again each time, and may be sent after all.
    assert job(path, way, "skip") == (left, [])
    told, sent = job(path, way, "report")
    assert told.startswith("1 call was in flight when an earlier run died: it is not known whether it was")
    assert sent == []
    assert job(path, way, "retry") == (ALL, [2])
