"""One scheduled call: a function with its arguments, and what came of it so far."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from inspect import Parameter, signature
from typing import Any, Protocol

__all__ = ["Call", "Result"]

Result = Any
"""Whatever the function returns."""


class Outcome(Protocol):
    """Where a call's result, exceptions and retries are kept: beside the call, not in it."""

    result: Any
    exceptions: list[BaseException]
    num_retries: int


class Call:
    """A function and the arguments to call it with.

    Extractors and validators receive it. It takes 64 bytes beside its arguments; what came of the
    call is kept elsewhere, and only once there is something to keep.

    Args:
        function: what is called.
        args: the positional arguments.
        kwargs: the keyword arguments; taken over, not copied.
        num_retries: attempts after the first one.
        result: the answer; None for none.
        exceptions: the exception of each failed attempt; None for none.

    >>> def ask(prompt, max_tokens=256, **options): ...
    >>> call = Call(ask, ("hello",), {"n": 0})
    >>> call.get_argument("prompt"), call.get_argument("max_tokens"), call.get_argument("n")
    ('hello', 256, 0)
    >>> call
    Call(ask, 1 positional and 1 keyword argument)
    """

    __slots__ = ("_kwargs", "_outcome", "args", "function")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        num_retries: int = 0,
        result: Any = None,
        exceptions: list[BaseException] | None = None,
    ) -> None:
        self.function = function
        self.args = args
        self._kwargs = kwargs or NO_KWARGS
        self._outcome: Outcome | None = None
        if num_retries or exceptions or result is not None:
            self._outcome = _OwnOutcome(result, exceptions, num_retries)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments; a dict of this call's own, which may be changed.

        >>> Call(print).kwargs
        {}
        """
        if self._kwargs is NO_KWARGS:
            # Calls without keywords share one dict until somebody might write into it.
            self._kwargs = {}
        return self._kwargs

    @kwargs.setter
    def kwargs(self, kwargs: dict[str, Any]) -> None:
        self._kwargs = kwargs

    def get_argument(self, name: str) -> Any:
        """The value that the function sees under `name`, or None if there is none.

        It is found by position, by keyword (also inside `**kwargs`), among what a `partial` has
        bound, or as the default. Falsy values are values. A function whose signature cannot be
        read, as with some builtins, is searched by keyword only.

        >>> Call(pow, (2, 8), {}).get_argument("exp")
        8
        >>> Call(partial(pow, 2), (8,), {}).get_argument("base")
        2
        """
        return parameters_of(self.function).find(name, self.args, self._kwargs)

    @property
    def all_arguments_dict(self) -> dict[str, Any]:
        """Every argument given, by name, without defaults; those inside `**kwargs` too.

        >>> Call(pow, (2,), {"exp": 8}).all_arguments_dict
        {'base': 2, 'exp': 8}
        """
        return parameters_of(self.function).given(self.args, self._kwargs)

    @property
    def default_params(self) -> dict[str, Any]:
        """The defaults of the function's parameters, by name.

        >>> Call(pow, (2, 8), {}).default_params
        {'mod': None}
        """
        return dict(parameters_of(self.function).defaults)

    @property
    def result(self) -> Any:
        """The answer, or None if there is none yet."""
        return None if self._outcome is None else self._outcome.result

    @result.setter
    def result(self, result: Any) -> None:
        self._own_outcome().result = result

    @property
    def exceptions(self) -> list[BaseException]:
        """The exception of each attempt that failed, oldest first."""
        return self._own_outcome().exceptions

    @exceptions.setter
    def exceptions(self, exceptions: list[BaseException]) -> None:
        self._own_outcome().exceptions = exceptions

    @property
    def num_retries(self) -> int:
        """How many attempts were made after the first one."""
        return 0 if self._outcome is None else self._outcome.num_retries

    @num_retries.setter
    def num_retries(self, num_retries: int) -> None:
        self._own_outcome().num_retries = num_retries

    def _own_outcome(self) -> Outcome:
        if self._outcome is None:
            self._outcome = _OwnOutcome()
        return self._outcome

    def __repr__(self) -> str:
        # Arguments may hold secrets, and this text ends up in logs: their numbers only.
        positional, keyword = len(self.args), len(self._kwargs)
        plural = "" if positional + keyword == 1 or keyword == 1 else "s"
        counts = f"{positional} positional and {keyword} keyword argument{plural}"
        return f"Call({function_name(self.function)}, {counts})"


NO_KWARGS: dict[str, Any] = {}
"""The dict of all calls without keyword arguments; nobody writes into it."""


class _OwnOutcome:
    """The outcome of a call that no runner keeps account of."""

    __slots__ = ("exceptions", "num_retries", "result")

    def __init__(
        self,
        result: Any = None,
        exceptions: list[BaseException] | None = None,
        num_retries: int = 0,
    ) -> None:
        self.result = result
        self.exceptions = [] if exceptions is None else exceptions
        self.num_retries = num_retries


def function_name(function: object) -> str:
    """The name to show for any callable; never its `repr`, which may print bound arguments.

    >>> function_name(partial(pow, 2)), function_name(Call.get_argument), function_name(Call(pow))
    ('pow', 'Call.get_argument', 'Call')
    """
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None)
    return name if isinstance(name, str) else type(function).__name__


class Parameters:
    """What is known of a function's parameters: read once, asked for each call.

    Args:
        function: any callable; one without a readable signature has no known parameter.

    >>> Parameters(pow).find("mod", (2, 8, 5), {})
    5
    """

    __slots__ = ("bound", "bound_kwargs", "defaults", "positions", "var_keyword", "var_positional")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.bound: tuple[Any, ...] = ()
        self.bound_kwargs: Mapping[str, Any] = NO_KWARGS
        # A partial's own signature forgets what it has bound by position.
        if isinstance(function, partial) and not _has_placeholders(function):
            self.bound, self.bound_kwargs = function.args, function.keywords
            function = function.func
        parameters = _read(function)
        self.positions = {p.name: i for i, p in enumerate(filter(_is_positional, parameters))}
        self.defaults = {p.name: p.default for p in parameters if p.default is not Parameter.empty}
        self.var_positional = _name_of(Parameter.VAR_POSITIONAL, parameters)
        self.var_keyword = _name_of(Parameter.VAR_KEYWORD, parameters)

    def find(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The value of the argument `name` in a call with `args` and `kwargs`; None without one.

        >>> Parameters(pow).find("mod", (2, 8), {}) is None
        True
        """
        position = self.positions.get(name)
        if position is not None:
            bound = len(self.bound)
            if position < bound:
                return self.bound[position]
            if position - bound < len(args):
                return args[position - bound]
        if name in kwargs:
            return kwargs[name]
        if name in self.bound_kwargs:
            return self.bound_kwargs[name]
        if name in self.defaults:
            return self.defaults[name]
        return self._rest(name, args, kwargs)

    def given(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Every argument of a call with `args` and `kwargs`, by name, without defaults.

        >>> Parameters(pow).given((2,), {"exp": 8})
        {'base': 2, 'exp': 8}
        """
        values = self.bound + args
        named = dict(zip(self.positions, values, strict=False))
        if self.var_positional is not None and len(values) > len(self.positions):
            named[self.var_positional] = values[len(self.positions) :]
        rest = {**self.bound_kwargs, **kwargs}
        return {**named, **{name: rest[name] for name in rest if name not in named}}

    def _rest(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        if name == self.var_positional:
            return (self.bound + args)[len(self.positions) :]
        if name == self.var_keyword:
            known = {*self.positions, *self.defaults}
            return {k: v for k, v in {**self.bound_kwargs, **kwargs}.items() if k not in known}
        return None


def takes(call: Call) -> bool:
    """Whether the function of a call has parameters for its arguments; True where that cannot be told.

    >>> takes(Call(pow, (2, 8))), takes(Call(pow, (2,)))
    (True, False)
    """
    try:
        known = signature(call.function)
    except Exception:  # noqa: BLE001 - a `__signature__` may raise anything
        return True
    try:
        known.bind(*call.args, **call._kwargs)
    except TypeError:
        return False
    return True


def parameters_of(function: Callable[..., Any]) -> Parameters:
    """The parameters of `function`, read at the first call and then remembered while it lives.

    >>> parameters_of(pow) is parameters_of(pow)
    True
    """
    entry = _known.get(id(function))
    if entry is not None and entry[0]() is function:
        return entry[1]
    return _remember(function)


def _remember(function: Callable[..., Any]) -> Parameters:
    parameters = Parameters(function)
    key = id(function)
    try:
        # The entry goes before the id can be used again. A strong reference would keep alive what
        # the function closes over, in a notebook each version of a cell.
        reference: Callable[[], object] = weakref.ref(function, lambda _: _known.pop(key, None))
    except TypeError:
        if len(_known) >= _STRONG_MAX:
            return parameters

        def reference() -> object:
            return function

    _known[key] = (reference, parameters)
    return parameters


def _read(function: Callable[..., Any]) -> list[Parameter]:
    try:
        return list(signature(function).parameters.values())
    except Exception:  # noqa: BLE001 - a `__signature__` may raise anything
        # ValueError for builtins; objects with a `__signature__` of their own may raise anything.
        return []


def _is_positional(parameter: Parameter) -> bool:
    return parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def _name_of(kind: object, parameters: list[Parameter]) -> str | None:
    return next((p.name for p in parameters if p.kind is kind), None)


def _has_placeholders(function: partial[Any]) -> bool:
    import functools

    placeholder = getattr(functools, "Placeholder", None)  # Python 3.14 and later
    return placeholder is not None and any(value is placeholder for value in function.args)


_known: dict[int, tuple[Callable[[], object], Parameters]] = {}
_STRONG_MAX = 1_000
"""Callables that allow no weak reference are remembered only up to this many entries."""
