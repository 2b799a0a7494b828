"""The runners for clients of `openai`: the real ones, against a simulated server."""

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
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import binary, kinds, watchdog  # noqa: F401 - a fixture
from test_clients import Refusing

from rate_limited import Failure, Resource, Runner
from rate_limited.apis.openai import OpenAIChatRunner, OpenAIEmbeddingsRunner
from rate_limited.apis.openai.runners import (
    RunnerOptions,
    estimate_embedded_tokens,
    openai_embeddings_resources,
)
from rate_limited.calls import Call

openai = pytest.importorskip("openai")

keys = (f"test of a runner {number}" for number in itertools.count())


class Server:
    """A simulated API in a process of its own."""

    def __init__(self, *limits: str) -> None:
        command = [binary(), "simulate", "--port", "0", "--latency", "5ms-20ms"]
        for limit in limits:
            command += ["--limit", limit]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url.startswith("http://"), self.url

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.url.removesuffix("/v1") + "/stats", timeout=5) as answer:
            stats: dict[str, Any] = json.load(answer)
            return stats

    def client(self, kind: Any = openai.OpenAI, path: str = "") -> Any:
        return kind(api_key="any", base_url=self.url + path)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server("requests=10/1s", "tokens=100k/1m") as running:
        yield running


def chat_runner(client: Any, requests: int, seconds: float) -> Any:
    """A runner whose limit of requests counts in so many seconds, by way of its key."""
    key = next(keys)
    runner = OpenAIChatRunner(client, requests, 100_000, shared=key, progress=False)
    Resource("requests_per_minute", requests, seconds, shared=f"{key} requests")
    return runner


def ask(runner: Any, number: int, model: str | None = None) -> None:
    message = {"role": "user", "content": f"Poem {number}"}
    runner.schedule(model=model or f"m{number}", messages=[message], max_tokens=4)


GIVEN = {
    "client": lambda client: client,
    "method": lambda client: client.chat.completions.create,
    "partial": lambda client: functools.partial(client.chat.completions.create, temperature=0),
}
CLIENTS = [openai.OpenAI, openai.AsyncOpenAI]


@pytest.mark.parametrize("kind", CLIENTS)
def test_all_are_answered_in_order_and_none_is_refused(server: Server, kind: Any) -> None:
    # A little longer than the server's window: the first requests take longer to get there.
    runner = chat_runner(server.client(kind), 10, 1.25)
    for number in range(30):
        ask(runner, number)
    results, exceptions = runner.run()
    assert exceptions == [[]] * 30
    # The simulated server answers with the model that was asked.
    assert [answer.model for answer in results] == [f"m{number}" for number in range(30)]
    assert all(answer.choices[0].message.content for answer in results)
    stats = server.stats()
    assert (stats["arrivals"], stats["refusals"]) == (30, 0)
    assert stats["limits"][0]["largest"] == 10


@pytest.mark.parametrize("kind", CLIENTS)
def test_limits_of_a_description(server: Server, kind: Any) -> None:
    key = next(keys)
    runner = OpenAIChatRunner(
        server.client(kind),
        api="openai",
        limits={"requests": (10, 1.25), "tokens": 100_000},
        shared=key,
        progress=False,
    )
    for number in range(30):
        ask(runner, number, model="m")  # each model has its limits for itself
    results, exceptions = runner.run()
    assert exceptions == [[]] * 30
    assert [answer.model for answer in results] == ["m"] * 30
    stats = server.stats()
    assert (stats["arrivals"], stats["refusals"]) == (30, 0)
    # OpenAI charges the larger of prompt and bound, and gives nothing back.
    assert {record["usage"]["tokens"] for record in runner.records()} == {10}


@pytest.mark.parametrize("kind", CLIENTS)
def test_raw_answers_settle(server: Server, kind: Any) -> None:
    client = server.client(kind).with_options(max_retries=0)
    raw: Any = client.chat.completions.with_raw_response.create
    runner = OpenAIChatRunner(raw, 500, 90_000, progress=False)
    ask(runner, 0)
    results, exceptions = runner.run()
    assert exceptions == [[]]
    answer: Any = results[0].parse()
    assert runner.records()[0]["usage"]["tokens_per_minute"] == answer.usage.total_tokens


def test_a_plan_of_another_service(server: Server) -> None:
    model = "llama-3.1-8b-instant"
    runner = OpenAIChatRunner(server.client(), 30, api="groq", tier="free", model=model, progress=False)
    assert [(each.name, each.quota) for each in runner._resources] == [
        ("requests", 30),
        ("requests_per_day", 14_400),
        ("tokens", 6_000),
    ]
    runner.schedule(model=model, messages=[{"role": "user", "content": "Poem"}], max_tokens=4)
    results, exceptions = runner.run()
    assert (results[0].model, exceptions) == (model, [[]])
    voyage = OpenAIEmbeddingsRunner(server.client(), 2_000, api="voyage", limits={"tokens": 3_000_000})
    assert [each.name for each in voyage._resources] == ["requests", "tokens"]


def test_limits_are_needed() -> None:
    with pytest.raises(ValueError, match="give tokens_per_minute, or the tier= of your account"):
        OpenAIChatRunner(lambda: None, 500)
    with pytest.raises(ValueError, match="openai has no tier 'free': tier-1"):
        OpenAIEmbeddingsRunner(lambda: None, 500, 1_000, tier="free")
    with pytest.raises(ValueError, match=r"vllm has no limit called 'requests'.*it meters in_flight"):
        OpenAIChatRunner(lambda: None, 500, api="vllm")


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_limit_told_too_high_costs_refusals_but_no_answers(server: Server, kind: Any) -> None:
    runner = chat_runner(server.client(kind), 25, 1)
    for number in range(25):
        ask(runner, number)
    results, exceptions = runner.run()
    assert [answer.model for answer in results] == [f"m{number}" for number in range(25)]
    stats = server.stats()
    assert stats["refusals"] > 0
    # Each refusal came to the runner: the client retried none of them by itself.
    assert sum(len(errors) for errors in exceptions) == stats["refusals"]
    assert {name for names in kinds(exceptions) for name in names} == {"RateLimitError"}


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("kind", CLIENTS)
def test_a_client_its_method_and_a_partial(server: Server, kind: Any, given: str) -> None:
    client = server.client(kind)
    runner = OpenAIChatRunner(GIVEN[given](client), 500, 90_000, progress=False)
    for number in range(3):
        ask(runner, number)
    results, exceptions = runner.run()
    assert exceptions == [[]] * 3
    assert [type(answer).__name__ for answer in results] == ["ChatCompletion"] * 3
    assert runner.records()[0]["usage"]["tokens_per_minute"] == results[0].usage.total_tokens
    function: Any = runner.function
    method = function.func if isinstance(function, functools.partial) else function
    bound = inspect.unwrap(method, stop=lambda found: hasattr(found, "__self__"))
    assert bound.__self__._client.max_retries == 0
    assert client.max_retries == 2
    assert runner.timeout == 600
    assert "messages" in inspect.signature(runner.schedule).parameters


def test_an_async_client_on_one_loop_after_another(server: Server) -> None:
    # Connections of a loop that has ended are of no use; the calls that find them are made again.
    client = server.client(openai.AsyncOpenAI)

    async def by_hand() -> Any:
        return await client.chat.completions.create(model="by hand", messages=[], max_tokens=4)

    async def on_this_loop(runner: Any) -> Any:
        return await runner.run_coro()

    assert asyncio.run(by_hand()).model == "by hand"
    runner = OpenAIChatRunner(client, 500, 90_000, progress=False)
    for turn in (runner.run, lambda: asyncio.run(on_this_loop(runner)), runner.run):
        ask(runner, 1)
        results, _exceptions = turn()
        assert [answer.model for answer in results] == ["m1"]


@pytest.mark.parametrize("kind", CLIENTS)
def test_map_submit_and_validation(server: Server, kind: Any) -> None:
    def one(client: Any) -> Any:
        create = client.chat.completions.create
        if kind is openai.OpenAI:
            return lambda text: create(model=text, messages=[{"role": "user", "content": text}])

        async def called(text: str) -> Any:
            return await create(model=text, messages=[{"role": "user", "content": text}])

        return called

    client = server.client(kind).with_options(max_retries=0)
    runner = OpenAIChatRunner(
        one(client), 500, 90_000, progress=False, max_retries=0, validation=lambda r: r.model != "b"
    )
    first, rejected, last = runner.map(["a", "b", "c"])
    assert (first.model, last.model) == ("a", "c")
    assert isinstance(rejected, Failure)
    assert rejected.value.model == "b"
    runner.close()


@pytest.mark.parametrize("kind", CLIENTS)
def test_what_is_not_found_is_asked_once(kind: Any) -> None:
    nowhere = Refusing()
    nowhere.answer = (404, {}, {"error": {"message": "There is no such path."}})
    client = kind(base_url=f"{nowhere.url}/v1", api_key="none", max_retries=0)
    runner = OpenAIChatRunner(client, 500, 90_000, progress=False)
    ask(runner, 0)
    ask(runner, 1)
    results, exceptions = runner.run()
    nowhere.close()
    assert results == [None, None]
    assert kinds(exceptions) == [["NotFoundError"]] * 2
    assert nowhere.requests == 2


class WrongKey(BaseHTTPRequestHandler):
    """Refuses every key."""

    def do_POST(self) -> None:
        body = json.dumps({"error": {"code": "invalid_api_key", "message": "Wrong key."}}).encode()
        self.send_response(401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("kind", CLIENTS)
def test_a_wrong_key_ends_the_run(kind: Any) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), WrongKey)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        client = kind(api_key="wrong", base_url=f"http://127.0.0.1:{server.server_port}/v1")
        runner = OpenAIChatRunner(client, 500, 90_000, progress=False, max_concurrent=1)
        for number in range(20):
            ask(runner, number)
        results, exceptions = runner.run()
    finally:
        server.shutdown()
        server.server_close()
    assert results == [None] * 20
    # The first answer shows that no later one can be any better.
    assert [names for names in kinds(exceptions) if names] == [["AuthenticationError"]]
    assert runner.interrupted


@pytest.mark.parametrize("kind", CLIENTS)
def test_no_server_is_tried_again(kind: Any) -> None:
    client = kind(api_key="any", base_url="http://127.0.0.1:9/v1")
    runner = OpenAIChatRunner(client, 500, 90_000, progress=False, max_retries=1)
    ask(runner, 0)
    results, exceptions = runner.run()
    assert results == [None]
    assert kinds(exceptions) == [["APIConnectionError"] * 2]


@pytest.mark.parametrize("kind", CLIENTS)
@pytest.mark.parametrize("given", [lambda client: client, lambda client: client.embeddings.create])
def test_embeddings(server: Server, kind: Any, given: Any) -> None:
    runner = OpenAIEmbeddingsRunner(given(server.client(kind)), 500, 90_000, progress=False)
    for text in ("honey badger", ["an owl", "a moth"]):
        runner.schedule(model="m", input=text)
    results, exceptions = runner.run()
    assert exceptions == [[], []]
    assert [len(answer.data) for answer in results] == [1, 2]
    assert results[0].data[0].embedding
    used = [record["usage"]["tokens_per_minute"] for record in runner.records()]
    assert used == [answer.usage.total_tokens for answer in results]


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        ("", 0),
        ("abcde", 2),
        ("猫猫", 2),
        (["abcd", "efgh"], 2),
        ([1, 2, 3], 3),
        ([[1], (2, 3)], 3),
        (iter("abcd"), 0),
        (None, 0),
    ],
)
def test_the_estimate_of_an_embedding(given: object, tokens: int) -> None:
    def create(*, input: Any) -> None: ...

    assert estimate_embedded_tokens(Call(create, (), {"input": given})) == tokens


def test_the_resources_of_embeddings_and_their_key() -> None:
    key = next(keys)
    first, second = (openai_embeddings_resources(5, quota, shared=key) for quota in (10, 20))
    assert [one._identity for one in first] == [two._identity for two in second]
    assert [one.quota for one in first] == [5, 20]


def test_answers_of_unknown_length_do_not_wait_for_a_minute() -> None:
    def create(*, messages: Any) -> Any:
        return SimpleNamespace(usage=SimpleNamespace(total_tokens=250))

    runner = OpenAIChatRunner(create, 500, 90_000, 128_000, progress=False)
    for _ in range(100):
        runner.schedule(messages="hello")
    results, _exceptions = runner.run()
    assert len(results) == 100


def test_runners_with_one_key_keep_the_limits_together() -> None:
    key = next(keys)
    first, second = (OpenAIChatRunner(lambda: None, 5, 10, shared=key) for _ in range(2))
    assert [r._identity for r in first._resources] == [r._identity for r in second._resources]


@pytest.mark.parametrize("kind", [OpenAIChatRunner, OpenAIEmbeddingsRunner])
@pytest.mark.parametrize("wrong", [None, "key", SimpleNamespace(), openai.OpenAI])
def test_what_is_no_client_is_named(kind: Any, wrong: Any) -> None:
    with pytest.raises(TypeError, match="client_or_create must be a client with"):
        kind(wrong, 500, 90_000)


def test_a_client_without_options_is_taken_as_it_is() -> None:
    async def create(*, messages: Any) -> Any:
        return {"text": messages, "usage": {"total_tokens": 1}}

    client: Any = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=create)))
    runner: Any = OpenAIChatRunner(client, 500, 90_000, 4_096, progress=False)
    assert runner.function is create
    runner.schedule(messages="hello")
    assert runner.run()[0][0]["text"] == "hello"


def test_the_options_are_those_of_a_runner() -> None:
    parameters = set(inspect.signature(Runner.__init__).parameters)
    assert set(RunnerOptions.__annotations__) == parameters - {"self", "function", "resources"}


def test_the_package_does_not_import_openai() -> None:
    code = "import sys, rate_limited.apis.openai.runners; sys.exit('openai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=8).returncode == 0


def example(name: str, **environment: str) -> str:
    """What an example prints that ends well."""
    for folder in Path(__file__).resolve().parents:
        found = folder / "examples" / "python" / name
        if found.exists():
            break
    else:
        pytest.fail("the examples were not found above the tests")
    plain = {key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")}
    ended = subprocess.run(
        [sys.executable, str(found)],
        capture_output=True,
        text=True,
        timeout=8,
        env={**plain, **environment},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_examples() -> None:
    assert "40 of 40 done" in example("first_run.py")
    assert "rate-limited simulate" in example("openai_chat.py")


def test_the_example_with_a_server() -> None:
    with Server("requests=50/1m", "tokens=90k/1m") as server:
        assert "20 of 20 answered" in example("openai_chat.py", OPENAI_BASE_URL=server.url)
