"""What a runner makes of what it is told: checked arguments, native limits, cost functions."""

from __future__ import annotations

import functools
import inspect
import math
import os
import sys
import threading
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from rate_limited._ledger import TwoParts
from rate_limited._native import add_resource, set_quota
from rate_limited.calls import Call
from rate_limited.resources import Resource
from rate_limited.usage import amount, arguments_usage, results_usage_max

# A resource gets its native limit once, whichever thread asks first.
_naming = threading.Lock()

_PACKAGE = os.path.dirname(__file__) + os.sep


def is_async(function: Callable[..., Any]) -> bool:
    """Whether a call gives a coroutine, as far as that can be seen before."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.iscoroutinefunction(function):
        return True
    call = getattr(type(function), "__call__", None)  # noqa: B004 - its kind, not its presence
    return inspect.iscoroutinefunction(call)


def checked_resources(resources: Collection[Resource]) -> list[Resource]:
    if isinstance(resources, (Resource, str, bytes, Mapping)) or not isinstance(resources, Iterable):
        raise TypeError(
            f"resources must be a list of Resource objects, as in [Resource.per_minute('requests', 60)], "
            f"got {type(resources).__name__}"
        )
    found = list(resources)
    for resource in found:
        if not isinstance(resource, Resource):
            raise TypeError(f"resources must be Resource objects, got {type(resource).__name__}")
        _warn_of_nothing(resource)
    return found


def _warn_of_nothing(resource: Resource) -> None:
    """Warns once of a resource that no call can ever take from."""
    # An estimator alone is refused, so that these are all that can count.
    counts = resource.arguments_usage_extractor or resource.results_usage_extractor
    if counts is not None or resource._is_warned_of:
        return
    resource._is_warned_of = True
    warnings.warn(
        f"resource {resource.name!r} counts nothing, so that it limits nothing: no call takes from it. Tell what a "
        f"call takes: Resource({resource.name!r}, {resource.quota}, {resource.time_window_seconds}, "
        "arguments_usage_extractor=lambda call: 1) counts calls, as Resource.per_minute and its like do by themselves",
        stacklevel=_outside(),
    )


def _outside() -> int:
    """The `stacklevel` of a warning that is the doing of whoever called the package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    return level


def checked_progress(progress: Any) -> Any:
    if not isinstance(progress, bool) and not callable(progress):
        raise TypeError(f"progress must be True, False or a callable, got {progress!r}")
    return progress


_CHOICES = {
    "on_change": ("refuse", "rerun", "keep"),
    "on_unknown": ("retry", "skip", "report"),
    "on_failure": ("keep", "retry"),
    "durability": ("process", "power"),
}


def checked_recording(**options: Any) -> dict[str, Any]:
    """What is told of a journal, by its names.

    >>> checked_recording(key=None, encode=None, decode=None, on_change="rerunn")
    Traceback (most recent call last):
    ...
    ValueError: on_change must be "refuse", "rerun" or "keep", got 'rerunn'
    """
    for name in ("key", "encode", "decode"):
        if options[name] is not None and not callable(options[name]):
            raise TypeError(f"{name} must be a function or None, got {type(options[name]).__name__}")
    if (options["encode"] is None) != (options["decode"] is None):
        raise ValueError("give both encode= and decode=, or neither: one undoes the other")
    for name, choices in _CHOICES.items():
        if name in options and options[name] not in choices:
            *first, last = (f'"{choice}"' for choice in choices)
            raise ValueError(f"{name} must be {', '.join(first)} or {last}, got {options[name]!r}")
    return options


def one_of(validation: Any, validation_function: Any) -> Any:
    """The validation, by whichever of its names it was told."""
    if validation is not None and validation_function is not None:
        raise TypeError("give validation or validation_function, not both: they are one thing")
    return validation if validation_function is None else validation_function


def native_id(resource: Resource) -> int:
    identity = resource._identity
    with _naming:
        if identity._native_id is None:
            at_completion = resource.results_usage_extractor is not None
            meter = None
            if resource._meter is not None:
                api, name = resource._meter
                meter = (api._native, name)
            scale = resource._scale
            native_id = add_resource(
                resource.name,
                finite(resource.quota * scale),
                finite(resource.time_window_seconds),
                at_completion,
                resource.learn,
                meter,
                identity.calendar,
                [(key, quota * scale, window) for key, (quota, window) in identity.parts.items()],
            )
            identity._native_id = native_id
            identity.on_change = lambda quota, window: set_quota(native_id, quota * scale, window, meter)
    return int(identity._native_id)


def finite(number: float) -> float | None:
    """The number; None where it is infinite, as what nobody has told is."""
    return None if math.isinf(number) else float(number)


def cost_function(resource: Resource) -> Callable[[Call], Any]:
    """What a call takes of a resource before it is sent."""
    before, at_most = resource.arguments_usage_extractor, resource.max_results_usage_estimator
    if before is not None and at_most is not None:
        return lambda call: TwoParts(arguments_usage(resource, call), results_usage_max(resource, call))
    only = before or at_most
    if only is not None and resource._scale != 1.0:
        scale = resource._scale
        return lambda call: only(call) * scale
    return only if only is not None else lambda _call: 0


def keys_function(resources: list[Resource]) -> Callable[[Call], list[str | None] | None]:
    """Whose part of each resource a call takes, in their order; None where no resource has parts."""
    partitions = [resource.partition for resource in resources]
    if not any(partitions):
        return lambda _call: None

    def keys(call: Call) -> list[str | None]:
        found = []
        for resource, partition in zip(resources, partitions, strict=True):
            key = None if partition is None else partition(call)
            if key is not None and not isinstance(key, str):
                raise TypeError(
                    f"partition of resource {resource.name!r} must give a str or None, got {type(key).__name__}"
                )
            found.append(key)
        return found

    return keys


def named_error(error: BaseException, resources: list[Resource], costs: list[Any]) -> BaseException:
    """The error with the name of the resource whose cost is no amount."""
    for resource, cost in zip(resources, costs, strict=True):
        try:
            amount(cost, resource.name)
        except ValueError as named:
            return named
    return error


def count(name: str, value: Any, least: int, most: int, auto: bool = False) -> int:
    if auto and value == "auto":
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{name} must be a whole number from {least} to {most}, got {value!r}")
    return value


def seconds(name: str, value: Any, most: float = 1e9) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= most:
        limits = f"above 0 and up to {most:,.0f}"
        raise ValueError(f"{name} must be a number of seconds {limits}, or None, got {value!r}")
    return float(value)


def shown_as(schedule: Any, function: Any) -> Any:
    """Lets editors and `help` show the wrapped function, which is not changed."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    try:
        shown = f"{name}{inspect.signature(function)}"
    except Exception:  # noqa: BLE001 - what cannot say what it takes can still be called
        shown = name
    text = inspect.getdoc(function) or "It has no documentation."
    schedule.__doc__ = f"Schedules a call of {name}; run() runs it. Returns None.\n\n{shown}\n\n{text}"
    annotations = dict(getattr(function, "__annotations__", None) or {})
    schedule.__annotations__ = {**annotations, "return": None}
    schedule.__wrapped__ = function
    return schedule
