"""What the end of an attempt means, where the limits come from the description of an API."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
from support import watchdog  # noqa: F401 - a fixture
from test_clients import Refusing, server  # noqa: F401 - fixtures

from rate_limited import Runner
from rate_limited.apis import Api
from rate_limited.exceptions import AnswerError

httpx = pytest.importorskip("httpx")

Answer = tuple[int, dict[str, str], Any]

OWN = """
name = "weather"
title = "Weather of the world"
as_of = "2026-11-24"
source = "https://weather.example/docs/limits"

[[resources]]
name = "requests"
unit = "requests"
window = "1h"
limit = 1000
cost = { request = 1 }

[[rules]]
status = 403
when = { at = "error", has = "too fast" }
class = "throttled"
"""

NOW = {"retry-after": "0"}
GOOD: Answer = (200, {}, {"ok": True, "data": {}})


def answers_of(server: Refusing, *answers: Answer) -> Callable[[], Any]:  # noqa: F811
    """A function that gets one answer after another, and raises for a status that is no success."""
    left = list(answers)

    def get() -> Any:
        server.answer = left.pop(0)
        response = httpx.post(server.url, json={})
        response.raise_for_status()
        return response

    return get


def own(tmp_path: Any) -> Api:
    path = tmp_path / "weather.toml"
    path.write_text(OWN)
    return Api.load(path)


def run(api: Api, function: Callable[..., Any], limits: Any = None, **options: Any) -> Runner[..., Any]:
    """A run of one call, which is not tried again unless it was refused."""
    resources = api.resources(limits=limits)
    runner = Runner(function, resources, max_retries=0, progress=False, **options)
    runner.schedule()
    runner.run()
    return runner


def test_the_rules_of_a_description_of_ones_own_hold(tmp_path: Any, server: Refusing) -> None:  # noqa: F811
    refusal: Answer = (403, NOW, {"error": "you are too fast"})
    runner = run(own(tmp_path), answers_of(server, refusal, GOOD))
    results, exceptions = runner.last
    assert results[0].status_code == 200 and len(exceptions[0]) == 1
    # Any other 403 says that the key is bad.
    runner = run(own(tmp_path), answers_of(server, (403, {}, {"error": "no"}), GOOD))
    assert runner.interrupted and runner.last[0] == [None]


def test_an_api_at_an_address_of_ones_own_has_its_rules(server: Refusing) -> None:  # noqa: F811
    refusal: Answer = (403, NOW, {"message": "You have exceeded a secondary rate limit."})
    runner = run(Api("github"), answers_of(server, refusal, GOOD), {"primary": 1_000})
    assert runner.last[0][0].status_code == 200


@pytest.mark.parametrize("shape", ["response", "dict"])
def test_a_refusal_in_the_guise_of_a_success(server: Refusing, shape: str) -> None:  # noqa: F811
    refusal: Answer = (200, NOW, {"ok": False, "error": "ratelimited"})
    get = answers_of(server, refusal, refusal, GOOD)
    function = get if shape == "response" else lambda: get().json()
    runner = run(Api("slack"), function, {"requests": (1_000, 1.0)})
    results, exceptions = runner.last
    assert (results[0] if shape == "dict" else results[0].json())["ok"] is True
    assert [type(error) for error in exceptions[0]] == [AnswerError, AnswerError]
    assert "slack answers with a status of success and an error (ratelimited)" in str(exceptions[0][0])


def test_an_error_in_the_guise_of_a_success_fails_or_stops(server: Refusing) -> None:  # noqa: F811
    unknown: Answer = (200, {}, {"ok": False, "error": "channel_not_found"})
    runner = run(Api("slack"), answers_of(server, unknown, GOOD), {"requests": 1_000})
    (record,) = runner.records()
    assert record["status"] == "failed" and "channel_not_found" in record["error"]
    assert not runner.interrupted
    runner = run(
        Api("slack"),
        answers_of(server, (200, {}, {"ok": False, "error": "invalid_auth"})),
        {"requests": 1_000},
    )
    assert runner.interrupted


def test_graphql_tells_its_refusals_in_errors(server: Refusing) -> None:  # noqa: F811
    refusal: Answer = (200, NOW, {"errors": [{"type": "RATE_LIMITED"}]})
    runner = run(Api("github_graphql"), answers_of(server, refusal, GOOD), {"primary": 1_000})
    assert runner.last[0][0].json() == GOOD[2]


@pytest.mark.parametrize("answer", [None, b"RIFF", 7, {"data": 1}, {"ok": True}, object()])
def test_what_shows_no_error_is_a_success(answer: Any) -> None:
    assert run(Api("slack"), lambda: answer, {"requests": 1_000}).last == ([answer], [[]])


def test_what_is_no_json_is_left_alone() -> None:
    sound = httpx.Response(200, content=b"RIFF", headers={"content-type": "audio/wav"})
    assert run(Api("openai"), lambda: sound, {"requests": 1_000}).last[0] == [sound]


def test_copies_of_the_error(server: Refusing) -> None:  # noqa: F811
    failure: Answer = (200, {}, {"ok": False, "error": "channel_not_found"})
    get = answers_of(server, failure)
    runner = run(Api("slack"), lambda: get().json(), {"requests": 1_000})
    error = runner.last[1][0][0]
    assert isinstance(error, AnswerError) and error.value == failure[2]
    assert copy.copy(error).value == error.value
    assert "channel" in str(pickle.loads(pickle.dumps(AnswerError("no channel", None, 1))))  # type: ignore[arg-type]
