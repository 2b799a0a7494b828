"""The limits of Anthropic's messages, and a runner for the clients of the `anthropic` package.

The package `anthropic` itself is not needed: whatever has `messages.create` is a client.

What counts, as of 2026-11 (`docs.claude.com`, "Rate limits"): requests; tokens of the input that were
not read from a cache; tokens of the output as they are made, whatever `max_tokens` says.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, overload

from rate_limited.apis._api import Api, Charged, Costs
from rate_limited.apis._clients import ClientOptions, ClientRunner, Endpoint, P, R, R_co, resources_of
from rate_limited.apis.common import get_requests_per_minute
from rate_limited.calls import Call, Result
from rate_limited.resources import Resource

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "AnthropicRunner",
    "anthropic_resources",
    "estimate_input_tokens",
    "estimate_output_tokens",
    "get_input_tokens",
    "get_output_tokens",
]


class _MessagesClient(Protocol[P, R_co]):
    @property
    def messages(self) -> Endpoint[P, R_co]: ...


class AnthropicRunner(ClientRunner[P, R]):
    """Runs messages of an Anthropic client within the limits of the account.

    The client's own retries are set to 0, for they would not keep the limits; the client that was
    given is left as it is. The results are what the client returns.

    The connections of an async client belong to the loop on which they were made: that of the
    package under `run`, the caller's under `run_coro` and `await`. Calls that find connections of
    another loop fail once and are made again; a client of its own for the runner avoids that.

    Args:
        client_or_create: `anthropic.Anthropic()` or `anthropic.AsyncAnthropic()`, or the method
            `client.messages.create` of either, also inside a `functools.partial`. Any other function
            is taken as it is: if it calls a client, give that one `max_retries=0`.
        requests_per_minute: calls per minute; all of them are used.
        input_tokens_per_minute: tokens of inputs per minute; all of them are used.
        output_tokens_per_minute: tokens of outputs per minute; all of them are used.
        api: the API that the client speaks to, by name (`rate-limited apis` lists them) or as an `Api`: its
            limits count, and are settled, as its description says. Default: "anthropic" if there is a `tier`, else
            none, and limits count as `anthropic_resources` says.
        tier: the plan that says the limits which you do not.
        model: the model of the calls, where limits are by model.
        limits: other limits of yours, by resource, as in `Api.resources`.
        shared: a key for this account and class of models; all runners and resources of this process
            that are made with it keep the limits together. Default: only this runner counts.
        options: those of `Runner`, such as `max_concurrent`, `validation` and `pacing`; `timeout` is
            600 seconds unless it is given.

    Raises:
        TypeError, ValueError: an argument that is none of these, named with its value.

    >>> from types import SimpleNamespace as Object
    >>> def create(*, model, max_tokens, messages):
    ...     text = messages[-1]["content"].upper()
    ...     return Object(text=text, usage=Object(input_tokens=9, output_tokens=len(text) // 4))
    >>> client = Object(messages=Object(create=create))  # or anthropic.Anthropic()
    >>> runner = AnthropicRunner(client, 50, 30_000, 8_000, progress=False)
    >>> for animal in ["honey badger", "owl"]:
    ...     runner.schedule(model="m", max_tokens=9, messages=[{"role": "user", "content": animal}])
    >>> results, exceptions = runner.run()
    >>> [answer.text for answer in results]
    ['HONEY BADGER', 'OWL']

    The limits of a plan:

    >>> runner = AnthropicRunner(client, tier="start", model="claude-fable-5", progress=False)
    >>> runner.schedule(model="claude-fable-5", max_tokens=9, messages=[{"role": "user", "content": "owl"}])
    >>> runner.run()[0][0].text
    'OWL'
    """

    _api = "anthropic"
    _path = "messages"

    @overload
    def __init__(
        self,
        client_or_create: (_MessagesClient[P, Coroutine[Any, Any, R]] | Callable[P, Coroutine[Any, Any, R]]),
        requests_per_minute: float | None = ...,
        input_tokens_per_minute: float | None = ...,
        output_tokens_per_minute: float | None = ...,
        *,
        shared: str | None = ...,
        **options: Unpack[ClientOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        client_or_create: _MessagesClient[P, R] | Callable[P, R],
        requests_per_minute: float | None = ...,
        input_tokens_per_minute: float | None = ...,
        output_tokens_per_minute: float | None = ...,
        *,
        shared: str | None = ...,
        **options: Unpack[ClientOptions],
    ) -> None: ...
    def __init__(
        self,
        client_or_create: Any,
        requests_per_minute: float | None = None,
        input_tokens_per_minute: float | None = None,
        output_tokens_per_minute: float | None = None,
        *,
        shared: str | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        numbers: list[Any] = [requests_per_minute, input_tokens_per_minute, output_tokens_per_minute]
        limits = dict(zip(["requests", "input_tokens", "output_tokens"], numbers, strict=True))
        described = resources_of(options, limits, api="anthropic", generates=True, shared=shared)
        resources = described or anthropic_resources(*numbers, shared=shared)
        super().__init__(client_or_create, resources, options)


def anthropic_resources(
    requests_per_minute: float,
    input_tokens_per_minute: float,
    output_tokens_per_minute: float,
    *,
    shared: str | None = None,
) -> list[Resource]:
    """The three limits of a class of models, for `Runner(client.messages.create, ...)`.

    What is held back for a call is given back, and less of it held back for the next ones, once its
    answer says what it has used.

    Args:
        requests_per_minute: calls per minute; all of them are used.
        input_tokens_per_minute: tokens of inputs per minute; all of them are used.
        output_tokens_per_minute: tokens of outputs per minute; all of them are used.
        shared: a key for this account and class of models; all resources of this process that are
            made with it keep the limits together. Default: the runners that are given this list do.

    Raises:
        ValueError: one of the numbers is not positive.

    >>> anthropic_resources(50, 30_000, 8_000)[2]
    Resource('output_tokens_per_minute', quota=8000, time_window_seconds=60)
    """

    def key(name: str) -> str | None:
        return None if shared is None else f"{shared} {name}"

    return [
        get_requests_per_minute(requests_per_minute, shared=key("requests")),
        Resource(
            "input_tokens_per_minute",
            input_tokens_per_minute,
            60,
            results_usage_extractor=get_input_tokens,
            max_results_usage_estimator=partial(estimate_input_tokens, quota=input_tokens_per_minute),
            shared=key("input tokens"),
            learn=True,
        ),
        Resource(
            "output_tokens_per_minute",
            output_tokens_per_minute,
            60,
            results_usage_extractor=get_output_tokens,
            max_results_usage_estimator=partial(estimate_output_tokens, quota=output_tokens_per_minute),
            shared=key("output tokens"),
            learn=True,
        ),
    ]


def get_input_tokens(call: Call, results: Result) -> int:
    """The tokens of the input that count: all but those that were read from a cache.

    Args:
        call: the call; it is not looked at.
        results: the answer: a mapping, an object with attributes, or a response that was read.

    Raises:
        ValueError: the answer has no such numbers, as a streamed one.

    >>> usage = {"input_tokens": 9, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 99}
    >>> get_input_tokens(Call(print), {"usage": usage})
    14
    """
    return int(_read(call, results))


def get_output_tokens(call: Call, results: Result) -> int:
    """The tokens of the output.

    Args:
        call: the call; it is not looked at.
        results: the answer: a mapping, an object with attributes, or a response that was read.

    Raises:
        ValueError: the answer has no such number, as a streamed one.

    >>> get_output_tokens(Call(print), {"usage": {"output_tokens": 9}})
    9
    """
    return int(_written(call, results))


def estimate_input_tokens(call: Call, quota: float | None = None) -> int:
    """The tokens that a call's input is expected to have: system, messages and tools.

    Four characters of ASCII text count as a token, each other character as one; an image or a
    document counts 765. Iterators are left alone, for they can be read only once.

    With a `cache_control` in it, most of an input may not count: it is held back up to `quota`, and a
    longer one runs all the same.

    Args:
        call: a call to a function with the arguments of `messages.create`.
        quota: input tokens per minute. Default: nothing is capped.

    >>> def create(**arguments): ...
    >>> messages = [{"role": "user", "content": "Hello, cat!"}]
    >>> estimate_input_tokens(Call(create, (), {"messages": messages, "system": "Be brief."}))
    13
    """
    return _held(call, "input_tokens", quota)


def estimate_output_tokens(call: Call, quota: float | None = None) -> int:
    """The tokens that are held back for a call's output: `max_tokens`, and 1/16 of `quota` at most.

    The API counts what is really written, and `max_tokens` is no more than a bound of it: so this is
    a guess, and a call whose bound is above the quota runs all the same.

    Args:
        call: a call to a function with the arguments of `messages.create`.
        quota: output tokens per minute. Default: the guess is not capped.

    >>> def create(**arguments): ...
    >>> estimate_output_tokens(Call(create, (), {"max_tokens": 20_000}), quota=8_000)
    500
    """
    return _held(call, "output_tokens", quota)


PATH = "/messages"
"""Where messages are asked for."""

_API = Api("anthropic")
_read, _written = Charged(_API, "input_tokens"), Charged(_API, "output_tokens")


def _held(call: Call, name: str, quota: float | None) -> int:
    return int(Costs(_API, PATH, None, {name: quota}, 0).of(call, name))
