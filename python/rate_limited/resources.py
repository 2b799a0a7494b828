"""What an API limits: how much of it, in how much time, and what a call takes of it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from rate_limited._identity import identity_of, text_of
from rate_limited._native import calendar_seconds, resource_view
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

PartitionExtractor: TypeAlias = Callable[[Call], "str | None"]
"""From a call to whose part of a resource it takes."""

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
    be combined. A resource without any of them counts nothing, of which a runner warns; to count calls, use `per_minute` and
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
        partition: whose part of it a call takes: calls with the same text share one quota, and each text, such
            as the name of a model, has the whole quota for itself. A call with None or "" takes of the
            resource itself. The first 1,024 are told apart; all further ones share one quota. `quota_for` tells
            single ones a quota of their own. Default: one quota for all calls.

    Raises:
        ValueError: a number out of range, or an estimator without `results_usage_extractor`.
        TypeError: an extractor that cannot be called, a name or key that is no text.

    >>> Resource("requests", 100, 60, lambda call: 1)
    Resource('requests', quota=100, time_window_seconds=60)
    >>> Resource("tokens", 90_000, 60, partition=lambda call: call.get_argument("model"))
    Resource('tokens', quota=90000, time_window_seconds=60)
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

    partition: PartitionExtractor | None
    """Whose part of it a call takes, or None where there is one quota for all."""

    # Whether a runner has warned that it counts nothing.
    _is_warned_of = False

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
        partition: PartitionExtractor | None = None,
    ) -> None:
        self.name = text_of("name", name)
        self.arguments_usage_extractor = arguments_usage_extractor
        self.results_usage_extractor = results_usage_extractor
        self.max_results_usage_estimator = max_results_usage_estimator
        self.learn = bool(learn)
        self.partition = partition
        # The API that describes it, and its name there; and where its answer is in what a call returns.
        self._meter: tuple[Api, str] | None = None
        self._answer: Callable[[Any], Any] | None = None
        self._check_extractors()
        quota = _quota(name, quota)
        window = _window_seconds(name, time_window_seconds)
        self._identity = identity_of(shared, quota, window)

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
        partition: PartitionExtractor | None = None,
    ) -> Self:
        """At most `quota` in any second; calls are counted if no extractor says otherwise.

        Arguments and errors are those of `Resource`.

        >>> Resource.per_second("requests", 5)
        Resource('requests', quota=5, time_window_seconds=1)
        """
        hooks = (arguments_usage_extractor, results_usage_extractor, max_results_usage_estimator)
        return cls(name, quota, 1, *_or_one_per_call(*hooks), shared=shared, learn=learn, partition=partition)

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
        partition: PartitionExtractor | None = None,
    ) -> Self:
        """At most `quota` in any minute; calls are counted if no extractor says otherwise.

        Arguments and errors are those of `Resource`.

        >>> Resource.per_minute("requests", 3500)
        Resource('requests', quota=3500, time_window_seconds=60)
        """
        hooks = (arguments_usage_extractor, results_usage_extractor, max_results_usage_estimator)
        return cls(name, quota, 60, *_or_one_per_call(*hooks), shared=shared, learn=learn, partition=partition)

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
        partition: PartitionExtractor | None = None,
    ) -> Self:
        """At most `quota` in any hour; calls are counted if no extractor says otherwise.

        Arguments and errors are those of `Resource`.

        >>> Resource.per_hour("images", 50, lambda call: call.get_argument("n"))
        Resource('images', quota=50, time_window_seconds=3600)
        """
        hooks = (arguments_usage_extractor, results_usage_extractor, max_results_usage_estimator)
        return cls(name, quota, 3_600, *_or_one_per_call(*hooks), shared=shared, learn=learn, partition=partition)

    @classmethod
    def per_day(
        cls,
        name: str,
        quota: float,
        arguments_usage_extractor: CallExtractor | None = None,
        results_usage_extractor: ResultExtractor | None = None,
        max_results_usage_estimator: CallExtractor | None = None,
        *,
        resets_at: str | None = None,
        shared: str | None = None,
        learn: bool = False,
        partition: PartitionExtractor | None = None,
    ) -> Self:
        """At most `quota` in any 24 hours, or in each day; calls are counted if no extractor says otherwise.

        Args:
            resets_at: the time of day at which all of it is back, and its time zone, such as
                `"00:00 America/Los_Angeles"`; the zone alone means midnight. Default None: what was used comes
                back 24 hours later.

        The other arguments and errors are those of `Resource`.

        >>> Resource.per_day("requests", 10_000, shared="my account")
        Resource('requests', quota=10000, time_window_seconds=86400, shared='my account')
        >>> Resource.per_day("requests", 1_000, resets_at="00:00 America/Los_Angeles")
        Resource.per_calendar('requests', 1000, 'day 00:00 America/Los_Angeles')
        >>> Resource.per_day("requests", 1_000, resets_at="25:00 UTC")
        Traceback (most recent call last):
        ...
        ValueError: resource 'requests': "day 25:00 UTC" names no window of the calendar: write minute, hour, day or \
month, and behind day and month a time and a zone, as in "day America/Los_Angeles" or "month 09:00 UTC"; or a span of \
the clock, as in "clock 10s"
        """
        hooks = (arguments_usage_extractor, results_usage_extractor, max_results_usage_estimator)
        if resets_at is not None:
            calendar = f"day {text_of('resets_at', resets_at)}"
            return cls.per_calendar(name, quota, calendar, *hooks, shared=shared, learn=learn, partition=partition)
        return cls(name, quota, 86_400, *_or_one_per_call(*hooks), shared=shared, learn=learn, partition=partition)

    @classmethod
    def per_calendar(
        cls,
        name: str,
        quota: float,
        calendar: str,
        arguments_usage_extractor: CallExtractor | None = None,
        results_usage_extractor: ResultExtractor | None = None,
        max_results_usage_estimator: CallExtractor | None = None,
        *,
        shared: str | None = None,
        learn: bool = False,
        partition: PartitionExtractor | None = None,
    ) -> Self:
        """At most `quota` in each window of a calendar, all of which is back when the window ends; calls are counted
        if no extractor says otherwise.

        Changes to summer time and clocks that are set are heeded. Where two answers name another end of the window,
        that is the end from then on.

        Args:
            calendar: `"day America/Los_Angeles"`, `"day 09:00 Europe/Berlin"`, `"month UTC"`; `"hour"` and
                `"minute"` are those of the clock, `"clock 10s"` every ten seconds of it.

        The other arguments and errors are those of `Resource`; ValueError also where the text names no calendar.

        >>> tokens = Resource.per_calendar("tokens", 5_000_000, "month UTC", lambda call: 500)
        >>> tokens.calendar, tokens.time_window_seconds
        ('month UTC', 2592000.0)
        """
        hooks = (arguments_usage_extractor, results_usage_extractor, max_results_usage_estimator)
        try:
            window = calendar_seconds(text_of("calendar", calendar))
        except ValueError as error:
            raise ValueError(f"resource {name!r}: {error}") from None
        resource = cls(name, quota, window, *_or_one_per_call(*hooks), learn=learn, partition=partition)
        resource._identity = identity_of(shared, resource.quota, window, calendar)
        return resource

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
        partition: PartitionExtractor | None = None,
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
        resource = cls(name, 1, 60, *_or_one_per_call(*hooks), learn=learn, partition=partition)
        resource._identity = identity_of(shared, math.inf, window)
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
            self._identity.set_limit(quota, self._other_window(time_window_seconds))
            return
        if math.isinf(self._identity.time_window_seconds):
            raise ValueError(
                f"quota of resource {self.name!r} is set to {shown(quota)}, but its window is not known: set "
                "time_window_seconds before"
            )
        self._identity.set_limit(quota, self._identity.time_window_seconds)

    def quota_for(self, key: str, quota: float, time_window_seconds: float | None = None) -> Self:
        """Tells the part of this key a quota of its own; needs `partition`. Gives the resource itself.

        The first key told that fits counts. To be told before the first run, since parts are made from it; what
        `quota` and `set_limit` change later is the limit of all other parts.

        Args:
            key: the text that `partition` gives. One `*` stands for any text: each part that fits has the quota
                for itself.
            quota: the largest amount in a window.
            time_window_seconds: the window. Default None: that of the resource.

        Raises:
            ValueError: no `partition`, a key that is empty or has two `*`, a number out of range, no window where
                none is known, a window of its own in a resource that follows a calendar, and a limit that is in use
                already.
            TypeError: a key that is no text.

        >>> tokens = Resource("tokens", 90_000, 60, partition=lambda call: call.get_argument("model"))
        >>> tokens.quota_for("gpt-4o-mini", 200_000).quota_for("gpt-4o*", 30_000)
        Resource('tokens', quota=90000, time_window_seconds=60).quota_for('gpt-4o-mini', 200000).quota_for('gpt-4o*', \
30000)
        >>> Resource("tokens", 90_000, 60).quota_for("gpt-4o", 30_000)
        Traceback (most recent call last):
        ...
        ValueError: resource 'tokens' has no parts to tell 'gpt-4o' a quota: tell it partition=, too
        """
        if self.partition is None:
            raise ValueError(f"resource {self.name!r} has no parts to tell {key!r} a quota: tell it partition=, too")
        key = self._part_key(key)
        part = f"{self.name}[{key}]"
        quota = _quota(part, quota)
        window = None
        if time_window_seconds is not None:
            window = self._other_window(time_window_seconds)
        elif math.isinf(self.time_window_seconds):
            raise ValueError(
                f"the window of resource {self.name!r} is not known, so that of {key!r} is not: set "
                "time_window_seconds in quota_for"
            )
        self._identity.set_part(part, key, (quota, window or self.time_window_seconds))
        return self

    def _part_key(self, key: object) -> str:
        text = text_of("key", key)
        if not text:
            raise ValueError(
                f"the key of a part of resource {self.name!r} is empty: calls without a key take of the resource "
                "itself, whose limit is quota"
            )
        if text.count("*") > 1:
            raise ValueError(f"key {text!r} of a part of resource {self.name!r} has more than one *: write one")
        return text

    @property
    def time_window_seconds(self) -> float:
        """How long what is used counts, in seconds; infinite where nobody told it.

        >>> Resource.per_hour("requests", 100).time_window_seconds
        3600
        """
        return self._identity.time_window_seconds

    @time_window_seconds.setter
    def time_window_seconds(self, time_window_seconds: float) -> None:
        self._identity.set_limit(self._identity.quota, self._other_window(time_window_seconds))

    def _other_window(self, time_window_seconds: float) -> float:
        window = _window_seconds(self.name, time_window_seconds)
        if self.calendar is not None and window != self.time_window_seconds:
            raise ValueError(
                f"resource {self.name!r} follows a calendar ({self.calendar}): it has no other window; make a new one"
            )
        return window

    @property
    def calendar(self) -> str | None:
        """The calendar that its windows follow; None where they slide.

        >>> Resource.per_day("requests", 100, resets_at="UTC").calendar
        'day UTC'
        """
        return self._identity.calendar

    def __repr__(self) -> str:
        key = self._identity.shared
        shared = "" if key is None else f", shared={key!r}"
        return self._limit_repr(shared) + self._parts_repr()

    def _parts_repr(self) -> str:
        told = ""
        for key, (quota, window) in self._identity.parts.items():
            seconds = "" if window == self.time_window_seconds else f", {window}"
            told += f".quota_for({key!r}, {quota}{seconds})"
        return told

    def _limit_repr(self, shared: str) -> str:
        if math.isinf(self.quota):
            known = math.isfinite(self.time_window_seconds)
            window = f", time_window_seconds={self.time_window_seconds}" if known else ""
            return f"Resource.untold({self.name!r}{window}{shared})"
        if self.calendar is not None:
            return f"Resource.per_calendar({self.name!r}, {self.quota}, {self.calendar!r}{shared})"
        limit = f"quota={self.quota}, time_window_seconds={self.time_window_seconds}"
        return f"Resource({self.name!r}, {limit}{shared})"

    def _check_extractors(self) -> None:
        for argument in (
            "arguments_usage_extractor",
            "results_usage_extractor",
            "max_results_usage_estimator",
            "partition",
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


def _or_one_per_call(
    arguments: CallExtractor | None,
    results: ResultExtractor | None,
    estimator: CallExtractor | None,
) -> tuple[CallExtractor | None, ResultExtractor | None, CallExtractor | None]:
    if arguments is None and results is None and estimator is None:
        return one_per_call, None, None
    return arguments, results, estimator


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
