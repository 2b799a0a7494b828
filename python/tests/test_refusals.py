"""Answers that refuse: what the server says is followed, and what cannot get better is not asked again."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from support import (
    kinds,
    plenty,
    quiet,
    scheduled,
    watchdog,  # noqa: F401
)

from rate_limited import Resource


class Http(Exception):
    """An exception as clients of web APIs raise them."""

    def __init__(self, status: int, code: Any = None, **headers: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status_code = status
        self.code = code
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.response = type("Response", (), {"headers": named, "status_code": status})()


class Server:
    """Raises what the script says for its first requests, then answers."""

    def __init__(self, *script: BaseException | None, pause: float = 0.0) -> None:
        self.script, self.pause = list(script), pause
        self.times: list[float] = []
        self.lock = threading.Lock()

    def __call__(self, n: int) -> int:
        with self.lock:
            self.times.append(time.monotonic())
            error = self.script.pop(0) if self.script else None
        time.sleep(self.pause)
        if error is not None:
            raise error
        return n


@pytest.mark.parametrize("header", [{"retry_after": "0.4"}, {"retry_after_ms": "400"}], ids=str)
def test_a_refusal_pauses_everyone_and_takes_no_retry(header: dict[str, str]) -> None:
    server = Server(*[Http(429, **header) for _ in range(3)], pause=0.02)
    runner = scheduled(quiet(server, max_retries=0, max_concurrent=3), *range(9))
    results, exceptions = runner.run()
    assert results == list(range(9))
    assert sum(map(len, exceptions)) == 3
    gaps = [moment - server.times[0] for moment in server.times]
    assert not [gap for gap in gaps if 0.1 < gap < 0.39]
    assert max(gaps) < 3.0


def test_a_refusal_pauses_another_runner_of_the_same_resource() -> None:
    resource = Resource.per_second("requests", 1_000)
    refused, other = Server(Http(429, retry_after="0.5"), pause=0.01), Server(pause=0.02)
    runners = [
        scheduled(quiet(refused, [resource], max_concurrent=1), *range(2)),
        scheduled(quiet(other, [resource], max_concurrent=1), *range(10)),
    ]
    threads = [threading.Thread(target=runner.run) for runner in runners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    since = [moment - refused.times[0] for moment in other.times]
    assert not [gap for gap in since if 0.1 < gap < 0.45]
    assert len(other.times) == 10


def test_a_refusal_without_a_time_is_tried_again() -> None:
    server = Server(Http(429))
    assert scheduled(quiet(server, max_retries=0), 1).run()[0] == [1]
    assert len(server.times) == 2


@pytest.mark.parametrize("error", [Http(401), Http(403), Http(402)], ids=str)
def test_a_wrong_key_stops_the_run_after_a_few_attempts(error: Http) -> None:
    server = Server(*[error] * 1_000, pause=0.001)
    runner = scheduled(quiet(server, max_concurrent=4), *range(1_000))
    results, exceptions = runner.run()
    assert results == [None] * 1_000
    assert len(server.times) <= 10
    assert sum(map(len, exceptions)) == len(server.times)
    assert runner.interrupted


@pytest.mark.parametrize("status", [429, 400, 403])
def test_an_empty_account_stops_the_run(status: int) -> None:
    server = Server(*[Http(status, "insufficient_quota", retry_after="9")] * 100, pause=0.001)
    runner = scheduled(quiet(server, max_concurrent=2), *range(100))
    runner.run()
    assert len(server.times) <= 6
    assert runner.interrupted


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_wrong_request_fails_alone_and_at_once(status: int) -> None:
    server = Server(Http(status))
    begun = time.monotonic()
    runner = scheduled(quiet(server, max_concurrent=1), *range(5))
    results, exceptions = runner.run()
    assert results == [None, 1, 2, 3, 4]
    assert kinds(exceptions) == [["Http"], [], [], [], []]
    assert len(server.times) == 5
    assert time.monotonic() - begun < 0.4


@pytest.mark.parametrize("status", [500, 503, 529, 408, 409])
def test_a_passing_failure_is_tried_again(status: int) -> None:
    server = Server(Http(status))
    results, exceptions = scheduled(quiet(server, plenty(), max_retries=1), 7).run()
    assert results == [7]
    assert kinds(exceptions) == [["Http"]]


def shaped(**attributes: Any) -> BaseException:
    error = OSError("refused")
    for name, value in attributes.items():
        setattr(error, name, value)
    return error


HEADERS = {"retry-after": "0.3"}


@pytest.mark.parametrize(
    "error",
    [
        shaped(status_code=429, response=type("R", (), {"headers": HEADERS})()),
        shaped(response=type("R", (), {"headers": HEADERS, "status_code": 429})()),
        shaped(status=429, headers=HEADERS),
        shaped(code=429, headers=HEADERS),
        shaped(http_status=429, headers=HEADERS),
    ],
    ids=["openai", "requests", "aiohttp", "urllib", "openai before 1"],
)
def test_refusals_of_well_known_clients(error: BaseException) -> None:
    server = Server(error)
    results, _ = scheduled(quiet(server, max_retries=0), 1).run()
    assert results == [1]
    assert server.times[1] - server.times[0] >= 0.29
