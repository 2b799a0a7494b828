"""Answers that name another model than was asked for."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from rate_limited._native import is_same_model
from rate_limited.apis._bodies import field
from rate_limited.calls import Call
from rate_limited.resources import Resource

logger = logging.getLogger("rate_limited")

MODELS_MAX = 20
"""The most pairs of models that are warned of."""

_NAME_CHARS_MAX = 80


class ModelWatch:
    """Warns once for each pair of a model that was asked for and another one that answered.

    Where models have names of the user's own, as deployments have, nothing is looked at.

    Args:
        function: the method of a client that makes the calls.
        resources: those of the runner; the descriptions of APIs that they follow from say whether models have such names.
    """

    def __init__(self, function: Callable[..., Any], resources: Iterable[Resource]) -> None:
        apis = [it._meter[0] for it in resources if it._meter is not None]
        self._looks = not _is_azure(function) and not any(api._native.renames_models() for api in apis)
        # Pairs as they came, so that most answers cost one look-up; as many are kept as are warned of.
        self._known: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def look(self, call: Call, answer: object) -> None:
        """Looks at the answer of a call."""
        if not self._looks:
            return
        try:
            answered = field(answer, "model")
            asked = call.get_argument("model") if isinstance(answered, str) else None
        except Exception:  # noqa: BLE001 - the attributes of any object may do anything
            return
        if not isinstance(asked, str) or not answered.strip() or asked == answered:
            return
        if (asked, answered) in self._known or is_same_model(*map(_encodable, (asked, answered))):
            return
        with self._lock:
            if (asked, answered) in self._known or len(self._known) >= MODELS_MAX:
                return
            self._known.add((asked, answered))
        logger.warning(
            "%s was asked for, and answers name the model %s: they are kept and counted as they come",
            _shown(asked),
            _shown(answered),
        )


def _is_azure(function: Callable[..., Any]) -> bool:
    """Whether it is a method of a client for deployments, such as `openai.AzureOpenAI`."""
    inner: Any = function
    while inner is not None:
        client = getattr(getattr(inner, "__self__", None), "_client", None)
        if client is not None:
            return any("Azure" in kind.__name__ for kind in type(client).__mro__)
        # A method itself first: what it wraps is bound to nothing.
        inner = inner.func if isinstance(inner, functools.partial) else getattr(inner, "__wrapped__", None)
    return False


def _encodable(name: str) -> str:
    return name.encode(errors="replace").decode()


def _shown(name: str) -> str:
    """A foreign name on one line."""
    cut = name[:_NAME_CHARS_MAX] + ("…" if len(name) > _NAME_CHARS_MAX else "")
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in cut)
