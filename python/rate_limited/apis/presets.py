"""What is known of public APIs: their limits by plan, what they charge, what their refusals mean.

The descriptions are those of the command `rate-limited apis`; what the exceptions of clients mean is read from
them too. For the limits of a runner, see `rate_limited.apis.Api`.
"""

from __future__ import annotations

from rate_limited import _native
from rate_limited.apis._api import Api

__all__ = ["explain", "limits", "names"]


def names() -> list[str]:
    """The names of the APIs that are described.

    >>> "anthropic" in names()
    True
    """
    return _native.api_names()


def explain(name: str) -> str:
    """All that is known of an API, for people: its limits, tiers, charges, refusals, and where that is from.

    Args:
        name: one of `names()`.

    Raises:
        KeyError: no API has that name; the message has one that is near.

    >>> print(explain("groq").splitlines()[0])
    groq: Groq, as of 2026-11-24
    """
    return Api(name).explain()


def limits(name: str, tier: str, model: str | None = None) -> dict[str, float]:
    """The limits that a plan of an API has, by resource, in the windows that `explain` tells.

    They are what a page of the API said on the day of its description: an account may have other ones.

    Args:
        name: one of `names()`.
        tier: the plan, as `explain` has it.
        model: the model, where limits are by model. Default None: those of all models.

    Raises:
        KeyError: no API has that name.
        ValueError: the API has no such tier.

    >>> found = limits("anthropic", "start", "claude-fable-5")
    >>> found["requests"], found["output_tokens"]
    (1000.0, 100000.0)
    """
    api = Api(name)
    if tier not in api.tiers:
        raise ValueError(f"{name} has no tier {tier!r}: presets.explain({name!r}) shows those it has")
    return api.limits(tier, model)
