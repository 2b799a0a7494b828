"""Small pieces of HTML for notebooks: no script, no style sheet, and colours that fit light and dark themes."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

_CELL = "padding:2px 10px 2px 0;text-align:left;vertical-align:top"
_TRACK = "display:inline-block;width:120px;height:8px;border-radius:4px;background:rgba(128,128,128,.3)"


def escaped(text: str) -> str:
    """Text as HTML.

    >>> escaped("a < b")
    'a &lt; b'
    """
    return html.escape(text)


def page(title: str, lines: Iterable[str], *parts: str) -> str:
    """A heading, lines of plain text, and parts that are HTML."""
    text = "".join(map(line, lines))
    return f"<div><strong>{escaped(title)}</strong>{text}{''.join(parts)}</div>"


def line(text: str) -> str:
    """A line of plain text.

    >>> line("a < b")
    '<div>a &lt; b</div>'
    """
    return f"<div>{escaped(text)}</div>"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its heads are plain text, its cells are HTML."""
    head = "".join(f'<th style="{_CELL}">{escaped(text)}</th>' for text in heads)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in row) + "</tr>" for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def pairs(lines: Iterable[tuple[str, str]]) -> str:
    """A table without a head: a name on the left, plain text on the right.

    >>> "<th" in pairs([("calls", "12")])
    True
    """
    rows = "".join(
        f'<tr><th style="{_CELL}">{escaped(name)}</th><td style="{_CELL}">{escaped(text)}</td></tr>'
        for name, text in lines
    )
    return f"<table><tbody>{rows}</tbody></table>"


def bar(share: float) -> str:
    """How much of something is used, from 0 to 1.

    >>> "width:50%" in bar(0.5)
    True
    """
    percent = max(0, min(100, round(100 * share)))
    full = "#c0392b" if percent >= 90 else "#2e86c1"
    inner = f"display:block;width:{percent}%;height:8px;border-radius:4px;background:{full}"
    return f'<span style="{_TRACK}"><span style="{inner}"></span></span>'
