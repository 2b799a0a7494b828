"""What a run returns: a pair of lists, which a notebook shows as tables."""

from __future__ import annotations

import reprlib
from collections import Counter
from typing import Any

from rate_limited._html import escaped, line, page, table
from rate_limited._ledger import DONE
from rate_limited._progress import TYPES_MAX, failure_text
from rate_limited._words import counted

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

    _status: bytes | None = None
    """What each call came to, as a ledger has it; None: only its result tells."""

    def __new__(
        cls, pair: tuple[list[Any], list[list[BaseException]]], status: bytes | bytearray | None = None
    ) -> Results:
        """The pair; `status` tells results that are None by right from those that are missing."""
        made = super().__new__(cls, pair)
        made._status = None if status is None else bytes(status)
        return made

    def _repr_html_(self) -> str:
        """The first results, how many there are, and what went wrong with the other calls, for notebooks."""
        results, exceptions = self
        is_done = [self._is_done(index) for index in range(len(results))]
        kinds = Counter(type(error).__qualname__ for errors in exceptions for error in errors)
        lines = [f"{counted(len(results), 'call')}, {sum(is_done):,} with a result"]
        if kinds:
            names = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common(TYPES_MAX))
            lines.append(f"exceptions of attempts: {names}")
        found = [index for index, done in enumerate(is_done) if done]
        first = [[f"{index:,}", _shown(results[index])] for index in found[:FIRST_MAX]]
        troubled = [index for index, errors in enumerate(exceptions) if errors]
        # Those that have no result in the end are what one looks for.
        troubled.sort(key=is_done.__getitem__)
        rows = [
            [f"{index:,}", _came_to(is_done[index]), f"{len(exceptions[index]):,}", _last(exceptions[index])]
            for index in troubled[:ROWS_MAX]
        ]
        heads = ["call", "came to", "failed attempts", "last exception"]
        parts = []
        if first:
            parts += [_of("the first {} of {} results:", first, found), table(["call", "result"], first)]
        if rows:
            parts += [_of("{} of {} calls with exceptions:", rows, troubled), table(heads, rows)]
        return page("Results", lines, *parts)

    def _is_done(self, index: int) -> bool:
        status = self._status
        # Whoever holds the lists may have made them longer.
        if status is None or index >= len(status):
            return self[0][index] is not None
        return status[index] == DONE


def _of(text: str, shown: list[Any], there: list[Any]) -> str:
    """A line above a table that does not show all that there is."""
    return line(text.format(f"{len(shown):,}", f"{len(there):,}")) if len(shown) < len(there) else ""


def _shown(result: object) -> str:
    try:
        return escaped(_short.repr(result))
    except Exception:  # noqa: BLE001 - a `__repr__` may raise anything
        return escaped(f"<{type(result).__name__}>")


def _came_to(is_done: bool) -> str:
    return "a result" if is_done else "no result"


def _last(errors: list[BaseException]) -> str:
    return escaped(failure_text(errors[-1]))
