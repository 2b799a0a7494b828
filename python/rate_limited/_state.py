"""How a runner stands, for people: as text, and as HTML for notebooks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from rate_limited._html import bar, escaped, page, table
from rate_limited._ledger import DONE, FAILED, Ledger
from rate_limited._native import resource_parts, resource_view

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
        run, rows, last = self._run, self._rows, self._last_numbers
        seconds: float | None
        if run is not None:
            numbers, seconds = run.snapshot(), run.seconds
        elif rows is not None:
            numbers, seconds = rows.snapshot(), None
        elif last is not None and not self._ledger.calls:
            numbers, seconds = last
        else:
            status = self._ledger.status
            ended = {"done": status.count(DONE), "failed": status.count(FAILED)}
            numbers, seconds = {**self._machine.progress(), **ended, "scheduled": len(status)}, None
        if run is None and rows is None:
            numbers = {**numbers, "wait_seconds": None, "paused": self._paused}
        name = getattr(self.function, "__qualname__", type(self.function).__name__)
        return f"Runner of {name}", lines_of(numbers, seconds), meters_of(self._resources)


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
    if number is None:
        return Meter(resource.name, 0.0, 0.0, resource.limit, window, 0.0, resource.calendar)
    used, held, limit, paused = resource_view(number)
    scale = resource._scale
    in_force = None if limit is None else limit / scale
    return Meter(resource.name, used / scale, held / scale, in_force, window, paused, resource.calendar)


def lines_of(snapshot: Mapping[str, Any], seconds: float | None) -> list[str]:
    """The calls, the attempts, and what is waited for."""
    done, failed = snapshot.get("done") or 0, snapshot.get("failed") or 0
    scheduled = snapshot.get("scheduled")
    of = "" if scheduled is None else f" of {scheduled:,}"
    took = "" if seconds is None else f" in {seconds:,.1f} s"
    lines = [f"{done + failed:,}{of} calls done{took}, {failed:,} failed"]
    names = {
        "in_flight": "in flight",
        "retries": "tried again",
        "refusals": "refused",
        "timeouts": "timed out",
    }
    numbers = [f"{snapshot.get(key) or 0:,} {name}" for key, name in names.items()]
    lines.append(f"{snapshot.get('attempts') or 0:,} attempts; {', '.join(numbers)}")
    if snapshot.get("paused"):
        lines.append("paused: resume() goes on")
    elif snapshot.get("wait_seconds") is not None and snapshot.get("waiting_on"):
        lines.append(f"waiting {until(snapshot['wait_seconds'])} for {snapshot['waiting_on']}")
    return lines


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
    limit = "a limit that is not known yet" if meter.limit is None else f"{meter.limit:,.15g}"
    window = f" per {meter.window:,.15g} s" if meter.window < float("inf") else ""
    if meter.calendar is not None:
        window = f" per {meter.calendar}"
    text = f"{meter.used:,.15g} of {limit}{window} used"
    if meter.held:
        text += f", {meter.held:,.15g} held"
    if meter.paused:
        text += f", paused for {until(meter.paused)}"
    return text
