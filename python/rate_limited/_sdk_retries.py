"""Retries that a client makes by itself, which no limit here sees."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from typing import Any

logger = logging.getLogger("rate_limited")

# The clients of OpenAI, Anthropic and others made by the same generator number their retries in this header.
_COUNT_HEADER = "x-stainless-retry-count"


class RetryWatch:
    """Warns once if the client of a runner's function tries again by itself.

    Each such retry is a request that the limits do not count, so that the server refuses others.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._warned = False
        retries = _setting(function)
        if retries:
            self._warn(f"max_retries={retries}")

    def look(self, exception: BaseException) -> None:
        """Looks whether what failed had been tried several times."""
        if self._warned:
            return
        try:
            count = int(exception.request.headers[_COUNT_HEADER])  # type: ignore[attr-defined]
        except Exception:  # noqa: BLE001 - another client, or none
            return
        if count > 0:
            self._warn(f"{count} before the last failure")

    def _warn(self, seen: str) -> None:
        self._warned = True
        logger.warning(
            "the client retries by itself (%s): those requests count against the limits of the API and not "
            "against yours; make it with max_retries=0, or give the client to a ready-made runner, and let the "
            "runner retry",
            seen,
        )


def _setting(function: Callable[..., Any]) -> int:
    """The retries of the client whose method this is; 0 where there are none, or it cannot be seen."""
    while isinstance(function, functools.partial):
        function = function.func
    client = getattr(getattr(function, "__self__", None), "_client", None)
    retries = getattr(client, "max_retries", 0)
    return retries if type(retries) is int else 0
