"""The limits of chat completions: requests per minute, and tokens per minute.

Tokens are estimated from the text alone, to hold back enough quota until the answer says what was
used: four characters of ASCII text count as a token, each other character as one. The formulas are those
of `Api("openai_compatible")`; for what an API is known to do differently, see `Api.resources`.
"""

from __future__ import annotations

from functools import partial

from rate_limited._native import (
    CHARS_PER_TOKEN,
    IMAGE_TOKENS,
    IMAGE_TOKENS_LOW,
    TOKENS_PER_MESSAGE,
    TOKENS_PER_REQUEST,
)
from rate_limited.apis._api import Api, Charged, Costs
from rate_limited.apis._bodies import arguments_of, encode
from rate_limited.apis.common import get_requests_per_minute
from rate_limited.calls import Call, Result
from rate_limited.resources import Resource
from rate_limited.usage import shown, to_float

__all__ = [
    "CHARS_PER_TOKEN",
    "IMAGE_TOKENS",
    "IMAGE_TOKENS_LOW",
    "TOKENS_PER_MESSAGE",
    "TOKENS_PER_REQUEST",
    "estimate_input_tokens",
    "estimate_tokens_used",
    "get_tokens_per_minute",
    "get_used_tokens",
    "openai_chat_resources",
]

PATH = "/chat/completions"
"""Where chat completions are asked for."""

CONTEXT_MAX = 2**63
"""No model has a longer context."""

_API = Api("openai_compatible")
_FIELDS = _API._native.request_fields()
_used = Charged(_API, "tokens")


def openai_chat_resources(
    requests_per_minute: float,
    tokens_per_minute: float,
    model_max_len: int,
    *,
    shared: str | None = None,
) -> list[Resource]:
    """The two limits of a chat model, for `Runner(client.chat.completions.create, ...)`.

    Args:
        requests_per_minute: calls per minute; all of them are used.
        tokens_per_minute: tokens of prompts and answers per minute; all of them are used.
        model_max_len: the tokens that prompt and answer may have together, a property of the model.
            It matters only to calls without `max_tokens` and `max_completion_tokens`: what is held
            back for them is a guess, and at most 1/16 of `tokens_per_minute`.
        shared: a key for this account and model; all resources of this process that are made with
            it keep the limits together. Default: the runners that are given this list do.

    Raises:
        ValueError: one of the numbers is not positive.

    >>> openai_chat_resources(3_500, 90_000, model_max_len=4096)[1]
    Resource('tokens_per_minute', quota=90000, time_window_seconds=60)
    """
    keys = [None, None] if shared is None else [f"{shared} requests", f"{shared} tokens"]
    return [
        get_requests_per_minute(requests_per_minute, shared=keys[0]),
        get_tokens_per_minute(tokens_per_minute, model_max_len, shared=keys[1]),
    ]


def get_tokens_per_minute(quota: float, model_max_len: int, *, shared: str | None = None) -> Resource:
    """At most `quota` tokens, of prompts and answers together, in any minute.

    What `estimate_tokens_used` says is held back until the answer is there, and less of it once
    answers have shown that less is enough.

    Args:
        quota: tokens per minute.
        model_max_len: the tokens that prompt and answer may have together.
        shared: the key under which this limit is one in the whole process. Default: its own.

    Raises:
        ValueError: one of the numbers is not positive.

    >>> get_tokens_per_minute(90_000, 4096)
    Resource('tokens_per_minute', quota=90000, time_window_seconds=60)
    """
    if not (to_float(model_max_len) or 0) > 0 or isinstance(model_max_len, bool):
        raise ValueError(f"model_max_len is {shown(model_max_len)}: it must be a positive number")
    return Resource(
        "tokens_per_minute",
        quota,
        60,
        results_usage_extractor=get_used_tokens,
        max_results_usage_estimator=partial(estimate_tokens_used, model_max_len=model_max_len, quota=quota),
        shared=shared,
        learn=True,
    )


def get_used_tokens(call: Call, results: Result) -> int:
    """The tokens that an answer says it has used: `usage.total_tokens`, or the sum of its parts.

    Args:
        call: the call; it is not looked at.
        results: the answer: a mapping, an object with attributes, or a response that was read.

    Raises:
        ValueError: the answer has no such number, as a streamed one.

    >>> get_used_tokens(Call(print), {"usage": {"total_tokens": 9}})
    9
    """
    return int(_used(call, results))


def estimate_tokens_used(call: Call, model_max_len: int, quota: float | None = None) -> int:
    """The most tokens that a call is expected to use: its prompt and all its answers.

    Each of `n` answers has at most `max_completion_tokens` or `max_tokens`, the larger if both are
    given. With neither, an answer may fill up the model's context. That is a guess: it is capped at
    1/16 of `quota`, or at the prompt if that is more, so that a model with a long context still runs
    and the first calls do not go one a minute.

    Args:
        call: a call to a function with the arguments of `chat.completions.create`.
        model_max_len: the tokens that prompt and answer may have together.
        quota: the tokens per minute. Default: a guess is not capped.

    >>> def create(**arguments): ...
    >>> messages = [{"role": "user", "content": "Hello, cat!"}]
    >>> estimate_tokens_used(Call(create, (), {"messages": messages, "max_tokens": 100}), 4096)
    111
    >>> estimate_tokens_used(Call(create, (), {"messages": messages}), 128_000, quota=80_000)
    5000
    """
    context = min(int(model_max_len), CONTEXT_MAX)
    costs = Costs(_API, PATH, None, {"tokens": quota}, 0, context)
    return int(costs.of(call, "tokens"))


def estimate_input_tokens(call: Call) -> int:
    """The tokens that a call's prompt is expected to have: messages, tools and answer format.

    Messages may be dicts or the objects that earlier answers held; images, sound and files count
    `IMAGE_TOKENS` each. Iterators are left alone, for they can be read only once.

    >>> def create(**arguments): ...
    >>> estimate_input_tokens(Call(create, (), {"messages": [{"role": "user", "content": "猫"}]}))
    9
    """
    return _API._native.prompt_tokens(encode(arguments_of(call), _FIELDS))
