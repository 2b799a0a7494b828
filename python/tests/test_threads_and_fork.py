"""What belongs to the process: threads, files, children, and copies of a runner."""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import pickle
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest
from support import Script, eventually, quiet, scheduled, watchdog  # noqa: F401

from rate_limited import Resource


async def echo_later(n: int) -> int:
    await asyncio.sleep(0)
    return n


def echo(n: int) -> int:
    return n


KINDS = [pytest.param(echo, id="sync"), pytest.param(echo_later, id="async")]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir())) if os.path.isdir("/proc/self/fd") else 0


@pytest.mark.parametrize("function", KINDS)
@pytest.mark.parametrize("again", [True, False], ids=["one runner", "many runners"])
def test_runs_leave_no_threads(function: Any, again: bool) -> None:
    runner = quiet(function, progress=lambda _: None)
    scheduled(runner, 1).run()
    before = threading.active_count()
    for _ in range(50):
        runner = runner if again else quiet(function, progress=lambda _: None)
        assert scheduled(runner, *range(20)).run()[0] == list(range(20))
    # Workers end a moment after the run that they worked for.
    assert eventually(lambda: threading.active_count() <= before)


@pytest.mark.parametrize("function", KINDS)
def test_runners_leave_no_files_and_are_freed(function: Any) -> None:
    def use() -> weakref.ref[Any]:
        runner = quiet(function)
        scheduled(runner, *range(5)).run()
        return weakref.ref(runner)

    use()
    gc.collect()
    before = open_files()
    references = [use() for _ in range(50)]

    def freed() -> bool:
        gc.collect()
        return not any(reference() for reference in references) and open_files() <= before + 2

    assert eventually(freed)


@pytest.mark.parametrize("function", KINDS)
def test_closed_runners_leave_no_threads(function: Any) -> None:
    with quiet(function) as runner:
        runner.submit(1).result(5)
    before = threading.active_count()
    for _ in range(30):
        with quiet(function) as runner:
            assert list(runner.map(range(5))) == list(range(5))
    assert eventually(lambda: threading.active_count() <= before)


def test_few_calls_need_few_threads() -> None:
    runner = quiet(lambda n: time.sleep(0.02), max_concurrent=64)
    scheduled(runner, 1, 2)
    counts: list[int] = []
    before = threading.active_count()
    thread = threading.Thread(target=runner.run)
    thread.start()
    while thread.is_alive():
        counts.append(threading.active_count() - before)
        time.sleep(0.002)
    # The thread of the run, two workers, and one that keeps the time.
    assert max(counts) <= 4


def test_all_threads_are_daemons_with_names() -> None:
    gate = threading.Event()
    runner = scheduled(quiet(lambda n: gate.wait(5)), *range(3))
    known = set(threading.enumerate())
    thread = threading.Thread(target=runner.run)
    thread.start()
    assert eventually(lambda: len(set(threading.enumerate()) - known) >= 4)
    ours = set(threading.enumerate()) - known - {thread}
    gate.set()
    thread.join(5)
    assert all(each.daemon for each in ours)
    assert all(each.name.startswith("rate_limited") for each in ours)


CHILD = """
    def echo(n):
        return n
    async def echo_later(n):
        return n
    runner = Runner({function}, limits(), progress=False)
    runner.schedule(1)
    {before}
    faulthandler.cancel_dump_traceback_later()  # a child would wait for its thread for ever
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        code = 3
        try:
            {action}
            code = 4
        except RuntimeError as error:
            code = 0 if "process" in str(error) else 5
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    runner.schedule(2)
    say(child=os.waitstatus_to_exitcode(status), parent=runner.run()[0])
    """

ACTIONS = [
    "runner.run()",
    "asyncio.run(runner.run_coro())",
    "runner.submit(1)",
    "list(runner.map([1]))",
    "runner.schedule(9)",
]


@pytest.mark.parametrize("function", ["echo", "echo_later"])
@pytest.mark.parametrize("action", ACTIONS)
def test_a_child_is_told_to_make_its_own_runner(action: str, function: str) -> None:
    text = CHILD.format(function=function, action=action, before="runner.run()")
    assert Script(text).succeeded() == {"child": 0, "parent": [2]}


def test_a_child_is_told_even_if_a_run_was_going_on() -> None:
    before = "threading.Thread(target=lambda: other.run(), daemon=True).start(); time.sleep(0.05)"
    other = "other = Runner(time.sleep, limits(), progress=False); other.schedule(0.3); "
    text = CHILD.format(function="echo", action="runner.run()", before=other + before)
    assert Script(text).succeeded() == {"child": 0, "parent": [1, 2]}


@pytest.mark.parametrize("function", ["echo", "echo_later"])
def test_a_child_may_make_its_own_runner(function: str) -> None:
    action = f"""own = Runner({function}, limits(), progress=False)
            own.schedule(5)
            assert own.run() == ([5], [[]])
            raise RuntimeError("process")"""
    text = CHILD.format(function=function, action=action, before="runner.run()")
    assert Script(text).succeeded() == {"child": 0, "parent": [2]}


@pytest.mark.parametrize("copier", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_runner_cannot_be_copied(copier: Any) -> None:
    with pytest.raises(TypeError, match="Runner"):
        copier(quiet(echo))


def test_a_resource_can_be_copied_and_has_a_history_of_its_own() -> None:
    resource = Resource.per_minute("requests", 3)
    scheduled(quiet(echo, [resource]), 1, 2, 3).run()
    twin = copy.deepcopy(resource)
    begun = time.monotonic()
    scheduled(quiet(echo, [twin]), 1, 2, 3).run()
    assert time.monotonic() - begun < 1.0


def test_runners_in_many_threads_do_not_disturb_each_other() -> None:
    resource = Resource.per_second("requests", 1_000_000)
    found: list[Any] = []

    def work(first: int) -> None:
        function = echo if first % 200 else echo_later
        runner = scheduled(quiet(function, [resource]), *range(first, first + 50))
        found.append(runner.run()[0] == list(range(first, first + 50)))

    threads = [threading.Thread(target=work, args=(100 * n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert found == [True] * 20
