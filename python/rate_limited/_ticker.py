"""Looks at a run from time to time, shows it and logs it, on a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rate_limited._log import EventLog
from rate_limited._progress import Progress


class Ticker:
    """Shows snapshots of a run every `interval` seconds, from `start` until `close`."""

    def __init__(
        self, progress: Progress, interval: float, snapshot: Callable[[], dict[str, Any]], log: EventLog
    ) -> None:
        self._progress = progress
        self._interval = interval
        self._snapshot = snapshot
        self._log = log
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begins to show."""
        self._thread = threading.Thread(target=self._tick, name="rate_limited-progress", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Shows the end. A user's callback that blocks keeps nobody waiting for longer than a second."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def _tick(self) -> None:
        # A run of less than an interval shows nothing on its way.
        while not self._ended.wait(self._interval):
            snapshot = self._snapshot()
            self._progress.update(snapshot)
            self._log.look(snapshot)
        self._progress.close(self._snapshot())
