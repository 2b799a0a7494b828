"""What an exception of the user's function means: try again, wait, give up, or stop.

Clients of web APIs raise exceptions that carry the status of the answer, by one of a few names, or say
that there was no connection. Such a failure is taken to be the server's: it is tried again after a
back-off, and where most attempts fail so the run waits for the server to come back. Any other exception
comes from the function itself: it is tried again as soon as the limits allow, and tells nothing of the
server.
"""

from __future__ import annotations

import asyncio
from typing import Any

FAILURE, INVALID, REFUSED = "failure", "invalid", "refused"
PERMANENT, FATAL = "permanent", "fatal"

# Parts of the names of classes by which clients say that no answer came.
_NO_ANSWER = ("connection", "connect", "timeout", "timedout", "disconnected", "network", "protocol")

# Codes with which an API says that no later call will be answered either, whatever the status.
_FATAL_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "linked_organization_spend_limit_reached",
    }
)
_PERMANENT_STATUSES = frozenset({400, 404, 405, 410, 413, 415, 422})
_FATAL_STATUSES = frozenset({401, 402, 403})


def class_of(exception: BaseException) -> tuple[str, float | None]:
    """As `classify`, for exceptions that cannot even be looked at, too."""
    try:
        return classify(exception)
    except Exception:  # noqa: BLE001 - its attributes may do anything
        return INVALID, None


def classify(exception: BaseException) -> tuple[str, float | None]:
    """The class of an exception, and how many seconds it asks to wait.

    >>> class Refused(Exception):
    ...     status_code = 429
    >>> classify(Refused())
    ('refused', None)
    >>> classify(ConnectionResetError("no"))
    ('failure', None)
    >>> classify(ValueError("no"))
    ('invalid', None)
    """
    if isinstance(exception, (SystemExit, KeyboardInterrupt)):
        return FATAL, None
    status = _status(exception)
    if status is None:
        return FAILURE if _is_about_the_connection(exception) else INVALID, None
    if _code(exception) in _FATAL_CODES or status in _FATAL_STATUSES:
        return FATAL, None
    if status == 429:
        return REFUSED, _retry_after(exception)
    if status in _PERMANENT_STATUSES:
        return PERMANENT, None
    return FAILURE, None


def _status(exception: BaseException) -> int | None:
    response = getattr(exception, "response", None)
    holders = (
        (exception, "status_code"),
        (response, "status_code"),
        (exception, "status"),
        (exception, "http_status"),
        (exception, "code"),
    )
    for holder, name in holders:
        value = getattr(holder, name, None)
        if type(value) is int and 100 <= value < 600:
            return value
    return None


def _is_about_the_connection(exception: BaseException) -> bool:
    if isinstance(exception, (OSError, TimeoutError, asyncio.TimeoutError)):
        return True
    names = (kind.__name__.lower() for kind in type(exception).__mro__[:-3])
    return any(part in name for name in names for part in _NO_ANSWER)


def _code(exception: BaseException) -> Any:
    # OpenAI's name for it, and Anthropic's.
    codes = (getattr(exception, name, None) for name in ("code", "error_code"))
    return next((code for code in codes if isinstance(code, str)), None)


def _retry_after(exception: BaseException) -> float | None:
    headers = getattr(getattr(exception, "response", None), "headers", None)
    headers = headers if headers is not None else getattr(exception, "headers", None)
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * unit  # type: ignore[index]
        except Exception:  # noqa: BLE001 - a header that is missing or no number tells nothing
            continue
        if 0 <= seconds < 400 * 86_400:
            return seconds
    return None
