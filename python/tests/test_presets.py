"""What the package tells of public APIs."""

from __future__ import annotations

import pytest

from rate_limited.apis import presets


def test_every_api_is_explained() -> None:
    assert len(presets.names()) >= 23
    for name in presets.names():
        assert presets.explain(name).startswith(f"{name}: ")


def test_limits_are_those_of_a_tier_and_a_model() -> None:
    start = presets.limits("anthropic", "start")
    fable = presets.limits("anthropic", "start", "claude-fable-5")
    assert start["requests"] == fable["requests"] == 1_000
    assert start["output_tokens"] > fable["output_tokens"] > 0
    assert presets.limits("github", "user")["primary"] == 5_000


def test_what_is_not_known_is_named() -> None:
    with pytest.raises(KeyError, match="did you mean"):
        presets.limits("antropic", "start")
    with pytest.raises(ValueError, match=r"no tier 'gold': presets.explain\('anthropic'\)"):
        presets.limits("anthropic", "gold")
