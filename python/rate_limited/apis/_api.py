"""The description of an API, and the limits of a runner that follow from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rate_limited import _native
from rate_limited.apis._bodies import answer_of, arguments_of, encode
from rate_limited.calls import Call
from rate_limited.resources import Resource
from rate_limited.usage import shown

MAX_TOKENS_DEFAULT = 1_024
"""The tokens of an answer that are held back where a call sets no bound; as in the command."""


class Api:
    """What an API limits, charges and says, as `rate-limited apis` has it, or as a file of your own describes it.

    Args:
        name: one of `presets.names()`; `-` and `_` are the same, and so are small and large letters.

    Raises:
        KeyError: no API has that name; the message has one that is near.

    The limits of a runner, for a plan of the API:

    >>> from rate_limited import Runner
    >>> groq = Api("groq")
    >>> resources = groq.resources("free", "llama-3.1-8b-instant", limits={"requests": (30, 60.0)})
    >>> for resource in resources:
    ...     print(resource)
    Resource('requests', quota=30, time_window_seconds=60.0)
    Resource('requests_per_day', quota=14400.0, time_window_seconds=86400.0)
    Resource('tokens', quota=6000.0, time_window_seconds=60.0)
    >>> def create(*, model, messages, max_tokens): ...  # or openai.OpenAI(...).chat.completions.create
    >>> runner = Runner(create, resources, progress=False)
    """

    __slots__ = ("_native", "_text")

    def __init__(self, name: str) -> None:
        self._text: str | None = None
        self._native = _native.Api.named(name)

    @classmethod
    def named(cls, name: str) -> Api:
        """The same as `Api(name)`.

        >>> Api.named("Azure-OpenAI").name
        'azure_openai'
        """
        return cls(name)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Api:
        """Reads a description from a TOML file; `docs/apis.md` has an example.

        Raises:
            OSError: the file cannot be read.
            ValueError: it is no description; the message names the file, the field, the value and what to do.

        >>> Api.load("weather.toml")
        Traceback (most recent call last):
        ...
        FileNotFoundError: [Errno 2] No such file or directory: 'weather.toml'
        """
        text = Path(path).read_text(encoding="utf-8")
        try:
            return _of_text(text)
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from None

    @property
    def name(self) -> str:
        """The name.

        >>> Api("openai").name
        'openai'
        """
        return self._native.name

    @property
    def base_url(self) -> str | None:
        """Where the API is, for a client's `base_url`; None where the description does not say, and with a part in
        braces where that is yours, such as a shop's name.

        >>> Api("groq").base_url
        'https://api.groq.com/openai/v1'
        """
        return self._native.base_url

    @property
    def key_env(self) -> str | None:
        """The environment variable that usually holds the key; None where the description names none.

        >>> Api("groq").key_env
        'GROQ_API_KEY'
        """
        return self._native.key_env

    @property
    def tiers(self) -> list[str]:
        """The plans whose limits are known.

        >>> Api("anthropic").tiers
        ['start', 'build', 'scale']
        """
        return self._native.tiers()

    def explain(self) -> str:
        """All that is known, for people: limits, tiers, charges, refusals, and where that is from.

        >>> print(Api("groq").explain().splitlines()[0])
        groq: Groq, as of 2026-11-24
        """
        return self._native.explain()

    def limits(self, tier: str | None = None, model: str | None = None) -> dict[str, float]:
        """The limits that a plan has, by resource, in the windows that `explain` tells.

        They are what a page of the API said on the day of its description: an account may have other ones.

        Args:
            tier: one of `tiers`. Default None: the limits that all users have.
            model: the model, where limits are by model. Default None: those of all models.

        Raises:
            ValueError: the API has no such tier.

        >>> Api("anthropic").limits("start", "claude-fable-5")["output_tokens"]
        100000.0
        """
        found = self._native.limits(tier, model)
        if found is None:
            known = ", ".join(self.tiers) or "none is known"
            raise ValueError(f"{self.name} has no tier {tier!r}: {known}")
        return found

    def resources(
        self,
        tier: str | None = None,
        model: str | None = None,
        limits: Mapping[str, float | tuple[float, float]] | None = None,
        *,
        endpoint: str | None = None,
        request: Callable[[Call], Mapping[str, Any] | bytes] | None = None,
        answer: Callable[[Any], Any] | None = None,
        max_tokens_default: int = MAX_TOKENS_DEFAULT,
        shared: str | None = None,
    ) -> list[Resource]:
        """The limits of a runner: what the API meters, with the costs of its formulas, settled as it settles.

        Limits that answers name are heard: lower ones hold at once. Where no limit is told at all, neither here
        nor by the description, they are found out, from answers and refusals.

        Args:
            tier: the plan that says the limits which `limits` does not. Default None: only those that all
                users have.
            model: the model of the calls, where limits are by model.
            limits: limits of your own, by resource: a quota, in the window that the API has, or a quota with a
                window in seconds. They take the place of the description's.
            endpoint: the path that the calls go to, after its method if that is not POST, such as
                `"GET /search/code"`. Default None: judged by each body, text that is asked for or embedded.
            request: from a call to the body that it sends, as a dict or as JSON bytes. Default None: its
                arguments by name.
            answer: from what the function returns to the answer of the API: a dict, an object with its fields, or
                a response that was read. Default None: what it returns.
            max_tokens_default: the tokens of an answer to hold back where a call sets no bound.
            shared: a key for this account and model; all resources of this process that are made with it keep the
                limits together. Default: the runners that are given this list do.

        Raises:
            ValueError: the plan has no limit for the model, or a limit is wrong; the message says what to write
                instead.

        >>> resources = Api("openai").resources(limits={"requests": 500, "tokens": (90_000, 60.0)})
        >>> [resource.name for resource in resources]
        ['requests', 'tokens']
        >>> def create(**arguments): ...
        >>> call = Call(create, (), {"messages": [], "max_tokens": 100})
        >>> [resource.arguments_usage_extractor(call) for resource in resources]
        [1.0, 100.0]
        >>> Api("mistral").resources()
        [Resource.untold('requests', time_window_seconds=60.0), Resource.untold('tokens', time_window_seconds=60.0)]
        """
        known = {meter.name: meter for meter in map(Meter._make, self._native.meters(endpoint))}
        found = self._limits(known, tier, model, dict(limits or {}), endpoint)
        if not found and tier is not None:
            raise ValueError(self._nothing_known(known, tier, model))
        found = found or _untold(known)
        if not found:
            # Such as a server of one's own, which refuses only what it cannot queue.
            return [Resource.untold("requests", shared=_key(shared, "requests"))]
        quotas = {name: quota for name, (quota, _) in found.items()}
        most = _tokens("max_tokens_default", max_tokens_default)
        costs = Costs(self, endpoint, request, quotas, most)
        return [
            self._resource(known[name], quota, window, costs, answer, shared)
            for name, (quota, window) in found.items()
        ]

    def __repr__(self) -> str:
        return f"Api({self.name!r})"

    def __reduce__(self) -> tuple[Callable[..., Api], tuple[str]]:
        return (Api, (self.name,)) if self._text is None else (_of_text, (self._text,))

    def _limits(
        self,
        known: Mapping[str, Meter],
        tier: str | None,
        model: str | None,
        own: dict[str, float | tuple[float, float]],
        endpoint: str | None,
    ) -> dict[str, tuple[float | None, float | None]]:
        """The quota and the window of each limit, in the order of the description."""
        for name in own:
            self._check_own(known, name, endpoint)
        of_plan = self.limits(tier, model)
        found: dict[str, tuple[float | None, float | None]] = {}
        for name, meter in known.items():
            if name in own:
                found[name] = self._own(meter, own[name])
            elif name in of_plan and meter.touched and meter.kind in _METERED and meter.window is not None:
                found[name] = (1 if meter.kind == "spacing" else of_plan[name], meter.window)
        return found

    def _check_own(self, known: Mapping[str, Meter], name: str, endpoint: str | None) -> None:
        meter = known.get(name)
        if meter is None:
            raise ValueError(f"{self.name} has no limit called {shown(name)}: it meters {', '.join(known)}")
        if meter.kind == "slots":
            raise ValueError(
                f"{name} of {self.name} is how many calls run at once: tell the runner max_concurrent"
            )
        if meter.kind == "budget":
            raise ValueError(f"{name} of {self.name} never comes back, so that it is no limit of a window")
        if not meter.touched:
            where = "the calls that are most common" if endpoint is None else endpoint
            raise ValueError(
                f"{name} of {self.name} does not count {where}: say endpoint= of those that it counts"
            )

    def _own(self, meter: Meter, limit: float | tuple[float, float]) -> tuple[float, float]:
        if isinstance(limit, tuple):
            if len(limit) != 2:
                raise ValueError(f"the limit of {meter.name} is {shown(limit)}: write (quota, seconds)")
            return limit
        if meter.window is None:
            raise ValueError(
                f"the window of {meter.name} of {self.name} is not known: write (quota, seconds)"
            )
        return limit, meter.window

    def _nothing_known(self, known: Mapping[str, Meter], tier: str, model: str | None) -> str:
        names = ", ".join(name for name, meter in known.items() if meter.kind in _METERED and meter.touched)
        return (
            f"no limit of {self.name} is known for tier {tier!r} for model {model!r}: tell limits= of "
            f"{names or 'your own'}, or leave out tier= to have them found out"
        )

    def _resource(
        self,
        meter: Meter,
        quota: float | None,
        window: float | None,
        costs: Costs,
        answer: Callable[[Any], Any] | None,
        shared: str | None,
    ) -> Resource:
        key = _key(shared, meter.name)
        held = Held(costs, meter.name)
        charged = Charged(self, meter.name, answer) if meter.settles else None
        hooks = (held, None, None) if charged is None else (None, charged, held)
        partition = Part(costs, meter.name) if meter.has_parts else None
        if quota is None or window is None:
            resource = Resource.untold(
                meter.name, window, *hooks, shared=key, learn=meter.settles, partition=partition
            )
        elif calendar := self._native.calendar(meter.name, window):
            resource = Resource.per_calendar(
                meter.name, quota, calendar, *hooks, shared=key, learn=meter.settles, partition=partition
            )
        else:
            resource = Resource(
                meter.name, quota, window, *hooks, shared=key, learn=meter.settles, partition=partition
            )
        resource._meter, resource._answer = (self, meter.name), answer
        return resource


class Meter(NamedTuple):
    """What is known of a resource of an API."""

    name: str
    kind: str
    window: float | None
    settles: bool
    touched: bool
    """Whether the calls in question take of it."""
    told: bool
    """Whether answers name its limit."""
    has_parts: bool
    """Whether each model, or what else tells calls apart, has the limit for itself."""


def _key(shared: str | None, name: str) -> str | None:
    return None if shared is None else f"{shared} {name.replace('_', ' ')}"


def _untold(known: Mapping[str, Meter]) -> dict[str, tuple[float | None, float | None]]:
    """What is found out where nobody told a limit: those that answers name, and the first one, which refusals show."""
    metered = [meter for meter in known.values() if meter.kind == "window" and meter.touched]
    return {meter.name: (None, meter.window) for meter in metered if meter.told or meter is metered[0]}


_METERED = ("window", "spacing")


class Costs:
    """What calls take of the resources of an API, worked out once a call for all of them."""

    def __init__(
        self,
        api: Api,
        endpoint: str | None,
        request: Callable[[Call], Mapping[str, Any] | bytes] | None,
        quotas: Mapping[str, float | None],
        answer_default: int,
        context: int | None = None,
    ) -> None:
        self._api = api
        self._endpoint = endpoint
        self._request = request
        self._quotas = dict(quotas)
        self._answer_default = answer_default
        self._context = context
        self._fields = api._native.request_fields()
        # The call that was asked for last, and what it takes of resources that nobody asked for yet, and of whose part.
        self._last: tuple[Call, dict[str, tuple[float, str | None]]] | None = None

    def of(self, call: Call, name: str) -> float:
        """What a call takes of the resource of this name."""
        last = self._known(call, name)
        taken, _ = last[1].pop(name, (0.0, None))
        self._last = last if last[1] else None
        return taken

    def key(self, call: Call, name: str) -> str | None:
        """Whose part of the resource of this name a call takes."""
        self._last = last = self._known(call, name)
        return last[1].get(name, (0.0, None))[1]

    def _known(self, call: Call, name: str) -> tuple[Call, dict[str, tuple[float, str | None]]]:
        last = self._last
        if last is None or last[0] is not call or name not in last[1]:
            return call, self._of(call)
        return last

    def _of(self, call: Call) -> dict[str, tuple[float, str | None]]:
        body = arguments_of(call) if self._request is None else self._request(call)
        body = body if isinstance(body, bytes) else encode(body, self._fields)
        return self._api._native.holds(
            self._endpoint, body, self._quotas, self._answer_default, self._context
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_last": None}


class Held:
    """What is held back for a call of one resource."""

    def __init__(self, costs: Costs, name: str) -> None:
        self._costs = costs
        self._name = name

    def __call__(self, call: Call) -> float:
        return self._costs.of(call, self._name)


class Part:
    """Whose part of one resource a call takes: that of its model, or of whatever else the API tells apart."""

    def __init__(self, costs: Costs, name: str) -> None:
        self._costs = costs
        self._name = name

    def __call__(self, call: Call) -> str | None:
        return self._costs.key(call, self._name)


class Charged:
    """What an answer says was charged of one resource."""

    def __init__(self, api: Api, name: str, answer: Callable[[Any], Any] | None = None) -> None:
        self._api = api
        self._name = name
        self._answer = answer
        self._fields = api._native.answer_fields()

    def __call__(self, call: Call, result: Any) -> float:
        answer = result if self._answer is None else self._answer(result)
        headers, body = answer_of(answer, self._fields)
        native = self._api._native
        charge = native.charges(headers, body).get(self._name)
        if charge is None:
            told = native.charge_source(self._name) or f"charge of {self._name}"
            kind = type(answer).__name__
            raise ValueError(
                f"no {told} in the answer ({kind}); a streamed answer has none, and a response must be read first"
            )
        return charge


def _tokens(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(f"{name} is {shown(value)}: it must be a whole number of tokens, 0 or more")
    return value


def _of_text(text: str) -> Api:
    api: Api = Api.__new__(Api)
    api._text = text
    api._native = _native.Api(text)
    return api
