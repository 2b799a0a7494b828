"""What a runner may be told, for type checkers: all but the function and the resources."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypedDict

from rate_limited._bill import Prices
from rate_limited.calls import Call


class NamedOptions(TypedDict, total=False):
    """The options of `Runner` that are given by name only."""

    validation_function: Any
    timeout: float | None
    grace_seconds: float
    progress: Any
    pacing: float | None
    max_cost: float | None
    prices: Prices | None
    journal: str | os.PathLike[str] | None
    key: Callable[[Call], object] | None
    encode: Callable[[Any], Any] | None
    decode: Callable[[Any], Any] | None
    version: object
    on_change: str
    on_unknown: str
    on_failure: str
    durability: str


class RunnerOptions(NamedOptions, total=False):
    """All options of `Runner`, which the runners for clients pass on."""

    max_concurrent: int | str
    max_retries: int
    validation: Any
    progress_interval: float
    long_wait_warning_seconds: float | None
