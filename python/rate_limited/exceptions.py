"""The exceptions of this package that are no plain `ValueError` or `TypeError`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rate_limited.calls import Call

__all__ = ["RateLimitedError", "ValidationError"]


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
