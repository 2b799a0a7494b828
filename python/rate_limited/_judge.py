"""What the end of an attempt means, where the limits of a runner come from the description of an API.

An exception means what that description says, wherever the API is: behind a proxy, at an address of a company's own,
on this machine. Some APIs answer with a status of success and an error in the body: such an answer is a failure, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rate_limited._answers import headers_of
from rate_limited._classify import Meaning, class_of, meaning_of
from rate_limited.apis._bodies import content_of, encode
from rate_limited.calls import Call
from rate_limited.exceptions import AnswerError
from rate_limited.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from rate_limited.apis import Api

_OK = 200


class Judge:
    """Says what ends of attempts mean.

    Args:
        resources: those of the runner; the first one that follows from a description tells the API.
    """

    def __init__(self, resources: Iterable[Resource]) -> None:
        described = next((it for it in resources if it._meter is not None), None)
        self._api: Api | None = None
        self._answer: Callable[[Any], Any] | None = None
        self._fields: list[str] = []
        if described is not None and described._meter is not None:
            self._api, self._answer = described._meter[0], described._answer
            self._fields = self._api._native.disguise_fields()

    def of_failure(self, error: BaseException) -> Meaning:
        """What an exception means."""
        return class_of(error, self._api)

    def of_answer(self, call: Call, answer: Any) -> tuple[Meaning, AnswerError] | None:
        """What an answer means that is an error in the guise of a success; None: it is a success."""
        if not self._fields or self._api is None:
            return None
        try:
            told = self._read(self._api, answer if self._answer is None else self._answer(answer))
        except Exception:  # noqa: BLE001 - the attributes of any object may do anything
            return None
        if told is None or told["class"] == "success":
            return None
        code = "" if told["code"] is None else f" ({told['code']:.80})"
        kind = told["kind"]
        message = f"{self._api.name} answers with a status of success and an error{code}: {kind}"
        return meaning_of(told), AnswerError(message, call, answer)

    def _read(self, api: Api, answer: Any) -> dict[str, Any] | None:
        if isinstance(answer, Mapping):
            found = {name: answer[name] for name in self._fields if name in answer}
            return api._native.read(_OK, [], encode(found)) if found else None
        # Of the objects that clients make of answers, only responses as they came are not judged yet.
        headers = headers_of(answer)
        is_json = any(name.lower() == "content-type" and "json" in value for name, value in headers)
        content = content_of(answer) if is_json else None
        return None if content is None else api._native.read(_OK, headers, content)
