"""Whether an answer is one that the user accepts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

from rate_limited._hooks import HookWatch
from rate_limited.calls import function_name

__all__ = ["Validation", "Validator", "Verdict", "check", "normalise"]

Validator: TypeAlias = Callable[[Any], object]
"""Takes an answer, returns something true if the answer is to be kept."""

Validation: TypeAlias = Validator | Iterable[Validator] | None
"""What `validation=` accepts: nothing, one validator, or several."""


class Verdict(NamedTuple):
    """What validators say about one answer.

    >>> Verdict(True)
    Verdict(accepted=True, cause=None, fatal=False)
    """

    accepted: bool
    """All of them accept it."""

    cause: BaseException | None = None
    """The exception of the validator that raised, if one did."""

    fatal: bool = False
    """The cause lies in the validator, not in the answer: another attempt cannot help."""

    @property
    def text(self) -> str:
        """Why the answer was not accepted, on one line.

        >>> Verdict(False).text
        'the validation rejected the answer'
        >>> Verdict(False, KeyError("choices")).text
        'the validation rejected the answer: it raised KeyError'
        """
        why = ""
        if self.cause is not None:
            why = f": it raised {type(self.cause).__name__}"
        elif self is SAID_NOTHING:
            why = ": it returned None; return True for a good answer"
        return f"the validation rejected the answer{why}"


ACCEPTED = Verdict(True)
REFUSED = Verdict(False)
# Equal to a refusal, but a validator that returns None may lack a `return`.
SAID_NOTHING = Verdict(False)


def normalise(validation: Validation) -> tuple[Validator, ...]:
    """The validators that `validation` stands for, in order.

    Args:
        validation: None, one callable, or an iterable of callables.

    Raises:
        TypeError: something in it cannot be called, or is a coroutine function.

    >>> normalise(None), normalise(bool), normalise([bool, len])
    ((), (<class 'bool'>,), (<class 'bool'>, <built-in function len>))
    """
    if validation is None:
        return ()
    if callable(validation):
        return (_accepted("validation", validation),)
    if isinstance(validation, (str, bytes)) or not isinstance(validation, Iterable):
        kind = type(validation).__name__
        raise TypeError(f"validation must be a callable, a list of callables or None, not {kind}")
    return tuple(_accepted(f"validation[{i}]", each) for i, each in enumerate(validation))


def check(validators: tuple[Validator, ...], result: Any, watch: HookWatch | None = None) -> Verdict:
    """Asks the validators in order and stops at the first that does not accept `result`.

    The truth of what one returns decides. One that raises does not accept, and neither does one
    whose value has no truth, such as a NumPy array; the exception is the verdict's cause. A name
    or a module that does not exist is fatal. `KeyboardInterrupt` and `SystemExit` pass through.
    On an event loop, `watch` warns of one that is slow.

    >>> check((bool, lambda answer: answer["text"]), {"text": "yes"}).accepted
    True
    >>> verdict = check((bool, lambda answer: answer["text"]), {"txt": "yes"})
    >>> verdict.accepted, verdict.cause, verdict.fatal
    (False, KeyError('text'), False)
    >>> check((lambda answer: misspelt(answer),), "yes").fatal
    True
    """
    try:
        for validator in validators:
            if watch is None:
                verdict = validator(result)
            else:
                verdict = watch.call("validator", validator, validator, result)
            if verdict is True:
                continue
            if inspect.iscoroutine(verdict):
                verdict.close()
                return Verdict(False, _not_awaited(function_name(validator)), True)
            if not verdict:
                return REFUSED if verdict is not None else SAID_NOTHING
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, the answer is kept
        return Verdict(False, error, _is_fatal(error))
    return ACCEPTED


def _accepted(argument: str, validator: object) -> Validator:
    if not callable(validator):
        raise TypeError(f"{argument} must be callable, not {type(validator).__name__}")
    if inspect.iscoroutinefunction(validator):
        # Its coroutine would be true whatever the answer is.
        raise _not_awaited(f"{argument} ({function_name(validator)})")
    return validator


def _not_awaited(name: str) -> TypeError:
    return TypeError(f"{name} is a coroutine function: a validator must be a plain function")


def _is_fatal(error: BaseException) -> bool:
    # An UnboundLocalError is a NameError that data can cause: a branch that was not taken.
    wrong_name = isinstance(error, NameError) and not isinstance(error, UnboundLocalError)
    return wrong_name or isinstance(error, ImportError)
