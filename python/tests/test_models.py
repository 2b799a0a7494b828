"""Answers that name another model than was asked for: told once, and kept. The real clients, over HTTP."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from support import watchdog  # noqa: F401 - a fixture

from rate_limited import Runner
from rate_limited._models import MODELS_MAX
from rate_limited.apis.anthropic import AnthropicRunner
from rate_limited.apis.openai import OpenAIChatRunner, OpenAIEmbeddingsRunner

SECRET = "my secret prompt"
MESSAGES = [{"role": "user", "content": SECRET}]


@contextmanager
def answering(model: Any) -> Iterator[str]:
    """A server whose answers name this model, whatever is asked; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            usage = {"input_tokens": 1, "output_tokens": 1, "prompt_tokens": 1, "total_tokens": 2}
            lists = {"choices": [], "content": [], "data": [{"embedding": [0.5], "index": 0}]}
            answer = {"id": "x", "model": model, "usage": usage, **lists}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def chat(url: str, kind: str = "OpenAI", **options: Any) -> Any:
    openai = pytest.importorskip("openai")
    client = getattr(openai, kind)(api_key="any", base_url=f"{url}/v1", **options)
    return OpenAIChatRunner(client, 500, 90_000, progress=False)


def azure(url: str) -> Any:
    return chat(url, "AzureOpenAI", api_version="2025-01-01")


def async_azure(url: str) -> Any:
    return chat(url, "AsyncAzureOpenAI", api_version="2025-01-01")


def described_azure(url: str) -> Any:
    client = pytest.importorskip("openai").OpenAI(api_key="any", base_url=f"{url}/v1")
    return OpenAIChatRunner(client, 500, 90_000, api="azure_openai", progress=False)


def embeddings(url: str) -> Any:
    client = pytest.importorskip("openai").OpenAI(api_key="any", base_url=f"{url}/v1")
    return OpenAIEmbeddingsRunner(client, 500, 90_000, progress=False)


def partial(url: str) -> Any:
    client = pytest.importorskip("openai").OpenAI(api_key="any", base_url=f"{url}/v1")
    create = functools.partial(client.chat.completions.create, temperature=0.5)
    return OpenAIChatRunner(create, 500, 90_000, progress=False)


def messages(url: str) -> Any:
    client = pytest.importorskip("anthropic").Anthropic(api_key="any", base_url=url)
    return AnthropicRunner(client, 500, 90_000, 90_000, progress=False)


def plain(url: str) -> Any:
    """A runner around any function: what its answers are is not known."""
    client = pytest.importorskip("openai").OpenAI(api_key="any", base_url=f"{url}/v1", max_retries=0)
    return Runner(client.chat.completions.create, [], progress=False)


def arguments(make: Any, model: str) -> dict[str, Any]:
    if make is embeddings:
        return {"model": model, "input": SECRET}
    return {"model": model, "messages": MESSAGES, "max_tokens": 5}


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        it.getMessage()
        for it in caplog.records
        if it.levelno == logging.WARNING and it.name == "rate_limited"
    ]


@pytest.mark.parametrize(
    ("make", "asked", "answered", "warned"),
    [
        (chat, "gpt-4o", "gpt-4o-2024-08-06", None),
        (chat, "openai/gpt-4o", "gpt-4o", None),
        (chat, "gpt-4o", None, None),
        (chat, "gpt-4o", 7, None),
        (chat, "gpt-4o", "gpt-4o-mini", "gpt-4o was asked for, and answers name the model gpt-4o-mini:"),
        (chat, "gpt-4o", "a\x1b[31m\nb", r"answers name the model a\x1b[31m\nb:"),
        (chat, "gpt-4o", "m" * 5000, f"answers name the model {'m' * 80}…:"),
        (partial, "gpt-4o", "gpt-4o-mini", "answers name the model gpt-4o-mini:"),
        (azure, "mine", "gpt-4o-mini", None),
        (async_azure, "mine", "gpt-4o-mini", None),
        (described_azure, "mine", "gpt-4o-mini", None),
        (plain, "gpt-4o", "gpt-4o-mini", None),
        (embeddings, "text-embedding-3-small", "text-embedding-3-large", "the model text-embedding-3-large:"),
        (messages, "claude-opus-4-0", "claude-opus-4-20250514", None),
        (
            messages,
            "claude-opus-4-1",
            "claude-haiku-4-5",
            "claude-opus-4-1 was asked for, and answers name the model",
        ),
    ],
)
def test_another_model_is_told_once_and_its_answer_kept(
    make: Any, asked: str, answered: Any, warned: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    with answering(answered) as url:
        runner = make(url)
        for _ in range(4):
            runner.schedule(**arguments(make, asked))
        results, errors = runner.run()
    assert errors == [[], [], [], []]
    assert [result.model for result in results] == [answered] * 4
    told = warnings_of(caplog)
    assert len(told) == (warned is not None), told
    assert warned is None or warned in told[0]
    assert SECRET not in caplog.text


def test_another_model_of_an_async_client(caplog: pytest.LogCaptureFixture) -> None:
    with answering("gpt-4o-mini") as url:
        runner = chat(url, "AsyncOpenAI")
        for _ in range(3):
            runner.schedule(**arguments(chat, "gpt-4o"))
        results, _ = asyncio.run(runner.run_coro())
    assert len(results) == 3 and len(warnings_of(caplog)) == 1


def test_a_few_pairs_of_models_are_told_at_most(caplog: pytest.LogCaptureFixture) -> None:
    def create(*, model: str, messages: Any) -> Any:
        return {"model": f"other of {model}", "usage": {"total_tokens": 1}}

    client = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))
    runner = OpenAIChatRunner(client, 500, 90_000, progress=False)
    for number in range(MODELS_MAX + 10):
        runner.schedule(model=f"m{number}", messages=MESSAGES)
    results, _ = runner.run()
    assert None not in results
    assert len(warnings_of(caplog)) == MODELS_MAX


def test_an_answer_whose_model_raises_or_cannot_be_written_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    class Odd:
        usage = SimpleNamespace(total_tokens=1)

        @property
        def model(self) -> str:
            raise RuntimeError(SECRET)

    answers = iter([Odd(), {"model": "\ud800", "usage": {"total_tokens": 1}}])
    client = SimpleNamespace(
        chat=SimpleNamespace(completions=SimpleNamespace(create=lambda *, model, messages: next(answers)))
    )
    runner = OpenAIChatRunner(client, 500, 90_000, max_concurrent=1, progress=False)
    for _ in range(2):
        runner.schedule(model="gpt-4o", messages=MESSAGES)
    results, _ = runner.run()
    assert None not in results
    (told,) = warnings_of(caplog)
    assert r"the model \ud800:" in told
