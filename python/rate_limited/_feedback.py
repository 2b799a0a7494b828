"""What answers tell of the limits: the limit in force, what remains of it, and when it comes back.

A lower limit than the user's holds at once, a higher one never does; one that nobody told is what answers say. Only
resources that follow from the description of an API are heard of: it says where answers tell what.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from rate_limited._answers import headers_of, shown
from rate_limited._native import Machine
from rate_limited.apis._bodies import answer_of

if TYPE_CHECKING:
    from rate_limited.apis import Api
    from rate_limited.resources import Resource


class Feedback:
    """Tells a machine what the answers of its attempts say of the resources.

    Args:
        machine: the one that makes the attempts.
        resources: those of its runner, each with its number in the account of the process.
    """

    def __init__(self, machine: Machine, resources: Collection[tuple[Resource, int]]) -> None:
        self._machine = machine
        by_api: dict[tuple[int, int], _Source] = {}
        for resource, number in resources:
            if resource._meter is not None:
                api, name = resource._meter
                key = id(api), id(resource._answer)
                by_api.setdefault(key, _Source(api, resource._answer)).resources.append((name, number))
        self._sources = [source for source in by_api.values() if source.tells]

    def hear(self, attempt: int, end: object) -> None:
        """Tells what the result of an attempt, or its exception, says; to be called before the attempt is reported."""
        for source in self._sources:
            try:
                told = source.read(end)
                if told is not None:
                    self._machine.hear(attempt, source.api._native, source.resources, *told)
            except Exception:  # noqa: BLE001, S112 - the attributes of any object may do anything
                continue


class _Source:
    """An API whose answers tell something, and the resources that they tell of."""

    def __init__(self, api: Api, answer: Callable[[Any], Any] | None) -> None:
        self.api = api
        self.resources: list[tuple[str, int]] = []
        self._answer = answer
        self.tells, self._in_body = api._native.tells()
        self._fields = api._native.answer_fields() if self._in_body else []

    def read(self, end: object) -> tuple[int, list[tuple[str, str]], bytes] | None:
        """Status, headers and body of an answer; None where there is nothing to read."""
        if isinstance(end, BaseException):
            answer = shown(end)
            return None if answer is None else (answer.status, answer.headers, answer.body)
        answered = end if self._answer is None else self._answer(end)
        if self._in_body:
            headers, body = answer_of(answered, self._fields)
        else:
            headers, body = headers_of(getattr(answered, "http_response", answered)), b"{}"
        return (200, headers, body) if headers or self._in_body else None
