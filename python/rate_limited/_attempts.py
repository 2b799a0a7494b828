"""One attempt of a call: the user's function, and what follows from its answer.

Everything here runs where the call ran: on its worker thread, or on the loop.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from rate_limited import _loop, validators
from rate_limited._bill import Budget, is_rejected
from rate_limited._classify import FATAL, PERMANENT, Meaning
from rate_limited._feedback import Feedback
from rate_limited._frames import without_frames
from rate_limited._hooks import HookWatch
from rate_limited._journal import Recorder
from rate_limited._judge import Judge
from rate_limited._ledger import DONE, Ledger, TwoParts
from rate_limited._log import EventLog
from rate_limited._models import ModelWatch
from rate_limited._sdk_retries import RetryWatch
from rate_limited.calls import Call, takes
from rate_limited.exceptions import ValidationError
from rate_limited.resources import Resource
from rate_limited.usage import results_usage

SUCCESS, INVALID = "success", "invalid"

# The class of an attempt, its usage by resource where that is known, how long it asks to wait, and what a report
# calls its failure.
Verdict = tuple[str, "list[float | None] | None", "float | None", "str | None"]

_now = time.perf_counter

SLOW_CALL_SECONDS = 600.0
"""From how long on the progress names a call that is in flight."""

# If every one of the first so many validations raises, the validator is at fault, not the answers.
_FIRST_VALIDATIONS = 20


class Attempts:
    """Makes attempts of the calls of one runner, and keeps what they bring."""

    def __init__(
        self,
        function: Callable[..., Any],
        resources: Sequence[Resource],
        checks: tuple[Callable[[Any], Any], ...],
        on_failure: Callable[[BaseException], None],
        watch: HookWatch | None,
        retries: RetryWatch,
        feedback: Feedback,
        log: EventLog,
        recorder: Recorder | None = None,
        models: ModelWatch | None = None,
    ) -> None:
        self.function = function
        self.resources = list(resources)
        self._settles = any(resource.results_usage_extractor for resource in resources)
        self._has_budget = any(isinstance(resource, Budget) for resource in resources)
        self._checks = checks
        self._on_failure = on_failure
        self._watch = watch
        self._recorder = recorder
        self._retries = retries
        self._feedback = feedback
        self._log = log
        self._judge = Judge(resources)
        self._models = models
        self._validations = 0
        self._raised = 0
        self.complaint: str | None = None
        # When each attempt in flight began, by the number of its call.
        self._running: dict[int, float] = {}

    def complain(self, complaint: str) -> None:
        """Says why the run stops, if nobody has yet."""
        self.complaint = self.complaint or complaint

    def slow_calls(self) -> dict[int, float]:
        """The calls in flight that take unusually long, by their numbers, and how long so far."""
        begun, now = list(self._running.items()), _now()
        return {number: now - at for number, at in begun if now - at > SLOW_CALL_SECONDS}

    def blocking(self, ledger: Ledger, number: int, attempt: int) -> Verdict:
        """Makes an attempt of the call of this number on this thread; `attempt` is the attempt's own number."""
        index = number - ledger.base
        call = ledger.calls[index]
        started = self._running[number] = _now()
        try:
            answer = self.function(*call.args, **call._kwargs)
            if hasattr(type(answer), "__await__"):
                answer = _loop.wait_for(answer)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ends this attempt only
            return self._failed(ledger, index, attempt, error)
        finally:
            ledger.seconds[index] = _now() - self._running.pop(number, started)
        return self._answered(ledger, index, attempt, call, answer)

    async def awaited(self, ledger: Ledger, number: int, attempt: int) -> Verdict:
        """Makes an attempt on the running loop. A cancellation is passed on."""
        index = number - ledger.base
        call = ledger.calls[index]
        started = self._running[number] = _now()
        try:
            answer = await self.function(*call.args, **call._kwargs)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ends this attempt only
            return self._failed(ledger, index, attempt, error)
        finally:
            ledger.seconds[index] = _now() - self._running.pop(number, started)
        return self._answered(ledger, index, attempt, call, answer)

    def cancelled(self, ledger: Ledger, number: int, attempt: int) -> Verdict:
        """The function raised a cancellation of its own: a failure like any other."""
        return self._failed(ledger, number - ledger.base, attempt, asyncio.CancelledError())

    def timed_out(self, ledger: Ledger, number: int) -> None:
        """An attempt was given up because it took too long."""
        error = TimeoutError("the attempt took too long")
        ledger.note(number - ledger.base, error)
        self._on_failure(error)

    def not_made(self) -> Verdict:
        """Nobody wants the call any more: it is not made, and takes nothing."""
        return PERMANENT, [0.0] * len(self.resources), None, "cancelled"

    def _failed(self, ledger: Ledger, index: int, attempt: int, error: BaseException) -> Verdict:
        self._note(ledger, index, error)
        self._retries.look(error)
        self._feedback.hear(attempt, error)
        return self._meant(self._meaning(ledger.calls[index], error), error)

    def _meaning(self, call: Call, error: BaseException) -> Meaning:
        meaning = self._judge.of_failure(error)
        if isinstance(error, TypeError) and meaning.class_ == INVALID and not takes(call):
            # No other attempt can take these arguments either.
            return Meaning(PERMANENT)
        return meaning

    def _meant(self, meaning: Meaning, error: BaseException) -> Verdict:
        self._log.attempt(meaning.class_, error)
        if meaning.class_ == FATAL and meaning.why is not None:
            self.complain(f"the run stopped early: {meaning.why}; results have gaps; run() goes on")
        return meaning.class_, self._rejected(error), meaning.wait, type(error).__name__

    def _answered(self, ledger: Ledger, index: int, attempt: int, call: Call, answer: Any) -> Verdict:
        self._feedback.hear(attempt, answer)
        guise = self._judge.of_answer(call, answer)
        if guise is not None:
            self._note(ledger, index, guise[1])
            return self._meant(*guise)
        if self._models is not None:
            self._models.look(call, answer)
        usage = self._usage(ledger, index, call, answer) if self._settles else None
        if self._checks:
            class_ = self._validate(ledger, index, call, answer)
            if class_ != SUCCESS:
                return class_, usage, None, ValidationError.__name__
        # An answer that comes after its call has ended must not replace the one that was given out.
        if ledger.status[index] != DONE:
            if self._recorder is not None:
                trouble = self._recorder.answered(ledger.base + index, answer)
                if trouble is not None:
                    ledger.note(index, trouble)
            ledger.results[index] = answer
            ledger.end(index, DONE)
        return SUCCESS, usage, None, None

    def _rejected(self, error: BaseException) -> list[float | None] | None:
        """The usage of an attempt that has failed, as far as it is known: what was rejected has cost nothing."""
        if not self._has_budget or not is_rejected(error):
            return None
        return [0.0 if isinstance(resource, Budget) else None for resource in self.resources]

    def _note(self, ledger: Ledger, index: int, error: BaseException) -> None:
        """Keeps what went wrong with an attempt, and takes it down."""
        ledger.note(index, without_frames(error))
        if self._recorder is not None:
            self._recorder.failed(ledger.base + index, error)
        self._on_failure(error)

    def _validate(self, ledger: Ledger, index: int, call: Call, answer: Any) -> str:
        verdict = validators.check(self._checks, answer, self._watch)
        accepted, cause, fatal = verdict
        self._validations += 1
        self._raised += cause is not None
        if accepted:
            return SUCCESS
        error = ValidationError(verdict.text, call, answer)
        error.__cause__ = cause
        self._note(ledger, index, error)
        self._log.attempt(PERMANENT if fatal else INVALID, error)
        if self._raised == self._validations == _FIRST_VALIDATIONS:
            self.complain(
                f"each of the first {_FIRST_VALIDATIONS} validations raised an exception, the last one "
                f"{type(cause).__name__}: mend the validation; the answers are in the exceptions' .value"
            )
            return FATAL
        return PERMANENT if fatal else INVALID

    def _usage(self, ledger: Ledger, index: int, call: Call, answer: Any) -> list[float | None]:
        usage: list[float | None] = []
        costs = ledger.costs.get(index)
        for place, resource in enumerate(self.resources):
            if resource.results_usage_extractor is None:
                usage.append(None)
                continue
            try:
                used = self._used(resource, call, answer)
                if costs is not None and resource.arguments_usage_extractor is not None:
                    cost = costs[place]
                    used += cost.before if isinstance(cost, TwoParts) else cost
            except Exception as error:  # noqa: BLE001 - the answer was paid for and is kept
                ledger.note(index, without_frames(error))
                self._on_failure(error)
                usage.append(None)
            else:
                usage.append(used * resource._scale)
        return usage

    def _used(self, resource: Resource, call: Call, answer: Any) -> float:
        if self._watch is None:
            return results_usage(resource, call, answer)
        hook, what = resource.results_usage_extractor, "results_usage_extractor"
        used: float = self._watch.call(what, hook, results_usage, resource, call, answer)
        return used
