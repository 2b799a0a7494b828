"""Limits of chat completions: what is held back before an answer, and what it has used."""

import functools
import time
from types import SimpleNamespace

import pytest

from rate_limited import Runner
from rate_limited.apis.openai import chat
from rate_limited.calls import Call


class NotGiven:
    """As the SDK's marker for an argument that is left out."""

    def __bool__(self):
        return False


NOT_GIVEN = NotGiven()


class Model:
    """As the SDK's answers, which are no dicts."""

    def __init__(self, **fields):
        self.__dict__.update(fields)

    def model_dump(self, *, exclude_none=False):
        fields = {k: v.model_dump() if isinstance(v, Model) else v for k, v in vars(self).items()}
        return {k: v for k, v in fields.items() if v is not None or not exclude_none}


def create(*, messages, model="m", max_tokens=NOT_GIVEN, n=NOT_GIVEN, tools=NOT_GIVEN, **others):
    return messages, model, max_tokens, n, tools, others


def call(messages=(), **kwargs):
    return Call(create, (), {"messages": list(messages), **kwargs})


def user(content):
    return {"role": "user", "content": content}


def used(length, **kwargs):
    return chat.estimate_tokens_used(call([user("a" * 400)], **kwargs), length)


def test_the_resources():
    requests, tokens = chat.openai_chat_resources(3_500, 90_000, model_max_len=4096)
    assert (requests.name, requests.quota, requests.time_window_seconds) == (
        "requests_per_minute",
        3_500,
        60,
    )
    assert requests.arguments_usage_extractor(call()) == 1
    # All of it: no part of the quota is left unused.
    assert (tokens.name, tokens.quota, tokens.time_window_seconds) == (
        "tokens_per_minute",
        90_000,
        60,
    )
    assert tokens.arguments_usage_extractor is None
    assert tokens.learn
    assert tokens.max_results_usage_estimator(call([user("a" * 400)], max_tokens=256)) == 364
    assert tokens.results_usage_extractor(call(), {"usage": {"total_tokens": 9}}) == 9


def test_shared_resources():
    first = chat.openai_chat_resources(10, 1_000, 4096, shared="account")
    second = chat.openai_chat_resources(20, 2_000, 4096, shared="account")
    assert [one._identity for one in first] == [two._identity for two in second]
    assert [one.quota for one in first] == [20, 2_000]


@pytest.mark.parametrize("length", [0, -1, None, "4096", True, float("nan")])
def test_wrong_length(length):
    with pytest.raises(ValueError, match="model_max_len is"):
        chat.openai_chat_resources(1, 1, length)


def test_prompt_and_answers_are_held_back():
    assert used(4096, max_tokens=256) == 108 + 256
    assert used(4096, max_completion_tokens=256) == 108 + 256
    assert used(4096, max_tokens=10, max_completion_tokens=256) == 108 + 256
    assert used(4096, max_tokens=256, n=3) == 108 + 3 * 256
    assert used(4096, max_tokens=256, n=None) == 108 + 256


@pytest.mark.parametrize("nothing", [NOT_GIVEN, None, 0])
def test_without_a_limit_an_answer_may_fill_the_context(nothing):
    assert used(4096, max_tokens=nothing) == 4096
    assert used(4096, max_tokens=nothing, n=2) == 108 + 2 * (4096 - 108)


def test_a_guess_is_capped_at_a_share_of_the_quota_and_an_order_is_not():
    tokens = chat.get_tokens_per_minute(16_000, 128_000)
    estimate = tokens.max_results_usage_estimator
    assert estimate(call([user("hi")])) == 1_000
    assert estimate(call([user("hi")], n=8)) == 1_000
    assert estimate(call([user("hi")], max_tokens=10_000)) == 10_009
    assert estimate(call([user("hi")], max_tokens=20_000)) > 16_000
    # The prompt itself is no guess: it is there, and may be more than a share, or not fit at all.
    assert estimate(call([user("a" * 8_000)])) == 2_008
    assert estimate(call([user("a" * 80_000)])) > 16_000


def test_answers_of_unknown_length_do_not_go_one_a_minute():
    def create(*, messages):
        return {"usage": {"total_tokens": 250}}

    runner = Runner(create, chat.openai_chat_resources(500, 90_000, 128_000), progress=False)
    for _ in range(100):
        runner.schedule(messages="hello")
    started = time.monotonic()
    assert len(runner.run()[0]) == 100
    assert time.monotonic() - started < 5


def test_defaults_of_a_function_of_the_users_own():
    def ask(messages, max_tokens=100):
        return messages

    bound = functools.partial(ask, max_tokens=50)
    assert chat.estimate_tokens_used(Call(ask, ([],), {}), 4096) == 104
    assert chat.estimate_tokens_used(Call(bound, ([],), {}), 4096) == 54


def test_text_is_counted_by_characters():
    def tokens(text):
        return chat.estimate_input_tokens(call([user(text)])) - 8

    assert tokens("") == 0
    assert tokens("Hello, cat!") == 3
    assert tokens("猫が好き") == 4
    assert tokens("cat 猫") == 2
    assert tokens("a\ud800") == 2


def test_content_in_parts():
    def tokens(*parts):
        return chat.estimate_input_tokens(call([user(list(parts))])) - 8

    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    low = {"type": "image_url", "image_url": {"url": "https://a/b.png", "detail": "low"}}
    sound = {"type": "input_audio", "input_audio": {"data": "A" * 100_000, "format": "wav"}}
    assert tokens({"type": "text", "text": "a" * 40}) == 10
    assert tokens({"type": "text", "text": "a" * 40}, image) == 10 + chat.IMAGE_TOKENS
    assert tokens(low, sound) == chat.IMAGE_TOKENS_LOW + chat.IMAGE_TOKENS
    assert tokens("a" * 40, {"type": "refusal", "refusal": "a" * 8}) == 12
    assert tokens(None, 5, {}) == 0


def test_tools_functions_and_answer_formats_count():
    base = chat.estimate_input_tokens(call([user("hi")]))
    schema = {"type": "function", "function": {"name": "f", "parameters": {"a": "b" * 400}}}
    for name in ("tools", "functions", "response_format"):
        value = schema if name == "response_format" else [schema]
        assert chat.estimate_input_tokens(call([user("hi")], **{name: value})) > base + 100
        assert chat.estimate_input_tokens(call([user("hi")], **{name: NOT_GIVEN})) == base


def test_messages_of_earlier_answers():
    calls = [{"id": "1", "function": {"name": "f", "arguments": "{}" * 100}}]
    plain = {"role": "assistant", "content": "hello", "tool_calls": calls}
    model = Model(role="assistant", content="hello", tool_calls=calls, refusal=None)
    tokens = chat.estimate_input_tokens(call([plain]))
    assert tokens > 50
    assert chat.estimate_input_tokens(call([model])) == tokens
    assert chat.estimate_input_tokens(call([SimpleNamespace(**plain)])) == tokens
    tool = {"role": "assistant", "tool_calls": [Model(name="f")]}
    assert chat.estimate_input_tokens(call([tool])) > 8


def test_odd_arguments_do_not_break_the_estimate():
    cyclic: list = []
    cyclic.append(cyclic)
    loop = {"role": "user", "content": cyclic, "tool_calls": cyclic}
    assert chat.estimate_input_tokens(call([loop, None, 5, Model])) >= 4
    assert chat.estimate_input_tokens(Call(create, (), {"messages": None})) == 4
    assert chat.estimate_input_tokens(Call(create, (), {"messages": "a" * 40})) == 14
    assert chat.estimate_input_tokens(Call(len, ("hi",), {})) == 4
    once = iter([user("hi")])
    assert chat.estimate_input_tokens(Call(create, (), {"messages": once})) == 4
    assert next(once) == user("hi")


def test_usage_of_dicts_and_objects():
    assert chat.get_used_tokens(call(), {"usage": {"total_tokens": 0}}) == 0
    assert chat.get_used_tokens(call(), Model(usage=Model(total_tokens=7))) == 7
    assert chat.get_used_tokens(call(), Model(usage={"total_tokens": 7})) == 7


@pytest.mark.parametrize(
    "answer", [{}, {"usage": None}, {"usage": {}}, Model(usage=None), Model(), None, "text", [1]]
)
def test_an_answer_without_usage_is_an_error(answer):
    with pytest.raises(ValueError, match=r"no usage\.total_tokens in the answer"):
        chat.get_used_tokens(call(), answer)
