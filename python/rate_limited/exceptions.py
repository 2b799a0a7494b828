"""The exceptions of this package that are no plain `ValueError` or `TypeError`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rate_limited.calls import Call

__all__ = [
    "AnswerError",
    "BudgetSpentError",
    "EarlierError",
    "JournalError",
    "RateLimitedError",
    "ResultNotStored",
    "ValidationError",
]


class RateLimitedError(Exception):
    """The base of this package's own exceptions.

    >>> issubclass(ValidationError, RateLimitedError)
    True
    """


BaseException = RateLimitedError
"""The name that version 0.4.0 gave to `RateLimitedError`; kept for programs that import it."""


class ValidationError(RateLimitedError):
    """An answer that the user's validation did not accept.

    The answer is paid for, so it stays here. Where a validator raised, its exception is the
    `__cause__`.

    Args:
        message: what was wrong, for people.
        call: the call that was answered.
        value: the answer itself.

    >>> from rate_limited.calls import Call
    >>> error = ValidationError("validation failed", Call(len, ([],), {}), 0)
    >>> str(error), error.value
    ('validation failed', 0)
    """

    message: str
    """What was wrong, for people."""

    call: Call
    """The call that was answered."""

    value: Any
    """The answer that was not accepted."""

    def __init__(self, message: str, call: Call, value: Any, *args: object) -> None:
        super().__init__(message, *args)
        self.message = message
        self.call = call
        self.value = value

    def __reduce__(self) -> tuple[Callable[..., ValidationError], tuple[object, ...]]:
        # `args` holds the message alone, so that the text shows no answer; a copy needs all three.
        return type(self), (self.message, self.call, self.value, *self.args[1:])


class AnswerError(RateLimitedError):
    """An answer that has a status of success, and an error in its body, as Slack's and those of GraphQL may.

    What is an error is for the description of the API to say that the runner's resources come from.

    Args:
        message: what was wrong, for people.
        call: the call that was answered.
        value: the answer itself.

    >>> from rate_limited.calls import Call
    >>> error = AnswerError("an error (ratelimited)", Call(len, ([],), {}), {"ok": False})
    >>> str(error), error.value
    ('an error (ratelimited)', {'ok': False})
    """

    call: Call
    """The call that was answered."""

    value: Any
    """The answer."""

    def __init__(self, message: str, call: Call, value: Any) -> None:
        super().__init__(message)
        self.call = call
        self.value = value

    def __reduce__(self) -> tuple[Callable[..., AnswerError], tuple[object, ...]]:
        # `args` holds the message alone, so that the text shows no answer; a copy needs all three.
        return type(self), (self.args[0], self.call, self.value)


class BudgetSpentError(RateLimitedError):
    """A call was not made, for it might have passed `max_cost`. With a higher one it can be: `retry_failed`.

    Args:
        spent: dollars that were spent so far.
        most: dollars that may be.

    >>> print(BudgetSpentError(4.99, 5))
    the call was not made, for it might pass max_cost: $4.99 of $5 are spent
    """

    spent: float
    """Dollars that were spent when it was its turn."""

    most: float
    """Dollars that might be."""

    def __init__(self, spent: float, most: float) -> None:
        super().__init__(
            f"the call was not made, for it might pass max_cost: ${spent:,.9g} of ${most:,.9g} are spent"
        )
        self.spent = spent
        self.most = most

    def __reduce__(self) -> tuple[Callable[..., BudgetSpentError], tuple[float, float]]:
        return type(self), (self.spent, self.most)


class JournalError(RateLimitedError):
    """The journal of a runner cannot be used, or does not allow the run; the text says why, and what to do.

    >>> issubclass(JournalError, RateLimitedError)
    True
    """

    # Whether it is the fault of one call, so that others may go on.
    _is_of_call = False


class EarlierError(RateLimitedError):
    """What went wrong with an attempt in an earlier run, as the journal has it.

    Args:
        kind: the name of the exception's type.
        text: what it said.

    >>> error = EarlierError("TimeoutError", "the attempt took too long")
    >>> str(error), error.kind
    ('TimeoutError: the attempt took too long', 'TimeoutError')
    """

    kind: str
    """The name of the exception's type."""

    text: str
    """What it said."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text

    def __reduce__(self) -> tuple[Callable[..., EarlierError], tuple[str, str]]:
        return type(self), (self.kind, self.text)


class ResultNotStored(RateLimitedError):  # noqa: N818 - it is what happened, and no fault
    """A call was answered, and its answer could not be kept in the journal: it is not made again.

    The run that got the answer has it; later ones have None and this. The runner's `encode=` and
    `decode=` say how such answers are kept.

    >>> issubclass(ResultNotStored, RateLimitedError)
    True
    """
