"""How many tokens a request is expected to have, judged by its text alone: no tokenizer, no network.

English text has about four characters a token; other scripts come close to one, so each character
outside ASCII counts as a token.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rate_limited.calls import Call

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

GUESS_SHARE = 1 / 16
"""The most of a quota that is held back for an answer whose length nobody knows.

The answers that come show how long they really are. Were the first one to hold back the whole
quota, the second one would have to wait until no token counts any more, a minute later.
"""


def guess_max(quota: float) -> int:
    """The most that a guess may hold back of a quota.

    >>> guess_max(90_000)
    5625
    """
    return int(quota * GUESS_SHARE)


def messages_tokens(messages: object) -> int:
    """The tokens of messages: a text, or a list of dicts or of the objects that answers held.

    Iterators are left alone, for they can be read only once.

    >>> messages_tokens([{"role": "user", "content": "Hello, cat!"}])
    7
    """
    if isinstance(messages, str):
        return text_tokens(messages)
    if isinstance(messages, (list, tuple)):
        return sum(_message_tokens(message) for message in messages)
    return 0


def schema_tokens(call: Call, *names: str) -> int:
    """The tokens of those arguments that are dicts or lists, such as tools."""
    schemas = (call.get_argument(name) for name in names)
    return sum(_json_tokens(each) for each in schemas if each and isinstance(each, _PLAIN))


def content_tokens(content: object, depth: int = DEPTH_MAX) -> int:
    """The tokens of a text, of a part such as an image, or of a list of them.

    >>> content_tokens([{"type": "text", "text": "Hello"}, {"type": "image", "source": {}}])
    767
    """
    if depth == 0:
        return 0
    if isinstance(content, str):
        return text_tokens(content)
    if isinstance(content, (list, tuple)):
        return sum(content_tokens(part, depth - 1) for part in content)
    part = dict(_fields(content))
    text = part.get("text", part.get("refusal", part.get("content")))
    if text is not None:
        return content_tokens(text, depth - 1)
    return _media_tokens(part) if part else 0


def text_tokens(text: str) -> int:
    """The tokens of a text.

    >>> text_tokens("Hello, cat!"), text_tokens("猫が好き")
    (3, 4)
    """
    ascii_chars = len(text) if text.isascii() else len(text.encode("ascii", "ignore"))
    return -(-ascii_chars // CHARS_PER_TOKEN) + len(text) - ascii_chars


def field(holder: object, name: str) -> Any:
    """A field of a mapping or of an object, or None.

    >>> field({"usage": 3}, "usage"), field(3, "usage")
    (3, None)
    """
    return holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)


def number(call: Call, name: str) -> int:
    """A positive number among a call's arguments, or 0.

    The SDKs' markers for "not given", None and wrong types are no number: nothing was asked for.
    """
    value = call.get_argument(name)
    return int(value) if isinstance(value, (int, float)) and 0 < value < 1e18 else 0


_PLAIN = (dict, list, tuple)


def _message_tokens(message: object) -> int:
    tokens = TOKENS_PER_MESSAGE
    for name, value in _fields(message):
        if name == "content":
            tokens += content_tokens(value)
        elif name != "role" and value is not None:
            tokens += text_tokens(value) if isinstance(value, str) else _json_tokens(value)
    return tokens


def _media_tokens(part: Mapping[str, Any]) -> int:
    low = field(part.get("image_url"), "detail") == "low"
    return IMAGE_TOKENS_LOW if low else IMAGE_TOKENS


def _json_tokens(value: object) -> int:
    def plain(unknown: object) -> object:
        return dict(_fields(unknown)) or str(unknown)

    try:
        return text_tokens(json.dumps(value, ensure_ascii=False, default=plain))
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
