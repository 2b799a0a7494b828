"""One run of a runner."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rate_limited import _loop
from rate_limited._bill import note_spent
from rate_limited._control import MOST_FOUND_OUT
from rate_limited._ledger import FAILED
from rate_limited._loop import LoopWorkers
from rate_limited._progress import Progress
from rate_limited._threads import ThreadWorkers
from rate_limited._ticker import Ticker

if TYPE_CHECKING:
    from rate_limited.runner import Runner


NEVER_SENT = ("spent", "never_fits")
"""Why a call may fail that had no attempt."""


class Run:
    """One run of a runner, from its start to its end."""

    def __init__(self, runner: Runner[Any, Any]) -> None:
        self._runner = runner
        self._machine = runner._machine
        self._ledger = runner._ledger
        self._tally = self._ledger.tally
        if self._tally.before is None:
            self._tally.before = self._machine.progress()
        self._seconds_before = self._tally.seconds
        self.why = "asked"
        self.over = threading.Lock()
        self.over.acquire()
        self._released = False
        self._interrupts = 0
        self._halted = False
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._workers: LoopWorkers | ThreadWorkers | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_release: Callable[[], None] = lambda: None
        progress = Progress(len(runner), **runner._progress_options())
        self.first_failure = progress.first_failure
        self._log = runner._log
        self._ticker = Ticker(progress, runner.progress_interval, self.snapshot, self._log)
        self._begun = time.monotonic()

    def start(self) -> None:
        """Starts to work, on threads or on the loop of the package."""
        if self._runner._is_async:
            loop = _loop.own_loop()
            workers = self._begin(LoopWorkers)
            self._loop = loop
            loop.call_soon_threadsafe(workers.start)
        else:
            self._begin(ThreadWorkers).start()

    async def wait(self) -> None:
        """Starts to work and waits; async functions run on the running loop."""
        loop = asyncio.get_running_loop()
        over = loop.create_future()

        def release() -> None:
            if not over.done():
                over.set_result(None)

        self._on_release = lambda: _call_soon(loop, release)
        workers = self._begin(LoopWorkers if self._runner._is_async else ThreadWorkers)
        workers.start()
        try:
            await over
            self._join()
        except asyncio.CancelledError:
            self._machine.halt()
            self._release()
            raise
        finally:
            if isinstance(workers, LoopWorkers):
                workers.close()

    def interrupt(self) -> None:
        """The first time drains, the second time ends at once; a run that is over takes no notice."""
        if self._released:
            return
        self._interrupts += 1
        if self._interrupts > 1:
            self._halt()
            return
        self._machine.stop()
        self._timer = threading.Timer(self._runner.grace_seconds, self._halt)
        self._timer.daemon = True
        self._timer.start()

    def wait_blocking(self) -> None:
        """Waits until the run is over."""
        self.over.acquire()
        self._join()

    def allow(self, most: int) -> None:
        """Lets so many calls be in flight, as far as workers go."""
        if self._workers is not None:
            self._workers.allow(most)

    def close(self) -> None:
        """Ends what belongs to the run."""
        if self._timer is not None:
            self._timer.cancel()
        self._ticker.close()

    @property
    def seconds(self) -> float:
        """How long it has been running, with the interrupted runs that it goes on with."""
        return self._seconds_before + time.monotonic() - self._begun

    def snapshot(self) -> dict[str, Any]:
        """The numbers of its calls, for the progress: also what interrupted runs that it goes on with did."""
        ledger = self._ledger
        numbers = {**self._tally.of(self._machine.progress()), **ledger.counts()}
        numbers["interrupted"] = self._interrupts > 0
        slow, base = self._runner._attempts.slow_calls(), ledger.base
        numbers["slow_calls"] = {number - base: seconds for number, seconds in slow.items()}
        return numbers

    def _begin(self, kind: type[Any]) -> Any:
        runner = self._runner
        most = runner._bound or MOST_FOUND_OUT
        run = self._machine.begin(False, False)
        if self._interrupts:
            # It came before there was anything to stop.
            self._machine.stop()
        self._workers = kind(
            self._machine, run, runner._attempts, self._ledger, most, self._on_over, self._on_ended
        )
        if runner._progress_setting is not False or self._log.is_on:
            self._ticker.start()
        return self._workers

    def _join(self) -> None:
        # Whoever forgets the runner now has nothing of it left, such as an open journal.
        if isinstance(self._workers, ThreadWorkers) and not self._halted:
            self._workers.join()

    def _halt(self) -> None:
        self._halted = True
        self._machine.halt()
        workers, loop = self._workers, self._loop
        if isinstance(workers, LoopWorkers) and loop is not None:
            _call_soon(loop, workers.close)
        self._release()

    def _on_over(self, why: str) -> None:
        self.why = why
        self._release()

    def _on_ended(self, number: int, why: str) -> None:
        """A call failed for good."""
        index = number - self._ledger.base
        self._ledger.end(index, FAILED)
        self._tally.failed += why not in NEVER_SENT
        if why == "spent":
            error = note_spent(self._ledger, index, self._runner._resources)
            self.first_failure(error)
        elif why == "never_fits":
            self._ledger.note(
                index, ValueError("call exceeds resource quota: there will never be enough of it")
            )

    def _release(self) -> None:
        with self._lock:
            if self._released:
                return
            self._released = True
            self._tally.seconds = self.seconds
        self.over.release()
        self._on_release()


def _call_soon(loop: asyncio.AbstractEventLoop, action: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(action)
    except RuntimeError:
        pass  # the loop was closed meanwhile: nobody waits on it any more
