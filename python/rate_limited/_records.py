"""One plain dict for each call of a run, for a data frame or a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rate_limited._ledger import DONE, FAILED, Ledger
from rate_limited._progress import failure_text
from rate_limited.resources import Resource
from rate_limited.usage import arguments_usage, results_usage

_STATUS = {DONE: "done", FAILED: "failed"}


def records(ledger: Ledger, resources: Sequence[Resource]) -> list[dict[str, Any]]:
    """What became of each call, in the order of scheduling."""
    return [_record(ledger, resources, index) for index in range(len(ledger.calls))]


def _record(ledger: Ledger, resources: Sequence[Resource], index: int) -> dict[str, Any]:
    done = ledger.status[index] == DONE
    errors = ledger.exceptions.get(index, [])
    last = errors[-1] if errors and not done else None
    number = index if ledger.rows is None else ledger.rows[index]
    return {
        "index": number,
        "id": ledger.base + number,
        "status": _STATUS.get(ledger.status[index], "unfinished"),
        "result": ledger.results[index],
        "error_type": type(last).__name__ if last is not None else None,
        "error": failure_text(last) if last is not None else None,
        "attempts": len(errors) + done,
        "seconds": round(ledger.seconds[index], 6),
        "usage": _usage(ledger, resources, index) if done else {},
    }


def _usage(ledger: Ledger, resources: Sequence[Resource], index: int) -> dict[str, float]:
    """What the call took of each resource, as far as it can be told."""
    call, result = ledger.calls[index], ledger.results[index]
    usage: dict[str, float] = {}
    for resource in resources:
        try:
            used = 0.0
            if resource.arguments_usage_extractor is not None:
                used += arguments_usage(resource, call)
            if resource.results_usage_extractor is not None:
                used += results_usage(resource, call, result)
        except Exception:  # noqa: BLE001, S112 - a usage that cannot be told is left out
            continue
        usage[resource.name] = used
    return usage
