"""What `tools/check-docs` finds wrong with pages, each with a fault planted in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import test_docs  # noqa: F401 - it finds the tools
from docs import blocks, console, links
from docs.page import Page, slug


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for module in (links, blocks):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(blocks, "RUST_PAGES", [tmp_path / "pages.rs"])
    (tmp_path / "pages.rs").write_text('include_str!("../known.md")')

    def written(text: str, name: str = "page.md") -> Page:
        (tmp_path / name).write_text(text)
        return Page(tmp_path / name)

    return written


@pytest.mark.parametrize(
    ("link", "fault"),
    [
        ("other.md", None),
        ("other.md#the-end", None),
        ("#a-title", None),
        ("https://example.org/x#y", None),
        ("missing.md", "leads to no file"),
        ("other.md#the-start", "has no heading #the-start, but the-end"),
        ("#no-title", "has no heading #no-title"),
        ("..", "leads out of the repository"),
    ],
)
def test_links(page, link: str, fault: str | None) -> None:
    page("## The end\n", "other.md")
    faults = list(links.broken([page(f"# A title\n\nSee [there]({link}). `[no](link)`\n")]))
    assert len(faults) == (fault is not None)
    assert not fault or fault in faults[0]


@pytest.mark.parametrize(
    ("block", "fault"),
    [
        ("```toml\na = 1\n```", None),
        ("```toml\na = \n```", "this is no toml"),
        ("```json\n{]\n```", "this is no json"),
        ('```jsonl\n{"a": 1}\n{\n```', "this is no jsonl"),
        ("<!-- not run: a part of it -->\n```json\n{]\n```", None),
        ("<!-- not run -->\n```json\n{}\n```", "why is it not run?"),
        ("<!-- file -->\n```json\n{}\n```", "what is the file's name?"),
        ("```\nplain\n```", "no language"),
        ("```sh\nls\n```", "a block of sh"),
        ("```rust,ignore\nx\n```", "why is it ignored?"),
        ("<!-- not run: a part -->\n```rust\nx\n```", "write ```rust,ignore"),
    ],
)
def test_blocks(page, block: str, fault: str | None) -> None:
    faults = list(blocks.wrong(page(f"# A title\n\n{block}\n", "known.md")))
    assert len(faults) == (fault is not None), faults
    assert not fault or fault in faults[0]


def test_a_page_with_rust_is_named_where_it_is_tested(page) -> None:
    assert not list(blocks.wrong(page("```rust\nx\n```\n", "known.md")))
    assert "so its Rust is not tested" in next(blocks.wrong(page("```rust\nx\n```\n", "unknown.md")))


@pytest.mark.parametrize(
    ("heading", "name"),
    [("Big calls, small ones", "big-calls-small-ones"), ("`run` and [it](x.md)", "run-and-it"), ("One_word: 2 × 3", "one_word-2--3")],
)
def test_headings_have_the_names_that_readers_link_to(heading: str, name: str) -> None:
    assert slug(heading) == name


@pytest.mark.parametrize(
    ("shown", "said", "same"),
    [
        ("36 succeeded, 0 failed in 5.8 s", "36 succeeded, 0 failed in 12 s", True),
        ("36 succeeded, 0 failed in 5.8 s", "35 succeeded, 1 failed in 5.8 s", False),
        ("limits found out: requests … in …", "limits found out: requests 14 in 4.3 s", True),
        ("finish    after 13 m 9 s", "finish after 14 m 2 s", True),
        ("a (b)", "a b", False),
    ],
)
def test_lines_that_are_shown(shown: str, said: str, same: bool) -> None:
    assert bool(console.pattern(shown).fullmatch(console.timeless(said))) == same


def test_examples_of_a_page(page) -> None:
    text = """# A title

```console
$ rate-limited apis \\
      my.toml    # explains it
my: mine
```

<!-- goes on -->
```console
$ echo $?
```

<!-- not run: it is too long -->
```console
$ rate-limited run
```

<!-- file: my.toml -->
```toml
name = "my"
```
"""
    (example,) = console.examples(page(text).blocks)
    assert example.steps() == [("rate-limited apis my.toml", ["my: mine"]), ("echo $?", [])]
    assert example.files == {"my.toml": 'name = "my"\n'}


@pytest.mark.parametrize(
    ("command", "fault"),
    [("echo one", None), ("cat missing; echo $?", None), ("cat missing", "exit code 1"), ("curl x", "not a command that is known")],
)
def test_commands(page, tmp_path: Path, command: str, fault: str | None) -> None:
    (example,) = console.examples(page(f"```console\n$ {command}\n```\n").blocks)
    if fault is None:
        example.run(tmp_path / "rate-limited")
    else:
        with pytest.raises(AssertionError, match=fault):
            example.run(tmp_path / "rate-limited")


def test_a_line_that_does_not_come_is_told(page, tmp_path: Path) -> None:
    (example,) = console.examples(page("```console\n$ echo one\ntwo\n```\n").blocks)
    with pytest.raises(AssertionError, match="'two' did not come"):
        example.run(tmp_path / "rate-limited")
