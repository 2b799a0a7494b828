"""Rows of `Runner.map`: where they come from, and what stands for one that failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any


class Failure:
    """Stands in the place of a result that `Runner.map` could not get. It is falsy.

    Attributes: `index`, the number of the row from 0; `errors`, the exceptions of all attempts; `value`,
    the last answer that the validation rejected, or None.
    """

    __slots__ = ("errors", "index", "value")

    def __init__(self, index: int, errors: list[BaseException]) -> None:
        self.index = index
        self.errors = errors
        self.value = getattr(errors[-1], "value", None) if errors else None

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        kinds = ", ".join(type(error).__name__ for error in self.errors)
        return f"Failure(index={self.index}, errors=[{kinds}])"


class Source:
    """Numbered items. An exception of theirs ends them, and is raised after the rows so far were given."""

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = enumerate(items)
        self._error: Exception | None = None

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        return self

    def __next__(self) -> tuple[int, Any]:
        if self._error is not None:
            raise StopIteration
        try:
            return next(self._items)
        except StopIteration:
            raise
        except Exception as error:  # noqa: BLE001 - raised later
            self._error = error
            raise StopIteration from None

    def raise_error(self) -> None:
        """Raises what the items raised, if they did."""
        if self._error is not None:
            raise self._error
