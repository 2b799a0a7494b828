"""Limits that follow from the description of an API: what calls take, and how answers settle it."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import re
import time
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_clients import Refusing, server  # noqa: F401 - a fixture

from rate_limited import Resource, Runner
from rate_limited.apis import Api
from rate_limited.calls import Call

keys = (f"test of an API {number}" for number in itertools.count())

HEAD = """
name = "weather"
title = "Weather"
as_of = "2026-11-24"
source = "weather.example"
"""

WEATHER = (
    HEAD
    + """
[[endpoints]]
path = "/forecast"
class = "forecast"
generates = true

[[endpoints]]
path = "/words"
class = "words"

[[endpoints]]
path = "/maps"
class = "maps"

[[resources]]
name = "kept"
unit = "tokens"
window = "1m"
settlement = "keep"
cost = { prompt = 1, answer = 1 }
cost_is = "largest"

[[resources]]
name = "used"
unit = "tokens"
window = "1m"
settlement = "usage"
cost = { prompt = 1, answer = 1 }
usage = { "usage.in" = 1, "usage.out" = 1 }

[[resources]]
name = "after"
unit = "output_tokens"
window = "1m"
counted = "completion"
settlement = "after"
cost = { answer = 1 }
usage = { "usage.out" = 1 }

[[resources]]
name = "told"
unit = "points"
window = "1h"
limit = 5000
settlement = "told"
cost = { request = 1 }
feedback = { cost = "header:x-cost" }

[[resources]]
name = "maps"
unit = "requests"
window = "1d"
limit = 3
endpoints = "maps"
cost = { request = 1 }

[[resources]]
name = "in_flight"
unit = "in_flight"
kind = "slots"
limit = 4
cost = { request = 1 }

[[resources]]
name = "credit"
unit = "usd"
kind = "budget"
cost = { request = 1 }

[[resources]]
name = "sliced"
unit = "requests"
kind = "bucket"
window = "1s"
slice = "100ms"
cost = { request = 1 }

[[resources]]
name = "searches"
unit = "searches"
cost = { request = 1 }
"""
)


@pytest.fixture
def weather(tmp_path: Path) -> Api:
    path = tmp_path / "weather.toml"
    path.write_text(WEATHER, encoding="utf-8")
    return Api.load(path)


def create(**arguments: Any) -> Any: ...


def call(**arguments: Any) -> Call:
    return Call(create, (), {"messages": [{"role": "user", "content": "a" * 400}], **arguments})


def by_name(resources: list[Resource]) -> dict[str, Resource]:
    return {resource.name: resource for resource in resources}


def held(resource: Resource, given: Call) -> float:
    extractor = resource.arguments_usage_extractor or resource.max_results_usage_estimator
    assert extractor is not None
    amount: float = extractor(given)
    return amount


def charged(resource: Resource, answer: Any) -> float:
    assert resource.results_usage_extractor is not None
    amount: float = resource.results_usage_extractor(call(), answer)
    return amount


def test_descriptions_are_named_loaded_and_explained(weather: Api) -> None:
    assert (weather.name, repr(weather), weather.tiers) == ("weather", "Api('weather')", [])
    assert weather.explain().startswith("weather: Weather, as of 2026-11-24")
    assert Api.named("OpenAI").name == Api("openai").name == "openai"
    with pytest.raises(KeyError, match="did you mean"):
        Api("antropic")


def test_what_is_wrong_with_a_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + "colour = 1", encoding="utf-8")
    with pytest.raises(ValueError, match=r"mine\.toml: [\s\S]*unknown field `colour`"):
        Api.load(path)


@pytest.mark.parametrize("twin_of", [copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_copies(weather: Api, twin_of: Any) -> None:
    assert twin_of(Api("groq")).tiers == Api("groq").tiers
    [resource] = twin_of(weather.resources(limits={"used": 10, "told": 1})[:1])
    assert held(resource, call(max_tokens=10)) == 118
    assert charged(resource, {"usage": {"in": 3}}) == 3


def test_costs_are_those_of_the_formulas(weather: Api) -> None:
    limits = {"kept": 10_000, "used": 10_000, "after": 1_600, "told": 100}
    resources = weather.resources(limits=limits)
    assert [each.name for each in resources] == ["kept", "used", "after", "told"]
    amounts = [[held(each, call(max_tokens=most)) for each in resources] for most in (50, 300)]
    # A bound of what is counted as it is written is a guess: a sixteenth of the quota at most.
    assert amounts == [[108, 158, 50, 1], [300, 408, 100, 1]]
    assert held(resources[1], call()) == 108 + 1_024
    brief = weather.resources(limits=limits, max_tokens_default=7)
    assert held(brief[1], call()) == 108 + 7


def test_answers_settle_as_the_description_says(weather: Api) -> None:
    kept, used, after, told = weather.resources(
        limits={"kept": 1, "used": 1, "after": 1, "told": 1}, endpoint="/forecast"
    )
    assert (kept.results_usage_extractor, kept.learn) == (None, False)
    answer = {"usage": {"in": 3, "out": 4}}
    assert (charged(used, answer), charged(after, answer)) == (7, 4)
    assert used.learn and after.learn and told.learn
    response = SimpleNamespace(headers={"X-Cost": "12"}, content=b"{}")
    assert charged(told, response) == 12
    with pytest.raises(ValueError, match="no charge of told in the answer"):
        charged(told, answer)


class Model:
    """As the models of SDKs."""

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return self._fields

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_fields"][name]
        except KeyError:
            raise AttributeError(name) from None


class OldModel:
    """As those of generated clients."""

    def __init__(self, **fields: Any) -> None:
        self.usage = SimpleNamespace(to_dict=lambda: fields["usage"])


@pytest.mark.parametrize(
    "shape",
    [
        dict,
        lambda **fields: SimpleNamespace(usage=SimpleNamespace(**fields["usage"])),
        lambda **fields: Model(usage=Model(**fields["usage"])),
        OldModel,
        lambda **fields: SimpleNamespace(headers={}, content=json.dumps(fields).encode()),
    ],
)
def test_shapes_of_answers(weather: Api, shape: Any) -> None:
    [used, _] = weather.resources(limits={"used": 100})
    assert charged(used, shape(usage={"in": 3, "out": 4})) == 7
    for nothing in ({}, {"in": None}, {"in": "many"}):
        with pytest.raises(ValueError, match=r"no usage\.in in the answer"):
            charged(used, shape(usage=nothing))


def test_fields_that_python_writes_in_its_own_way() -> None:
    genai = pytest.importorskip("google.genai")
    resources = by_name(Api("gemini").resources(limits={"requests": 5, "input_tokens": 1_000}))
    usage = genai.types.GenerateContentResponseUsageMetadata(prompt_token_count=9, total_token_count=12)
    answer = genai.types.GenerateContentResponse(usage_metadata=usage)
    tokens = resources["input_tokens"]
    content = genai.types.Content(role="user", parts=[genai.types.Part(text="a" * 400)])
    assert held(tokens, Call(create, (), {"model": "m", "contents": [content]})) == 108
    if tokens.results_usage_extractor is not None:
        assert charged(tokens, answer) == 9


def test_responses_of_http_clients(weather: Api, server: Refusing) -> None:  # noqa: F811
    httpx, requests = pytest.importorskip("httpx"), pytest.importorskip("requests")
    aiohttp = pytest.importorskip("aiohttp")
    server.answer = (200, {"x-cost": "5"}, {"usage": {"in": 3, "out": 4}})

    async def with_aiohttp(**body: Any) -> Any:
        async with aiohttp.ClientSession() as session, session.post(server.url, json=body) as response:
            await response.read()
            return response

    senders = [
        lambda **body: httpx.post(server.url, json=body),
        lambda **body: requests.post(server.url, json=body, timeout=5),
        with_aiohttp,
    ]
    for send in senders:
        runner = Runner(send, weather.resources(limits={"used": 1_000, "told": 10}), progress=False)
        runner.schedule(messages=[], max_tokens=5)
        _results, exceptions = runner.run()
        assert exceptions == [[]]
        assert runner.records()[0]["usage"] == {"used": 7, "told": 5}


def test_a_response_that_was_not_read_is_left_alone(weather: Api, server: Refusing) -> None:  # noqa: F811
    requests = pytest.importorskip("requests")
    server.answer = (200, {}, {"usage": {"in": 3}})
    [used, _] = weather.resources(limits={"used": 100})
    with requests.post(server.url, json={}, timeout=5, stream=True) as response:
        with pytest.raises(ValueError, match="a response must be read first"):
            charged(used, response)
        assert response.json() == {"usage": {"in": 3}}
        assert charged(used, response) == 3


def test_requests_and_answers_of_the_users_own(weather: Api) -> None:
    asked: list[Call] = []

    def request(given: Call) -> Mapping[str, Any]:
        asked.append(given)
        return {"prompt": given.args[0], "max_tokens": given.get_argument("words")}

    def ask(text: str, words: int) -> tuple[str, dict[str, Any]]:
        return text, {"usage": {"in": 1, "out": words}}

    resources = weather.resources(
        limits={"kept": 1_000, "used": 1_000, "after": 1_000}, request=request, answer=lambda pair: pair[1]
    )
    runner = Runner(ask, resources[:3], progress=False)
    runner.schedule("abcd", words=20)
    runner.schedule("abcd", words=30)
    # The body is made once for all resources.
    assert len(asked) == 2
    _results, exceptions = runner.run()
    assert exceptions == [[], []]
    usage = [record["usage"] for record in runner.records()]
    assert usage == [{"kept": 20, "used": 21, "after": 20}, {"kept": 30, "used": 31, "after": 30}]
    bytes_too = weather.resources(limits={"kept": 1_000}, request=lambda _: b'{"max_tokens": 3}')
    assert held(bytes_too[0], call()) == 4


def test_calls_to_an_endpoint_take_of_its_resources(weather: Api) -> None:
    assert list(by_name(weather.resources())) == ["told"]
    maps = by_name(weather.resources(limits={"used": 1_000}, endpoint="/maps"))
    assert list(maps) == ["used", "told", "maps"]
    assert (held(maps["maps"], call(max_tokens=50)), held(maps["used"], call(max_tokens=50))) == (1, 108)
    github = Api("github").resources("user", endpoint="GET /search/code")
    assert "code_search" in by_name(github)
    assert not {"primary", "search"} & set(by_name(github))
    assert "primary" in by_name(Api("github").resources("user", endpoint="GET /repos/o/r/issues"))
    assert all(held(resource, Call(create)) >= 0 for resource in github)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"rain": 5}, "weather has no limit called 'rain'.*: it meters kept, used, after"),
        ({"in_flight": 5}, "tell the runner max_concurrent"),
        ({"credit": 5}, "never comes back"),
        ({"maps": 5}, "maps of weather does not count the calls that are most common: say endpoint="),
        ({"searches": 5}, r"the window of searches of weather is not known: write \(quota, seconds\)"),
        ({"used": (5, 60.0, 1)}, r"write \(quota, seconds\)"),
        ({"used": -1}, "quota of resource 'used' is -1"),
    ],
)
def test_wrong_limits(weather: Api, limits: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        weather.resources(limits=limits)


def test_what_is_missing_is_told(weather: Api) -> None:
    with pytest.raises(ValueError, match=r"maps of weather does not count /forecast: say endpoint="):
        weather.resources(limits={"maps": 5}, endpoint="/forecast")
    with pytest.raises(ValueError, match=r"no limit of groq is known for tier 'free' for model None: tell"):
        Api("groq").resources("free")
    with pytest.raises(ValueError, match="weather has no tier 'gold': none is known"):
        weather.resources("gold")
    with pytest.raises(ValueError, match="max_tokens_default is -1"):
        weather.resources(max_tokens_default=-1)


def test_shared_resources() -> None:
    key = next(keys)
    first, second = (Api("groq").resources(limits={"requests": n}, shared=key) for n in (5, 6))
    assert first[0]._identity is second[0]._identity
    assert first[0].quota == 6


def test_a_limit_comes_back_as_the_description_says(weather: Api) -> None:
    def seconds(limits: Any) -> float:
        resource = by_name(weather.resources(limits=limits))["sliced"]
        runner = Runner(create, [resource], progress=False)
        for _ in range(6):
            runner.schedule()
        begun = time.monotonic()
        runner.run()
        return time.monotonic() - begun

    # Ten a second, as one in a tenth of it; over another window nothing of the kind is known.
    assert 0.45 < seconds({"sliced": 10}) < 2
    assert seconds({"sliced": (10, 2.0)}) < 0.4


def test_a_limit_may_change_during_a_run(weather: Api) -> None:
    key = next(keys)
    [resource, _] = weather.resources(limits={"sliced": 10, "told": 9}, shared=key)[::-1]

    def ask() -> None:
        resource.quota = 1_000

    def seconds(calls: int, function: Any = create) -> float:
        runner = Runner(function, [resource], progress=False)
        for _ in range(calls):
            runner.schedule()
        begun = time.monotonic()
        _, exceptions = runner.run()
        assert exceptions == [[]] * calls
        return time.monotonic() - begun

    assert seconds(20, ask) < 1
    # It stays a bucket that holds a tenth of it, over another window too.
    resource.time_window_seconds = 100
    time.sleep(0.2)
    assert 0.5 < seconds(110) < 6
    # One that slides, for it was made without a description, stays so.
    plain = Resource("requests", 5, 60, lambda _: 1, shared=f"{key} plain sliced")
    Runner(create, [plain], progress=False)
    [bucket] = weather.resources(limits={"sliced": 6, "told": 9}, shared=f"{key} plain")[1:]
    assert bucket._identity is plain._identity
    Runner(create, [bucket], progress=False)
    assert plain.quota == 6


def test_bodies_hold_what_clients_send() -> None:
    [tokens] = Api("openai_compatible").resources(limits={"tokens": 100_000})

    def ask(messages: Any, max_tokens: int = 50, **others: Any) -> None: ...

    given = Call(ask, ([{"role": "user", "content": "abcd"}],), {"extra_body": {"n": 3}, "seed": object()})
    assert held(tokens, given) == 9 + 150
    # An input alone is embedded: there is no answer to hold anything back for.
    assert held(tokens, Call(create, (), {"input": ["abcd", "efgh"]})) == 6
    odd = {"messages": [{"content": float("nan")}], "max_tokens": 5, "input": iter("abc")}
    assert held(tokens, Call(create, (), odd)) == 9


def test_the_example_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = (folder / "docs" / "apis.md" for folder in Path(__file__).resolve().parents)
    text = next(file for file in found if file.is_file()).read_text(encoding="utf-8")
    [toml] = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    [code] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (tmp_path / "weather.toml").write_text(toml, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - our own documentation
    runner = names["runner"]
    runner.schedule("Lima")
    assert runner.run()[0] == ["sunny in Lima"]
    assert repr(runner).endswith("requests=1000>")
