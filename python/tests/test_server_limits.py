"""Limits that answers and refusals name in their headers: lower ones hold at once, higher ones never do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from test_clients import Refusing, server  # noqa: F401 - a fixture

from rate_limited import Resource, Runner
from rate_limited.apis import Api
from rate_limited.apis.openai import OpenAIChatRunner

SECONDLY = """
name = "secondly"
title = "An API with limits of a second"
as_of = "2026-11-24"
source = "x.example"

[[resources]]
name = "requests"
unit = "requests"
window = "1s"
cost = { request = 1 }
feedback = { limit = "header:x-limit" }
"""

COMPLETION: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


@pytest.fixture
def api(tmp_path: Path) -> Api:
    path = tmp_path / "secondly.toml"
    path.write_text(SECONDLY, encoding="utf-8")
    return Api.load(path)


def with_openai(url: str, raw: bool = True) -> Callable[[], Any]:
    openai = pytest.importorskip("openai")
    completions = openai.OpenAI(api_key="k", base_url=url, max_retries=0).chat.completions
    create = completions.with_raw_response.create if raw else completions.create
    return lambda: create(model="m", messages=[])


def with_httpx(url: str) -> Callable[[], Any]:
    httpx = pytest.importorskip("httpx")
    client = httpx.Client()
    return lambda: client.post(url, json={}).raise_for_status()


def with_requests(url: str) -> Callable[[], Any]:
    session = pytest.importorskip("requests").Session()

    def post() -> Any:
        response = session.post(url, json={}, timeout=5)
        response.raise_for_status()
        return response

    return post


def with_aiohttp(url: str) -> Callable[[], Any]:
    aiohttp = pytest.importorskip("aiohttp")

    async def post() -> Any:
        async with aiohttp.ClientSession(raise_for_status=True) as session, session.post(url) as response:
            await response.read()
            return response

    return post


CLIENTS = {
    "openai": with_openai,
    "httpx": with_httpx,
    "requests": with_requests,
    "aiohttp": with_aiohttp,
}


def seconds(send: Callable[[], Any], resource: Resource, calls: int, **options: Any) -> float:
    runner: Any = Runner(send, [resource], max_concurrent=1, progress=False, **options)
    for _ in range(calls):
        runner.schedule()
    begun = time.monotonic()
    runner.run()
    return time.monotonic() - begun


@pytest.mark.parametrize("client", CLIENTS)
def test_a_lower_limit_of_an_answer_holds_at_once(api: Api, server: Refusing, client: str) -> None:  # noqa: F811
    server.answer = (200, {"X-Limit": "5"}, COMPLETION)
    [requests] = api.resources(limits={"requests": 400})
    # Five a second: the eleventh call waits for the third second.
    assert seconds(CLIENTS[client](server.url), requests, 11) > 1.9
    # What the user told stays as it is.
    assert requests.quota == 400


@pytest.mark.parametrize("client", CLIENTS)
def test_a_lower_limit_of_an_error_holds_at_once(api: Api, server: Refusing, client: str) -> None:  # noqa: F811
    server.answer = (400, {"X-Limit": "5"}, {"error": {"message": "no"}})
    [requests] = api.resources(limits={"requests": 400})
    assert seconds(CLIENTS[client](server.url), requests, 11) > 1.9


@pytest.mark.parametrize("limit", ["1000", "0", "-5", "many"])
def test_a_higher_limit_or_none_changes_nothing(api: Api, server: Refusing, limit: str) -> None:  # noqa: F811
    server.answer = (200, {"X-Limit": limit}, COMPLETION)
    [requests] = api.resources(limits={"requests": 10})
    assert 0.9 < seconds(with_httpx(server.url), requests, 15) < 1.9


def test_a_limit_of_another_window_is_not_meant(api: Api, server: Refusing) -> None:  # noqa: F811
    server.answer = (200, {"X-Limit": "5"}, COMPLETION)
    [requests] = api.resources(limits={"requests": (400, 2.0)})
    assert seconds(with_httpx(server.url), requests, 11) < 1


def test_answers_without_headers_and_resources_of_no_api(api: Api, server: Refusing) -> None:  # noqa: F811
    server.answer = (200, {"X-Limit": "5"}, COMPLETION)
    [requests] = api.resources(limits={"requests": 400})
    assert seconds(with_openai(server.url, raw=False), requests, 11) < 1
    assert seconds(with_httpx(server.url), Resource.per_second("requests", 400), 11) < 1


class Hostile:
    """Answers with attributes that raise."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_no_answer_breaks_it(api: Api) -> None:
    [requests] = api.resources(limits={"requests": 400})
    runner = Runner(lambda: Hostile(), [requests], progress=False)
    runner.schedule()
    results, exceptions = runner.run()
    assert (type(results[0]), exceptions) == (Hostile, [[]])


def test_the_headers_of_a_real_api(server: Refusing) -> None:  # noqa: F811
    openai = pytest.importorskip("openai")
    server.answer = (200, {"x-ratelimit-limit-requests": "10", "x-ratelimit-limit-tokens": "80k"}, COMPLETION)
    client = openai.AsyncOpenAI(api_key="k", base_url=server.url, max_retries=0)
    raw = client.chat.completions.with_raw_response.create
    limits = {"requests": 500, "tokens": 90_000}
    runner: Any = OpenAIChatRunner(raw, api="openai", limits=limits, max_concurrent=1, progress=False)
    for _ in range(11):
        runner.schedule(model="m", messages=[], max_tokens=1)

    async def main() -> int:
        run = asyncio.ensure_future(runner.run_coro())
        await asyncio.sleep(2)
        runner.interrupt()
        results, _ = await run
        return sum(result is not None for result in results)

    # The bucket of 500 is one of 10 from the first answer on, and has a sixth of a call a second.
    assert 9 <= asyncio.run(main()) <= 10
