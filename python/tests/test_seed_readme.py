"""The examples of the original package's README, as written there, with a stand-in for `openai`."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
from support import watchdog  # noqa: F401

QUICK_START = """
import openai
from rate_limited.runner import Runner
from rate_limited.apis.openai import chat

openai.api_key = "YOUR_API_KEY"
model = "gpt-3.5-turbo"

# describe your rate limits - values based on https://platform.openai.com/account/rate-limits
resources = chat.openai_chat_resources(
    requests_per_minute=3_500,
    tokens_per_minute=90_000,
    model_max_len=4096,  # property of the model version in use - max sequence length
)
runner = Runner(openai.ChatCompletion.create, resources)

topics = ["honey badgers", "llamas", "pandas"]
for topic in topics:
    messages = [{"role": "user", "content": f"Please write a poem about {topic}"}]
    # call runner.schedule exactly like you would call openai.ChatCompletion.create
    runner.schedule(model=model, messages=messages, max_tokens=256, request_timeout=60)

results, exceptions = runner.run()
"""

VALIDATING = """
def character_number_is_even(response):
    poem = response["choices"][0]["message"]["content"]
    return len([ch for ch in poem if ch.isalpha()]) % 2 == 0

validating_runner = Runner(
    openai.ChatCompletion.create,
    resources,
    validation=character_number_is_even,
)
for topic in topics:
    messages = [{"role": "user", "content": f"Please write a short poem about {topic}, containing an even number of letters"}]
    validating_runner.schedule(model=model, messages=messages, max_tokens=256, request_timeout=60)
results, exceptions = validating_runner.run()
"""

CUSTOM = """
from rate_limited.resources import Resource

resources = [
    Resource(
        "requests_per_minute",
        quota=100,
        time_window_seconds=60,
        arguments_usage_extractor=lambda _: 1,
    ),
]
"""


class FakeChat:
    """`openai.ChatCompletion` as it was before version 1: answers are dicts."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def create(self, **request: Any) -> dict[str, Any]:
        self.requests.append(request)
        prompt = request["messages"][0]["content"]
        # The first poem about a topic is odd in letters, the second one even.
        letters = len([asked for asked in self.requests if asked["messages"] == request["messages"]])
        return {
            "choices": [{"message": {"role": "assistant", "content": "a" * letters}}],
            "usage": {"total_tokens": 40, "prompt_tokens": 15, "completion_tokens": 25},
            "prompt": prompt,
        }


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> FakeChat:
    fake = FakeChat()
    module = types.ModuleType("openai")
    module.ChatCompletion = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "openai", module)
    return fake


def executed(*blocks: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)  # noqa: S102 - the text is above
    return names


def test_quick_start(chat: FakeChat) -> None:
    names = executed(QUICK_START)
    prompts = [result["prompt"] for result in names["results"]]
    assert prompts == [f"Please write a poem about {topic}" for topic in names["topics"]]
    assert names["exceptions"] == [[], [], []]
    assert len(chat.requests) == 3
    assert all(request["max_tokens"] == 256 for request in chat.requests)


def test_validation_retries_until_an_answer_is_good(chat: FakeChat) -> None:
    names = executed(QUICK_START, VALIDATING)
    poems = [result["choices"][0]["message"]["content"] for result in names["results"]]
    assert poems == ["aa", "aa", "aa"]
    kinds = [[type(error).__name__ for error in errors] for errors in names["exceptions"]]
    assert kinds == [["ValidationError"]] * 3
    assert len(chat.requests) == 9


def test_custom_resources(chat: FakeChat) -> None:
    names = executed(QUICK_START, CUSTOM)
    runner = names["Runner"](len, names["resources"])
    for text in ("a", "bb"):
        runner.schedule(text)
    assert runner.run() == ([1, 2], [[], []])


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("rate_limited.runner", "Runner"),
        ("rate_limited.resources", "Resource"),
        ("rate_limited.calls", "Call"),
        ("rate_limited.calls", "Result"),
        ("rate_limited.exceptions", "ValidationError"),
        ("rate_limited.apis.openai.chat", "openai_chat_resources"),
        ("rate_limited.apis.common", "get_requests_per_minute"),
        ("rate_limited", "Runner"),
        ("rate_limited", "Resource"),
    ],
)
def test_import_paths(module: str, name: str) -> None:
    assert hasattr(__import__(module, fromlist=[name]), name)


def test_version_is_above_the_original() -> None:
    import rate_limited

    assert tuple(map(int, rate_limited.__version__.split(".")[:2])) > (0, 4)
