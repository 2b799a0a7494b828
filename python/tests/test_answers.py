"""What answers of public APIs mean, as the native module tells it."""

from __future__ import annotations

import pytest

from rate_limited import _native


def test_apis_are_known_by_name() -> None:
    names = _native.api_names()
    assert {"openai", "anthropic", "gemini", "github"} <= set(names)
    assert "requests" in _native.Api.named("openai").explain()
    with pytest.raises(KeyError, match="openai"):
        _native.Api.named("openia")


@pytest.mark.parametrize(
    ("api", "status", "headers", "body", "class_", "wait"),
    [
        ("openai", 429, [("Retry-After", "12")], b"", "refused", 12.0),
        ("openai", 429, [], b'{"error": {"code": "insufficient_quota"}}', "fatal", None),
        ("openai", 401, [], b"", "fatal", None),
        ("openai", 500, [], b"", "failure", None),
        ("anthropic", 529, [], b'{"error": {"type": "overloaded_error"}}', "overloaded", None),
        ("github_graphql", 200, [("retry-after", "9")], b'{"errors": [{"type": "RATE_LIMITED"}]}', "refused", 9.0),
    ],
)  # fmt: skip
def test_answers(
    api: str, status: int, headers: list[tuple[str, str]], body: bytes, class_: str, wait: float | None
) -> None:
    told = _native.read_answer(api, status, headers, body)
    assert (told["class"], told["wait"]) == (class_, wait)


def test_a_description_of_ones_own() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        _native.Api("nonsense = 1")
