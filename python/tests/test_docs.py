"""The Python code of the README and of the book runs as it stands: CONTRIBUTING.md says how it is marked."""

from __future__ import annotations

import ast
import asyncio
import faulthandler
import inspect
import shutil
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from stand_in import serving

SECONDS_PER_PAGE = 120.0


def sources() -> Path:
    """The folder that these tests came from."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "pyproject.toml").exists() and (folder / "README.md").exists():
            return folder
    raise FileNotFoundError("the README was not found above the tests")


sys.path.insert(0, str(sources() / "tools"))
from docs.console import first_files  # noqa: E402
from docs.page import Block, Page, pages, shown  # noqa: E402


def blocks_of(page: Page) -> list[Block]:
    return [block for block in page.blocks if block.language == "python" and block.is_run]


PAGES = [page for page in pages() if blocks_of(page)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the examples, and a server for the clients that a page makes."""
    shutil.copytree(sources() / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    faulthandler.dump_traceback_later(SECONDS_PER_PAGE, exit=True, file=sys.__stderr__)
    with serving() as address:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{address}/v1")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
        for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
            monkeypatch.setenv(name, "any")
        yield tmp_path
    faulthandler.cancel_dump_traceback_later()


def run(block: Block, module: types.ModuleType, loop: asyncio.AbstractEventLoop) -> None:
    # Line numbers of errors are those of the page.
    text = "\n" * block.line + block.text
    code: Any = compile(text, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        loop.run_until_complete(eval(code, module.__dict__))  # noqa: S307
    else:
        exec(code, module.__dict__)  # noqa: S102


@pytest.mark.parametrize("page", PAGES, ids=lambda page: shown(page.path))
def test_all_blocks_of_a_page_run(page: Page, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in first_files(page.blocks).items():
        (folder / name).write_text(text, encoding="utf-8")
    # A module of its own, so that classes of the page are found again by their names.
    module = types.ModuleType(f"page_{page.path.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    loop = asyncio.new_event_loop()
    try:
        for block in blocks_of(page):
            run(block, module, loop)
    finally:
        loop.close()


def test_some_pages_have_python() -> None:
    assert {"README.md", "docs/apis.md"} <= {shown(page.path) for page in PAGES}


def test_clients_that_are_told_nothing_find_the_server(folder: Path) -> None:
    openai, anthropic = pytest.importorskip("openai"), pytest.importorskip("anthropic")
    asked: Any = {"model": "m", "messages": [{"role": "user", "content": "Bees?"}]}
    answer = openai.OpenAI().chat.completions.create(**asked)
    assert answer.choices[0].message.content == "an answer to: Bees?"
    assert openai.OpenAI().embeddings.create(model="m", input=["a", "b"]).data[1].embedding == [0.5, 0.25]
    told = anthropic.Anthropic().messages.create(max_tokens=9, **asked)
    assert told.content[0].text == "an answer to: Bees?"
