"""A page: its blocks of code, the headings that links may name, and its links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"^( *)(```+)([^\n`]*)\n(.*?)^ *\2 *$", re.DOTALL | re.MULTILINE)
COMMENT = re.compile(r"^<!-- (not run|file|goes on)(?:: (.+))? -->$")
HEADING = re.compile(r"^(#+) +(.+?) *#*$", re.MULTILINE)
LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?: \"[^\"]*\")?\)")


@dataclass
class Block:
    """A block of code, and what the comments before it say of it."""

    page: Path
    line: int
    language: str
    attributes: list[str]
    text: str
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def is_run(self) -> bool:
        return "not run" not in self.marks

    def __str__(self) -> str:
        return f"{shown(self.page)}:{self.line}"


class Page:
    """A file of Markdown."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        return list(self._blocks())

    def _blocks(self) -> Iterator[Block]:
        for found in FENCE.finditer(self.text):
            before = self.text[: found.start()]
            language, *attributes = found[3].strip().split(",")
            block = Block(self.path, before.count("\n") + 1, language, attributes, found[4])
            for line in reversed(before.splitlines()):
                comment = COMMENT.match(line)
                if not comment:
                    break
                block.marks[comment[1]] = comment[2] or ""
            yield block

    @cached_property
    def prose(self) -> str:
        """The text without code."""
        text = FENCE.sub("", self.text)
        return re.sub(r"(`+)(?!`).+?(?<!`)\1(?!`)", lambda code: "`" + "x" * (len(code[0]) - 2) + "`", text)

    @cached_property
    def anchors(self) -> set[str]:
        """What a link to this page may have behind its `#`: as GitHub and mdBook name headings."""
        seen: dict[str, int] = {}
        anchors = set(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", self.text))
        for found in HEADING.finditer(FENCE.sub("", self.text)):
            name = slug(found[2])
            seen[name] = seen.get(name, -1) + 1
            anchors.add(f"{name}-{seen[name]}" if seen[name] else name)
        return anchors

    @cached_property
    def links(self) -> list[str]:
        """Where its links and pictures lead."""
        return LINK.findall(self.prose)


def slug(heading: str) -> str:
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
    text = re.sub(r"[^\w\- ]", "", text.strip().lower())
    return text.replace(" ", "-")


def shown(path: Path) -> str:
    """A path as people know it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def pages() -> list[Page]:
    """The README, and all of `docs`."""
    return [Page(path) for path in [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]]
