"""What an exception of a client shows of the answer behind it: status, headers, body, address.

Clients have one of a few shapes: `openai`, `anthropic` and `groq` carry an `httpx` response and the parsed body,
`httpx` and `requests` the response, `aiohttp` the status and the headers, `google-genai` the code and the
parsed body, others the status alone.
"""

from __future__ import annotations

import json
from typing import NamedTuple

# No honest error is longer.
_BODY_BYTES_MAX = 1 << 20

_API_OF_CLIENT = {
    "openai": "openai",
    "anthropic": "anthropic",
    "google": "gemini",
    "groq": "groq",
    "mistralai": "mistral",
    "cohere": "cohere",
    "stripe": "stripe",
    "voyageai": "voyage",
    "together": "together",
}


class Shown(NamedTuple):
    """What is known of an answer."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    url: str | None
    client: str | None
    """The API that the client is made for, where it tells no address."""


def shown(exception: BaseException) -> Shown | None:
    """What an exception shows of an answer; None where it shows no status."""
    status = _status(exception)
    if status is None:
        return None
    client = type(exception).__module__.partition(".")[0]
    return Shown(
        status,
        _headers(exception),
        _body(exception)[:_BODY_BYTES_MAX],
        _url(exception),
        _API_OF_CLIENT.get(client),
    )


def _status(exception: BaseException) -> int | None:
    response = getattr(exception, "response", None)
    holders = (
        (exception, "status_code"),
        (response, "status_code"),
        (exception, "status"),
        (exception, "http_status"),
        (exception, "code"),
    )
    for holder, name in holders:
        value = getattr(holder, name, None)
        if type(value) is int and 100 <= value < 600:
            return value
    return None


def _headers(exception: BaseException) -> list[tuple[str, str]]:
    response = getattr(exception, "response", None)
    return headers_of(exception if getattr(response, "headers", None) is None else response)


def headers_of(holder: object) -> list[tuple[str, str]]:
    """The headers of a response, or of what has such; none if it has none."""
    headers = getattr(holder, "headers", None)
    if headers is None:
        return []
    try:
        pairs = headers.items() if hasattr(headers, "items") else headers
        return [(str(name), str(value)) for name, value in pairs]
    except Exception:  # noqa: BLE001 - what is no list of headers tells nothing
        return []


def _body(exception: BaseException) -> bytes:
    response = getattr(exception, "response", None)
    try:
        content = getattr(response, "content", None)
    except Exception:  # noqa: BLE001 - a stream that was not read
        content = None
    if isinstance(content, bytes) and content:
        return content
    for name in ("body", "details", "json_body"):
        body = getattr(exception, name, None)
        if isinstance(body, dict):
            # Some clients keep what stands under "error" alone.
            whole = body if "error" in body or "errors" in body else {"error": body}
            return json.dumps(whole, default=str).encode()
        if isinstance(body, (str, bytes)) and body:
            return body.encode() if isinstance(body, str) else body
    code = getattr(exception, "code", None)
    return json.dumps({"error": {"code": code}}).encode() if isinstance(code, str) else b""


def _url(exception: BaseException) -> str | None:
    response = getattr(exception, "response", None)
    holders = (response, getattr(exception, "request_info", None), getattr(response, "request", None))
    for holder in holders:
        try:
            url = getattr(holder, "url", None)
        except Exception:  # noqa: BLE001 - a response that was made without a request
            continue
        if url is not None:
            return str(url)
    return None
