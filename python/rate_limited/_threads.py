"""Workers on threads: each pulls an attempt, makes it, reports it, and pulls the next.

The threads are made as they are needed, up to the bound on calls in flight and one that keeps the time.
They are daemons: a call that hangs never keeps the interpreter from ending.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable

from rate_limited._attempts import Attempts
from rate_limited._ledger import Ledger
from rate_limited._native import ABANDON, DISPATCH, ENDED, OVER, Machine

# No thread needs so long to go home.
_JOIN_SECONDS = 1.0

_numbers = iter(range(1, 1 << 62))


class ThreadWorkers:
    """The threads of one run."""

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
        self._alive = 0
        self._stuck: set[int] = set()
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._context = contextvars.copy_context()

    def start(self) -> None:
        """Starts one more worker, unless there are enough."""
        with self._lock:
            if self._alive - len(self._stuck) > self._most:
                return
            self._alive += 1
        name = f"rate_limited-{next(_numbers)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def allow(self, most: int) -> None:
        """Lets there be so many workers; who is too much of one stays, and waits. From any thread."""
        self._most = most

    def join(self) -> None:
        """Waits for the threads, which go home when the run is over; not if one of them hangs."""
        due = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            if self._stuck:
                return
            thread.join(max(0.0, due - time.monotonic()))

    def _work(self) -> None:
        machine, make, ledger = self._machine, self._attempts.blocking, self._ledger
        run, context = self._run, self._context
        step = machine.take(run)
        while True:
            kind, first, second, third, another = step
            if another:
                self.start()
            if kind == DISPATCH:
                # The usual turn of the loop: everything else is rare.
                # Each attempt has a copy of the caller's context variables of its own.
                class_, usage, wait, code = context.copy().run(make, ledger, second, first)
                if self._stuck:
                    self._stuck.discard(first)
                step = machine.turn(run, first, class_, usage, wait, code)
                continue
            if kind == OVER:
                with self._lock:
                    self._alive -= 1
                self._on_over(first)
                return
            if kind == ABANDON:
                self._abandon(first, second, third)
            elif kind == ENDED:
                self._on_ended(first, second)
            machine.handled()
            step = machine.take(run)

    def _abandon(self, attempt: int, number: int, why: str) -> None:
        # Its thread cannot be ended; another one takes its place, within reason.
        self._stuck.add(attempt)
        if why != "timeout":
            return
        too_many = len(self._stuck) > self._most
        self._attempts.timed_out(self._ledger, number)
        if too_many:
            self._attempts.complain(
                f"{len(self._stuck)} calls hang, call {number - self._ledger.base} among them, though each "
                "was given up in time, and no thread can be ended: see what the function waits for"
            )
            self._machine.stop()
