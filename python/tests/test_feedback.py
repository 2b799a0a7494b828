"""What answers and refusals tell of limits: lower ones hold at once, higher ones never do, what others used counts,
and limits that nobody told are found out."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
feedback = { limit = "header:x-limit", remaining = "header:x-remaining" }
"""

IN_BODIES = """
name = "in_bodies"
title = "An API that tells in its bodies how its limits stand"
as_of = "2026-11-24"
source = "x.example"

[[resources]]
name = "points"
unit = "points"
window = "1s"
cost = { request = 1 }
feedback = { limit = "throttle.most", remaining = "throttle.left" }
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


@pytest.fixture
def in_bodies(tmp_path: Path) -> Api:
    path = tmp_path / "in_bodies.toml"
    path.write_text(IN_BODIES, encoding="utf-8")
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


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("client", CLIENTS)
def test_what_others_have_used_is_waited_for(api: Api, server: Refusing, client: str, status: int) -> None:  # noqa: F811
    # Of 400 a second, others have used all.
    server.answer = (status, {"X-Limit": "400", "X-Remaining": "0"}, COMPLETION)
    [requests] = api.resources(limits={"requests": 400})
    assert 0.9 < seconds(CLIENTS[client](server.url), requests, 2) < 3


def test_what_remains_after_our_own_calls_keeps_none_back(api: Api, server: Refusing) -> None:  # noqa: F811
    server.answer = (200, {"X-Limit": "400", "X-Remaining": "389"}, COMPLETION)
    [requests] = api.resources(limits={"requests": 400})
    assert seconds(with_httpx(server.url), requests, 11) < 0.9


def test_futures_and_rows_hear_it_too(api: Api, server: Refusing) -> None:  # noqa: F811
    server.answer = (200, {"X-Limit": "400", "X-Remaining": "0"}, COMPLETION)
    post = with_httpx(server.url)
    [requests] = api.resources(limits={"requests": 400})
    with Runner(lambda _: post(), [requests], max_concurrent=1, progress=False) as runner:
        begun = time.monotonic()
        assert len(list(runner.map([1, 2]))) == 2
    assert time.monotonic() - begun > 0.9


@pytest.mark.parametrize("left", [0, 389])
def test_bodies_tell_as_well_as_headers(in_bodies: Api, left: int) -> None:
    body = {"throttle": {"most": 400, "left": left}}
    [points] = in_bodies.resources(limits={"points": 400}, answer=lambda result: result[0])
    waits = seconds(lambda: [body], points, 3) > 0.9
    assert waits == (left == 0)


class Limited:
    """A server that lets so many requests through in each second, and names that limit if it `tells`.

    It forgets a tenth of a second early: requests take longer to arrive on a busy machine.
    """

    def __init__(self, limit: int, tells: bool) -> None:
        self.accepted = self.refused = 0
        times: list[float] = []
        lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                now = time.monotonic()
                with lock:
                    times[:] = [at for at in times if now - at < 0.9]
                    fits = len(times) < limit
                    if fits:
                        times.append(now)
                        outer.accepted += 1
                    else:
                        outer.refused += 1
                    remaining = limit - len(times)
                self.send_response(200 if fits else 429)
                if tells:
                    self.send_header("x-limit", str(limit))
                    self.send_header("x-remaining", str(remaining))
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            # A connection that does not fit into the queue comes a second later.
            request_queue_size = 64

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(params=[True, False], ids=["told by answers", "told by nobody"])
def limited(request: pytest.FixtureRequest) -> Iterator[tuple[Limited, bool]]:
    limited = Limited(20, tells=request.param)
    yield limited, request.param
    limited.server.shutdown()
    limited.server.server_close()


def test_a_limit_that_nobody_told_is_found_out(api: Api, limited: tuple[Limited, bool]) -> None:
    judge, tells = limited
    [requests] = api.resources()
    assert (requests.name, requests.limit) == ("requests", None)
    httpx = pytest.importorskip("httpx")
    client = httpx.Client()

    def post() -> Any:
        return client.post(judge.url, json={}).raise_for_status()

    runner = Runner(post, [requests], max_concurrent=16, progress=False)
    for _ in range(60):
        runner.schedule()
    begun = time.monotonic()
    results, _ = runner.run()
    took = time.monotonic() - begun
    assert [answer.status_code for answer in results] == [200] * 60 and judge.accepted == 60
    if tells:
        # Sixty at twenty a second: two windows have to pass.
        assert (requests.limit, judge.refused) == (20, 0) and 1.9 < took < 3.5
    else:
        assert 10 <= (requests.limit or 0) <= 30 and judge.refused <= 20 and took < 7


def test_a_limit_that_is_told_after_all_holds(api: Api) -> None:
    [requests] = api.resources()
    assert repr(requests) == "Resource.untold('requests', time_window_seconds=1.0)"
    runner = Runner(time.monotonic, [requests], max_concurrent=8, progress=False)
    assert "requests=not known yet" in repr(runner)
    requests.quota = 5
    for _ in range(6):
        runner.schedule()
    times = sorted(time for time in runner.run()[0] if time)
    assert times[5] - times[0] >= 1


def test_a_resource_without_quota_and_window() -> None:
    plain = Resource.untold("requests")
    with pytest.raises(ValueError, match="its window is not known: set time_window_seconds before"):
        plain.quota = 5
    plain.time_window_seconds = 2
    plain.quota = 5
    assert (plain.quota, plain.limit, repr(plain)) == (
        5,
        5,
        "Resource('requests', quota=5, time_window_seconds=2)",
    )


@pytest.mark.parametrize("name", ["groq", "vllm", "generic"])
def test_every_api_has_limits_to_find_out(name: str) -> None:
    assert {resource.limit for resource in Api(name).resources()} == {None}


def test_an_overload_halves_the_calls_in_flight(server: Refusing) -> None:  # noqa: F811
    anthropic = pytest.importorskip("anthropic")
    server.answer = (529, {}, {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}})
    client = anthropic.Anthropic(api_key="k", base_url=server.url, max_retries=0)

    def create() -> Any:
        return client.messages.create(model="m", max_tokens=5, messages=[])

    runner = Runner(create, [], max_concurrent=8, max_retries=0, progress=False)
    for _ in range(4):
        runner.schedule()
    results, exceptions = runner.run()
    assert results == [None] * 4
    assert [type(each[-1]).__name__ for each in exceptions] == ["OverloadedError"] * 4
    assert runner._machine.progress()["max_concurrent"] == 4
