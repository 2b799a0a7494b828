"""The scheduler, written in Rust."""

from collections.abc import Sequence
from typing import Any, TypeAlias, final

__all__ = [
    "ABANDON",
    "DISPATCH",
    "ENDED",
    "OVER",
    "WAIT",
    "Machine",
    "add_resource",
    "resource_view",
    "set_quota",
]

DISPATCH: int
ABANDON: int
ENDED: int
OVER: int
WAIT: int

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
    ) -> Machine: ...
    def schedule(self, costs: Sequence[float]) -> int: ...
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

def add_resource(
    name: str, quota: float, window: float, at_completion: bool, learn: bool
) -> int: ...
def set_quota(resource: int, quota: float, window: float) -> None: ...
def resource_view(resource: int) -> tuple[float, float, float]: ...
