"""The progress wakes nobody but once per interval, and is never asked for more often."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import pytest
from support import quiet, watchdog  # noqa: F401 - a fixture


def sleeps_of(name: str) -> int:
    """How often a thread has gone to sleep, by the kernel's books."""
    thread = next(thread for thread in threading.enumerate() if thread.name == name)
    with open(f"/proc/self/task/{thread.native_id}/status") as status:
        return int(next(line for line in status if line.startswith("voluntary")).split()[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the books are those of Linux")
def test_one_wake_up_per_interval() -> None:
    told: list[dict[str, Any]] = []
    # Calls that leave the interpreter alone: a thread that waits for its lock sleeps every 5 ms.
    runner = quiet(lambda n: time.sleep(0.2), progress=told.append, progress_interval=0.1, max_concurrent=2)
    for number in range(1_000):
        runner.schedule(number)
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    time.sleep(0.35)
    before, shown, begun = sleeps_of("rate_limited-progress"), len(told), time.monotonic()
    time.sleep(1.5)
    sleeps, intervals = sleeps_of("rate_limited-progress") - before, (time.monotonic() - begun) / 0.1
    assert len(told) - shown <= intervals + 1
    assert sleeps <= 3 * intervals + 3
    assert told[-1]["done"] > told[0]["done"]
    runner.interrupt()
    runner.interrupt()
    thread.join(5)
