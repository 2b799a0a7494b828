"""Each block of code has a language, and is run, read, or says why not."""

from __future__ import annotations

import json
from collections.abc import Iterator

try:
    import tomllib
except ImportError:  # Python 3.10
    from pip._vendor import tomli as tomllib  # type: ignore[no-redef]

from .page import ROOT, Block, Page, shown

# The last one is for new ones.
RUST_PAGES = [ROOT / "crates" / "rate_limited" / "src" / name for name in ("lib.rs", "pages.rs")]
LANGUAGES = {"console", "python", "rust", "toml", "json", "jsonl", "pycon", "text", "csv"}


def wrong(page: Page) -> Iterator[str]:
    """What is wrong with the blocks of a page, but for what they do."""
    rust_pages = "".join(file.read_text(encoding="utf-8") for file in RUST_PAGES)
    for block in page.blocks:
        if block.language not in LANGUAGES:
            known = ", ".join(sorted(LANGUAGES))
            yield f"{block}: a block of {block.language or 'no language'}: it is one of {known}"
        if block.marks.get("not run") == "":
            yield f"{block}: why is it not run? <!-- not run: because … -->"
        if block.marks.get("file") == "":
            yield f"{block}: what is the file's name? <!-- file: NAME -->"
        if block.language == "rust":
            yield from wrong_rust(block, rust_pages)
        if block.language in ("toml", "json", "jsonl") and block.is_run:
            yield from unreadable(block)


def wrong_rust(block: Block, rust_pages: str) -> Iterator[str]:
    is_ignored = "ignore" in block.attributes
    if is_ignored and block.is_run:
        yield f"{block}: why is it ignored? <!-- not run: because … -->"
    if not is_ignored and not block.is_run:
        yield f"{block}: rustdoc would run it: write ```rust,ignore"
    name = str(block.page.relative_to(ROOT))
    if f"/{name}\"" not in rust_pages:
        yield f"{block}: {shown(RUST_PAGES[-1])} does not name {name}, so its Rust is not tested"


def unreadable(block: Block) -> Iterator[str]:
    try:
        if block.language == "toml":
            tomllib.loads(block.text)
        elif block.language == "json":
            json.loads(block.text)
        else:
            [json.loads(line) for line in block.text.splitlines()]
    except ValueError as error:
        yield f"{block}: this is no {block.language}: {error}"
