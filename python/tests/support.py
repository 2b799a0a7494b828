"""What several test files need: watchdogs, runners without noise, and scripts in processes."""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rate_limited import Resource, Runner

SECONDS_PER_TEST = 8.0


class Hung(BaseException):
    """A test took too long. No `except Exception` swallows it."""


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    """Fails a test that hangs; if even that hangs, shows all threads and ends the process."""

    def hung(_number: int, _frame: object) -> None:
        faulthandler.dump_traceback(sys.__stderr__)
        raise Hung(f"the test took more than {SECONDS_PER_TEST} s")

    former = signal.signal(signal.SIGALRM, hung)
    faulthandler.dump_traceback_later(2 * SECONDS_PER_TEST, exit=True, file=sys.__stderr__)
    signal.setitimer(signal.ITIMER_REAL, SECONDS_PER_TEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)
        faulthandler.cancel_dump_traceback_later()


def binary() -> str:
    """The command `rate-limited`: the one that is named, or installed beside this Python, or was built last."""
    named, beside = os.environ.get("RATE_LIMITED_BINARY"), Path(sys.executable).with_name("rate-limited")
    if named or beside.exists():
        return named or str(beside)
    for folder in Path(__file__).resolve().parents:
        built = [folder / "target" / profile / "rate-limited" for profile in ("release", "debug")]
        built = [file for file in built if file.is_file()]
        if built:
            return str(max(built, key=lambda file: file.stat().st_mtime))
    pytest.fail("no command rate-limited: build it, or let RATE_LIMITED_BINARY name it")


def plenty() -> list[Resource]:
    """Limits that no test reaches."""
    return [Resource.per_second("requests", 1_000_000)]


def quiet(function: Callable[..., Any], resources: Any = None, **options: Any) -> Runner[..., Any]:
    """A runner that shows nothing; without resources its limits are ample."""
    options.setdefault("progress", False)
    return Runner(function, plenty() if resources is None else resources, **options)


def scheduled(runner: Runner[..., Any], *items: Any) -> Runner[..., Any]:
    """The runner, with a call for each item."""
    for item in items:
        runner.schedule(item)
    return runner


def in_thread(action: Callable[[], Any], timeout: float = 10.0) -> Any:
    """What `action` returns or raises on a thread of its own."""
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.append((action(), None))
        except BaseException as error:  # noqa: BLE001 - raised again below
            outcome.append((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(timeout)
    assert outcome, "the thread hangs"
    value, error = outcome[0]
    if error is not None:
        raise error
    return value


def run_plain(runner: Runner[..., Any]) -> Any:
    """Runs in a thread without a loop."""
    return in_thread(runner.run)


def run_under_loop(runner: Runner[..., Any]) -> Any:
    """Runs blocking while the thread's loop is running."""

    async def main() -> Any:
        return runner.run()

    return asyncio.run(main())


def run_awaited(runner: Runner[..., Any]) -> Any:
    """Runs on the caller's loop."""

    async def main() -> Any:
        return await asyncio.wait_for(runner.run_coro(), 10)

    return asyncio.run(main())


WAYS_TO_RUN = [
    pytest.param(run_plain, id="plain"),
    pytest.param(run_under_loop, id="under_loop"),
    pytest.param(run_awaited, id="awaited"),
]


def kinds(exceptions: list[list[BaseException]]) -> list[list[str]]:
    """The names of the exceptions' types, call by call."""
    return [[type(error).__name__ for error in errors] for errors in exceptions]


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether the condition comes true within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.005)
    return condition()


def ahead_of_quota(times: list[float], since: float, quota: int, window: float) -> list[float]:
    """Those of these moments, in seconds, before which more calls began than the windows since then allow.

    A call is let go at most as late as it notes its moment, so the n-th moment noted is not before the n-th
    call was let go: on a busy machine too, where a note comes late, nothing is found that was not so.
    """
    return [
        moment for number, moment in enumerate(sorted(times)) if moment < since + number // quota * window
    ]


PREAMBLE = """
import asyncio, faulthandler, functools, json, os, signal, sys, threading, time
faulthandler.dump_traceback_later(20, exit=True)
from rate_limited import Resource, Runner

started = time.monotonic()

def limits():
    return [Resource.per_second("requests", 1_000_000)]

def at(*moments, after=None):
    # Sends SIGINT to this process so many seconds from now or after an event, from a thread.
    def send():
        if after is not None:
            after.wait()
        begun = time.monotonic()
        for moment in moments:
            time.sleep(max(0.0, begun + moment - time.monotonic()))
            os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=send, daemon=True).start()

def say(**facts):
    print(json.dumps(facts), flush=True)
"""


def dedented(*parts: str) -> str:
    """Parts of a script, each written with an indentation of its own."""
    return "\n".join(textwrap.dedent(part) for part in parts)


class Script:
    """A script in a process of its own, run to its end; `facts` are what it said, merged."""

    def __init__(self, text: str, timeout: float = 25.0) -> None:
        code = PREAMBLE + textwrap.dedent(text)
        begun = time.monotonic()
        ended = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            check=False,
        )
        self.seconds = time.monotonic() - begun
        self.code, self.errors = ended.returncode, ended.stderr
        self.facts: dict[str, Any] = {}
        for line in ended.stdout.splitlines():
            if line.startswith("{"):
                self.facts.update(json.loads(line))

    def succeeded(self) -> dict[str, Any]:
        """What the script said, if it ended well."""
        assert self.code == 0, self.errors[-4_000:]
        return self.facts
