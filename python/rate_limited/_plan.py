"""What a run will come to: the scheduler of the runner itself, played to its end on virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rate_limited._bill import Budget
from rate_limited._html import escaped, line, page, pairs, table
from rate_limited._native import duration_text, window_as_told
from rate_limited._setup import keys_function, seconds
from rate_limited._words import counted, rounded
from rate_limited.calls import Call
from rate_limited.usage import amount, shown, to_float

if TYPE_CHECKING:
    from rate_limited._ledger import Ledger
    from rate_limited._native import Machine, Outlook
    from rate_limited._service import Service
    from rate_limited.resources import Resource

_NAMES = 10
"""How many columns of a line of a plan are its name."""

_PARTS_SHOWN = 12
"""The most parts of resources that are shown, as in its text."""


@dataclass(frozen=True)
class PlannedLimit:
    """What a plan says of one limit."""

    name: str
    """The name of its resource."""

    cost: float
    """What is charged in the end, in its unit."""

    reserved: float
    """What all attempts cost at most."""

    waited_seconds: float
    """For how long it keeps the next call waiting."""

    utilisation: float | None
    """The share of what it lets through that is used, from 0 to 1; None where nothing comes back with time."""

    resets_at: datetime | None = None
    """When the present window ends and all of it is back, in UTC; None where it follows no calendar."""

    part_of: str | None = None
    """The name of the resource that it is a part of (`partition`); None: it is none."""


@dataclass(frozen=True, repr=False)
class Plan:
    """What a run will come to. It is made by `Runner.plan`; printed it is a few lines, in a notebook a table.

    >>> from rate_limited import Resource, Runner
    >>> runner = Runner(len, [Resource.per_minute("requests", 60)], progress=False)
    >>> for word in ["badger"] * 150:
    ...     runner.schedule(word)
    >>> plan = runner.plan()
    >>> plan.calls, round(plan.seconds), plan.binding, plan.never_fit
    (150, 122, 'requests', ())
    """

    calls: int
    """The calls that are planned, those in flight included; without those that are done, and `never_fit`."""

    seconds: float
    """From now until the last of them is over."""

    binding: str | None
    """What keeps calls waiting longest: the name of a resource, or `"in flight"`; None: nothing does."""

    binding_seconds: float
    """For how long it does."""

    limits: tuple[PlannedLimit, ...]
    """Each limit, in the order in which the runner has them; then each part of one (`partition`) that calls take from."""

    in_flight: int
    """The most calls in flight at once."""

    in_flight_seconds: float
    """For how long `max_concurrent` keeps the next call waiting."""

    unfinished: int
    """Calls that will not be run: a budget is spent."""

    never_fit: tuple[int, ...]
    """The indices of calls that exceed a limit on their own and can never be run."""

    helps: str | None
    """The one change that would make the run shortest, if one saves 5 % of the time."""

    helps_seconds: float | None
    """How long it would take then."""

    latency: float
    """How many seconds an answer was assumed to take, in the mean."""

    failure_rate: float
    """The share of attempts that was assumed to fail."""

    extrapolated: bool
    """Whether the end of a very long list was not played but taken to go on as before."""

    text: str
    """All of it as lines, the same as those of `rate-limited plan`."""

    @property
    def cost(self) -> dict[str, float]:
        """What is charged of each resource in the end, by its name.

        >>> from rate_limited import Resource, Runner
        >>> runner = Runner(len, [Resource.per_minute("requests", 60)], progress=False)
        >>> runner.schedule("badger")
        >>> runner.plan().cost
        {'requests': 1.0}
        """
        return {limit.name: limit.cost for limit in self.limits}

    def __repr__(self) -> str:
        return self.text.rstrip()

    def _repr_html_(self) -> str:
        # The name of a line is in its first columns.
        lines = [(told[:_NAMES].strip(), told[_NAMES:].strip()) for told in self._lines_without_limits()]
        limits, left_out = self._limits_shown()
        has_calendar = any(limit.resets_at for limit in limits)
        rows = [
            [
                escaped(limit.name),
                rounded(limit.cost),
                "" if limit.utilisation is None else f"{limit.utilisation:.0%}",
                duration_text(limit.waited_seconds) if limit.waited_seconds else "",
                *([_local(limit.resets_at)] if has_calendar else []),
            ]
            for limit in limits
        ]
        heads = ["limit", "taken", "of what it lets through", "waited for", *(["back at"] if has_calendar else [])]
        more = f"{counted(left_out, 'more part')}, waited for less (limits names all)"
        parts = [pairs(lines), *([table(heads, rows)] if rows else []), *([line(more)] if left_out else [])]
        return page("Plan", [], *parts)

    def _limits_shown(self) -> tuple[list[PlannedLimit], int]:
        """The limits that the text has, too, and how many parts it leaves out."""
        parts = [limit for limit in self.limits if limit.part_of is not None]
        divided = {part.part_of for part in parts}
        # Where all calls take from its parts, the limit itself has nothing to tell.
        shown = [limit for limit in self.limits if limit.part_of is None]
        shown = [limit for limit in shown if limit.reserved or limit.name not in divided]
        if len(parts) > _PARTS_SHOWN:
            parts.sort(key=lambda part: (-part.waited_seconds, -part.cost))
        return shown + parts[:_PARTS_SHOWN], max(0, len(parts) - _PARTS_SHOWN)

    def _lines_without_limits(self) -> list[str]:
        kept, in_limits = [], False
        for told in self.text.splitlines():
            in_limits = told.startswith("limits") or in_limits and told.startswith(" ")
            if not in_limits:
                kept.append(told)
        return kept


class Planned:
    """The part of a `Runner` that looks ahead."""

    function: Callable[..., Any]
    _costs_of: list[Callable[[Call], Any]]
    _resources: list[Resource]
    _machine: Machine
    _ledger: Ledger
    _service: Service | None

    def plan(
        self,
        items: Iterable[Any] | None = None,
        *,
        latency: float | None = None,
        failure_rate: float | None = None,
    ) -> Plan:
        """What a run will come to: when it ends, what it takes of each limit, what it waits for, what would help.

        It is no formula: the scheduler of this runner, as it stands with its limits and what is used of them, is
        played to its end on virtual time, at about 2 µs a call. Nothing is sent, and nothing of the runner is
        changed. It may be asked before a run, during one, and from any thread; calls that are done, also those of
        which the journal has the result, are left out. Other runners that share a limit are taken to be idle.

        Args:
            items: plans calls that are not scheduled, in front of a `map`: each item is the only argument of a call;
                they come after those that are scheduled. Default None: what is scheduled.
            latency: seconds that an answer takes. Default None: as the latest 256 good answers of this runner did;
                before the first one 2 s, as in `rate-limited plan`.
            failure_rate: the share of attempts that fail, from 0 to below 1. Default None: as so far, from 16
                attempts on; before that none.

        Raises:
            ValueError: one of the numbers is out of range.

        >>> from rate_limited import Resource, Runner
        >>> tokens = Resource.per_minute("tokens", 1_000, arguments_usage_extractor=lambda call: len(call.args[0]))
        >>> runner = Runner(str.upper, [tokens], progress=False)
        >>> print(runner.plan(["x" * 400, "y" * 2_000, "z" * 700], latency=3))
        calls     2 calls; nothing is sent
                  1 call is above tokens=1,000/60s and can never be sent (call 1)
        finish    after 1 m 3 s
        binding   tokens for 1 m
        limits    tokens=1,000/60s       1,100 taken, 55 % of what it lets through; waited for 1 m
        in flight 1 at most (max_concurrent=64)
        assumed   answers take 3 s (latency=) and use all that is held back for them; nothing fails (failure_rate=)
        helps     most: twice the limit of tokens=1,000/60s: 3 s
        """
        latency = seconds("latency", latency, most=1e6)
        rate = None if failure_rate is None else _rate(failure_rate)
        machine, base = self._planned()
        outlook = machine.outlook()
        for item in () if items is None else items:
            self._add(outlook, Call(self.function, (item,), {}))
        quotas = [(_limit_text(resource), isinstance(resource, Budget)) for resource in self._resources]
        text, found = outlook.plan(base, quotas, latency, rate)
        told = found.pop("limits")
        limits = tuple(_planned_limit(limit, self._resources[place]) for *limit, place in told)
        never_fit = tuple(found.pop("never_fit"))
        return Plan(limits=limits, never_fit=never_fit, text=text, **found)

    def _planned(self) -> tuple[Machine, int]:
        """The machine that is planned, and the number of its first call."""
        service = self._service
        # Rows that a `map` has begun are planned where nothing is scheduled.
        if service is not None and not service.is_over and not self._ledger.calls:
            return service.machine, 0
        return self._machine, self._ledger.base

    def _add(self, outlook: Outlook, call: Call) -> None:
        costs = [cost(call) for cost in self._costs_of]
        checked = zip(costs, self._resources, strict=True)
        keys = keys_function(self._resources)(call)
        outlook.add([amount(cost, resource.name) for cost, resource in checked], keys)


def _planned_limit(found: Iterable[Any], resource: Resource) -> PlannedLimit:
    name, cost, reserved, waited, utilisation, resets_at = found
    scale, part_of = resource._scale, None if name == resource.name else resource.name
    return PlannedLimit(name, cost / scale, reserved / scale, waited, utilisation, resets_at, part_of)


def _local(moment: datetime | None) -> str:
    """A moment in the time zone of the system."""
    return "" if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _rate(value: object) -> float:
    number = None if isinstance(value, bool) else to_float(value)
    if number is None or not 0 <= number < 1:
        raise ValueError(f"failure_rate is {shown(value)}: it must be a share of attempts from 0 to below 1")
    return number


def _limit_text(resource: Resource) -> str:
    """A limit as a plan shows it.

    >>> from rate_limited import Resource
    >>> _limit_text(Resource.per_minute("requests", 3_500))
    'requests=3,500/60s'
    >>> _limit_text(Resource.per_day("requests", 1_000, resets_at="America/Los_Angeles"))
    'requests=1,000/day America/Los_Angeles'
    >>> _limit_text(Resource("requests", 1_000, 7 * 86_400))
    'requests=1,000/7d'
    """
    limit, window = resource.limit, resource.time_window_seconds
    if limit is None:
        return f"{resource.name}: not told; the run finds it out"
    if isinstance(resource, Budget):
        return f"{resource.name}=${limit:,.15g}"
    per = "" if math.isinf(window) else f"/{resource.calendar or window_as_told(window)}"
    return f"{resource.name}={limit:,.15g}{per}"
