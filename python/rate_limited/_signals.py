"""Ctrl-C while a run blocks the main thread.

The main thread waits on a lock, which a signal interrupts. For the duration of the run the handler is
ours; the former one, asyncio's too, is put back afterwards.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def on_interrupt(action: Callable[[], None]) -> Iterator[None]:
    """Calls `action` at each SIGINT while the block runs; elsewhere than on the main thread, never."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handler(_number: int, _frame: FrameType | None) -> None:
        action()

    former = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        # A handler that was not installed from Python cannot be put back from Python.
        signal.signal(signal.SIGINT, former if former is not None else signal.SIG_DFL)
