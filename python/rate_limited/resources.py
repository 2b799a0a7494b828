"""What an API limits: how much of it, in how much time, and what a call takes of it."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from rate_limited._native import resource_view
from rate_limited.calls import Call, Result
from rate_limited.usage import AMOUNT_MAX, shown, to_float

if TYPE_CHECKING:
    from typing_extensions import Self

    from rate_limited.apis import Api

__all__ = ["Resource", "Unit", "one_per_call"]

Unit = float
"""An amount of a resource."""

CallExtractor: TypeAlias = Callable[[Call], Any]
"""From a call to an amount."""

ResultExtractor: TypeAlias = Callable[[Call, Result], Any]
"""From a call and its result to an amount."""

QUOTA_MIN = 1e-6
WINDOW_SECONDS_MIN = 1e-6
WINDOW_SECONDS_MAX = 400 * 86_400


def one_per_call(call: Call) -> int:
    """Counts calls: 1 for each.

    >>> one_per_call(Call(print))
    1
    """
    return 1


class Resource:
    """A limit: at most `quota` of something in any `time_window_seconds`.

    What is used counts in full until the window has passed. An API that bills by the arguments
    needs `arguments_usage_extractor`; one that bills by the result needs `results_usage_extractor`,
    and `max_results_usage_estimator` to hold back enough until the result is there. All three may
    be combined. A resource without any of them counts nothing; to count calls, use `per_minute` and
    its like, or `one_per_call`.

    One resource may serve several runners; together they keep its quota.

    Args:
        name: for messages, such as "tokens".
        quota: the largest amount in a window, from 1e-6 to 9.2e12, in any unit.
        time_window_seconds: from 1e-6 to 34,560,000 (400 days).
        arguments_usage_extractor: what a call takes when it starts.
        results_usage_extractor: what a call has taken, once its result is there.
        max_results_usage_estimator: the most that the result may take; held back meanwhile.
        shared: a key; all resources of this process with the same key are one, with one quota and
            one history, also when the cell that makes them is run again. The latest quota and
            window stand. Default: no other resource shares this one's history.
        learn: hold back less than the estimator says, as far as real usage has shown that less is
            enough. Default: hold back what it says.

    Raises:
        ValueError: a number out of range, or an estimator without `results_usage_extractor`.
        TypeError: an extractor that cannot be called, a name or key that is no text.

    >>> Resource("requests", 100, 60, lambda call: 1)
    Resource('requests', quota=100, time_window_seconds=60)
    >>> Resource("requests", 0, 60)
    Traceback (most recent call last):
    ...
    ValueError: quota of resource 'requests' is 0: it must be at least 1e-06
    """

    name: str
    """For messages, such as "tokens"."""

    arguments_usage_extractor: CallExtractor | None
    """What a call takes when it starts, or None for nothing."""

    results_usage_extractor: ResultExtractor | None
    """What a call has taken, once its result is there, or None for nothing."""

    max_results_usage_estimator: CallExtractor | None
    """The most that the result may take, or None for nothing."""

    # How many of its units there are natively in one of the user's.
    _scale = 1.0

    learn: bool
    """Whether less is held back where real usage has shown that less is enough."""

    def __init__(
        self,
        name: str,
        quota: float,
        time_window_seconds: float,
        arguments_usage_extractor: CallExtractor | None = None,
        results_usage_extractor: ResultExtractor | None = None,
        max_results_usage_estimator: CallExtractor | None = None,
        *,
        shared: str | None = None,
        learn: bool = False,
    ) -> None:
        self.name = _text("name", name)
        self.arguments_usage_extractor = arguments_usage_extractor
        self.results_usage_extractor = results_usage_extractor
        self.max_results_usage_estimator = max_results_usage_estimator
        self.learn = bool(learn)
        # The API that describes it, and its name there; and where its answer is in what a call returns.
        self._meter: tuple[Api, str] | None = None
        self._answer: Callable[[Any], Any] | None = None
        self._check_extractors()
        quota = _quota(name, quota)
        window = _window_seconds(name, time_window_seconds)
        self._identity = _identity(shared, quota, window)

    @classmethod
    def per_second(
        cls,
        name: str,
        quota: float,
        arguments_usage_extractor: CallExtractor | None = None,
        results_usage_extractor: ResultExtractor | None = None,
        max_results_usage_estimator: CallExtractor | None = None,
        *,
        shared: str | None = None,
        learn: bool = False,
    ) -> Self:
        """At most `quota` in any second; calls are counted if no extractor says otherwise.

        Arguments and errors are those of `Resource`.

        >>> Resource.per_second("requests", 5)
        Resource('requests', quota=5, time_window_seconds=1)
        """
        hooks = (arguments_usage_extractor, results_usage_extractor, max_results_usage_estimator)
        return cls(name, quota, 1, *_or_one_per_call(*hooks), shared=shared, learn=learn)

    @classmethod
    def per_minute(
        cls,
        name: str,
        quota: float,
        arguments_usage_extractor: CallExtractor | None = None,
        results_usage_extractor: ResultExtractor | None = None,
        max_results_usage_estimator: CallExtractor | None = None,
        *,
        shared: str | None = None,
        learn: bool = False,
    ) -> Self:
        """At most `quota` in any minute; calls are counted if no extractor says otherwise.

        Arguments and errors are those of `Resource`.

        >>> Resource.per_minute("requests", 3500)
        Resource('requests', quota=3500, time_window_seconds=60)
        """
        hooks = (arguments_usage_extractor, results_usage_extractor, max_results_usage_estimator)
        return cls(name, quota, 60, *_or_one_per_call(*hooks), shared=shared, learn=learn)

    @classmethod
    def per_hour(
        cls,
        name: str,
        quota: float,
        arguments_usage_extractor: CallExtractor | None = None,
        results_usage_extractor: ResultExtractor | None = None,
        max_results_usage_estimator: CallExtractor | None = None,
        *,
        shared: str | None = None,
        learn: bool = False,
    ) -> Self:
        """At most `quota` in any hour; calls are counted if no extractor says otherwise.

        Arguments and errors are those of `Resource`.

        >>> Resource.per_hour("images", 50, lambda call: call.get_argument("n"))
        Resource('images', quota=50, time_window_seconds=3600)
        """
        hooks = (arguments_usage_extractor, results_usage_extractor, max_results_usage_estimator)
        return cls(name, quota, 3_600, *_or_one_per_call(*hooks), shared=shared, learn=learn)

    @classmethod
    def per_day(
        cls,
        name: str,
        quota: float,
        arguments_usage_extractor: CallExtractor | None = None,
        results_usage_extractor: ResultExtractor | None = None,
        max_results_usage_estimator: CallExtractor | None = None,
        *,
        shared: str | None = None,
        learn: bool = False,
    ) -> Self:
        """At most `quota` in any 24 hours; calls are counted if no extractor says otherwise.

        Arguments and errors are those of `Resource`.

        >>> Resource.per_day("requests", 10_000, shared="my account")
        Resource('requests', quota=10000, time_window_seconds=86400, shared='my account')
        """
        hooks = (arguments_usage_extractor, results_usage_extractor, max_results_usage_estimator)
        return cls(name, quota, 86_400, *_or_one_per_call(*hooks), shared=shared, learn=learn)

    @classmethod
    def untold(
        cls,
        name: str,
        time_window_seconds: float | None = None,
        arguments_usage_extractor: CallExtractor | None = None,
        results_usage_extractor: ResultExtractor | None = None,
        max_results_usage_estimator: CallExtractor | None = None,
        *,
        shared: str | None = None,
        learn: bool = False,
    ) -> Self:
        """A limit that nobody told: it is found out from refusals, and from what answers say of it.

        It starts with one call, and goes on with ever more until one is refused. Calls are counted if no
        extractor says otherwise. Its `quota` is infinite until it is set, which tells the limit.

        Args:
            time_window_seconds: the window, if that is known. Default None: it is found out, too.

        The other arguments and errors are those of `Resource`.

        >>> requests = Resource.untold("requests")
        >>> requests.quota, requests.limit
        (inf, None)
        """
        hooks = (arguments_usage_extractor, results_usage_extractor, max_results_usage_estimator)
        window = math.inf if time_window_seconds is None else _window_seconds(name, time_window_seconds)
        resource = cls(name, 1, 60, *_or_one_per_call(*hooks), learn=learn)
        resource._identity = _identity(shared, math.inf, window)
        return resource

    @property
    def limit(self) -> float | None:
        """The limit in force: the quota, or less where answers name a lower one or refusals have shown it; None
        where none is known yet.

        >>> Resource.per_minute("requests", 3500).limit
        3500
        """
        number = self._identity._native_id
        if number is None:
            return None if math.isinf(self.quota) else self.quota
        limit = resource_view(number)[2]
        return None if limit is None else limit / self._scale

    @property
    def quota(self) -> float:
        """The largest amount in a window; setting it changes the limit, also during a run. What nobody told is
        infinite.

        >>> requests = Resource.per_minute("requests", 100)
        >>> requests.quota = 50
        >>> requests.quota
        50
        """
        return self._identity.quota

    @quota.setter
    def quota(self, quota: float) -> None:
        self.set_limit(quota)

    def set_limit(self, quota: float, time_window_seconds: float | None = None) -> None:
        """Changes quota and window at once, also during a run. What was used counts on.

        Args:
            quota: the largest amount in a window.
            time_window_seconds: the window. Default None: as it is.

        Raises:
            ValueError: a number out of range, or no window where none is known.

        >>> requests = Resource.untold("requests")
        >>> requests.set_limit(100, 60)
        >>> requests
        Resource('requests', quota=100, time_window_seconds=60)
        """
        quota = _quota(self.name, quota)
        if time_window_seconds is not None:
            window = _window_seconds(self.name, time_window_seconds)
            self._identity.set_limit(quota, window)
            return
        if math.isinf(self._identity.time_window_seconds):
            raise ValueError(
                f"quota of resource {self.name!r} is set to {shown(quota)}, but its window is not known: set "
                "time_window_seconds before"
            )
        self._identity.set_limit(quota, self._identity.time_window_seconds)

    @property
    def time_window_seconds(self) -> float:
        """How long what is used counts, in seconds; infinite where nobody told it.

        >>> Resource.per_hour("requests", 100).time_window_seconds
        3600
        """
        return self._identity.time_window_seconds

    @time_window_seconds.setter
    def time_window_seconds(self, time_window_seconds: float) -> None:
        window = _window_seconds(self.name, time_window_seconds)
        self._identity.set_limit(self._identity.quota, window)

    def __repr__(self) -> str:
        key = self._identity.shared
        shared = "" if key is None else f", shared={key!r}"
        if math.isinf(self.quota):
            known = math.isfinite(self.time_window_seconds)
            window = f", time_window_seconds={self.time_window_seconds}" if known else ""
            return f"Resource.untold({self.name!r}{window}{shared})"
        limit = f"quota={self.quota}, time_window_seconds={self.time_window_seconds}"
        return f"Resource({self.name!r}, {limit}{shared})"

    def _check_extractors(self) -> None:
        for argument in (
            "arguments_usage_extractor",
            "results_usage_extractor",
            "max_results_usage_estimator",
        ):
            extractor = getattr(self, argument)
            if extractor is not None and not callable(extractor):
                kind = type(extractor).__name__
                raise TypeError(f"{argument} of resource {self.name!r} must be callable, not {kind}")
        if self.max_results_usage_estimator and not self.results_usage_extractor:
            raise ValueError(
                f"resource {self.name!r} has a max_results_usage_estimator, which needs a "
                "results_usage_extractor: what is held back must be settled by real usage"
            )


class Identity:
    """What makes two resources the same limit: one history belongs to one identity.

    A runner finds here the limit that it has made for this resource, if one has.
    """

    __slots__ = ("__weakref__", "_native_id", "on_change", "quota", "shared", "time_window_seconds")

    def __init__(self, shared: str | None, quota: float, time_window_seconds: float) -> None:
        self.shared = shared
        self.quota = quota
        self.time_window_seconds = time_window_seconds
        self._native_id: Any = None
        self.on_change: Callable[[float, float], None] | None = None

    def set_limit(self, quota: float, time_window_seconds: float) -> None:
        """Changes the limit; `on_change` hears of it if anything is different.

        >>> identity = Identity(None, 100, 60)
        >>> identity.on_change = print
        >>> identity.set_limit(50, 60)
        50 60
        >>> identity.set_limit(50, 60)
        """
        if (quota, time_window_seconds) == (self.quota, self.time_window_seconds):
            return
        self.quota, self.time_window_seconds = quota, time_window_seconds
        if self.on_change is not None and not math.isinf(quota):
            self.on_change(quota, time_window_seconds)

    def __reduce__(self) -> tuple[Callable[..., Identity], tuple[str | None, float, float]]:
        # A copy, or the same resource in another process, has a history of its own.
        return _identity, (self.shared, self.quota, self.time_window_seconds)


_shared: dict[str, Identity] = {}
_shared_lock = threading.Lock()


def _identity(shared: str | None, quota: float, time_window_seconds: float) -> Identity:
    if shared is None:
        return Identity(None, quota, time_window_seconds)
    _text("shared", shared)
    with _shared_lock:
        identity = _shared.get(shared)
        if identity is None:
            identity = _shared[shared] = Identity(shared, quota, time_window_seconds)
            return identity
    # Outside the lock: whoever listens may do anything. That nobody told a limit is no news.
    if not math.isinf(quota):
        identity.set_limit(quota, time_window_seconds)
    return identity


def _or_one_per_call(
    arguments: CallExtractor | None,
    results: ResultExtractor | None,
    estimator: CallExtractor | None,
) -> tuple[CallExtractor | None, ResultExtractor | None, CallExtractor | None]:
    if arguments is None and results is None and estimator is None:
        return one_per_call, None, None
    return arguments, results, estimator


def _text(argument: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{argument} must be a str, not {type(value).__name__}")
    return value


def _quota(name: str, value: object) -> float:
    what = f"quota of resource {name!r} is {shown(value)}"
    number = _positive(what, value)
    if math.isinf(number):
        raise ValueError(f"{what}: for no limit, leave the resource out")
    if number > AMOUNT_MAX:
        raise ValueError(f"{what}: it must be at most {AMOUNT_MAX:,}; count in a larger unit")
    if number < QUOTA_MIN:
        raise ValueError(f"{what}: it must be at least {QUOTA_MIN:g}")
    return value if type(value) is int else number


def _window_seconds(name: str, value: object) -> float:
    what = f"time_window_seconds of resource {name!r} is {shown(value)}"
    number = _positive(what, value)
    if number > WINDOW_SECONDS_MAX:
        raise ValueError(f"{what}: it must be at most {WINDOW_SECONDS_MAX:,} (400 days)")
    if number < WINDOW_SECONDS_MIN:
        raise ValueError(f"{what}: it must be at least {WINDOW_SECONDS_MIN:g}")
    return value if type(value) is int else number


def _positive(what: str, value: object) -> float:
    # NumPy's truth values are no subclass of bool, and NumPy need not be there to ask.
    is_bool = type(value).__name__ in ("bool", "bool_")
    number = None if is_bool else to_float(value)
    if number is None:
        raise ValueError(f"{what}: it must be a number")
    if math.isnan(number):
        raise ValueError(f"{what}: it must be a number, not NaN")
    return number
