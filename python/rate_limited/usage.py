"""From what an extractor returns to an amount that can be counted."""

from __future__ import annotations

import math
import numbers
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rate_limited.calls import Call
    from rate_limited.resources import Resource

__all__ = ["AMOUNT_MAX", "amount"]

AMOUNT_MAX = 9_223_372_036_854
"""The largest amount of a resource that can be counted, in its own unit (about 9.2e12)."""

SHOWN_MAX = 60
"""The most characters of a wrong value that a message shows."""


def amount(value: object, resource_name: str) -> float:
    """The amount of a resource that `value`, made by the user's extractor, stands for.

    Args:
        value: int, float, bool (True is 1), Decimal, Fraction, or any other real number, NumPy's
            scalars among them.
        resource_name: the resource that it is an amount of, for the message.

    Raises:
        ValueError: it is no number, NaN, infinite, negative, or more than `AMOUNT_MAX`.

    >>> amount(3, "tokens"), amount(True, "tokens")
    (3.0, 1.0)
    >>> amount(None, "tokens")
    Traceback (most recent call last):
    ...
    ValueError: usage of resource 'tokens' is None (NoneType): an extractor must return a number
    """
    kind = type(value)
    # Nearly every call passes here; NaN fails the comparison, and -0.0 + 0.0 is 0.0.
    if (kind is int or kind is float) and 0 <= value <= AMOUNT_MAX:  # type: ignore[operator]
        return value + 0.0  # type: ignore[operator]
    return _checked(value, resource_name)


def arguments_usage(resource: Resource, call: Call) -> float:
    """The amount that `call` uses because of its arguments; 0 without an extractor.

    Raises:
        ValueError: the extractor returned no amount. What it raises itself passes through.

    >>> from rate_limited import calls, resources
    >>> requests = resources.Resource.per_minute("requests", 100)
    >>> arguments_usage(requests, calls.Call(print, ("hello",), {}))
    1.0
    """
    extract = resource.arguments_usage_extractor
    return 0.0 if extract is None else amount(extract(call), resource.name)


def results_usage_max(resource: Resource, call: Call) -> float:
    """The most that `call` is expected to use because of its result; 0 without an estimator.

    Raises:
        ValueError: the estimator returned no amount. What it raises itself passes through.

    >>> from rate_limited import calls, resources
    >>> requests = resources.Resource.per_minute("requests", 100)
    >>> results_usage_max(requests, calls.Call(print, ("hello",), {}))
    0.0
    """
    estimate = resource.max_results_usage_estimator
    return 0.0 if estimate is None else amount(estimate(call), resource.name)


def results_usage(resource: Resource, call: Call, result: Any) -> float:
    """The amount that `call` used because of its result; 0 without an extractor.

    Raises:
        ValueError: the extractor returned no amount. What it raises itself passes through.

    >>> from rate_limited import calls, resources
    >>> tokens = resources.Resource("tokens", 100, 60, results_usage_extractor=lambda c, r: len(r))
    >>> results_usage(tokens, calls.Call(print), "four")
    4.0
    """
    extract = resource.results_usage_extractor
    return 0.0 if extract is None else amount(extract(call, result), resource.name)


class _Real(Protocol):
    def __float__(self) -> float: ...


def to_float(value: object) -> float | None:
    """`value` as a float if it is a real number of any kind, else None; a huge one is infinite.

    >>> from decimal import Decimal
    >>> to_float(Decimal("0.5")), to_float("0.5"), to_float(1j), to_float(10**400)
    (0.5, None, None, inf)
    """
    if isinstance(value, numbers.Complex) and not isinstance(value, numbers.Real):
        return None
    if not (hasattr(value, "__float__") or hasattr(value, "__index__")):
        return None
    real: _Real = value  # type: ignore[assignment]
    try:
        return float(real)
    except OverflowError:
        return math.inf if value > 0 else -math.inf  # type: ignore[operator]
    except Exception:  # noqa: BLE001 - a `__float__` may raise anything
        # Arrays, signalling NaNs, objects whose `__float__` raises: none is a number.
        return None


def shown(value: object) -> str:
    """A wrong value as a message shows it: cut, on one line, and never raising.

    >>> shown("x" * 1000)
    "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx... (str)"
    >>> shown(-1)
    '-1'
    """
    kind = type(value).__name__
    try:
        # Only the beginning of a long text is worth the time that its repr takes.
        text = repr(value[:SHOWN_MAX] if isinstance(value, (str, bytes)) else value)
    except Exception:  # noqa: BLE001 - a `__repr__` may raise anything
        return f"a value of type {kind}"
    text = " ".join(text.split())
    if len(text) > SHOWN_MAX:
        text = text[:SHOWN_MAX] + "..."
    return text if type(value) in (int, float) else f"{text} ({kind})"


def _checked(value: object, resource_name: str) -> float:
    number = to_float(value)
    if number is not None and 0 <= number <= AMOUNT_MAX:
        return number + 0.0
    raise ValueError(f"usage of resource {resource_name!r} is {shown(value)}: {_fault(number)}")


def _fault(number: float | None) -> str:
    if number is None:
        return "an extractor must return a number"
    if math.isnan(number):
        return "an extractor must return a number, not NaN"
    if number < 0:
        return "an extractor must return 0 or more"
    return f"it exceeds resource quota, which is {AMOUNT_MAX:,} at the most"
