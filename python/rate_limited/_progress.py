"""What a run tells about itself while it lasts: a bar, lines of text, or a call to the user."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, TextIO, TypeAlias

from rate_limited._frames import raised_at

__all__ = ["Progress", "ProgressSetting", "failure_text"]

Snapshot: TypeAlias = Mapping[str, Any]
"""The state of a run: scheduled, done, failed, restored, in_flight, waiting, waiting_on, wait_seconds,
refusals, retries, slow_calls, interrupted. `restored` of them were over before, as a journal says. `done` are the
calls with a result, `failed` those that ended without one; `slow_calls` has the seconds so far of those in flight that take unusually long, by number."""

ProgressSetting: TypeAlias = bool | Callable[[dict[str, Any]], object]
"""True for a bar or lines, False for silence, or a callable that is given each snapshot."""

LINE_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""When lines of text are due, in seconds from the start; after the last, it is its distance."""

BAR_SECONDS_IN_FILE = 10.0
"""How often a bar is drawn where it cannot overwrite itself."""

TEXT_MAX = 200
"""The most characters of an exception's message that are shown."""

TYPES_MAX = 8
"""The most types of exceptions that the last line names."""


class Progress:
    """Tells how a run goes on, and never breaks it: what cannot be shown is left out.

    `update` and `close` belong to one thread; `first_failure` may come from any.

    Args:
        total: the calls scheduled so far; None if nobody knows.
        setting: True for a bar (with tqdm) or lines of text; False for nothing at all; a callable
            is given each snapshot, and the failures by type under "failures".
        interval: seconds between two updates, as the caller intends them.
        long_wait_warning_seconds: from which wait on it is said what is waited for; None: never.
        stream: where text goes. Default: `sys.stderr` as it is then.
        clock: seconds that never go back.

    >>> progress = Progress(2, stream=sys.stdout)
    >>> progress.first_failure(KeyError("choices"))
    first KeyError: 'choices'
    >>> progress.first_failure(KeyError("usage"))
    >>> progress.close({"scheduled": 2, "done": 1, "failed": 1})
    1 of 2 calls failed; exceptions by type: KeyError 2
    """

    def __init__(
        self,
        total: int | None,
        *,
        setting: ProgressSetting = True,
        interval: float = 1.0,
        long_wait_warning_seconds: float | None = 2.0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures: Counter[str] = Counter()
        self._lock = threading.Lock()
        if not callable(setting):
            setting = bool(setting)
        self._text = _Text(sys.stderr if stream is None else stream, silent=setting is not True)
        self._long_wait_seconds = long_wait_warning_seconds
        self._sink: _Sink | None = None
        if callable(setting):
            self._sink = _Callback(setting, self._failures)
        self._make_sink = partial(_sink, setting, self._text, total, interval)
        self._started, self._clock = clock(), clock

    def update(self, snapshot: Snapshot) -> None:
        """Shows how far the run is; to be called about once per interval.

        >>> Progress(2, setting=print).update({"done": 1})
        {'done': 1, 'failures': {}}
        """
        with suppress(Exception):
            if self._sink is None:
                # Loading tqdm takes longer than many a run: it is made when there is time for it.
                self._sink = self._make_sink()
            self._sink.show(snapshot, self._wait_text(snapshot), self._clock() - self._started)

    def first_failure(self, exception: BaseException) -> None:
        """Counts the exception of an attempt; the first of each type is shown at once, in short.

        >>> Progress(2, stream=sys.stdout).first_failure(ValueError("a  long\\nstory"))
        first ValueError: a long story
        """
        with suppress(Exception):
            kind = _type_name(exception)
            with self._lock:
                self._failures[kind] += 1
                is_first = self._failures[kind] == 1
            if is_first:
                at = raised_at(exception)
                self._say(f"first {failure_text(exception)}" + (f" ({at})" if at else ""))

    def close(self, snapshot: Snapshot) -> None:
        """Shows the end: the last state, and one line about the failures if there were any.

        >>> Progress(2, setting=False).close({"scheduled": 2, "done": 2})
        """
        with suppress(Exception):
            if self._sink is not None:
                self._sink.close(snapshot, self._clock() - self._started)
            self._sink = _Nothing()
        with suppress(Exception):
            self._text.line(self._failures_text(snapshot))
        with suppress(Exception):
            self._text.line(_interrupted_text(snapshot))

    def _say(self, line: str) -> None:
        with self._lock:
            sink = self._sink
            if isinstance(sink, _Bar):
                sink.line(line)
            else:
                self._text.line(line)

    def _wait_text(self, snapshot: Snapshot) -> str:
        if snapshot.get("paused"):
            return "paused, resume() goes on"
        seconds, limit = snapshot.get("wait_seconds"), self._long_wait_seconds
        if seconds is None or limit is None or seconds <= limit:
            return ""
        return f"waiting {seconds:.0f} s for {snapshot.get('waiting_on') or 'quota'}"

    def _failures_text(self, snapshot: Snapshot) -> str:
        with self._lock:
            failures = self._failures.most_common()
        failed = snapshot.get("failed") or 0
        if not failed and not failures:
            return ""
        names = [f"{kind} {count:,}" for kind, count in failures[:TYPES_MAX]]
        if len(failures) > TYPES_MAX:
            names.append(f"and {len(failures) - TYPES_MAX} more types")
        text = f"{failed:,} of {snapshot.get('scheduled') or _ended(snapshot):,} calls failed"
        return text + ("; exceptions by type: " + ", ".join(names) if names else "")


def failure_text(exception: BaseException) -> str:
    """An exception on one short line, with its cause; it never raises.

    >>> failure_text(ValueError("x" * 300)) == "ValueError: " + "x" * 200 + "..."
    True
    """
    text = _message(exception)
    cause = exception.__cause__
    return text if cause is None else f"{text} (from {_message(cause)})"


class _Sink(Protocol):
    """Where snapshots go."""

    def show(self, snapshot: Snapshot, wait_text: str, elapsed: float) -> None: ...

    def close(self, snapshot: Snapshot, elapsed: float) -> None: ...


class _Nothing:
    """Silence, and the end of every run."""

    def show(self, snapshot: Snapshot, wait_text: str, elapsed: float) -> None: ...

    def close(self, snapshot: Snapshot, elapsed: float) -> None: ...


class _Callback:
    """The user's own progress; one that raises is not called again."""

    def __init__(self, callback: Callable[[dict[str, Any]], object], failures: Counter[str]):
        self._callback: Callable[[dict[str, Any]], object] | None = callback
        self._failures = failures

    def show(self, snapshot: Snapshot, wait_text: str, elapsed: float) -> None:
        self.close(snapshot, elapsed)

    def close(self, snapshot: Snapshot, elapsed: float) -> None:
        if self._callback is None:
            return
        try:
            self._callback({**snapshot, "failures": dict(self._failures)})
        except Exception as error:  # noqa: BLE001 - the user's own function
            self._callback = None
            _Text(sys.stderr).line(f"progress callback is off, it raised {failure_text(error)}")


class _Lines:
    """Lines of text, ever rarer; a run of less than a second has none."""

    def __init__(self, text: _Text) -> None:
        self._text = text
        self._due = LINE_SECONDS[0]
        self._wait_told = False

    def show(self, snapshot: Snapshot, wait_text: str, elapsed: float) -> None:
        first_wait = bool(wait_text) and not self._wait_told
        if elapsed < self._due and not first_wait:
            return
        self._wait_told = self._wait_told or first_wait
        self._due = max(self._due, _next_line_seconds(elapsed))
        parts = [_counts_text(snapshot), f"{snapshot.get('in_flight') or 0:,} in flight"]
        parts += [*_troubles(snapshot), *filter(None, [wait_text])]
        self._text.line("; ".join(parts))

    def close(self, snapshot: Snapshot, elapsed: float) -> None:
        if elapsed > LINE_SECONDS[0]:
            self._text.line(f"{_counts_text(snapshot)} in {elapsed:,.0f} s")


class _Bar:
    """A bar of tqdm's."""

    def __init__(self, bar: Any, text: _Text, seconds: float) -> None:
        self._bar = bar
        self._text = text
        self._seconds = seconds
        self._drawn: float | None = None

    def show(self, snapshot: Snapshot, wait_text: str, elapsed: float) -> None:
        if self._drawn is None:
            with suppress(Exception):
                # The bar was made late; the run began before it.
                self._bar.start_t -= elapsed
        elif elapsed - self._drawn < self._seconds:
            return
        self._drawn = elapsed
        self._draw(snapshot, wait_text)

    def close(self, snapshot: Snapshot, elapsed: float) -> None:
        self._draw(snapshot, "")
        if self._bar is not None:
            with suppress(Exception):
                self._bar.close()
        self._bar = None

    def line(self, line: str) -> None:
        """A line of text above the bar."""
        try:
            self._bar.write(line, file=self._text.stream)
        except Exception:  # noqa: BLE001 - the line is shown without the bar
            self._text.line(line)

    def _draw(self, snapshot: Snapshot, wait_text: str) -> None:
        bar = self._bar
        if bar is None:
            return
        try:
            _set_total(bar, snapshot.get("scheduled"))
            bar.n = _ended(snapshot)
            bar.set_description_str(wait_text, refresh=False)
            bar.set_postfix_str(", ".join(_troubles(snapshot)), refresh=False)
            bar.refresh()
        except Exception:  # noqa: BLE001 - what cannot be shown is left out
            # Nobody sees it; left as it is, it would complain once more when it is collected.
            bar.disable = True
            self._bar = None


class _Text:
    """A stream that may be closed, broken, missing, or unable to write some characters."""

    def __init__(self, stream: TextIO | None, silent: bool = False) -> None:
        self.stream = None if silent else stream

    def line(self, line: str) -> None:
        if self.stream is None or not line:
            return
        try:
            self.stream.write(line + "\n")
        except UnicodeError:
            with suppress(Exception):
                self.stream.write(line.encode("ascii", "backslashreplace").decode() + "\n")
        except Exception:  # noqa: BLE001 - what cannot be shown is left out
            return
        with suppress(Exception):
            self.stream.flush()

    def is_terminal(self) -> bool:
        try:
            return self.stream is not None and self.stream.isatty()
        except Exception:  # noqa: BLE001 - then it is none
            return False


def _sink(
    setting: ProgressSetting,
    text: _Text,
    total: int | None,
    interval: float,
) -> _Sink:
    if setting is not True or text.stream is None:
        return _Nothing()
    in_notebook = _in_notebook()
    seconds = 0.0 if in_notebook or text.is_terminal() else BAR_SECONDS_IN_FILE
    for module in _tqdm_modules(in_notebook):
        try:
            tqdm = importlib.import_module(module).tqdm
            bar = tqdm(total=total, file=text.stream, leave=True, mininterval=interval)
        except Exception:  # noqa: BLE001, S112 - the next one is tried
            continue
        return _Bar(bar, text, seconds)
    return _Lines(text)


def _tqdm_modules(in_notebook: bool) -> list[str]:
    # Without ipywidgets, tqdm.auto would warn before it falls back to the same.
    widgets = in_notebook and importlib.util.find_spec("ipywidgets") is not None
    return ["tqdm.auto", "tqdm"] if widgets else ["tqdm"]


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    try:
        shell = ipython.get_ipython() if ipython is not None else None
    except Exception:  # noqa: BLE001 - then it is none
        return False
    return shell is not None and hasattr(shell, "kernel")


def _set_total(bar: Any, total: int | None) -> None:
    if total is None or bar.total == total:
        return
    bar.total = total
    with suppress(Exception):
        # A notebook's bar is a widget that has learnt its end when it was made.
        bar.container.children[1].max = total


def _next_line_seconds(elapsed: float) -> float:
    later = [due for due in LINE_SECONDS if due > elapsed]
    return later[0] if later else elapsed + LINE_SECONDS[-1]


def _ended(snapshot: Snapshot) -> int:
    return (snapshot.get("done") or 0) + (snapshot.get("failed") or 0)


def _counts_text(snapshot: Snapshot) -> str:
    scheduled = snapshot.get("scheduled")
    of = "" if scheduled is None else f" of {scheduled:,}"
    return f"{_ended(snapshot):,}{of} calls done"


def _interrupted_text(snapshot: Snapshot) -> str:
    scheduled, ended = snapshot.get("scheduled"), _ended(snapshot)
    if not snapshot.get("interrupted") or scheduled is None or ended >= scheduled:
        return ""
    return f"interrupted: {ended:,} of {scheduled:,} calls done; run() goes on with the others"


def _troubles(snapshot: Snapshot) -> list[str]:
    names = {"failed": "failed", "refusals": "refused", "retries": "tried again"}
    texts = [f"{snapshot[key]:,} {name}" for key, name in names.items() if snapshot.get(key)]
    slow = sorted((snapshot.get("slow_calls") or {}).items(), key=lambda each: -each[1])
    if slow:
        others = f" (and {len(slow) - 1:,} more)" if len(slow) > 1 else ""
        texts.append(f"call {slow[0][0]:,} has been running for {slow[0][1]:,.0f} s{others}")
    return texts


def _message(exception: BaseException) -> str:
    kind = _type_name(exception)
    try:
        # Cut before anything else: some servers answer an error with a page.
        text = str(exception)[: 10 * TEXT_MAX]
    except Exception:  # noqa: BLE001 - a `__str__` may raise anything
        return f"{kind}: (its text cannot be had)"
    text = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    if len(text) > TEXT_MAX:
        text = text[:TEXT_MAX] + "..."
    return f"{kind}: {text}" if text else kind


def _type_name(exception: BaseException) -> str:
    return type(exception).__qualname__.rpartition(".")[2]
