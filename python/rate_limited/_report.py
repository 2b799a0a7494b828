"""What the runs of a runner did, as a page, as data, and as lines of text."""

from __future__ import annotations

import html
import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rate_limited import _native
from rate_limited._bill import spent_of
from rate_limited._ledger import Ledger

if TYPE_CHECKING:
    from rate_limited._journal import RunnerJournal
    from rate_limited._rows import Rows
    from rate_limited.resources import Resource

_FORMS = {".html": "html", ".htm": "html", ".json": "json", ".txt": "text"}

# So much of a file is looked at to see whether it is a report.
_BEGINNING = 64

_HEIGHT = 640
"""How many pixels of it a notebook shows; the rest scrolls."""


class Report:
    """What the runs of a runner did. It is made by `Runner.report`; a notebook shows the page.

    >>> from rate_limited import Resource, Runner
    >>> runner = Runner(len, [Resource.per_minute("requests", 3_500)], progress=False)
    >>> runner.schedule("four")
    >>> _ = runner.run()
    >>> report = runner.report()
    >>> report.html.startswith("<!doctype html>")
    True
    >>> import json
    >>> json.loads(report.json)["calls"]["succeeded"]
    1
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Report) -> None:
        self._native = native

    @property
    def text(self) -> str:
        """A few lines."""
        return self._native.text()

    @property
    def json(self) -> str:
        """All of it as JSON; times are milliseconds, shares are 1 for a whole quota."""
        return self._native.json()

    @property
    def html(self) -> str:
        """One page without scripts that loads nothing from anywhere."""
        return self._native.html()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes it to a file, as its name says: `.html`, `.json` or `.txt`.

        Raises:
            ValueError: the name says none of these, or there is a file that is no report.
            OSError: the file cannot be written.
        """
        path = Path(path)
        form = _FORMS.get(path.suffix.lower())
        if form is None:
            raise ValueError(f"the name of a report ends in .html, .json or .txt, got {str(path)!r}")
        with suppress(FileNotFoundError), path.open("rb") as file:
            found = file.read(_BEGINNING)
            if found and not _native.Report.is_one(found):
                raise ValueError(f"{str(path)!r} is there and no report: choose another name, or remove it")
        _write_whole(path, getattr(self, form))

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text.rstrip()

    def _repr_html_(self) -> str:
        # A page of its own within the notebook's: neither changes how the other looks.
        page = html.escape(self.html, quote=True)
        style = f"width:100%;height:{_HEIGHT}px;border:0"
        return f'<iframe srcdoc="{page}" style="{style}" sandbox="" title="report of a run"></iframe>'


class Reported:
    """The part of a `Runner` that tells what its runs did."""

    function: Callable[..., Any]
    _statistics: _native.Statistics
    _ledger: Ledger
    _last_ledger: Ledger
    _journal: RunnerJournal | None
    _rows: Rows | None
    _resources: list[Resource]

    def report(self, path: str | os.PathLike[str] | None = None) -> Report:
        """What the runs of this runner did so far; also while one goes on, and from any thread.

        With a journal, what earlier runs with it did, too, in this process or in others; how many runs, calls and
        attempts were before this runner is told. What they counted lies beside the journal.

        Limits over the time, attempts and what became of them, latencies, the slowest calls. Calls are named by
        their keys where the runner has a journal with `key=`, else by their numbers: `call 17` of a `run` (the `id`
        of its record), `row 17` of a `map`. No argument, no answer and no text of an error is in it; failures
        are counted by the types of their exceptions. It is counted natively at bounded size.

        Args:
            path: a file that is written too, as its name says: `.html`, `.json` or `.txt`. One that is there is
                replaced only if it is a report. Default None: none.

        Raises:
            ValueError: the name says none of these, or there is a file that is no report.
            OSError: the file cannot be written.

        >>> from rate_limited import Resource, Runner
        >>> runner = Runner(int, [Resource.per_minute("requests", 3_500)], max_retries=0, progress=False)
        >>> for text in ["1", "2", "three"]:
        ...     runner.schedule(text)
        >>> _ = runner.run()
        >>> print(runner.report().text.splitlines()[1].partition(" in ")[0])
        3 calls: 2 succeeded, 1 failed
        """
        title = getattr(self.function, "__qualname__", type(self.function).__name__)
        unfinished = self._ledger.left
        native = self._statistics.report(title, self._names(), unfinished, self._cost())
        report = Report(native)
        if path is not None:
            report.save(path)
        return report

    def _names(self) -> dict[str, str]:
        """What the calls that the report names are called by their user."""
        journal = self._journal
        if journal is None or not journal.has_keys:
            return {}
        names = {}
        for named in self._statistics.named():
            found = re.fullmatch(r"call (\d+)", named)
            if found and (name := self._name_of(journal, int(found[1]))) is not None:
                names[named] = name
        return names

    def _name_of(self, journal: RunnerJournal, number: int) -> str | None:
        for ledger in (self._ledger, self._last_ledger):
            place = number - ledger.base
            if ledger.rows is None and 0 <= place < len(ledger.calls):
                return journal.name_of(ledger.calls[place])
        return None

    def _cost(self) -> tuple[float, float] | None:
        return spent_of(self._resources)


def _write_whole(path: Path, text: str) -> None:
    """Puts the file there at once: nobody ever sees half of it."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with part.open("x", encoding="utf-8") as file:
            file.write(text)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
