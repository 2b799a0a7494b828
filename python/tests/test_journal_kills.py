"""kill -9 at any moment: nothing that was told is lost or done again, and no limit is passed.

`RATE_LIMITED_KILLS` says how many times; the default is 100.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from collections import defaultdict
from pathlib import Path

import kill_job
import pytest

KILLS = int(os.environ.get("RATE_LIMITED_KILLS", "100"))
CALLS = 150
AT_ONCE = 4

# How late this busy process may notice a call.
_DELAY_SECONDS = 0.2


class Server:
    """Answers with seven times the number, after a while; knows when each call came."""

    def __init__(self) -> None:
        self.came: dict[str, list[tuple[float, int]]] = defaultdict(list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                _, job, number = line.split()[1].decode().split("/")
                self.came[job].append((time.monotonic(), int(number)))
                await asyncio.sleep(random.uniform(0.001, 0.02))
                answer = str(int(number) * 7).encode()
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer)
                writer.write(head + answer)
                await writer.drain()
        except OSError:
            pass  # whoever asked was killed
        finally:
            writer.close()

    def fullest_window(self, job: str) -> int:
        """The most calls of a job in any window, less what a busy machine may delay the notice of a call.

        A start that had forgotten what was used would nearly double it.
        """
        window = kill_job.WINDOW_SECONDS - _DELAY_SECONDS
        times = sorted(when for when, _ in self.came[job])
        first = most = 0
        for last, when in enumerate(times):
            while when - times[first] >= window:
                first += 1
            most = max(most, last - first + 1)
        return most


class Job:
    """One list of calls, killed until it is done."""

    def __init__(self, server: Server, port: int, name: str, folder: Path) -> None:
        self.server, self.port, self.name = server, port, name
        self.journal = folder / f"{name}.db"
        self.told: dict[int, float] = {}
        self.kills = 0
        self.repeats = 0

    async def run(self, patience: float | None) -> bool:
        """Runs it for so long, then kills it; whether it came to its end before."""
        arguments = [str(self.port), self.name, str(CALLS), str(self.journal)]
        script = str(Path(kill_job.__file__))
        process = await asyncio.create_subprocess_exec(
            sys.executable, script, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        reading = asyncio.create_task(self._read(process))
        done, _ = await asyncio.wait([reading], timeout=patience)
        if not done:
            process.send_signal(signal.SIGKILL)
            self.kills += 1
        ended = await reading
        stderr = await process.stderr.read() if process.stderr else b""
        await process.wait()
        if done:
            assert ended, stderr.decode()
        return bool(done)

    async def _read(self, process: asyncio.subprocess.Process) -> bool:
        assert process.stdout is not None
        told = set()
        ended = False
        while line := await process.stdout.readline():
            if line == b"end\n":
                ended = True
            elif line.endswith(b"\n"):
                # What is cut off was never told.
                told.add(int(line))
        lost = [number for number in self.told if number not in told and ended]
        assert not lost, f"results that were told are gone: {lost}"
        for number in told:
            self.told.setdefault(number, time.monotonic())
        return ended

    def check(self) -> None:
        """Every call was made, none again after its result was told, none but the unknown ones twice."""
        came = defaultdict(list)
        for when, number in self.server.came[self.name]:
            came[number].append(when)
        assert sorted(came) == list(range(CALLS))
        for number, times in came.items():
            assert max(times) <= self.told[number], f"call {number} was made again"
        self.repeats = sum(len(times) - 1 for times in came.values())
        assert self.repeats <= self.kills * kill_job.IN_FLIGHT
        assert self.server.fullest_window(self.name) <= kill_job.QUOTA


async def kill_until(count: int, folder: Path) -> list[Job]:
    server = Server()
    serving = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = serving.sockets[0].getsockname()[1]
    jobs: list[Job] = []
    names = iter(range(1 << 30))

    async def work() -> None:
        while sum(job.kills for job in jobs) < count:
            job = Job(server, port, f"job{next(names)}", folder)
            jobs.append(job)
            while not await job.run(random.uniform(0.1, 1.2)):
                if sum(job.kills for job in jobs) >= count + AT_ONCE:
                    await job.run(None)
                    break
            job.check()

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    serving.close()
    return jobs


def test_kills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    jobs = asyncio.run(kill_until(KILLS, tmp_path))
    kills, repeats = sum(job.kills for job in jobs), sum(job.repeats for job in jobs)
    told = sum(len(job.told) for job in jobs)
    with capsys.disabled():
        print(
            f"\n{kills} kills of {len(jobs)} jobs: {told} results told, 0 lost, 0 made again; "
            f"{repeats} calls of unknown outcome made twice (at most {kill_job.IN_FLIGHT} a kill)"
        )
    assert kills >= KILLS
