"""The limits of chat completions: requests per minute, and tokens per minute.

Tokens are estimated from the text alone, to hold back enough quota until the answer says what was
used: no tokenizer, no network. English text has about four characters a token; other scripts come
close to one, so each character outside ASCII counts as a token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from rate_limited.apis.common import get_requests_per_minute
from rate_limited.calls import Call, Result
from rate_limited.resources import Resource
from rate_limited.usage import shown, to_float

__all__ = [
    "estimate_input_tokens",
    "estimate_tokens_used",
    "get_tokens_per_minute",
    "get_used_tokens",
    "openai_chat_resources",
]

CHARS_PER_TOKEN = 4
"""The characters of ASCII text that are taken for one token."""

TOKENS_PER_MESSAGE = 4
"""The tokens added for each message, for its role and its separators; an estimate."""

TOKENS_PER_REQUEST = 4
"""The tokens added for each request, for the beginning of the answer; an estimate."""

IMAGE_TOKENS = 765
"""What an image counts, and a piece of sound or a file; an image of 1024 x 1024 in full detail."""

IMAGE_TOKENS_LOW = 85
"""What an image counts that is sent with `"detail": "low"`."""

DEPTH_MAX = 50
"""How deep message contents are read; what lies deeper counts nothing."""


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


def get_tokens_per_minute(
    quota: float, model_max_len: int, *, shared: str | None = None
) -> Resource:
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
        max_results_usage_estimator=partial(
            estimate_tokens_used, model_max_len=model_max_len, quota=quota
        ),
        shared=shared,
        learn=True,
    )


def get_used_tokens(call: Call, results: Result) -> int:
    """The tokens that an answer says it has used: `usage.total_tokens`.

    Args:
        call: the call; it is not looked at.
        results: the answer, a mapping or an object with attributes.

    Raises:
        ValueError: the answer has no such number, as a streamed one.

    >>> get_used_tokens(Call(print), {"usage": {"total_tokens": 9}})
    9
    """
    total = _field(_field(results, "usage"), "total_tokens")
    if total is None:
        kind = type(results).__name__
        raise ValueError(
            f"no usage.total_tokens in the answer ({kind}); a streamed answer has none, and a raw "
            "one must be parsed first"
        )
    return total  # type: ignore[no-any-return]


def estimate_tokens_used(call: Call, model_max_len: int, quota: float | None = None) -> int:
    """The most tokens that a call is expected to use: its prompt and all its answers.

    Each of `n` answers has at most `max_completion_tokens` or `max_tokens`, the larger if both are
    given. With neither, an answer may fill up the model's context; this guess is capped at `quota`,
    so that a model with a long context still runs.

    Args:
        call: a call to a function with the arguments of `chat.completions.create`.
        model_max_len: the tokens that prompt and answer may have together.
        quota: the most that a guess may be. Default: it is not capped.

    >>> def create(**arguments): ...
    >>> messages = [{"role": "user", "content": "Hello, cat!"}]
    >>> estimate_tokens_used(Call(create, (), {"messages": messages, "max_tokens": 100}), 4096)
    111
    >>> estimate_tokens_used(Call(create, (), {"messages": messages}), 128_000, quota=10_000)
    10000
    """
    prompt = estimate_input_tokens(call)
    answers = max(_number(call, "n"), 1)
    answer_max = max(_number(call, "max_tokens"), _number(call, "max_completion_tokens"))
    if answer_max:
        return prompt + answers * answer_max
    prompt = min(prompt, int(model_max_len))
    guess = prompt + answers * (int(model_max_len) - prompt)
    return guess if quota is None else max(prompt, min(guess, int(quota)))


def estimate_input_tokens(call: Call) -> int:
    """The tokens that a call's prompt is expected to have: messages, tools and answer format.

    Messages may be dicts or the objects that earlier answers held; images, sound and files count
    `IMAGE_TOKENS` each. Iterators are left alone, for they can be read only once.

    >>> def create(**arguments): ...
    >>> estimate_input_tokens(Call(create, (), {"messages": [{"role": "user", "content": "猫"}]}))
    9
    """
    messages = call.get_argument("messages")
    tokens = TOKENS_PER_REQUEST
    if isinstance(messages, str):
        tokens += _text_tokens(messages)
    elif isinstance(messages, (list, tuple)):
        tokens += sum(_message_tokens(message) for message in messages)
    for name in ("tools", "functions", "response_format"):
        schema = call.get_argument(name)
        if isinstance(schema, (dict, list, tuple)) and schema:
            tokens += _json_tokens(schema)
    return tokens


def _message_tokens(message: object) -> int:
    tokens = TOKENS_PER_MESSAGE
    for name, value in _fields(message):
        if name == "content":
            tokens += _content_tokens(value, DEPTH_MAX)
        elif name != "role" and value is not None:
            tokens += _text_tokens(value) if isinstance(value, str) else _json_tokens(value)
    return tokens


def _content_tokens(content: object, depth: int) -> int:
    if depth == 0:
        return 0
    if isinstance(content, str):
        return _text_tokens(content)
    if isinstance(content, (list, tuple)):
        return sum(_content_tokens(part, depth - 1) for part in content)
    part = dict(_fields(content))
    text = part.get("text", part.get("refusal", part.get("content")))
    if text is not None:
        return _content_tokens(text, depth - 1)
    return _media_tokens(part) if part else 0


def _media_tokens(part: Mapping[str, Any]) -> int:
    low = _field(part.get("image_url"), "detail") == "low"
    return IMAGE_TOKENS_LOW if low else IMAGE_TOKENS


def _text_tokens(text: str) -> int:
    ascii_chars = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
    return -(-ascii_chars // CHARS_PER_TOKEN) + len(text) - ascii_chars


def _json_tokens(value: object) -> int:
    def plain(unknown: object) -> object:
        return dict(_fields(unknown)) or str(unknown)

    try:
        return _text_tokens(json.dumps(value, ensure_ascii=False, default=plain))
    except (TypeError, ValueError, RecursionError):
        # Whatever cannot be written cannot be sent either; the call itself will say so.
        return 0


def _fields(message: object) -> Iterator[tuple[str, Any]]:
    if isinstance(message, Mapping):
        yield from message.items()
    elif not isinstance(message, type) and hasattr(message, "model_dump"):
        yield from message.model_dump(exclude_none=True).items()
    else:
        yield from getattr(message, "__dict__", {}).items()


def _field(holder: object, name: str) -> Any:
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def _number(call: Call, name: str) -> int:
    # The SDK's markers for "not given", None and wrong types are no number: nothing was asked for.
    value = call.get_argument(name)
    return int(value) if isinstance(value, (int, float)) and 0 < value < 1e18 else 0
