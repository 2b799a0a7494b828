"""The scripts of `examples/python/apis` run as they stand, each against the simulated server of its API."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from notebooks import executed, nbformat
from support import binary

SECONDS_PER_SCRIPT = 60
# Nobody's keys are for these, and proxies are not for loopback.
HIDDEN = re.compile(r"_KEY$|_TOKEN$|_BASE_URL$|^(https?|all)_proxy$", re.IGNORECASE)

# Each script with its arguments, the API that the server speaks like, the server's options, and how many calls it makes.
SCRIPTS = [
    ("openai_compatible.py openai gpt-5-mini", "openai", ["requests=500/1m", "tokens=90k/1m"], 6),
    ("openai_compatible.py azure_openai mine", "azure_openai", ["requests=500/1m", "tokens=90k/1m"], 6),
    ("openai_compatible.py groq llama-3.1-8b-instant", "groq", ["requests_per_day=1000/1d", "tokens=6000/1m"], 6),
    ("openai_compatible.py mistral mistral-small-latest", "mistral", ["requests=60/1m", "tokens=500k/1m"], 6),
    ("openai_compatible.py together some-model", "together", ["requests=10/1s"], 6),
    ("openai_compatible.py xai grok-4", "xai", ["requests=10/1s", "tokens=100k/1m"], 6),
    ("openai_compatible.py openrouter some/model:free", "openrouter", ["free_requests=20/1m"], 6),
    ("openai_compatible.py deepseek deepseek-chat", "deepseek", [], 6),
    ("openai_compatible.py fireworks some-model", None, ["requests=600/1m"], 6),
    ("openai_compatible.py openai_compatible some-model", None, ["requests=600/1m", "tokens=90k/1m"], 6),
    ("local_servers.py vllm some-model", "vllm", ["--latency", "20ms"], 15),
    ("local_servers.py llama_cpp some-model", "llama_cpp", ["--latency", "20ms"], 15),
    ("local_servers.py ollama llama3.2", "ollama", ["--latency", "20ms"], 15),
    ("anthropic_messages.py claude-sonnet-5", "anthropic", ["requests=1000/1m", "output_tokens=80k/1m"], 4),
    ("gemini_generate.py gemini-2.5-flash", "gemini", ["requests=15/1m", "input_tokens=250k/1m"], 3),
    ("embeddings.py voyage voyage-4", "voyage", ["requests=2000/1m", "tokens=3M/1m"], 4),
    ("embeddings.py openai text-embedding-3-small", "openai", ["requests=2000/1m", "tokens=3M/1m"], 4),
    ("cohere_rerank.py", "cohere", ["embed_inputs=2000/1m", "rerank_requests=1000/1m"], 5),
    ("github_issues.py", "github", ["primary=5000/1h"], 8),
    ("github_graphql.py", "github_graphql", ["primary=5000/1h"], 4),
    ("shopify_orders.py", "shopify_graphql", ["points=100/1s"], 12),
    ("stripe_reading.py", "stripe", ["requests=100/1s", "search_requests=20/1s"], 26),
    ("slack_messages.py", "slack", ["requests=60/1m"], 8),
    ("notion_pages.py", "notion", ["requests=180/1m"], 12),
    ("any_api.py", "generic", ["requests=10/1s"], 24),
]  # fmt: skip

# What these are told is what the server allows; the others find limits out, or costs, from refusals.
REFUSED = ("openai_compatible.py", "shopify_orders.py", "any_api.py")


def examples() -> Path:
    """The examples of the sources that these tests came from."""
    for folder in Path(__file__).resolve().parents:
        found = folder / "examples" / "python"
        if (found / "apis").is_dir():
            return found
    pytest.fail("the examples were not found above the tests")


@contextmanager
def simulated(api: str | None, options: list[str]) -> Iterator[str]:
    """The address of a server that speaks like an API; `NAME=QUOTA/WINDOW` is a limit."""
    told = [part for option in options for part in (["--limit", option] if "=" in option else [option])]
    named = ["--api", api] if api is not None else []
    server = subprocess.Popen(
        [binary(), "simulate", "--port", "0", *named, *told],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), address + server.stdout.read()
        yield address
    finally:
        server.kill()
        server.communicate()


def stats(address: str) -> dict[str, Any]:
    """What the server saw."""
    origin = re.match(r"http://[^/]+", address)
    assert origin is not None
    with urllib.request.urlopen(f"{origin[0]}/stats", timeout=10) as answer:
        told: dict[str, Any] = json.load(answer)
    return told


def environment(**more: str) -> dict[str, str]:
    """That of a user without keys."""
    return {**{name: value for name, value in os.environ.items() if not HIDDEN.search(name)}, **more}


def run(script: Path, *arguments: str, folder: Path, **variables: str) -> str:
    """What a script says, which must end well."""
    ended = subprocess.run(
        [sys.executable, str(script), *arguments],
        cwd=folder, env=environment(**variables), capture_output=True, text=True,
        timeout=SECONDS_PER_SCRIPT, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.parametrize(("line", "api", "options", "calls"), SCRIPTS, ids=[script[0] for script in SCRIPTS])
def test_a_script_against_its_api(
    tmp_path: Path, line: str, api: str | None, options: list[str], calls: int
) -> None:
    name, *arguments = line.split()
    with simulated(api, options) as address:
        said = run(examples() / "apis" / name, *arguments, folder=tmp_path, RATE_LIMITED_BASE_URL=address)
        seen = stats(address)
    assert f"{calls} of {calls} done" in said, said
    assert seen["arrivals"] >= calls
    if name not in REFUSED:
        assert seen["refusals"] == 0, seen


def test_every_script_and_every_api_is_run() -> None:
    from rate_limited.apis import presets

    scripts = {path.name for path in (examples() / "apis").glob("*.py")}
    assert scripts == {line.split()[0] for line, *_ in SCRIPTS}
    named = {word for line, api, *_ in SCRIPTS for word in (*line.split(), api)}
    assert set(presets.names()) <= named


def test_what_is_done_is_not_asked_for_again(tmp_path: Path) -> None:
    script = examples() / "apis" / "notion_pages.py"
    with simulated("notion", ["requests=180/1m"]) as address:
        for _ in range(2):
            assert "12 of 12 done" in run(script, folder=tmp_path, RATE_LIMITED_BASE_URL=address)
        assert stats(address)["arrivals"] == 12


def test_the_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(examples() / "apis.ipynb", as_version=4)
    with simulated("groq", ["requests_per_day=1000/1d", "tokens=6000/1m"]) as address:
        monkeypatch.setenv("RATE_LIMITED_BASE_URL", address)
        asyncio.run(executed(notebook, timeout=SECONDS_PER_SCRIPT))
    last = notebook.cells[-1].outputs[-1].data["text/plain"]
    assert "done" in last and "failed" not in last, last
