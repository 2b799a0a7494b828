"""Links lead somewhere, and the table of contents names each page once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .page import DOCS, ROOT, Page, shown

OUTSIDE = ("http://", "https://", "mailto:")


def broken(pages: list[Page]) -> Iterator[str]:
    """What is wrong with links; each with what to do."""
    known = {page.path: page for page in pages}
    for page in pages:
        for link in dict.fromkeys(page.links):
            if link.startswith(OUTSIDE):
                continue
            file, _, anchor = link.partition("#")
            target = (page.path.parent / file).resolve() if file else page.path
            if not target.exists():
                yield f"{shown(page.path)}: the link {link} leads to no file"
            elif not target.is_relative_to(ROOT):
                yield f"{shown(page.path)}: the link {link} leads out of the repository"
            elif anchor and target.suffix == ".md":
                there = known.get(target) or Page(target)
                if anchor not in there.anchors:
                    near = ", ".join(sorted(there.anchors))
                    yield f"{shown(page.path)}: {shown(target)} has no heading #{anchor}, but {near}"


def unlisted(pages: list[Page]) -> Iterator[str]:
    """Pages that the table of contents does not name, or names twice."""
    summary = Page(DOCS / "SUMMARY.md")
    named = [(DOCS / link).resolve() for link in summary.links]
    for path in sorted(set(named)):
        if named.count(path) > 1:
            yield f"docs/SUMMARY.md names {shown(path)} twice"
    for page in pages:
        if is_in_the_book(page.path) and page.path not in named:
            yield f"docs/SUMMARY.md does not name {shown(page.path)}"
        if is_in_the_book(page.path) and not page.text.startswith("# "):
            yield f"{shown(page.path)} does not begin with its title, a line with `# `"


def is_in_the_book(path: Path) -> bool:
    return path.is_relative_to(DOCS) and path.name != "SUMMARY.md"
