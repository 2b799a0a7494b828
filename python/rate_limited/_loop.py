"""Workers on an asyncio loop, and the one loop of our own.

The loop of our own runs on a daemon thread, is made at first use and is shared by all runners, so that
a second run finds a client's connections alive.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from rate_limited._ledger import Ledger
from rate_limited._native import ABANDON, DISPATCH, ENDED, OVER, WAIT, Machine
from rate_limited._pump import Pump, drain

if TYPE_CHECKING:
    from rate_limited._attempts import Attempts, Verdict

# Functions that never wait would keep the loop from everything else.
_TURNS_WITHOUT_PAUSE = 64

_lock = threading.Lock()
_own: tuple[int, asyncio.AbstractEventLoop] | None = None


def own_loop() -> asyncio.AbstractEventLoop:
    """The loop of this process that belongs to the package."""
    global _own
    with _lock:
        if _own is None or _own[0] != os.getpid():
            loop = asyncio.new_event_loop()
            thread = threading.Thread(target=loop.run_forever, name="rate_limited-loop", daemon=True)
            thread.start()
            _own = (os.getpid(), loop)
        return _own[1]


def wait_for(awaitable: Awaitable[Any]) -> Any:
    """Waits on this thread for something awaited on the loop of the package."""

    async def outcome() -> tuple[Any, BaseException | None]:
        try:
            return await awaitable, None
        except BaseException as error:  # noqa: BLE001 - an exit would end the loop for everyone
            return None, error

    result, error = asyncio.run_coroutine_threadsafe(outcome(), own_loop()).result()
    if error is not None:
        raise error
    return result


class LoopWorkers:
    """The workers of one run on one loop. All methods but `__init__` run on that loop."""

    def __init__(
        self,
        machine: Machine,
        run: int,
        attempts: Attempts,
        ledger: Ledger,
        most: int,
        on_over: Callable[[str], None],
        on_ended: Callable[[int, str], None],
    ) -> None:
        self._machine = machine
        self._run = run
        self._attempts = attempts
        self._ledger = ledger
        self._most = most
        self._on_over = on_over
        self._on_ended = on_ended
        self._tasks: set[asyncio.Task[None]] = set()
        self._parked: list[asyncio.Future[None]] = []
        self._running: dict[int, asyncio.Task[None]] = {}
        self._abandoned: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop
        self._pump: Pump | None = None
        self._closed = False

    def start(self) -> None:
        """Begins to work; called on the loop."""
        self._loop = asyncio.get_running_loop()
        fileno = self._machine.fileno()
        try:
            self._loop.add_reader(fileno, self._on_news)
        except NotImplementedError:
            self._pump = Pump(self._loop, fileno, self._add)
        self._add()

    def allow(self, most: int) -> None:
        """Lets there be so many workers; who is too much of one stays, and waits. From any thread."""
        self._most = most

    def close(self) -> None:
        """Stops working; what is in flight is cancelled. Called on the loop."""
        if self._closed:
            return
        self._closed = True
        if self._pump is not None:
            self._pump.close()
        else:
            self._loop.remove_reader(self._machine.fileno())
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks:
            task.cancel()

    def _add(self) -> None:
        """Wakes a worker that waits, or makes one."""
        while self._parked:
            parked = self._parked.pop()
            if not parked.done():
                parked.set_result(None)
                return
        if len(self._tasks) <= self._most and not self._closed:
            task = self._loop.create_task(self._work())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _on_news(self) -> None:
        drain(self._machine.fileno())
        self._add()

    async def _work(self) -> None:
        machine, make, ledger = self._machine, self._attempts.awaited, self._ledger
        run, running = self._run, self._running
        task = asyncio.current_task()
        assert task is not None
        step = machine.take_nowait(run)
        turns = 0
        while True:
            kind, first, second, third, another = step
            if another:
                self._add()
            if kind == DISPATCH:
                turns += 1
                if turns % _TURNS_WITHOUT_PAUSE == 0:
                    await asyncio.sleep(0)
                running[first] = task
                try:
                    class_, usage, wait, code = await make(ledger, second, first)
                except asyncio.CancelledError:
                    class_, usage, wait, code = self._cancelled(task, first, second)
                finally:
                    del running[first]
                step = machine.turn_nowait(run, first, class_, usage, wait, code)
                continue
            if kind == OVER:
                self._over(first)
                return
            if kind == WAIT:
                await self._park(first)
            else:
                if kind == ABANDON:
                    self._abandon(first, second, third)
                elif kind == ENDED:
                    self._on_ended(first, second)
                machine.handled()
            step = machine.take_nowait(run)

    def _cancelled(self, task: asyncio.Task[None], attempt: int, number: int) -> Verdict:
        """An attempt ended with a cancellation: ours, because it was given up, or the function's."""
        if attempt in self._abandoned:
            self._abandoned.discard(attempt)
            if sys.version_info >= (3, 11):
                task.uncancel()
            # Nobody waits for it any more, and what is reported of it is nothing.
            return "failure", None, None, None
        if self._closed or (sys.version_info >= (3, 11) and task.cancelling()):
            raise asyncio.CancelledError
        return self._attempts.cancelled(self._ledger, number, attempt)

    def _abandon(self, attempt: int, number: int, why: str) -> None:
        if why == "timeout":
            self._attempts.timed_out(self._ledger, number)
        task = self._running.get(attempt)
        if task is not None:
            self._abandoned.add(attempt)
            task.cancel()

    async def _park(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if seconds is not None:
            # A timer of a day suffices: whoever wakes asks again.
            self._timer = self._loop.call_later(min(seconds, 86_400.0), self._add)
        parked = self._loop.create_future()
        self._parked.append(parked)
        await parked

    def _over(self, why: str) -> None:
        if not self._closed:
            current = asyncio.current_task()
            if current is not None:
                self._tasks.discard(current)
            self.close()
            self._on_over(why)
