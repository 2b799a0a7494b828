"""A decorator that keeps a function within the limits of its API, wherever it is called."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from rate_limited.resources import Resource
from rate_limited.runner import Runner

P = ParamSpec("P")
R = TypeVar("R")


def limited(*resources: Resource, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Limits a function in place: each call waits for its turn, is tried again, and returns as before.

    Calls from any threads and tasks keep the limits together. A call that fails for good raises its last
    exception. An async function runs on the loop of this package, and is awaited as before.

    Args:
        resources: the limits.
        options: what `Runner` takes besides, such as `max_retries` or `validation`.

    >>> from rate_limited import Resource, limited
    >>> @limited(Resource.per_minute("requests", 3_500))
    ... def double(n):
    ...     return 2 * n
    >>> double(4)
    8
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        runner: Runner[P, Any] = Runner(function, resources, **{"progress": False, **options})

        def blocking(*args: P.args, **kwargs: P.kwargs) -> Any:
            return runner.submit(*args, **kwargs).result()

        async def awaited(*args: P.args, **kwargs: P.kwargs) -> Any:
            return await asyncio.wrap_future(runner.submit(*args, **kwargs))

        wrapper: Any = awaited if runner._is_async else blocking
        functools.update_wrapper(wrapper, function)
        wrapper.runner = runner
        limited_function: Callable[P, R] = wrapper
        return limited_function

    return decorate
