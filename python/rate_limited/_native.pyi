"""The scheduler and the command, written in Rust."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, final

__all__ = [
    "ABANDON",
    "CHARS_PER_TOKEN",
    "DISPATCH",
    "DONE",
    "ENDED",
    "FAILED",
    "IMAGE_TOKENS",
    "IMAGE_TOKENS_LOW",
    "LAST",
    "OVER",
    "POISON",
    "RUN",
    "TOKENS_PER_MESSAGE",
    "TOKENS_PER_REQUEST",
    "UNKNOWN",
    "WAIT",
    "Api",
    "Bill",
    "Journal",
    "Machine",
    "Outlook",
    "Report",
    "Statistics",
    "add_resource",
    "api_at",
    "api_names",
    "calendar_seconds",
    "cli_main",
    "digest",
    "read_answer",
    "resource_parts",
    "resource_view",
    "set_quota",
]

DISPATCH: int
ABANDON: int
ENDED: int
OVER: int
WAIT: int

RUN: int
LAST: int
DONE: int
FAILED: int
UNKNOWN: int
POISON: int

CHARS_PER_TOKEN: int
TOKENS_PER_MESSAGE: int
TOKENS_PER_REQUEST: int
IMAGE_TOKENS: int
IMAGE_TOKENS_LOW: int

_Step: TypeAlias = tuple[int, Any, Any, Any, bool]

@final
class Machine:
    def __new__(
        cls,
        resources: Sequence[int],
        max_concurrent: int | None,
        max_retries: int,
        timeout: float | None,
        seed: int,
        pacing: float | None = None,
        statistics: Statistics | None = None,
    ) -> Machine: ...
    def schedule(
        self,
        costs: Sequence[float],
        position: int | None = None,
        last: bool = False,
        keys: Sequence[str | None] | None = None,
    ) -> int: ...
    def number(self, position: int) -> int: ...
    def position(self, number: int) -> int | None: ...
    def attach(self, journal: Journal) -> None: ...
    def answered(self, number: int, body: bytes | None) -> None: ...
    def failed(self, number: int, kind: str, text: str) -> None: ...
    def flush(self) -> None: ...
    def take(self, run: int) -> _Step: ...
    def turn(
        self,
        run: int,
        attempt: int,
        class_: str,
        usage: Sequence[float | None] | None = None,
        retry_after: float | None = None,
        code: str | None = None,
    ) -> _Step: ...
    def take_nowait(self, run: int) -> _Step: ...
    def turn_nowait(
        self,
        run: int,
        attempt: int,
        class_: str,
        usage: Sequence[float | None] | None = None,
        retry_after: float | None = None,
        code: str | None = None,
    ) -> _Step: ...
    def finish(
        self,
        attempt: int,
        class_: str,
        usage: Sequence[float | None] | None = None,
        retry_after: float | None = None,
        code: str | None = None,
    ) -> None: ...
    def hear(
        self,
        attempt: int,
        api: Api,
        resources: Sequence[tuple[str, int]],
        status: int,
        headers: Sequence[tuple[str, str]],
        body: bytes,
    ) -> None: ...
    def begin(self, stays: bool, tells_ends: bool) -> int: ...
    def handled(self) -> None: ...
    def stop(self) -> None: ...
    def halt(self) -> None: ...
    def pause(self) -> None: ...
    def unpause(self) -> None: ...
    def set_max_concurrent(self, max_concurrent: int | None) -> None: ...
    def drain(self) -> None: ...
    def fileno(self) -> int: ...
    def progress(self) -> dict[str, Any]: ...
    def outlook(self) -> Outlook: ...

@final
class Outlook:
    def add(self, costs: Sequence[float], keys: Sequence[str | None] | None = None) -> None: ...
    def plan(
        self,
        base: int,
        quotas: Sequence[tuple[str, bool]],
        latency: float | None = None,
        failure_rate: float | None = None,
    ) -> tuple[str, dict[str, Any]]: ...

@final
class Statistics:
    def __new__(cls) -> Statistics: ...
    def named(self) -> list[str]: ...
    def report(
        self,
        title: str,
        names: Mapping[str, str],
        notes: Sequence[str],
        unfinished: int,
        cost: tuple[float, float] | None = None,
    ) -> Report: ...

@final
class Report:
    def html(self) -> str: ...
    def json(self) -> str: ...
    def text(self) -> str: ...
    @staticmethod
    def is_one(beginning: bytes) -> bool: ...

@final
class Bill:
    def __new__(
        cls,
        api: Api,
        input: float | None = None,
        output: float | None = None,
        request: float | None = None,
    ) -> Bill: ...
    def bound(self, endpoint: str | None, body: bytes) -> float: ...
    def used(
        self, endpoint: str | None, body: bytes, headers: Sequence[tuple[str, str]], answer: bytes
    ) -> float | None: ...
    def answer_fields(self) -> list[str]: ...
    def has_prices(self) -> bool: ...

@final
class Journal:
    def __new__(
        cls,
        path: str,
        resources: Sequence[int],
        names: Sequence[str],
        max_concurrent: int,
        power: bool,
        on_change: str,
        on_unknown: str,
        job: Sequence[tuple[str, str]],
    ) -> Journal: ...
    def look(self, key: bytes, request: bytes) -> tuple[int, int, int]: ...
    def objection(self, so_far: bool) -> str | None: ...
    def read(self, number: int) -> bytes | None: ...
    def failures(self, position: int) -> list[tuple[str, str]]: ...
    def past(self) -> dict[str, int]: ...
    def error(self) -> str | None: ...
    def close(self) -> None: ...
    def let_go_in_child(self) -> None: ...

@final
class Api:
    def __new__(cls, text: str) -> Api: ...
    @staticmethod
    def named(name: str) -> Api: ...
    @property
    def name(self) -> str: ...
    @property
    def base_url(self) -> str | None: ...
    @property
    def key_env(self) -> str | None: ...
    def explain(self) -> str: ...
    def tiers(self) -> list[str]: ...
    def limits(self, tier: str | None = None, model: str | None = None) -> dict[str, float] | None: ...
    def meters(
        self, endpoint: str | None = None
    ) -> list[tuple[str, str, float | None, bool, bool, bool, bool]]: ...
    def path(self, generates: bool) -> str | None: ...
    def prompt_tokens(self, body: bytes) -> int: ...
    def holds(
        self,
        endpoint: str | None,
        body: bytes,
        quotas: Mapping[str, float | None],
        answer: int,
        context: int | None = None,
    ) -> dict[str, tuple[float, str | None]]: ...
    def request_fields(self) -> list[str] | None: ...
    def answer_fields(self) -> list[str]: ...
    def disguise_fields(self) -> list[str]: ...
    def read(self, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> dict[str, Any]: ...
    def charges(self, headers: Sequence[tuple[str, str]], body: bytes) -> dict[str, float]: ...
    def tells(self) -> tuple[bool, bool]: ...
    def charge_source(self, resource: str) -> str | None: ...
    def calendar(self, resource: str, window: float) -> str | None: ...

def api_names() -> list[str]: ...
def api_at(url: str) -> str | None: ...
def read_answer(api: str, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> dict[str, Any]: ...
def cli_main(argv: Sequence[str]) -> int: ...
def digest(parts: Sequence[bytes]) -> bytes: ...
def add_resource(
    name: str,
    quota: float | None,
    window: float | None,
    at_completion: bool,
    learn: bool,
    meter: tuple[Api, str] | None = None,
    calendar: str | None = None,
    parts: Sequence[tuple[str, float, float]] = [],
) -> int: ...
def calendar_seconds(calendar: str) -> float: ...
def set_quota(resource: int, quota: float, window: float, meter: tuple[Api, str] | None = None) -> None: ...
def resource_parts(resource: int) -> list[tuple[str, float, float, float | None, float]]: ...
def resource_view(resource: int) -> tuple[float, float, float | None, float]: ...
