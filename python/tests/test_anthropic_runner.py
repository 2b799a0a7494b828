"""The runner for clients of `anthropic`: the real ones, against a small server of the same shape."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import kinds, watchdog  # noqa: F401 - a fixture

from rate_limited import Failure, Resource, Runner
from rate_limited.apis import anthropic as apis
from rate_limited.apis.anthropic import AnthropicRunner, anthropic_resources
from rate_limited.calls import Call

anthropic = pytest.importorskip("anthropic")

keys = (f"test of messages {number}" for number in itertools.count())


class Answer(BaseHTTPRequestHandler):
    """Answers as the API does, or as the server's script says."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        body = json.loads(self.rfile.read(length))
        status, headers, answer = self.server.answer(self.path, body)
        text = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(text)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


def error(status: int, kind: str, code: str | None = None, **headers: str) -> Any:
    """A failure in the API's words."""
    details = {} if code is None else {"details": {"error_code": code}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = {"type": "error", "error": {"type": kind, "message": f"no: {kind}", **details}}
    return status, named, answer


class Server(ThreadingHTTPServer):
    """Messages, at most `quota` of them in any second; first of all, what the script says."""

    daemon_threads = True
    # A connection that finds the queue full would be a second late.
    request_queue_size = 128

    def __init__(self, quota: int = 1_000) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.quota = quota
        self.script: list[Any] = []
        self.arrivals: list[float] = []
        self.refusals = 0
        self.bodies: list[dict[str, Any]] = []
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, path: str, body: dict[str, Any]) -> Any:
        with self.lock:
            self.bodies.append(body)
            now = time.monotonic()
            self.arrivals = [moment for moment in self.arrivals if moment > now - 1]
            if path != "/v1/messages":
                return error(404, "not_found_error")
            if self.script:
                return self.script.pop(0)
            if len(self.arrivals) >= self.quota:
                self.refusals += 1
                return error(429, "rate_limit_error", retry_after="1")
            self.arrivals.append(now)
        text = "".join(part["content"] for part in body["messages"])
        return 200, {}, message(body["model"], text.upper(), len(text), 7)

    def client(self, kind: Any = None, path: str = "") -> Any:
        kind = kind or anthropic.Anthropic
        return kind(api_key="any", base_url=f"http://127.0.0.1:{self.server_port}{path}")


def message(model: str, text: str, read: int, written: int, **usage: int) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": read, "output_tokens": written, **usage},
    }


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.shutdown()
    running.server_close()


CLIENTS = ["Anthropic", "AsyncAnthropic"]

GIVEN = {
    "client": lambda client: client,
    "method": lambda client: client.messages.create,
    "partial": lambda client: functools.partial(client.messages.create, stop_sequences=["."]),
}


def ask(runner: Any, number: int, model: str | None = None) -> None:
    turn = {"role": "user", "content": f"Poem {number}"}
    runner.schedule(model=model or f"m{number}", messages=[turn], max_tokens=4)


def of_kind(kind: str) -> Any:
    return getattr(anthropic, kind)


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("kind", CLIENTS)
def test_a_client_its_method_and_a_partial(server: Server, kind: str, given: str) -> None:
    client = server.client(of_kind(kind))
    runner = AnthropicRunner(GIVEN[given](client), 500, 30_000, 8_000, progress=False)
    for number in range(3):
        ask(runner, number)
    results, exceptions = runner.run()
    assert exceptions == [[]] * 3
    assert [answer.model for answer in results] == ["m0", "m1", "m2"]
    assert results[2].content[0].text == "POEM 2"
    assert ("stop_sequences" in server.bodies[0]) == (given == "partial")
    usage = runner.records()[0]["usage"]
    assert usage["requests_per_minute"] == 1
    assert usage["input_tokens_per_minute"] == results[0].usage.input_tokens
    assert usage["output_tokens_per_minute"] == results[0].usage.output_tokens == 7
    function: Any = runner.function
    method = function.func if isinstance(function, functools.partial) else function
    bound = inspect.unwrap(method, stop=lambda found: hasattr(found, "__self__"))
    # The runner's client retries nothing by itself; that of the user is as it was.
    assert bound.__self__._client.max_retries == 0
    assert client.max_retries == 2
    assert runner.timeout == 600
    assert "messages" in inspect.signature(runner.schedule).parameters


@pytest.mark.parametrize("kind", CLIENTS)
def test_the_limit_is_filled_and_not_passed(server: Server, kind: str) -> None:
    client = server.client(of_kind(kind))
    # A client's first request is a slow one; it is not what is asked for here.
    first = AnthropicRunner(client, 10, 100_000, 100_000, progress=False)
    ask(first, 0)
    first.run()
    server.quota, server.arrivals = 10, []
    key = next(keys)
    runner = AnthropicRunner(client, 10, 100_000, 100_000, shared=key, progress=False)
    # A little longer than the server's second, for a busy machine is late now and then.
    Resource("requests_per_minute", 10, 1.3, shared=f"{key} requests")
    for number in range(30):
        ask(runner, number, model="m")  # each model has its limits for itself
    begun = time.monotonic()
    results, exceptions = runner.run()
    assert [answer.content[0].text for answer in results] == [f"POEM {number}" for number in range(30)]
    assert exceptions == [[]] * 30
    assert server.refusals == 0
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_refusal_is_waited_for_and_costs_no_retry(server: Server, kind: str) -> None:
    server.script = [error(429, "rate_limit_error", retry_after="1")]
    runner = AnthropicRunner(server.client(of_kind(kind)), 500, 30_000, 8_000, max_retries=0, progress=False)
    ask(runner, 0)
    begun = time.monotonic()
    results, exceptions = runner.run()
    assert results[0].model == "m0"
    assert kinds(exceptions) == [["RateLimitError"]]
    assert time.monotonic() - begun >= 0.99
    # It came to the runner at once: the client made one request, not three.
    assert len(server.bodies) == 2


PASSING = [
    error(529, "overloaded_error"),
    error(500, "api_error"),
    error(504, "timeout_error"),
    error(409, "conflict_error"),
]


@pytest.mark.parametrize("failure", PASSING, ids=lambda failure: str(failure[0]))
@pytest.mark.parametrize("kind", CLIENTS)
def test_what_passes_is_tried_again(server: Server, kind: str, failure: Any) -> None:
    server.script = [failure]
    runner = AnthropicRunner(server.client(of_kind(kind)), 500, 30_000, 8_000, max_retries=1, progress=False)
    ask(runner, 0)
    results, exceptions = runner.run()
    assert results[0].model == "m0"
    assert [len(errors) for errors in exceptions] == [1]
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "failure",
    [
        error(401, "authentication_error"),
        error(402, "billing_error"),
        error(403, "permission_error"),
        error(429, "rate_limit_error", "enforced_spend_limit_reached"),
    ],
    ids=["401", "402", "403", "spend limit"],
)
@pytest.mark.parametrize("kind", CLIENTS)
def test_what_no_later_call_can_pass_ends_the_run(server: Server, kind: str, failure: Any) -> None:
    server.script = [failure] * 100
    client = server.client(of_kind(kind))
    runner = AnthropicRunner(client, 500, 30_000, 8_000, max_concurrent=1, progress=False)
    for number in range(20):
        ask(runner, number)
    results, exceptions = runner.run()
    assert results == [None] * 20
    assert len(server.bodies) == sum(map(len, exceptions)) == 1
    assert runner.interrupted


@pytest.mark.parametrize(
    "failure",
    [
        error(400, "invalid_request_error"),
        error(404, "not_found_error"),
        error(413, "request_too_large"),
    ],
    ids=lambda failure: str(failure[0]),
)
@pytest.mark.parametrize("kind", CLIENTS)
def test_a_wrong_request_fails_alone_and_once(server: Server, kind: str, failure: Any) -> None:
    server.script = [failure]
    client = server.client(of_kind(kind))
    runner = AnthropicRunner(client, 500, 30_000, 8_000, max_concurrent=1, progress=False)
    ask(runner, 0)
    ask(runner, 1)
    results, exceptions = runner.run()
    assert results[0] is None
    assert results[1].model == "m1"
    assert [len(errors) for errors in exceptions] == [1, 0]
    assert len(server.bodies) == 2


@pytest.mark.parametrize("kind", CLIENTS)
def test_no_server_is_tried_again(kind: str) -> None:
    client = of_kind(kind)(api_key="any", base_url="http://127.0.0.1:9")
    runner = AnthropicRunner(client, 500, 30_000, 8_000, max_retries=1, progress=False)
    ask(runner, 0)
    results, exceptions = runner.run()
    assert results == [None]
    assert kinds(exceptions) == [["APIConnectionError"] * 2]


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_hung_request_is_given_up(server: Server, kind: str) -> None:
    gate = threading.Event()
    answer, first = server.answer, iter([True])

    def hung_once(*request: Any) -> Any:
        if next(first, False):
            gate.wait(5)
        return answer(*request)

    server.answer = hung_once  # type: ignore[method-assign]
    client = server.client(of_kind(kind))
    runner = AnthropicRunner(client, 500, 30_000, 8_000, timeout=0.3, progress=False)
    ask(runner, 0)
    results, exceptions = runner.run()
    gate.set()
    assert results[0].model == "m0"
    assert kinds(exceptions) == [["TimeoutError"]]


@pytest.mark.parametrize("kind", CLIENTS)
def test_map_submit_and_validation(server: Server, kind: str) -> None:
    create = server.client(of_kind(kind)).with_options(max_retries=0).messages.create

    def one(text: str) -> Any:
        return create(model=text, max_tokens=9, messages=[{"role": "user", "content": text}])

    runner: Any = AnthropicRunner(
        one, 500, 30_000, 8_000, progress=False, max_retries=0, validation=lambda r: r.model != "b"
    )
    first, rejected, last = runner.map(["a", "b", "c"])
    assert (first.model, last.model) == ("a", "c")
    assert isinstance(rejected, Failure)
    assert rejected.value.model == "b"
    assert runner.submit("d").result(5).model == "d"
    runner.close()


def test_an_async_client_on_the_callers_loop(server: Server) -> None:
    async def main() -> Any:
        client = server.client(anthropic.AsyncAnthropic)
        runner = AnthropicRunner(client, 500, 30_000, 8_000, progress=False)
        for number in range(5):
            ask(runner, number)
        return await runner.run_coro()

    results, exceptions = asyncio.run(main())
    assert [answer.model for answer in results] == ["m0", "m1", "m2", "m3", "m4"]
    assert exceptions == [[]] * 5


def test_a_streamed_answer_is_kept_although_it_tells_no_usage(server: Server) -> None:
    client = server.client().with_options(max_retries=0)
    runner: Any = AnthropicRunner(
        lambda **request: client.messages.create(**request, stream=True),
        500,
        30_000,
        8_000,
        progress=False,
    )
    ask(runner, 0)
    results, exceptions = runner.run()
    assert type(results[0]).__name__ == "Stream"
    results[0].close()
    assert kinds(exceptions) == [["ValueError"] * 2]
    assert "no usage.input_tokens in the answer" in str(exceptions[0][0])


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_raw_answer_settles(server: Server, kind: str) -> None:
    client = server.client(of_kind(kind)).with_options(max_retries=0)
    raw: Any = client.messages.with_raw_response.create
    runner: Any = AnthropicRunner(raw, 500, 30_000, 8_000, progress=False)
    ask(runner, 0)
    results, exceptions = runner.run()
    assert exceptions == [[]]
    assert results[0].headers["content-type"] == "application/json"
    usage = runner.records()[0]["usage"]
    assert (usage["input_tokens_per_minute"], usage["output_tokens_per_minute"]) == (6, 7)


def test_the_limits_of_a_plan(server: Server) -> None:
    runner = AnthropicRunner(
        server.client(), 5_000, tier="start", model="claude-fable-5", shared=next(keys), progress=False
    )
    assert [(each.name, each.quota) for each in runner._resources] == [
        ("requests", 5_000),
        ("input_tokens", 500_000),
        ("output_tokens", 100_000),
    ]
    for number in range(3):
        ask(runner, number)
    _results, exceptions = runner.run()
    assert exceptions == [[]] * 3
    usage = runner.records()[0]["usage"]
    assert usage == {"requests": 1, "input_tokens": 6, "output_tokens": 7}


def test_limits_are_needed() -> None:
    with pytest.raises(
        ValueError, match="give input_tokens_per_minute and output_tokens_per_minute, or the tier="
    ):
        AnthropicRunner(create, 50)
    with pytest.raises(ValueError, match="anthropic has no tier 'gold': start, build, scale"):
        AnthropicRunner(create, tier="gold")


def create(*, model: str, messages: Any, max_tokens: int, system: Any = None, **_: Any) -> None:
    """The arguments of the client's method."""


def call(content: Any = "hi", **kwargs: Any) -> Call:
    turn = {"role": "user", "content": content}
    return Call(create, (), {"model": "m", "messages": [turn], "max_tokens": 100, **kwargs})


def test_the_resources() -> None:
    requests, read, written = anthropic_resources(50, 30_000, 8_000)
    assert [(each.name, each.quota, each.time_window_seconds) for each in (requests, read, written)] == [
        ("requests_per_minute", 50, 60),
        ("input_tokens_per_minute", 30_000, 60),
        ("output_tokens_per_minute", 8_000, 60),
    ]
    assert requests.arguments_usage_extractor is not None
    assert requests.arguments_usage_extractor(call()) == 1
    assert (read.learn, written.learn) == (True, True)


def test_runners_with_one_key_keep_the_limits_together() -> None:
    key = next(keys)
    first, second = (AnthropicRunner(lambda: None, 5, 10, 10, shared=key) for _ in range(2))
    assert [r._identity for r in first._resources] == [r._identity for r in second._resources]
    assert len({r._identity for r in first._resources}) == 3


def test_what_is_read_from_a_cache_does_not_count() -> None:
    answer = message("m", "hello", 5, 7, cache_creation_input_tokens=3, cache_read_input_tokens=99)
    objects = SimpleNamespace(usage=SimpleNamespace(**answer["usage"]))
    for each in (answer, objects):
        assert apis.get_input_tokens(call(), each) == 8
        assert apis.get_output_tokens(call(), each) == 7
    nothing = {"usage": {"input_tokens": 5, "cache_creation_input_tokens": None}}
    assert apis.get_input_tokens(call(), nothing) == 5


@pytest.mark.parametrize("answer", [{}, {"usage": None}, SimpleNamespace(), None, "text"])
def test_an_answer_without_usage_is_an_error(answer: Any) -> None:
    for extractor in (apis.get_input_tokens, apis.get_output_tokens):
        with pytest.raises(ValueError, match=r"no usage\.\w+ in the answer"):
            extractor(call(), answer)


def test_the_estimate_of_an_input() -> None:
    base = apis.estimate_input_tokens(call("hi"))
    assert base == 9
    assert apis.estimate_input_tokens(call("a" * 400)) == 108
    assert apis.estimate_input_tokens(call("hi", system="a" * 40)) == base + 10
    assert apis.estimate_input_tokens(call("hi", system=[{"type": "text", "text": "a" * 40}])) == base + 10
    image = {"type": "image", "source": {"type": "base64", "data": "A" * 100_000}}
    assert apis.estimate_input_tokens(call([{"type": "text", "text": "hi"}, image])) == base + 765
    tools = [{"name": "f", "input_schema": {"a": "b" * 400}}]
    assert apis.estimate_input_tokens(call("hi", tools=tools)) > base + 100
    # The marker for "not given", as the client has it.
    assert apis.estimate_input_tokens(call("hi", system=anthropic.omit)) == base


def test_an_input_that_may_lie_in_a_cache_is_never_refused() -> None:
    long, mark = "a" * 400_000, {"cache_control": {"type": "ephemeral"}}
    part = {"type": "text", "text": long}
    estimate = functools.partial(apis.estimate_input_tokens, quota=30_000)
    assert estimate(call(long)) > 100_000
    assert estimate(call([{**part, **mark}])) == 30_000
    assert estimate(call("hi", system=[{**part, **mark}])) == 30_000
    assert estimate(call(long, **mark)) == 30_000
    assert estimate(call("hi", **mark)) == 9
    runner = AnthropicRunner(create, 50, 30_000, 8_000, progress=False)
    runner.schedule(model="m", max_tokens=1, messages=[{"role": "user", "content": [{**part, **mark}]}])
    with pytest.raises(ValueError, match="exceeds resource quota"):
        runner.schedule(model="m", max_tokens=1, messages=[{"role": "user", "content": long}])


def test_the_estimate_of_an_output_is_a_guess_and_capped() -> None:
    estimate = functools.partial(apis.estimate_output_tokens, quota=8_000)
    assert estimate(call(max_tokens=100)) == 100
    assert estimate(call(max_tokens=20_000)) == 500
    assert apis.estimate_output_tokens(call(max_tokens=20_000)) == 20_000


def test_large_bounds_do_not_make_calls_wait_for_a_minute() -> None:
    def short(*, model: str, messages: Any, max_tokens: int) -> Any:
        return {"usage": {"input_tokens": 9, "output_tokens": 40}}

    runner = AnthropicRunner(short, 500, 30_000, 8_000, progress=False)
    for _ in range(100):
        runner.schedule(model="m", messages="hello", max_tokens=16_000)
    begun = time.monotonic()
    assert len(runner.run()[0]) == 100
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("wrong", [None, "key", SimpleNamespace(), anthropic.Anthropic])
def test_what_is_no_client_is_named(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"client_or_create must be a client with messages\.create"):
        AnthropicRunner(wrong, 50, 30_000, 8_000)


def test_the_options_are_those_of_a_runner() -> None:
    runner = AnthropicRunner(create, 50, 30_000, 8_000, timeout=None, pacing=2, max_concurrent=3)
    assert (runner.timeout, runner.pacing, runner.max_concurrent) == (None, 2, 3)
    assert isinstance(runner, Runner)


def test_the_package_does_not_import_anthropic() -> None:
    code = "import sys, rate_limited.apis.anthropic; sys.exit('anthropic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=8).returncode == 0


def example(*arguments: str, **environment: str) -> str:
    """What the example prints that ends well."""
    for folder in Path(__file__).resolve().parents:
        found = folder / "examples" / "python" / "anthropic_messages.py"
        if found.exists():
            break
    else:
        pytest.fail("the examples were not found above the tests")
    plain = {name: value for name, value in os.environ.items() if "ANTHROPIC" not in name}
    ended = subprocess.run(
        [sys.executable, str(found), *arguments],
        capture_output=True,
        text=True,
        timeout=8,
        env={**plain, **environment},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_example(server: Server) -> None:
    assert "ANTHROPIC_API_KEY" in example()
    url = f"http://127.0.0.1:{server.server_port}"
    said = example("m", ANTHROPIC_API_KEY="any", ANTHROPIC_BASE_URL=url)
    assert "5 of 5 answered" in said
    assert "the first one: A SHORT POEM" in said
