"""Watches a file for a loop that cannot watch files itself, such as Windows' proactor loop."""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import threading
from collections.abc import Callable


class Pump:
    """A thread that waits until there is something to read, reads it, and calls back on the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fileno: int, on_news: Callable[[], object]) -> None:
        self._loop = loop
        self._fileno = fileno
        self._on_news = on_news
        # What ends the thread: it waits for this too.
        self._ending, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._watch, name="rate_limited-pump", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread: news that comes afterwards is for whoever watches next."""
        self._end.close()
        self._thread.join()
        self._ending.close()

    def _watch(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._ending, selectors.EVENT_READ)
            selector.register(self._fileno, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if self._ending in ready:
                    return
                drain(self._fileno)
                try:
                    self._loop.call_soon_threadsafe(self._on_news)
                except RuntimeError:
                    return  # the loop was closed: nobody works on it any more


def drain(fileno: int) -> None:
    """Reads what there is to read."""
    try:
        os.read(fileno, 4096)
    except BlockingIOError:
        pass
