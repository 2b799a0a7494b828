"""What failures of real clients mean: `openai`, `anthropic`, `google-genai`, `httpx`, `requests`, `aiohttp`.

Each sends a request to a server that refuses it, and raises what it raises.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from rate_limited import Resource, Runner
from rate_limited._classify import class_of

PRIVATE = {"error": {"message": "no", "type": "some_error"}}
DRY = {"error": {"code": "insufficient_quota", "type": "insufficient_quota", "message": "no credit"}}


class Refusing:
    """A server that gives the same answer to each request."""

    def __init__(self) -> None:
        self.answer: tuple[int, dict[str, str], Any] = (200, {}, {})
        self.requests = 0
        self._closed = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer.requests += 1
                self.rfile.read(int(self.headers.get("content-length") or 0))
                status, headers, body = outer.answer
                data = json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._server.shutdown()
            self._server.server_close()


@pytest.fixture
def server() -> Iterator[Refusing]:
    refusing = Refusing()
    yield refusing
    refusing.close()


def with_openai(url: str) -> None:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0)
    client.chat.completions.create(model="m", messages=[])


def with_anthropic(url: str) -> None:
    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(api_key="k", base_url=url, max_retries=0)
    client.messages.create(model="m", max_tokens=5, messages=[])


def with_google(url: str) -> None:
    genai = pytest.importorskip("google.genai")
    options = genai.types.HttpOptions(base_url=url)
    client = genai.Client(api_key="k", http_options=options)
    client.models.generate_content(model="m", contents="Hi")


def with_httpx(url: str) -> None:
    httpx = pytest.importorskip("httpx")
    httpx.post(url, json={}).raise_for_status()


def with_requests(url: str) -> None:
    requests = pytest.importorskip("requests")
    requests.post(url, json={}, timeout=10).raise_for_status()


def with_aiohttp(url: str) -> None:
    aiohttp = pytest.importorskip("aiohttp")

    async def post() -> None:
        async with aiohttp.ClientSession(raise_for_status=True) as session, session.post(url, json={}):
            pass

    asyncio.run(post())


CLIENTS: dict[str, Callable[[str], None]] = {
    "openai": with_openai,
    "anthropic": with_anthropic,
    "google-genai": with_google,
    "httpx": with_httpx,
    "requests": with_requests,
    "aiohttp": with_aiohttp,
}


def raised(send: Callable[[str], None], url: str) -> BaseException:
    with pytest.raises(Exception) as caught:
        send(url)
    return caught.value


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("status", "class_"),
    [
        (400, "permanent"),
        (401, "fatal"),
        (402, "fatal"),
        (403, "fatal"),
        (404, "permanent"),
        (408, "failure"),
        (413, "permanent"),
        (422, "permanent"),
        (429, "refused"),
        (500, "failure"),
        (503, "overloaded"),
        (529, "overloaded"),
    ],
)
def test_statuses(server: Refusing, client: str, status: int, class_: str) -> None:
    server.answer = (status, {}, PRIVATE)
    assert class_of(raised(CLIENTS[client], server.url)).class_ == class_


@pytest.mark.parametrize("client", ["openai", "anthropic", "httpx", "requests", "aiohttp"])
@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-5"}, None),
        ({}, None),
    ],
)
def test_waits(server: Refusing, client: str, headers: dict[str, str], wait: float | None) -> None:
    server.answer = (429, headers, PRIVATE)
    meaning = class_of(raised(CLIENTS[client], server.url))
    assert (meaning.class_, meaning.wait) == ("refused", wait)


@pytest.mark.parametrize("client", ["openai", "httpx", "requests"])
def test_an_account_that_has_run_dry_ends_the_run(server: Refusing, client: str) -> None:
    server.answer = (429, {"retry-after": "3"}, DRY)
    meaning = class_of(raised(CLIENTS[client], server.url))
    assert meaning.class_ == "fatal"
    assert meaning.why is not None and "credit" in meaning.why


def test_google_tells_its_wait_in_the_body(server: Refusing) -> None:
    details = [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "12.5s"},
    ]
    body = {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED", "details": details}
    server.answer = (429, {}, {"error": body})
    meaning = class_of(raised(with_google, server.url))
    assert (meaning.class_, meaning.wait) == ("refused", 12.5)


def test_an_empty_account_stops_the_run_and_says_what_to_do(
    server: Refusing, caplog: pytest.LogCaptureFixture
) -> None:
    server.answer = (429, {}, DRY)
    runner = Runner(
        lambda _: with_openai(server.url),
        [Resource.per_minute("requests", 10_000)],
        max_concurrent=4,
        progress=False,
    )
    for number in range(200):
        runner.schedule(number)
    results, _ = runner.run()
    assert results == [None] * 200 and runner.interrupted
    assert server.requests <= 10
    assert "add credit or raise the spend limit" in caplog.text


@pytest.mark.parametrize("client", CLIENTS)
def test_no_server_is_a_failure(server: Refusing, client: str) -> None:
    server.close()
    assert class_of(raised(CLIENTS[client], server.url)).class_ == "failure"


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [text for text in caplog.messages if "the client retries by itself" in text]


@pytest.mark.parametrize("module", ["openai", "anthropic"])
def test_retries_of_a_client_are_warned_of(module: str, caplog: pytest.LogCaptureFixture) -> None:
    package = pytest.importorskip(module)
    kind = getattr(package, {"openai": "OpenAI", "anthropic": "Anthropic"}[module])
    path = {"openai": "chat.completions", "anthropic": "messages"}[module]

    def create_of(retries: int) -> Any:
        endpoint = kind(api_key="k", max_retries=retries)
        for name in path.split("."):
            endpoint = getattr(endpoint, name)
        return endpoint.create

    Runner(create_of(0), [], progress=False)
    assert warnings_of(caplog) == []
    runner = Runner(create_of(2), [], progress=False)
    runner.clear()
    assert len(warnings_of(caplog)) == 1
    assert "max_retries=2" in warnings_of(caplog)[0]


def test_retries_within_a_function_are_seen_when_it_fails(
    server: Refusing, caplog: pytest.LogCaptureFixture
) -> None:
    openai = pytest.importorskip("openai")
    server.answer = (500, {"retry-after-ms": "1"}, PRIVATE)
    client = openai.OpenAI(api_key="k", base_url=server.url, max_retries=1)
    ask = lambda _: client.chat.completions.create(model="m", messages=[])  # noqa: E731
    runner = Runner(ask, [], max_retries=1, max_concurrent=1, progress=False)
    for number in range(3):
        runner.schedule(number)
    runner.run()
    assert len(warnings_of(caplog)) == 1
    assert "1 before the last failure" in warnings_of(caplog)[0]
