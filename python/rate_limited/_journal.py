"""A runner's journal: what its calls are known by, and results on their way there and back."""

from __future__ import annotations

import atexit
import functools
import logging
import os
import re
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rate_limited import _encode, _native
from rate_limited._ledger import DONE, FAILED, UNFINISHED
from rate_limited._native import Machine
from rate_limited.calls import Call, parameters_of
from rate_limited.exceptions import EarlierError, JournalError, ResultNotStored

__all__ = ["Recorded", "Recorder", "RunnerJournal"]

logger = logging.getLogger("rate_limited")

# The journals that this process has open, by the paths of their files.
_open: weakref.WeakValueDictionary[str, RunnerJournal] = weakref.WeakValueDictionary()

_CHANGED = (
    '; nothing {more}was sent: on_change="rerun" calls changed and new ones and keeps the old answers in the '
    'journal, on_change="keep" takes the old answers, another journal= begins anew'
)
_UNKNOWN = '; nothing {more}was sent: on_unknown="retry" calls them again, "skip" leaves them alone'


@dataclass(frozen=True)
class Recorded:
    """What a journal knows of a call: whether it is to be run, and what came of it if not."""

    position: int
    runs: bool = True
    last: bool = False
    status: int = UNFINISHED
    result: Any = None
    errors: Sequence[BaseException] = ()


class RunnerJournal:
    """The journal of one runner.

    Args:
        path: the file.
        function: what is called; known by its module and name, never by its code.
        limits: the native numbers and the names of the resources.
        max_concurrent: for how many answers room is set aside.
        is_running: whether the runner is running.
        statistics: what its runs do; they go on with those of earlier runs.
        key, encode, decode, version, on_change, on_unknown, on_failure, durability: as the runner has them.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        function: Callable[..., Any],
        limits: tuple[list[int], list[str]],
        max_concurrent: int,
        is_running: Callable[[], bool],
        statistics: _native.Statistics,
        *,
        key: Callable[[Call], object] | None,
        encode: Callable[[Any], Any] | None,
        decode: Callable[[Any], Any] | None,
        version: object,
        on_change: str,
        on_unknown: str,
        on_failure: str,
        durability: str,
    ) -> None:
        self.path = os.path.realpath(path)
        self._key, self._encode, self._decode = key, encode, decode
        self._identity = _identity(function)
        self._version = "" if version is None else str(version)
        self._parameters = list(parameters_of(function).positions)
        self.trouble: str | None = None
        _take_over(self.path)
        numbers, names = limits
        job = [("function", self._identity[0]), ("version", self._version)]
        power, retry_failed = durability == "power", on_failure == "retry"
        self.native = _native.Journal(
            self.path, numbers, names, max_concurrent, power, on_change, on_unknown, retry_failed, job
        )
        self.is_running = is_running
        self._statistics = statistics
        statistics.recall(self.native)
        self._complained: str | None = None
        self._is_taken_over = False
        self._tell_past()
        _open[self.path] = self

    def look(self, call: Call, again: int = -1) -> Recorded:
        """What the journal knows of a call.

        Args:
            again: it is run again, and this is where the journal has it if it has anything of it. Default -1: it is
                not.

        Raises:
            ValueError: an argument has no form as data, and there is no `key=`.
        """
        arguments = self._arguments(call)
        request = _native.digest([b"request", *_bytes(self._identity, self._version), *arguments])
        if self._key is None:
            key = _native.digest([b"call", *arguments])
        else:
            key = _native.digest([b"id", str(self._key(call)).encode("utf-8", "surrogatepass")])
        if self._is_taken_over:
            raise self._taken_over()
        decision, position, number = self.native.look(key, request, again if again >= 0 else None)
        if decision in (_native.RUN, _native.LAST):
            return Recorded(position, last=decision == _native.LAST)
        return self._over(decision, position, number)

    def forget(self, recorded: Recorded) -> None:
        """A call that was looked up is scheduled by now, or never will be."""
        if recorded.runs:
            self.native.forget(recorded.position)

    def begin_list(self, busy: Iterable[int]) -> None:
        """From now on another list of calls comes in, which finds those before it as another process would.

        Args:
            busy: where it has the calls that are under way; the list finds none of these.
        """
        self.native.begin_list(set(busy))

    @property
    def has_keys(self) -> bool:
        """Whether the user has told what calls are known by."""
        return self._key is not None

    def name_of(self, call: Call) -> str | None:
        """What a call is known by to its user; None: nothing was told, or it cannot be had any more."""
        try:
            return None if self._key is None else str(self._key(call))
        except Exception:  # noqa: BLE001 - a name that cannot be had is left out
            return None

    def objection(self, so_far: bool = False) -> JournalError | None:
        """Why nothing must be sent; `so_far`: more calls may come."""
        if self._is_taken_over:
            return self._taken_over()
        text = self.native.objection(so_far)
        if text is None:
            return None
        advice = _UNKNOWN if "in flight" in text else _CHANGED
        return JournalError(text + advice.format(more="more " if so_far else ""))

    def _taken_over(self) -> JournalError:
        return JournalError(
            f"the journal {self.path} belongs to a later runner of this process: use that one, or give this "
            "runner a path of its own"
        )

    def encoded(self, answer: Any) -> bytes | None:
        """An answer as bytes; None if it has no such form, which is noted once."""
        try:
            if self._encode is not None:
                answer = self._encode(answer)
                if isinstance(answer, bytes):
                    return b"b" + answer
            data = _encode.encode(answer)
            _encode.decode(data)
        except Exception as error:  # noqa: BLE001 - the answer was paid for and is returned
            if self.trouble is None:
                self.trouble = str(error) or type(error).__name__
            return None
        return b"j" + data

    def complain(self) -> None:
        """Says once what ended the recording."""
        told = self.trouble or self.native.error()
        if told is not None and told != self._complained:
            self._complained = told
            logger.error("the run stopped: %s", told)

    def close(self) -> None:
        """Closes the file; the runner cannot run any more."""
        if _open.pop(self.path, None) is self:
            self._statistics.save({})
        self.native.close()

    def _tell_past(self) -> None:
        past = self.native.past()
        if past["lost"]:
            logger.warning(
                "the journal %s has lost its last %d results, which are called again", self.path, past["lost"]
            )
        if past["rescued"]:
            logger.info("%d results that were kept elsewhere are in the journal now", past["rescued"])

    def _arguments(self, call: Call) -> list[bytes]:
        if self._key is not None:
            # What a call is known by was told; its arguments only say whether it has changed.
            return [_leniently(argument) for argument in (*call.args, dict(call._kwargs))]
        parts = []
        for place, argument in enumerate(call.args):
            named = place < len(self._parameters)
            where = f"the argument {self._parameters[place] if named else place + 1}"
            parts.append(_strictly(argument, where))
        for name in sorted(call._kwargs):
            parts += [name.encode(), _strictly(call._kwargs[name], f"the argument {name}")]
        return [str(len(call.args)).encode(), *parts]

    def _over(self, decision: int, position: int, number: int) -> Recorded:
        if decision == _native.UNKNOWN:
            text = "it was in flight when an earlier run died: whether it was answered is not known"
            return Recorded(position, False, errors=[EarlierError("Unknown", text)])
        if decision == _native.POISON:
            text = "it was in flight in many crashes and may be what causes them: it is not sent any more"
            return Recorded(position, False, status=FAILED, errors=[EarlierError("Crash", text)])
        errors: list[BaseException] = [
            EarlierError(kind, text) for kind, text in self.native.failures(position)
        ]
        if decision == _native.FAILED:
            return Recorded(position, False, status=FAILED, errors=errors)
        body = self.native.read(number)
        if body is None:
            errors.append(ResultNotStored("the call was answered, and the answer was not kept"))
            return Recorded(position, False, status=DONE, errors=errors)
        return Recorded(position, False, status=DONE, result=self._decoded(body), errors=errors)

    def _decoded(self, body: bytes) -> Any:
        try:
            value: Any = body[1:] if body[:1] == b"b" else _encode.decode(body[1:])
            return value if self._decode is None else self._decode(value)
        except Exception as error:
            unreadable = JournalError(f"a result of the journal {self.path} cannot be read: {error}")
            unreadable._is_of_call = True
            raise unreadable from error


class Recorder:
    """Takes down what the attempts of one machine bring.

    Args:
        journal: where it goes.
        machine: whose calls they are.
    """

    def __init__(self, journal: RunnerJournal, machine: Machine) -> None:
        self._journal = journal
        self._machine = machine

    def answered(self, number: int, answer: Any) -> BaseException | None:
        """Takes down an answer; what keeps it from being there next time, if anything does."""
        body = self._journal.encoded(answer)
        self._machine.answered(number, body)
        if body is not None:
            return None
        # It is paid for and returned; nothing more is sent before somebody says how to keep such answers.
        self._machine.stop()
        return ResultNotStored(self._journal.trouble)

    def failed(self, number: int, error: BaseException) -> None:
        """Takes down what went wrong: the type and the text, and nothing of what it holds in hand."""
        self._machine.failed(number, type(error).__name__, masked(error))


def masked(error: BaseException) -> str:
    """The text of an error, cut, without anything that looks like a key or is one in the environment."""
    try:
        text = str(error)[:_TEXT_MAX]
    except Exception:  # noqa: BLE001 - an exception may have a bug, too
        return ""
    for name, value in os.environ.items():
        if len(value) >= _SECRET_MIN and _SECRET_NAME.search(name):
            text = text.replace(value, "***")
    return _SECRET.sub(r"\1***", text).encode("utf-8", "replace").decode()


# As much of an error's text as is kept.
_TEXT_MAX = 2_048

# Shorter values of the environment are no secrets, and might be words.
_SECRET_MIN = 8
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SECRET = re.compile(
    r"(Bearer\s+|\b(?:api[-_]?key|key|token|secret|password|access_token)[\"']?\s*[=:]\s*[\"']?|(?=\bsk-)|://)"
    r"(?:sk-[\w.-]{4,}|(?<=://)[^\s/@]+:[^\s/@]+(?=@)|(?<!://)[\w.~+/-]{8,}=*)",
    re.IGNORECASE,
)


def _take_over(path: str) -> None:
    """Closes the journal of an earlier runner of this process: a cell that is run again makes a new one."""
    former = _open.get(path)
    if former is None:
        return
    if former.is_running():
        raise JournalError(f"the journal {path} is in use by another runner, which is running")
    former._is_taken_over = True
    former.close()


def _identity(function: Callable[..., Any]) -> list[str]:
    """What a function is known by: its module and name, and what a partial has bound."""
    bound: list[str] = []
    while isinstance(function, functools.partial):
        bound += [_shown(value) for value in (*function.args, dict(function.keywords))]
        function = function.func
    name = getattr(function, "__qualname__", None)
    owner = function if isinstance(name, str) else type(function)
    return [f"{getattr(owner, '__module__', '')}.{owner.__qualname__}", *bound]


def _shown(value: Any) -> str:
    return _leniently(value).decode()


def _bytes(identity: Sequence[str], version: str) -> list[bytes]:
    return [part.encode("utf-8", "surrogatepass") for part in (*identity, version)]


def _strictly(argument: Any, where: str) -> bytes:
    try:
        return _encode.canonical(argument, where)
    except _encode.CannotEncodeError as error:
        raise _encode.NoFormError(str(error)) from None


def _leniently(argument: Any) -> bytes:
    """An argument as bytes; of one that has no such form only its type counts."""
    try:
        return _encode.canonical(argument, "an argument")
    except _encode.CannotEncodeError:
        return type(argument).__qualname__.encode()


def _let_go() -> None:
    for journal in list(_open.values()):
        journal.native.let_go_in_child()
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)


def _close_all() -> None:
    """What was told is safe; this takes away what only a run needs."""
    for journal in list(_open.values()):
        journal.close()


atexit.register(_close_all)
