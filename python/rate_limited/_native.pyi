"""The scheduler, written in Rust."""

from collections.abc import Sequence
from typing import Any, TypeAlias, final

__all__ = [
    "ABANDON",
    "DISPATCH",
    "DONE",
    "ENDED",
    "FAILED",
    "LAST",
    "OVER",
    "POISON",
    "RUN",
    "UNKNOWN",
    "WAIT",
    "Journal",
    "Machine",
    "add_resource",
    "api_limits",
    "api_names",
    "check_api",
    "digest",
    "explain_api",
    "read_answer",
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
    ) -> Machine: ...
    def schedule(self, costs: Sequence[float], position: int | None = None, last: bool = False) -> int: ...
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
    ) -> _Step: ...
    def take_nowait(self, run: int) -> _Step: ...
    def turn_nowait(
        self,
        run: int,
        attempt: int,
        class_: str,
        usage: Sequence[float | None] | None = None,
        retry_after: float | None = None,
    ) -> _Step: ...
    def finish(
        self,
        attempt: int,
        class_: str,
        usage: Sequence[float | None] | None = None,
        retry_after: float | None = None,
    ) -> None: ...
    def begin(self, stays: bool, tells_ends: bool) -> int: ...
    def handled(self) -> None: ...
    def stop(self) -> None: ...
    def halt(self) -> None: ...
    def drain(self) -> None: ...
    def fileno(self) -> int: ...
    def progress(self) -> dict[str, Any]: ...

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

def api_names() -> list[str]: ...
def explain_api(name: str) -> str: ...
def api_limits(name: str, tier: str, model: str | None = None) -> dict[str, float] | None: ...
def check_api(path: str) -> str: ...
def read_answer(api: str, status: int, headers: Sequence[tuple[str, str]], body: bytes) -> dict[str, Any]: ...
def digest(parts: Sequence[bytes]) -> bytes: ...
def add_resource(name: str, quota: float, window: float, at_completion: bool, learn: bool) -> int: ...
def set_quota(resource: int, quota: float, window: float) -> None: ...
def resource_view(resource: int) -> tuple[float, float, float]: ...
