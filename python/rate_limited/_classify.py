"""What an exception of the user's function means: try again, wait, give up, or stop.

Clients of web APIs raise exceptions that show the answer, or say that there was no connection. What an answer
means is for the description of its API to say: the one that the runner's limits come from, or else the one that is
found by its address or its client. A failure is
taken to be the server's: it is tried again after a back-off, and where most attempts fail so the run waits for
the server to come back. Any other exception comes from the function itself: it is tried again as soon as the
limits allow, and tells nothing of the server.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from rate_limited._answers import Shown, shown
from rate_limited._native import api_at, read_answer

if TYPE_CHECKING:
    from rate_limited.apis import Api

FAILURE, INVALID, REFUSED, OVERLOADED = "failure", "invalid", "refused", "overloaded"
PERMANENT, FATAL = "permanent", "fatal"

# Parts of the names of classes by which clients say that no answer came.
_NO_ANSWER = ("connection", "connect", "timeout", "timedout", "disconnected", "network", "protocol")

# The API whose form most others have.
_COMMON = "openai"


class Meaning(NamedTuple):
    """The class of a failure, how many seconds it asks to wait, and what to do about it where that is known."""

    class_: str
    wait: float | None = None
    why: str | None = None


def class_of(exception: BaseException, api: Api | None = None) -> Meaning:
    """As `classify`, for exceptions that cannot even be looked at, too."""
    try:
        return classify(exception, api)
    except Exception:  # noqa: BLE001 - its attributes may do anything
        return Meaning(INVALID)


def classify(exception: BaseException, api: Api | None = None) -> Meaning:
    """What an exception means.

    Args:
        exception: what the user's function raised.
        api: the API that it comes from. Default None: the one at the address that it shows, or that its client is
            made for.

    >>> class Refused(Exception):
    ...     status_code = 429
    >>> classify(Refused()).class_
    'refused'
    >>> classify(ConnectionResetError("no")).class_
    'failure'
    >>> classify(ValueError("no")).class_
    'invalid'
    """
    if isinstance(exception, (SystemExit, KeyboardInterrupt)):
        return Meaning(FATAL)
    answer = shown(exception)
    if answer is None:
        return Meaning(FAILURE if _is_about_the_connection(exception) else INVALID)
    if api is None:
        return meaning_of(read_answer(_api_of(answer), answer.status, answer.headers, answer.body))
    return meaning_of(api._native.read(answer.status, answer.headers, answer.body))


def meaning_of(told: dict[str, Any]) -> Meaning:
    """What a description tells of an answer that was no success to the client.

    >>> meaning_of({"class": "refused", "wait": 2.0, "why": None})
    Meaning(class_='refused', wait=2.0, why=None)
    """
    class_ = told["class"]
    if class_ == "success":
        return Meaning(FAILURE)
    return Meaning(class_, told["wait"] if class_ in (REFUSED, OVERLOADED) else None, told["why"])


def _api_of(answer: Shown) -> str:
    at = api_at(answer.url) if answer.url is not None else None
    return at or answer.client or _COMMON


def _is_about_the_connection(exception: BaseException) -> bool:
    if isinstance(exception, (OSError, TimeoutError, asyncio.TimeoutError)):
        return True
    names = (kind.__name__.lower() for kind in type(exception).__mro__[:-3])
    return any(part in name for name in names for part in _NO_ANSWER)
