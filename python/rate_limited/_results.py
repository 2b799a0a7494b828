"""What a run returns: a pair of lists, which a notebook shows as tables."""

from __future__ import annotations

import reprlib
from collections import Counter
from typing import Any

from rate_limited._html import escaped, page, table
from rate_limited._progress import TYPES_MAX, failure_text

ROWS_MAX = 10
"""How many calls with exceptions are shown."""

FIRST_MAX = 3
"""How many results are shown."""

_short = reprlib.Repr()
_short.maxstring = _short.maxother = 200


class Results(tuple[list[Any], list[list[BaseException]]]):
    """Results and exceptions: a tuple of two lists in every way, `results, exceptions = runner.run()`.

    >>> results, exceptions = Results(([4, None], [[], [KeyError("choices")]]))
    >>> results
    [4, None]
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        """The first results, how many there are, and what went wrong with the other calls, for notebooks."""
        results, exceptions = self
        missing = sum(result is None for result in results)
        kinds = Counter(type(error).__qualname__ for errors in exceptions for error in errors)
        lines = [f"{len(results):,} calls, {len(results) - missing:,} with a result"]
        if kinds:
            names = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common(TYPES_MAX))
            lines.append(f"exceptions of attempts: {names}")
        found = [(index, result) for index, result in enumerate(results) if result is not None][:FIRST_MAX]
        first = [[f"{index:,}", _shown(result)] for index, result in found]
        troubled = [index for index, errors in enumerate(exceptions) if errors]
        # Those that have no result in the end are what one looks for.
        troubled.sort(key=lambda index: results[index] is not None)
        rows = [
            [f"{index:,}", _came_to(results[index]), f"{len(exceptions[index]):,}", _last(exceptions[index])]
            for index in troubled[:ROWS_MAX]
        ]
        if len(troubled) > ROWS_MAX:
            lines.append(f"{ROWS_MAX} of {len(troubled):,} calls with exceptions:")
        heads = ["call", "came to", "failed attempts", "last exception"]
        parts = [table(["call", "result"], first)] if first else []
        if rows:
            parts.append(table(heads, rows))
        return page("Results", lines, *parts)


def _shown(result: object) -> str:
    try:
        return escaped(_short.repr(result))
    except Exception:  # noqa: BLE001 - a `__repr__` may raise anything
        return escaped(f"<{type(result).__name__}>")


def _came_to(result: object) -> str:
    return "no result" if result is None else "a result"


def _last(errors: list[BaseException]) -> str:
    return escaped(failure_text(errors[-1]))
