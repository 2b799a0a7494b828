"""The most that a run may cost, in dollars: what is held back for a call, and what its answer has cost."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from rate_limited import _native
from rate_limited._answers import shown as shown_answer
from rate_limited._identity import Identity
from rate_limited.apis._api import Api
from rate_limited.apis._bodies import answer_of, arguments_of, plain
from rate_limited.calls import Call, Result
from rate_limited.exceptions import BudgetSpentError
from rate_limited.resources import Resource
from rate_limited.usage import amount, shown, to_float

if TYPE_CHECKING:
    from rate_limited._ledger import Ledger

NAME = "max_cost"
"""The name of the budget, in a journal too."""

PER_DOLLAR = 1_000.0
"""Money is counted natively in thousandths of a dollar, so that a token of the cheapest model is no rounding error."""

_DOLLARS_MAX = 9e9

_KINDS = ("input", "output", "request")

Prices: TypeAlias = Mapping[str, float] | Callable[[Call], Any]
"""Dollars of a million tokens of prompts (`input`) and of answers (`output`), and of a request (`request`); or a
function from a call to the dollars that it costs at most."""


class Budget(Resource):
    """The most that all calls of a runner may cost together, in dollars. Nothing of it comes back with time.

    Before a call is sent, the most that it can cost is held back: a token for each byte of its arguments and the
    longest answer that it allows. When the answer says what was used, the rest comes back.
    """

    _scale = PER_DOLLAR

    def __init__(self, most: float, prices: Prices | None, api: Api) -> None:
        dollars = _bound(most)
        self._priced = _priced(prices, api)
        bound, used = self._priced.bound, self._priced.used
        super().__init__(NAME, 1, 1, results_usage_extractor=used, max_results_usage_estimator=bound)
        self._identity = Identity(None, dollars, math.inf)

    def set_limit(self, quota: float, time_window_seconds: float | None = None) -> None:
        """Changes how much may be spent at once, also during a run; what was spent counts on."""
        if time_window_seconds is not None:
            raise ValueError("max_cost has no window: nothing of it comes back with time")
        self._identity.set_limit(_bound(quota), math.inf)

    def __repr__(self) -> str:
        return f"Budget({self.quota!r})"


class _ByCall:
    """The user's function says what a call costs at most; it is taken to cost that."""

    def __init__(self, cost: Callable[[Call], Any]) -> None:
        self._cost = cost

    def bound(self, call: Call) -> float:
        return amount(self._cost(call), NAME)

    def used(self, call: Call, _result: Result) -> float:
        return self.bound(call)


class _ByTokens:
    """Prices of tokens say it, and the answer says how many there were."""

    def __init__(self, bill: _native.Bill) -> None:
        self._bill = bill

    def bound(self, call: Call) -> float:
        return self._bill.bound(None, _body(call)) / PER_DOLLAR

    def used(self, call: Call, result: Result) -> float:
        headers, answer = answer_of(result, self._bill.answer_fields())
        body = _body(call)
        used = self._bill.used(None, body, headers, answer)
        # What the answer does not tell stays as it was held back.
        return (self._bill.bound(None, body) if used is None else used) / PER_DOLLAR


def budget_of(
    most: float | None, prices: Prices | None, resources: Iterable[Resource], api: str
) -> list[Budget]:
    """The budget of a runner, if it has one.

    Args:
        most: dollars; None: nothing bounds the costs.
        prices: as the runner has them.
        resources: its limits: the API that describes one of them says how requests are read, and its prices.
        api: the API that does where none is described.

    Raises:
        TypeError, ValueError: the prices are none, or not known, or there is nothing that they are for.

    >>> budget_of(5, {"input": 0.15, "output": 0.60}, [], "openai_compatible")
    [Budget(5.0)]
    >>> budget_of(None, None, [], "openai_compatible")
    []
    """
    if most is None:
        if prices is not None:
            raise ValueError("prices are for max_cost: tell both")
        return []
    described = [resource._meter[0] for resource in resources if resource._meter is not None]
    return [Budget(most, prices, described[0] if described else Api(api))]


def spent_of(resources: Iterable[Resource]) -> tuple[float, float] | None:
    """The dollars that were spent, and those that may be; None: nothing bounds them."""
    for resource in resources:
        if isinstance(resource, Budget):
            number = resource._identity._native_id
            charged = 0.0 if number is None else _native.resource_view(number)[0]
            return charged / PER_DOLLAR, resource.quota
    return None


def is_rejected(error: BaseException) -> bool:
    """Whether the API has rejected a call without a look at what it asks: nothing was made that costs.

    >>> class Wrong(Exception):
    ...     status_code = 400
    >>> is_rejected(Wrong()), is_rejected(TimeoutError())
    (True, False)
    """
    try:
        answer = shown_answer(error)
    except Exception:  # noqa: BLE001 - its attributes may do anything
        return False
    return answer is not None and 400 <= answer.status < 500 and answer.status != 408


def note_spent(ledger: Ledger, index: int, resources: Iterable[Resource]) -> BaseException:
    """Notes that a call was not made, for it would have passed the budget."""
    spent = spent_of(resources) or (0.0, 0.0)
    error = BudgetSpentError(*spent)
    ledger.note(index, error)
    return error


def _priced(prices: Prices | None, api: Api) -> _ByCall | _ByTokens:
    if callable(prices):
        return _ByCall(prices)
    if prices is not None and not isinstance(prices, Mapping):
        raise TypeError(f"prices must be a mapping or a function of a call, got {type(prices).__name__}")
    told = dict(prices or {})
    unknown = [name for name in told if name not in _KINDS]
    if unknown:
        raise ValueError(
            f'{shown(unknown[0])} is no price: tell "input" and "output", in dollars for a million tokens, and '
            '"request", in dollars for each'
        )
    of = [_dollars(f"the price {name!r}", told[name]) if name in told else None for name in _KINDS]
    bill = _native.Bill(api._native, *of)
    if not bill.has_prices():
        raise ValueError(
            "the prices are not known, and max_cost is told: tell prices={'input': 0.15, 'output': 0.60} (dollars "
            "for a million tokens) with those of your model, or a function from a call to the dollars that it "
            "costs at most"
        )
    return _ByTokens(bill)


def _bound(most: object) -> float:
    dollars = _dollars(NAME, most)
    if not 0 < dollars <= _DOLLARS_MAX:
        limits = f"above 0 and at most {_DOLLARS_MAX:,.0f} dollars"
        raise ValueError(f"{NAME} is {shown(most)}: it must be {limits}")
    return dollars


def _dollars(what: str, value: object) -> float:
    number = None if isinstance(value, bool) else to_float(value)
    if number is None or not 0 <= number < math.inf:
        raise ValueError(f"{what} is {shown(value)}: it must be a number of dollars, 0 or more")
    return number


def _body(call: Call) -> bytes:
    """All that a call sends, as JSON; each byte of it may be a token.

    Raises:
        ValueError: an argument has no such form, so that it is not known what it costs.
    """
    fields = {}
    for name, value in arguments_of(call).items():
        if value is None or not _is_told(value):
            continue
        try:
            _strictly(value)
        except (TypeError, ValueError, RecursionError):
            raise ValueError(
                f"what the call costs at most is not known, and max_cost is told: the argument {name!r} "
                f"({type(value).__name__}) is no JSON"
            ) from None
        fields[name] = value
    return _strictly(fields).encode("utf-8", "surrogatepass")


def _is_told(value: object) -> bool:
    # What SDKs have in the place of an argument that was not given is false; so is what adds nothing.
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 - tables and arrays are neither true nor false
        return True


def _default(value: object) -> object:
    if isinstance(value, (bytes, type, Iterator)):
        raise TypeError("it is no JSON")
    return plain(value)


_strictly = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=_default).encode
