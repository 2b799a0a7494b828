"""What a run tells `logging`, under the name `rate_limited`: lines of level INFO, which nobody sees who does not ask.

Of each kind of event there is a line now and then, with how many there were since: a run of a million calls that
all are refused writes no million lines. Nothing of a call's arguments, its answer or an exception's text is in them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rate_limited._answers import shown

if TYPE_CHECKING:
    from rate_limited.resources import Resource

logger = logging.getLogger("rate_limited")

LINE_SECONDS = 10.0
"""The least time between two lines of one kind."""

KINDS_MAX = 1_000
"""How many kinds of events are told apart; each type of an exception is one."""

_TEXTS = {
    "refused": "the server refused a call",
    "overloaded": "the server has too much to do",
    "invalid": "a call is tried again",
    "permanent": "a call failed for good",
    "fatal": "the run stops",
}


class EventLog:
    """Logs what happens to the attempts of a runner.

    Args:
        resources: whose limits in force are watched.
        long_wait_seconds: from which wait on it is said what is waited for; None: never.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        resources: Sequence[Resource],
        long_wait_seconds: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resources = list(resources)
        self._long_wait_seconds = long_wait_seconds
        self._clock = clock
        self._lock = threading.Lock()
        # When a line of each kind was written last, and how many were left out since.
        self._lines: dict[str, tuple[float, int]] = {}
        self._limits = [resource.limit for resource in self._resources]

    @property
    def is_on(self) -> bool:
        """Whether anybody asks for the lines."""
        return logger.isEnabledFor(logging.INFO)

    def attempt(self, class_: str, error: BaseException) -> None:
        """An attempt brought nothing; `class_` is what is made of that."""
        if not self.is_on:
            return
        kind = type(error).__qualname__
        try:
            answer = shown(error)
        except Exception:  # noqa: BLE001 - its attributes may do anything
            answer = None
        status = "" if answer is None else f", status {answer.status}"
        text = _TEXTS.get(class_, "an attempt failed, it is tried again")
        self._line(f"{class_} {kind}{status}", f"{text} ({kind}{status})")

    def look(self, snapshot: Mapping[str, Any]) -> None:
        """Looks at a run from time to time: what it waits for, and the limits in force."""
        if not self.is_on:
            return
        seconds, longest = snapshot.get("wait_seconds"), self._long_wait_seconds
        if seconds is not None and longest is not None and seconds > longest:
            on = snapshot.get("waiting_on") or "quota"
            self._line(f"wait for {on}", f"waiting {seconds:.0f} s for {on}")
        for place, resource in enumerate(self._resources):
            limit, former = resource.limit, self._limits[place]
            if limit != former:
                self._limits[place] = limit
                if limit is not None:
                    self._line(f"limit of {place}", f"the limit of {resource.name} in force is {limit:,.15g}")

    def _line(self, kind: str, text: str) -> None:
        now = self._clock()
        with self._lock:
            if kind not in self._lines and len(self._lines) >= KINDS_MAX:
                kind = ""
            last, left_out = self._lines.get(kind, (now - LINE_SECONDS, 0))
            if now - last < LINE_SECONDS:
                self._lines[kind] = last, left_out + 1
                return
            self._lines[kind] = now, 0
        more = f"; {left_out:,} more like it since the last line" if left_out else ""
        logger.info("%s%s", text, more)
