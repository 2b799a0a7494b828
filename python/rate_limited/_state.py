"""How a runner stands, for people: as text, and as HTML for notebooks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rate_limited._bill import Budget
from rate_limited._html import bar, escaped, page, table
from rate_limited._ledger import Ledger
from rate_limited._native import resource_parts, resource_view
from rate_limited._words import counted, rounded, window_text

if TYPE_CHECKING:
    from rate_limited._native import Machine
    from rate_limited._rows import Rows
    from rate_limited._run import Run
    from rate_limited.resources import Resource


class Stated:
    """The part of a `Runner` that says how it stands."""

    function: Callable[..., Any]
    _resources: list[Resource]
    _machine: Machine
    _ledger: Ledger
    _run: Run | None
    _rows: Rows | None
    _paused: bool
    _last_numbers: tuple[dict[str, Any], float] | None

    def summary(self) -> str:
        """How the runner stands, or how its last run went, as lines of text; a notebook shows the same as HTML.

        The calls, the attempts, what is waited for and until when, and what of each limit is used.

        >>> from rate_limited import Resource, Runner
        >>> runner = Runner(len, [Resource.per_minute("requests", 3_500)], progress=False)
        >>> runner.schedule("four")
        >>> _ = runner.run()
        >>> print(runner.summary().splitlines()[-1])
        requests: 1 of 3,500 per 60 s used
        """
        return as_text(*self._state())

    def _repr_html_(self) -> str:
        return as_html(*self._state())

    def _state(self) -> tuple[str, list[str], list[Meter]]:
        numbers, seconds = self._numbers()
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        return f"Runner of {name}", lines_of(numbers, seconds), meters_of(self._resources)

    def _numbers(self) -> tuple[Mapping[str, Any], float | None]:
        """The numbers of what goes on, comes next, or came last; and how long it has taken, if that is known."""
        run, rows, last = self._run, self._rows, self._last_numbers
        seconds: float | None
        if run is not None:
            numbers, seconds = run.snapshot(), run.seconds
        elif rows is not None:
            numbers, seconds = rows.snapshot(), None
        elif last is not None and not self._ledger.calls:
            numbers, seconds = last
        else:
            ledger = self._ledger
            tally = ledger.tally
            numbers = {**tally.of(self._machine.progress()), **ledger.counts()}
            seconds = None if tally.before is None else tally.seconds
        if run is None and rows is None:
            numbers = {**numbers, "wait_seconds": None, "paused": self._paused}
        return numbers, seconds


class Meter(NamedTuple):
    """The books of one resource."""

    name: str
    used: float
    """Charged and still counting."""
    held: float
    limit: float | None
    """The limit in force; None: not known yet."""
    window: float
    paused: float
    """For how many seconds the server's word keeps calls from it."""
    calendar: str | None = None
    """The calendar that its windows follow."""
    told: float | None = None
    """The limit that its user has told; None or infinite: none was told, or it is not known here."""
    sign: str = ""
    """What stands before an amount of it."""

    @property
    def overruled(self) -> float | None:
        """The limit that was told, where another one is in force."""
        limit, told = self.limit, self.told
        if limit is None or told is None or math.isinf(told):
            return None
        return None if math.isclose(limit, told, rel_tol=1e-6, abs_tol=1e-6) else told

    @property
    def limit_shown(self) -> str:
        """The limit in force: as it was told, or rounded where it was found out."""
        if self.limit is None:
            return ""
        is_told = self.told is not None and not math.isinf(self.told) and self.overruled is None
        return self.sign + (f"{self.told:,.15g}" if is_told else rounded(self.limit))

    @property
    def share(self) -> float:
        """How much of the limit is used or held."""
        return (self.used + self.held) / self.limit if self.limit else 0.0


PARTS_SHOWN = 20
"""Of so many parts of a resource the books are shown, the fullest."""


def meters_of(resources: Sequence[Resource]) -> list[Meter]:
    """The books of resources: of one that has parts those of the parts, by name where there are several."""
    meters: list[Meter] = []
    for resource in resources:
        whole, parts = meter_of(resource), parts_of(resource)
        if not parts or whole.share:
            meters.append(whole)
        meters += [parts[0]._replace(name=whole.name)] if len(parts) == 1 and not whole.share else parts
    return meters


def parts_of(resource: Resource) -> list[Meter]:
    """The books of the parts of a resource."""
    number = resource._identity._native_id
    if number is None or resource.partition is None:
        return []
    parts = [
        Meter(f"{resource.name}[{key}]", used, held, limit, resource._identity.window_of(key), paused)
        for key, used, held, limit, paused in resource_parts(number)
    ]
    if len(parts) > PARTS_SHOWN:
        parts = sorted(parts, key=lambda part: -part.share)[:PARTS_SHOWN]
    return parts


def meter_of(resource: Resource) -> Meter:
    """The books of a resource; without a runner's use they are empty."""
    number, window = resource._identity._native_id, resource.time_window_seconds
    used = held = paused = 0.0
    limit, scale = resource.limit, resource._scale
    if number is not None:
        used, held, _, paused = resource_view(number)
    sign = "$" if isinstance(resource, Budget) else ""
    books = used / scale, held / scale, limit, window, paused
    return Meter(resource.name, *books, resource.calendar, resource.quota, sign)


def lines_of(snapshot: Mapping[str, Any], seconds: float | None) -> list[str]:
    """The calls, the attempts, and what is waited for."""
    lines = [calls_text(snapshot, seconds)]
    names = {
        "in_flight": "in flight",
        "retries": "tried again",
        "refusals": "refused",
        "timeouts": "timed out",
    }
    numbers = [f"{snapshot.get(key) or 0:,} {name}" for key, name in names.items()]
    lines.append(f"{counted(snapshot.get('attempts') or 0, 'attempt')}; {', '.join(numbers)}")
    if snapshot.get("paused"):
        lines.append("paused: resume() goes on")
    elif snapshot.get("wait_seconds") is not None and snapshot.get("waiting_on"):
        lines.append(f"waiting {until(snapshot['wait_seconds'])} for {snapshot['waiting_on']}")
    return lines


def calls_text(snapshot: Mapping[str, Any], seconds: float | None = None) -> str:
    """How many calls are over, of how many, in which time.

    >>> calls_text({"scheduled": 3, "done": 2, "failed": 1}, 1.5)
    '3 of 3 calls done in 1.5 s, 1 failed'
    >>> calls_text({"scheduled": None, "done": 1, "failed": 0})
    '1 call done, 0 failed'
    >>> calls_text({"scheduled": 9, "done": 9, "failed": 0, "restored": 4})
    '9 of 9 calls done, 0 failed (4 of them in earlier runs)'
    """
    done, failed = snapshot.get("done") or 0, snapshot.get("failed") or 0
    scheduled = snapshot.get("scheduled")
    calls = counted(done + failed, "call") if scheduled is None else f"{done + failed:,} of {scheduled:,} calls"
    took = "" if seconds is None else f" in {seconds:,.1f} s"
    restored = snapshot.get("restored")
    earlier = f" ({restored:,} of them in earlier runs)" if restored else ""
    return f"{calls} done{took}, {failed:,} failed{earlier}"


def limit_text(meter: Meter) -> str:
    """The limit of a resource as its user has told it; where a lower one is in force, that, and what was told.

    >>> limit_text(Meter("tokens", 0, 0, 3_374.999968, 60, 0, told=20_000))
    '3,375 in force, 20,000 told'
    """
    if meter.limit is None:
        return "not known yet"
    in_force = "" if meter.overruled is None else f" in force, {meter.overruled:,.15g} told"
    return meter.limit_shown + in_force


def until(seconds: float) -> str:
    """How long a wait is, and where the clock will be then.

    >>> until(90)[:12]
    '90 s (until '
    """
    return f"{seconds:,.0f} s (until {time.strftime('%H:%M:%S', time.localtime(time.time() + seconds))})"


def as_text(title: str, lines: Sequence[str], meters: Sequence[Meter]) -> str:
    """All of it as lines of text."""
    books = [f"{meter.name}: {_books(meter)}" for meter in meters]
    return "\n".join([title, *lines, *books])


def as_html(title: str, lines: Sequence[str], meters: Sequence[Meter]) -> str:
    """All of it as HTML, with a bar for each resource."""
    rows = [[escaped(meter.name), bar(meter.share), escaped(_books(meter))] for meter in meters]
    return page(title, lines, table(["limit", "used", ""], rows) if rows else "")


def _books(meter: Meter) -> str:
    limit = "a limit that is not known yet" if meter.limit is None else meter.limit_shown
    window = f" per {window_text(meter.window)}" if meter.window < math.inf else ""
    if meter.calendar is not None:
        window = f" per {meter.calendar}"
    text = f"{meter.sign}{rounded(meter.used)} of {limit}{window} used"
    if meter.overruled is not None:
        text += f" ({meter.overruled:,.15g} told)"
    if meter.held:
        text += f", {meter.sign}{rounded(meter.held)} held"
    if meter.paused:
        text += f", paused for {until(meter.paused)}"
    return text
