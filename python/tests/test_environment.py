"""Odd surroundings: the package works in them, or says in one sentence what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support import dedented, watchdog  # noqa: F401

WORK = """
    import asyncio, os, sys
    from rate_limited import Resource, Runner

    def work(n):
        if n == 3:
            raise KeyError(n)
        return n

    async def later(n):
        await asyncio.sleep(0.001)
        return work(n)

    for function in (work, later):
        runner = Runner(function, [Resource.per_second("requests", 1_000)], max_retries=0)
        for n in range(20):
            runner.schedule(n)
        results, exceptions = runner.run()
        assert results == [None if n == 3 else n for n in range(20)], results
        assert sum(map(len, exceptions)) == 1
        assert list(runner.map(range(3))) == [0, 1, 2]
        runner.close()
    """

# What is done before the work, in the same process.
BEFORE = {
    "nothing odd": "",
    "no working directory": """
        # Some interpreters cannot import anything any more once the folder is gone.
        import asyncio, os, rate_limited, tempfile
        place = tempfile.mkdtemp()
        os.chdir(place)
        os.rmdir(place)
        """,
    "few open files": """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
        """,
    "no standard streams": """
        import os, sys
        for number in (0, 1, 2):
            os.close(number)
        """,
    "standard streams set to nothing": """
        import sys
        sys.stdin = sys.stdout = sys.stderr = None
        """,
    "a wall clock that jumps": """
        import itertools, time
        moments = itertools.cycle([0.0, 4_102_444_800.0, 1.0, -86_400.0])
        time.time = lambda: next(moments)
        time.time_ns = lambda: int(next(moments) * 10**9)
        """,
}

VARIABLES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "an unknown time zone": {"TZ": "Nowhere/Never"},
    "no place for temporary files": {"TMPDIR": "/nowhere/at/all"},
    "no home": {"HOME": ""},
    "warnings are errors": {"PYTHONWARNINGS": "error"},
    "development mode": {"PYTHONDEVMODE": "1"},
}


def ended(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    # The package as it is found here, whatever the child's folder and variables are.
    path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), *sys.path]))
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=8,
        env={**os.environ, "PYTHONPATH": path, **variables},
        check=False,
    )


@pytest.mark.parametrize("before", BEFORE.values(), ids=BEFORE.keys())
def test_processes_that_lack_something(before: str) -> None:
    done = ended(dedented(before, WORK))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("variables", VARIABLES.values(), ids=VARIABLES.keys())
def test_variables_that_are_odd(variables: dict[str, str]) -> None:
    done = ended(dedented(WORK), **variables)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(sys.version_info < (3, 12), reason="older interpreters cannot refuse")
def test_another_interpreter_in_the_process_is_refused_in_one_sentence() -> None:
    code = """
        import rate_limited
        try:
            import _interpreters as interpreters
        except ImportError:
            import _xxsubinterpreters as interpreters
        try:
            print(interpreters.run_string(interpreters.create(), "from rate_limited import Runner").msg)
        except Exception as error:
            print(error)
        """
    done = ended(dedented(code))
    assert done.returncode == 0, done.stderr
    assert "does not support loading in subinterpreters" in done.stdout


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts by Linux's books")
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_nobody_wakes_up_while_all_waits_for_quota(kind: str) -> None:
    code = """
        import asyncio, pathlib, threading, time
        from rate_limited import Resource, Runner
        def work(n): return n
        async def later(n): return n
        limit = Resource("requests", 1, 60, arguments_usage_extractor=lambda _: 1)
        runner = Runner(KIND, [limit], progress=False)
        runner.schedule(1)
        runner.schedule(2)
        threading.Thread(target=runner.run, daemon=True).start()

        def switches():
            texts = [p.read_text() for p in pathlib.Path("/proc/self/task").glob("*/status")]
            lines = [line for text in texts for line in text.splitlines()]
            return sum(int(l.split()[1]) for l in lines if l.startswith("voluntary_ctxt_switches"))

        time.sleep(0.5)
        before, cpu = switches(), time.process_time()
        time.sleep(1.5)
        print(switches() - before, time.process_time() - cpu)
        """
    code = code.replace("KIND", "work" if kind == "sync" else "later")
    done = ended(dedented(code))
    assert done.returncode == 0, done.stderr
    woken, seconds = done.stdout.split()
    # This thread itself wakes once.
    assert int(woken) <= 3
    assert float(seconds) < 0.05
