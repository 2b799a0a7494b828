"""Hooks that run on an event loop and keep everything else on it waiting.

Hooks run where the call ran: those of a plain function keep only their own thread waiting.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from rate_limited.calls import function_name

SLOW_SECONDS = 0.05
"""The longest time that a hook may take on a loop without a warning."""

logger = logging.getLogger("rate_limited")

_now = time.perf_counter


class HookWatch:
    """Times the hooks of one runner, and warns of the first one that is slow."""

    def __init__(self) -> None:
        self._warned = False

    def call(self, what: str, hook: object, run: Callable[..., Any], *args: Any) -> Any:
        """Runs a hook; `run` is the hook itself, or what calls it."""
        started = _now()
        try:
            return run(*args)
        finally:
            seconds = _now() - started
            if seconds > SLOW_SECONDS and not self._warned:
                self._warned = True
                logger.warning(_slow_text(what, hook, seconds))


def _slow_text(what: str, hook: object, seconds: float) -> str:
    return (
        f"the {what} {function_name(hook)} took {1_000 * seconds:.0f} ms on the event loop, where all "
        f"other calls waited for it (up to {1_000 * SLOW_SECONDS:.0f} ms are fine): make it faster, or do "
        "that work after the run; those of plain functions run on the threads of their calls"
    )
