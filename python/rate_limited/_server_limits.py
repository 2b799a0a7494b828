"""Limits that answers name in their headers: a lower one than the user's holds at once, a higher one never does.

Only resources that follow from the description of an API are heard of: it says which header means what, and over
which window.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from rate_limited._answers import headers_of
from rate_limited._native import hear_limit

if TYPE_CHECKING:
    from rate_limited.apis import Api
    from rate_limited.resources import Resource


class ServerLimits:
    """The limits of one runner that its server may lower.

    Args:
        resources: those of the runner, each with its number in the account of the process.
    """

    def __init__(self, resources: Collection[tuple[Resource, int]]) -> None:
        self._by_api: dict[int, tuple[Api, dict[str, tuple[Resource, int]]]] = {}
        for resource, number in resources:
            if resource._meter is not None and resource._meter[0]._native.tells_limits():
                api, name = resource._meter
                self._by_api.setdefault(id(api), (api, {}))[1][name] = (resource, number)

    def hear(self, end: object) -> None:
        """Takes in what the result of an attempt, or its exception, says of the limits, if it shows headers."""
        if not self._by_api:
            return
        try:
            self._hear(end)
        except Exception:  # noqa: BLE001 - the attributes of any object may do anything
            return

    def _hear(self, end: Any) -> None:
        holder = getattr(end, "response", None) if isinstance(end, BaseException) else end
        headers = headers_of(end if holder is None else holder)
        if not headers:
            return
        for api, resources in self._by_api.values():
            for name, window, limit in api._native.limits_told(headers):
                resource, number = resources.get(name, (None, 0))
                if resource is not None and resource.time_window_seconds == window:
                    hear_limit(number, limit)
