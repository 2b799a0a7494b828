"""Which resources are one limit, and what is told of it before a runner uses it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any


class Identity:
    """What makes two resources the same limit: one history belongs to one identity.

    A runner finds here the limit that it has made for this resource, if one has.
    """

    __slots__ = (
        "__weakref__",
        "_native_id",
        "calendar",
        "on_change",
        "parts",
        "quota",
        "shared",
        "time_window_seconds",
    )

    def __init__(
        self, shared: str | None, quota: float, time_window_seconds: float, calendar: str | None = None
    ) -> None:
        self.shared = shared
        self.calendar = calendar
        self.quota = quota
        self.time_window_seconds = time_window_seconds
        # The quota and the window of each key, or pattern of keys, that has its own.
        self.parts: dict[str, tuple[float, float]] = {}
        self._native_id: Any = None
        self.on_change: Callable[[float, float], None] | None = None

    def set_limit(self, quota: float, time_window_seconds: float) -> None:
        """Changes the limit; `on_change` hears of it if anything is different.

        >>> identity = Identity(None, 100, 60)
        >>> identity.on_change = print
        >>> identity.set_limit(50, 60)
        50 60
        >>> identity.set_limit(50, 60)
        """
        if (quota, time_window_seconds) == (self.quota, self.time_window_seconds):
            return
        self.quota, self.time_window_seconds = quota, time_window_seconds
        if self.on_change is not None and not math.isinf(quota):
            self.on_change(quota, time_window_seconds)

    def set_part(self, name: str, key: str, limit: tuple[float, float]) -> None:
        """Tells a part its own limit; told again before the first run, the latest stands."""
        with _parts_lock:
            if self.parts.get(key) == limit:
                return
            if self._native_id is not None:
                raise ValueError(
                    f"the limit of {name} cannot be told now, since a runner uses the resource already: tell it "
                    "before the first run, or make a new resource"
                )
            self.parts[key] = limit

    def window_of(self, key: str) -> float:
        """The window of the part of this key, as the limiter finds it: the first that fits."""
        for pattern, (_, window) in self.parts.items():
            start, star, end = pattern.partition("*")
            rest = key[len(start) :]
            if key == pattern or star and key.startswith(start) and rest.endswith(end):
                return window
        return self.time_window_seconds

    def __reduce__(self) -> tuple[Callable[..., Identity], tuple[Any, ...]]:
        # A copy, or the same resource in another process, has a history of its own.
        return _copied, (self.shared, self.quota, self.time_window_seconds, self.calendar, self.parts)


_shared: dict[str, Identity] = {}
_shared_lock = threading.Lock()
_parts_lock = threading.Lock()


def _copied(
    shared: str | None,
    quota: float,
    time_window_seconds: float,
    calendar: str | None,
    parts: dict[str, tuple[float, float]],
) -> Identity:
    identity = identity_of(shared, quota, time_window_seconds, calendar)
    # One that is shared in this process may be in use: then its parts stay as they are.
    if identity._native_id is None:
        identity.parts.update(parts)
    return identity


def identity_of(
    shared: str | None, quota: float, time_window_seconds: float, calendar: str | None = None
) -> Identity:
    """The identity of a new resource: that of its key if it has one."""
    if shared is None:
        return Identity(None, quota, time_window_seconds, calendar)
    text_of("shared", shared)
    with _shared_lock:
        identity = _shared.get(shared)
        if identity is None:
            identity = _shared[shared] = Identity(shared, quota, time_window_seconds, calendar)
            return identity
    if identity.calendar != calendar:
        raise ValueError(
            f"the resource shared as {shared!r} follows {identity.calendar or 'no calendar'}, "
            f"not {calendar or 'none'}: tell the same calendar, or another key"
        )
    # Outside the lock: whoever listens may do anything. That nobody told a limit is no news.
    if not math.isinf(quota):
        identity.set_limit(quota, time_window_seconds)
    return identity


def text_of(argument: str, value: object) -> str:
    """The value, which must be a text."""
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a str, not {type(value).__name__}")
    return value
