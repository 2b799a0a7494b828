"""From the arguments of a call, and from what it returns, to the JSON that goes over the wire.

Clients take and give objects of many kinds: dicts, the models of their SDK, responses with headers. What a request
costs and an answer charges is read from JSON, as the API itself has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rate_limited._answers import headers_of
from rate_limited.calls import Call

_PLAIN = frozenset((str, int, float, bool, list, tuple, dict))

_SURROGATES = re.compile("[\ud800-\udfff]")

_CAPITAL = re.compile("(?<=[a-z])([A-Z])")


def arguments_of(call: Call) -> dict[str, Any]:
    """The arguments of a call, with the defaults of its function: what most clients send as the body.

    >>> def create(*, model, max_tokens=256): ...
    >>> arguments_of(Call(create, (), {"model": "m"}))
    {'max_tokens': 256, 'model': 'm'}
    """
    arguments = {**call.default_params, **call.all_arguments_dict}
    # Clients such as `openai` merge it into the body.
    extra = arguments.get("extra_body")
    return {**arguments, **extra} if isinstance(extra, Mapping) else arguments


def encode(fields: Mapping[str, Any], names: Iterable[str] | None = None) -> bytes:
    """The fields as a JSON object, or those of these names. What cannot be written, or is not given, is left out.

    Models and other objects are written as their fields. Iterators are left alone, for they can be read only once.

    >>> encode({"model": "m", "n": None, "messages": iter("ab")})
    b'{"model":"m"}'
    >>> encode({"model": "m", "seed": 5}, ["model"])
    b'{"model":"m"}'
    """
    parts = []
    for name in fields if names is None else names:
        value = fields.get(name)
        if value is None or (type(value) not in _PLAIN and not _is_given(value)):
            continue
        try:
            text = _json(value)
        except (TypeError, ValueError, RecursionError):
            # Whatever cannot be written cannot be sent either; the call itself will say so.
            continue
        parts.append(f"{_json(name)}:{text}")
    body = "{" + ",".join(parts) + "}"
    try:
        return body.encode()
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", body).encode()


def answer_of(answer: object, names: Iterable[str]) -> tuple[list[tuple[str, str]], bytes]:
    """The headers and the body of an answer: of a response as it came, of anything else the fields of these names.

    >>> answer_of({"id": 1, "usage": {"total_tokens": 9}}, ["usage"])
    ([], b'{"usage":{"total_tokens":9}}')
    """
    response = getattr(answer, "http_response", answer)
    if getattr(response, "headers", None) is not None and not isinstance(response, Mapping):
        content = content_of(response)
        if content is not None:
            return headers_of(response), content
    return headers_of(answer), encode({name: field(answer, name) for name in names})


def field(holder: object, name: str) -> Any:
    """A field of a mapping or of an object, or None; Python may write `usageMetadata` as `usage_metadata`.

    >>> field({"usage": 3}, "usage"), field(3, "usage")
    (3, None)
    """
    if isinstance(holder, Mapping):
        return holder.get(name)
    value = getattr(holder, name, None)
    return getattr(holder, _CAPITAL.sub(r"_\1", name).lower(), None) if value is None else value


def content_of(response: object) -> bytes | None:
    """The body of a response if it is there already; nothing is read from the connection for it.

    >>> content_of(print) is None
    True
    """
    for name in ("_content", "_body", "content"):
        # The private ones are those of requests and aiohttp, whose public ones would read, or be awaited.
        try:
            content = getattr(response, name, None)
        except Exception:  # noqa: BLE001 - httpx raises for a stream that was not read
            return None
        if isinstance(content, bytes):
            return content
        if content is False:
            return None
    return None


def _is_given(value: object) -> bool:
    """Whether a value can be written; the markers of SDKs for what is not given are false."""
    try:
        if not value:
            return False
    except Exception:  # noqa: BLE001 - tables and arrays are neither true nor false
        return False
    if isinstance(value, (str, int, float, list, tuple, Mapping)):
        return True
    if isinstance(value, type):
        return False
    return hasattr(value, "model_dump") or hasattr(value, "to_dict") or bool(_public(value))


def _public(value: object) -> dict[str, Any]:
    if isinstance(value, Iterator):
        return {}
    fields: dict[str, Any] = getattr(value, "__dict__", {})
    return {name: field for name, field in fields.items() if not name.startswith("_")}


def plain(value: object) -> object:
    """A model, or another object, as its fields; None where it has no such form."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (bytes, type, Iterator)):
        return None
    model_dump = getattr(value, "model_dump", None)
    if model_dump is not None:
        try:
            return model_dump(by_alias=True, exclude_none=True)
        except TypeError:
            return model_dump(exclude_none=True)
    to_dict = getattr(value, "to_dict", None)
    if callable(to_dict):
        return to_dict()
    return _public(value) or str(value)


_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=plain).encode
