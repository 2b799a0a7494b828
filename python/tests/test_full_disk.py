"""A disk that becomes full during a run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rate_limited import Resource, Runner
from rate_limited.exceptions import JournalError

# More than what is set aside for answers that are in flight, and room for some dozens of answers beside it.
SIZE = "12m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(tmp_path)]
    if sys.platform != "linux" or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("no right to mount a disk")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_full_disk_costs_no_answer_and_no_call(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    sent: list[int] = []

    def ask(number: int) -> str:
        sent.append(number)
        time.sleep(0.002)
        return "x" * 50_000

    def run(**options: Any) -> list[Any]:
        limits = [Resource.per_minute("requests", 1_000_000)]
        options |= {"journal": disk / "run.db", "max_concurrent": 16, "progress": False}
        with Runner(ask, limits, **options) as runner:
            for number in range(400):
                runner.schedule(number)
            return runner.run()[0]

    first = run()
    there = sum(answer is not None for answer in first)
    assert there == len(sent) < 400
    assert "run.db is full: free some room, and run again" in caplog.text

    with pytest.raises(JournalError, match="it needs 8 MiB in reserve; free some, or choose another path"):
        run()
    assert len(sent) == there

    subprocess.run(["mount", "-o", "remount,size=80m", str(disk)], check=True)
    # Of no call it is unknown whether it was answered: what was in flight came back, and the rest never left.
    assert all(answer is not None for answer in run(on_unknown="skip"))
    assert sorted(sent) == list(range(400))
