"""What the runners for clients of web APIs share: the client without retries of its own."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, ParamSpec, Protocol, TypeVar

from rate_limited._options import RunnerOptions
from rate_limited.apis._api import Api
from rate_limited.resources import Resource
from rate_limited.runner import Runner

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

TIMEOUT_SECONDS = 600.0
"""How long an attempt may take unless `timeout` says otherwise; the clients' own default too."""


class ClientOptions(RunnerOptions, total=False):
    """What a runner for a client may be told, for type checkers: where its limits come from, and all of `Runner`."""

    api: str | Api | None
    tier: str | None
    model: str | None
    limits: Mapping[str, float | tuple[float, float]] | None


def resources_of(
    options: ClientOptions,
    per_minute: Mapping[str, float | None],
    *,
    api: str,
    generates: bool,
    shared: str | None,
) -> list[Resource] | None:
    """Takes out of the options what names a description, and gives its resources; None: nothing does.

    Args:
        options: without `api`, `tier`, `model` and `limits` afterwards.
        per_minute: limits that are told by arguments of their own, by resource.
        api: the API if `options` does not name one.
        generates: whether the calls ask for text.
        shared: the key of the resources.

    Raises:
        ValueError: nothing names a description, and one of the limits is not told.
    """
    told, tier = options.pop("api", None), options.pop("tier", None)
    model, limits = options.pop("model", None), options.pop("limits", None)
    if told is None and tier is None and limits is None:
        missing = [f"{name}_per_minute" for name, quota in per_minute.items() if quota is None]
        if missing:
            what = "no limits are told" if len(missing) == len(per_minute) else "not all limits are told"
            raise ValueError(f"{what}: give {' and '.join(missing)}, or the tier= of your account")
        return None
    described = told if isinstance(told, Api) else Api(api if told is None else told)
    own = {name: (quota, 60.0) for name, quota in per_minute.items() if quota is not None}
    endpoint = described._native.path(generates)
    return described.resources(tier, model, {**own, **(limits or {})}, endpoint=endpoint, shared=shared)


class Endpoint(Protocol[P, R_co]):
    """What has the method to call."""

    @property
    def create(self) -> Callable[P, R_co]:
        """Sends a request."""
        ...


class ClientRunner(Runner[P, R]):
    """Runs the method `create` of one endpoint of a client, which may be sync or async."""

    _path: ClassVar[str]
    """Where the client has that endpoint."""

    _names_models = True

    def __init__(
        self, client_or_create: Any, resources: Collection[Resource], options: RunnerOptions
    ) -> None:
        create = _create_of(client_or_create, self._path)
        with_timeout: RunnerOptions = {"timeout": TIMEOUT_SECONDS, **options}
        super().__init__(create, resources, **with_timeout)


def _create_of(client_or_create: Any, path: str) -> Callable[..., Any]:
    """The function to call, without retries of its own; if it is awaited, a coroutine function."""
    endpoint = client_or_create
    for name in path.split("."):
        endpoint = getattr(endpoint, name, None)
    if callable(getattr(endpoint, "create", None)):
        client = _without_retries(client_or_create)
        for name in path.split("."):
            client = getattr(client, name)
        return _awaitable(client.create)
    if not callable(client_or_create) or isinstance(client_or_create, type):
        raise TypeError(
            f"client_or_create must be a client with {path}.create, or that method, "
            f"got {client_or_create!r:.80}"
        )
    return _awaitable(_method_without_retries(client_or_create))


def _method_without_retries(create: Any) -> Callable[..., Any]:
    if isinstance(create, functools.partial):
        function = _method_without_retries(create.func)
        return functools.partial(_awaitable(function), *create.args, **create.keywords)
    endpoint: Any = getattr(create, "__self__", None)
    client = getattr(endpoint, "_client", None)
    if client is None or not callable(getattr(client, "with_options", None)):
        return create  # type: ignore[no-any-return]
    # The endpoint of a client is made of nothing but that client.
    twin = type(endpoint)(_without_retries(client))
    return getattr(twin, create.__name__)  # type: ignore[no-any-return]


def _without_retries(client: Any) -> Any:
    """The client, sharing its connections, but with no retries of its own."""
    with_options = getattr(client, "with_options", None)
    return with_options(max_retries=0) if callable(with_options) else client


def _awaitable(create: Callable[..., Any]) -> Callable[..., Any]:
    """A coroutine function in place of a decorated one, which does not look like one."""
    if isinstance(create, functools.partial) or inspect.iscoroutinefunction(create):
        return create
    if not inspect.iscoroutinefunction(inspect.unwrap(create)):
        return create

    @functools.wraps(create)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        return await create(*args, **kwargs)

    return awaited
