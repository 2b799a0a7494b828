"""A played scenario: what happened, and what the API has counted when, by the plainest rules."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
Charges = list[tuple[float, float]]


class Played:
    """The events of a scenario: `at[what]` has the seconds and the call of each."""

    def __init__(self, name: str, delay_ms: int | None = None) -> None:
        file = ROOT / (f"{name}.toml" if "/" in name else f"docs/concepts/worlds/{name}.toml")
        command = ["cargo", "run", "-q", "--locked", "-p", "rate_limited_sim", "--example", "events", "--", str(file), "0"]
        command += [] if delay_ms is None else [str(delay_ms)]
        printed = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        self.at: dict[str, list[tuple[float, int]]] = {}
        for line in printed.splitlines():
            seconds, call, _, what = line.split(",")
            self.at.setdefault(what, []).append((float(seconds), int(call)))

    def moments(self, what: str) -> list[float]:
        return [seconds for seconds, _ in self.at.get(what, [])]

    @property
    def end(self) -> float:
        return max(self.moments("done"))

    def charges(self, what: str = "accepted", cost: Callable[[int], float] = lambda call: 1) -> Charges:
        """When how much was charged."""
        return [(seconds, cost(call)) for seconds, call in self.at[what]]


def sliding(charges: Charges, window: float) -> Iterator[tuple[float, float]]:
    """What is charged within the window that ends at each moment."""
    changes = [(at, cost) for at, cost in charges] + [(at + window, -cost) for at, cost in charges]
    return running(changes)


def fixed(charges: Charges, window: float) -> Iterator[tuple[float, float]]:
    """What is charged in a window that begins with the first charge after the last one."""
    changes: Charges = []
    begun, used = None, 0.0
    for at, cost in charges:
        if begun is None or at >= begun + window:
            if begun is not None:
                changes.append((begun + window, -used))
            begun, used = at, 0.0
        used += cost
        changes.append((at, cost))
    if begun is not None:
        changes.append((begun + window, -used))
    return running(changes)


def bucket(charges: Charges, rate: float, until: float) -> Iterator[tuple[float, float]]:
    """What is missing in a bucket that refills at a rate, looked at each half second and at each charge."""
    moments = sorted([*((at, cost) for at, cost in charges), *((half / 2, 0.0) for half in range(int(until * 2) + 1))])
    missing, last = 0.0, 0.0
    for at, cost in moments:
        missing = max(missing - rate * (at - last), 0.0) + cost
        last = at
        yield at, missing


def running(changes: Charges) -> Iterator[tuple[float, float]]:
    """The sum of all changes up to each moment."""
    total = 0.0
    yield 0.0, 0.0
    for at, change in sorted(changes):
        total += change
        yield at, total
