"""Runners for the clients of the `openai` package, and for clients of the same shape.

The package `openai` itself is not needed: whatever has `chat.completions.create` or
`embeddings.create` is a client.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol, overload

from rate_limited._native import TOKENS_PER_REQUEST
from rate_limited._options import RunnerOptions
from rate_limited.apis._bodies import encode
from rate_limited.apis._clients import ClientOptions, ClientRunner, Endpoint, P, R, R_co, resources_of
from rate_limited.apis.common import get_requests_per_minute
from rate_limited.apis.openai.chat import _API, get_used_tokens, openai_chat_resources
from rate_limited.calls import Call
from rate_limited.resources import Resource

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "OpenAIChatRunner",
    "OpenAIEmbeddingsRunner",
    "RunnerOptions",
    "estimate_embedded_tokens",
    "openai_embeddings_resources",
]

MODEL_MAX_LEN = 128_000
"""The length of the context that is assumed where none is given."""


class _Chat(Protocol[P, R_co]):
    @property
    def completions(self) -> Endpoint[P, R_co]: ...


class _ChatClient(Protocol[P, R_co]):
    @property
    def chat(self) -> _Chat[P, R_co]: ...


class _EmbeddingsClient(Protocol[P, R_co]):
    @property
    def embeddings(self) -> Endpoint[P, R_co]: ...


class OpenAIChatRunner(ClientRunner[P, R]):
    """Runs chat completions of an OpenAI client within the limits of the account.

    The client's own retries are set to 0, for they would not keep the limits; the client that was
    given is left as it is. The results are what the client returns.

    The connections of an async client belong to the loop on which they were made: that of the
    package under `run`, the caller's under `run_coro` and `await`. Calls that find connections of
    another loop fail once and are made again; a client of its own for the runner avoids that.

    Args:
        client_or_create: `openai.OpenAI()` or `openai.AsyncOpenAI()`, or the method
            `client.chat.completions.create` of either, also inside a `functools.partial`. Any other
            function is taken as it is: if it calls a client, give that one `max_retries=0`.
        requests_per_minute: calls per minute; all of them are used.
        tokens_per_minute: tokens of prompts and answers per minute; all of them are used.
        model_max_len: the tokens that prompt and answer may have together, a property of the model.
            It matters only to calls without `max_tokens` and `max_completion_tokens`: what is held
            back for them is a guess, and at most 1/16 of `tokens_per_minute`. With `api` or `tier`
            it is 1,024 tokens an answer.
        api: the API that the client speaks to, by name (`rate-limited apis` lists them) or as an `Api`: its
            limits count, and are settled, as its description says. Default: "openai" if there is a `tier`, else
            none, and limits count as `openai_chat_resources` says.
        tier: the plan that says the limits which you do not.
        model: the model of the calls, where limits are by model.
        limits: other limits of yours, by resource, as in `Api.resources`.
        shared: a key for this account and model; all runners and resources of this process that are
            made with it keep the limits together. Default: only this runner counts.
        options: those of `Runner`, such as `max_concurrent` and `validation`; `timeout` is 600 seconds
            unless it is given.

    Raises:
        TypeError, ValueError: an argument that is none of these, named with its value.

    >>> from types import SimpleNamespace as Object
    >>> def create(*, model, messages, max_tokens=None):
    ...     text = messages[-1]["content"].upper()
    ...     return Object(text=text, usage=Object(total_tokens=len(text)))
    >>> client = Object(chat=Object(completions=Object(create=create)))  # or openai.OpenAI()
    >>> runner = OpenAIChatRunner(client, 500, 90_000, progress=False)
    >>> for animal in ["honey badger", "owl"]:
    ...     runner.schedule(model="m", messages=[{"role": "user", "content": animal}], max_tokens=9)
    >>> results, exceptions = runner.run()
    >>> [answer.text for answer in results]
    ['HONEY BADGER', 'OWL']

    The limits of a plan of another service:

    >>> model = "llama-3.1-8b-instant"
    >>> runner = OpenAIChatRunner(client, 30, api="groq", tier="free", model=model, progress=False)
    >>> runner.schedule(model=model, messages=[{"role": "user", "content": "owl"}], max_tokens=9)
    >>> runner.run()[0][0].text
    'OWL'
    """

    _api = "openai"
    _path = "chat.completions"

    @overload
    def __init__(
        self,
        client_or_create: (_ChatClient[P, Coroutine[Any, Any, R]] | Callable[P, Coroutine[Any, Any, R]]),
        requests_per_minute: float | None = ...,
        tokens_per_minute: float | None = ...,
        model_max_len: int = ...,
        *,
        shared: str | None = ...,
        **options: Unpack[ClientOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        client_or_create: _ChatClient[P, R] | Callable[P, R],
        requests_per_minute: float | None = ...,
        tokens_per_minute: float | None = ...,
        model_max_len: int = ...,
        *,
        shared: str | None = ...,
        **options: Unpack[ClientOptions],
    ) -> None: ...
    def __init__(
        self,
        client_or_create: Any,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        model_max_len: int = MODEL_MAX_LEN,
        *,
        shared: str | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        numbers: list[Any] = [requests_per_minute, tokens_per_minute]
        limits = dict(zip(["requests", "tokens"], numbers, strict=True))
        described = resources_of(options, limits, api="openai", generates=True, shared=shared)
        resources = described or openai_chat_resources(numbers[0], numbers[1], model_max_len, shared=shared)
        super().__init__(client_or_create, resources, options)


class OpenAIEmbeddingsRunner(ClientRunner[P, R]):
    """Runs embeddings of an OpenAI client within the limits of the account.

    The arguments are those of `OpenAIChatRunner`, with `client.embeddings.create`; there is no
    `model_max_len`, for an embedding uses no more tokens than its input has.

    >>> from types import SimpleNamespace as Object
    >>> def create(*, model, input):
    ...     return Object(vector=[float(len(input))], usage=Object(total_tokens=len(input) // 4))
    >>> client = Object(embeddings=Object(create=create))  # or openai.OpenAI()
    >>> runner = OpenAIEmbeddingsRunner(client, 500, 90_000, progress=False)
    >>> runner.schedule(model="m", input="honey badger")
    >>> results, exceptions = runner.run()
    >>> results[0].vector
    [12.0]
    """

    _api = "openai"
    _path = "embeddings"

    @overload
    def __init__(
        self,
        client_or_create: (
            _EmbeddingsClient[P, Coroutine[Any, Any, R]] | Callable[P, Coroutine[Any, Any, R]]
        ),
        requests_per_minute: float | None = ...,
        tokens_per_minute: float | None = ...,
        *,
        shared: str | None = ...,
        **options: Unpack[ClientOptions],
    ) -> None: ...
    @overload
    def __init__(
        self,
        client_or_create: _EmbeddingsClient[P, R] | Callable[P, R],
        requests_per_minute: float | None = ...,
        tokens_per_minute: float | None = ...,
        *,
        shared: str | None = ...,
        **options: Unpack[ClientOptions],
    ) -> None: ...
    def __init__(
        self,
        client_or_create: Any,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        *,
        shared: str | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        numbers: list[Any] = [requests_per_minute, tokens_per_minute]
        limits = dict(zip(["requests", "tokens"], numbers, strict=True))
        described = resources_of(options, limits, api="openai", generates=False, shared=shared)
        resources = described or openai_embeddings_resources(*numbers, shared=shared)
        super().__init__(client_or_create, resources, options)


def openai_embeddings_resources(
    requests_per_minute: float, tokens_per_minute: float, *, shared: str | None = None
) -> list[Resource]:
    """The two limits of an embedding model.

    Args:
        requests_per_minute: calls per minute; all of them are used.
        tokens_per_minute: tokens of inputs per minute; all of them are used.
        shared: a key for this account and model; all resources of this process that are made with
            it keep the limits together. Default: the runners that are given this list do.

    Raises:
        ValueError: one of the numbers is not positive.

    >>> openai_embeddings_resources(3_000, 1_000_000)[1]
    Resource('tokens_per_minute', quota=1000000, time_window_seconds=60)
    """
    keys = [None, None] if shared is None else [f"{shared} requests", f"{shared} tokens"]
    tokens = Resource(
        "tokens_per_minute",
        tokens_per_minute,
        60,
        results_usage_extractor=get_used_tokens,
        max_results_usage_estimator=estimate_embedded_tokens,
        shared=keys[1],
        learn=True,
    )
    return [get_requests_per_minute(requests_per_minute, shared=keys[0]), tokens]


def estimate_embedded_tokens(call: Call) -> int:
    """The tokens that the input of an embedding is expected to have.

    Four characters of ASCII text count as a token, each other character as one; of an input that
    is split into tokens already, each of its numbers.

    >>> def create(*, input, model="m"): ...
    >>> estimate_embedded_tokens(Call(create, (), {"input": ["honey badger", "猫"]}))
    4
    >>> estimate_embedded_tokens(Call(create, (), {"input": [[101, 7592], [102]]}))
    3
    """
    # There is no answer, for whose beginning a few tokens more would be expected.
    return _API._native.prompt_tokens(encode({"input": call.get_argument("input")})) - TOKENS_PER_REQUEST
