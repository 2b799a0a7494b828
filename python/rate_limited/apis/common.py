"""Limits that many APIs have."""

from __future__ import annotations

from rate_limited.resources import PartitionExtractor, Resource, one_per_call

__all__ = ["get_requests_per_minute"]


def get_requests_per_minute(
    quota: float, *, shared: str | None = None, partition: PartitionExtractor | None = None
) -> Resource:
    """At most `quota` calls in any minute.

    Args:
        quota: calls per minute.
        shared: the key under which this limit is one in the whole process. Default: its own.
        partition: whose part of it a call takes, as of `Resource`. Default: one quota for all calls.

    Raises:
        ValueError: `quota` is no positive number.

    >>> get_requests_per_minute(3500)
    Resource('requests_per_minute', quota=3500, time_window_seconds=60)
    """
    return Resource("requests_per_minute", quota, 60, one_per_call, shared=shared, partition=partition)
