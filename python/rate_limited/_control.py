"""What can be changed while a runner runs: its limits, how many calls are in flight, and pauses."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from rate_limited._setup import count
from rate_limited.resources import Resource

if TYPE_CHECKING:
    from rate_limited._native import Machine
    from rate_limited._run import Run
    from rate_limited._service import Service

logger = logging.getLogger("rate_limited")

MOST_FOUND_OUT = 4_096
"""The largest bound on calls in flight that is found out."""


class Control:
    """The part of a `Runner` that others may turn while it runs, from any thread."""

    _resources: list[Resource]
    _machine: Machine
    _run: Run | None
    _service: Service | None
    _bound: int
    """How many calls may be in flight; 0: that is found out."""
    _paused: bool

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The limits; setting the `quota` of one changes it, also during a run.

        >>> from rate_limited import Resource, Runner
        >>> runner = Runner(len, [Resource.per_minute("requests", 60)], progress=False)
        >>> runner.resources[0].quota = 600
        >>> runner.resources
        (Resource('requests', quota=600, time_window_seconds=60),)
        """
        return tuple(self._resources)

    def set_limit(self, name: str, quota: float, time_window_seconds: float | None = None) -> None:
        """Raises or lowers a limit, also during a run, for all runners that share it. What was used counts on.

        A call that waits and exceeds a lower limit on its own fails.

        Args:
            name: of one of `resources`.
            quota: the largest amount in a window.
            time_window_seconds: the window. Default None: as it is.

        Raises:
            KeyError: no resource has that name; the message has those that there are.
            ValueError: the quota or the window is out of range, or several resources have that name.

        >>> from rate_limited import Resource, Runner
        >>> runner = Runner(len, [Resource.per_minute("requests", 60)], progress=False)
        >>> runner.set_limit("requests", 600)
        >>> runner.set_limit("tokens", 9_000)
        Traceback (most recent call last):
        ...
        KeyError: "no resource is called 'tokens': there is requests"
        """
        found = [resource for resource in self._resources if resource.name == name]
        if not found:
            names = ", ".join(resource.name for resource in self._resources) or "none"
            raise KeyError(f"no resource is called {name!r}: there is {names}")
        if len(found) > 1:
            raise ValueError(
                f"{len(found)} resources are called {name!r}: set the quota of the one that is meant, "
                "as in runner.resources[0].quota = 600, or give them names of their own"
            )
        found[0].set_limit(quota, time_window_seconds)
        logger.info("the limit of %s is now %r", name, found[0])

    @property
    def max_concurrent(self) -> int | str:
        """How many calls may be in flight at once, or `"auto"`; setting it changes that, also during a run.

        What is above a lower bound drains; a higher one is used at once.

        >>> from rate_limited import Runner
        >>> runner = Runner(len, [], progress=False)
        >>> runner.max_concurrent = 8
        >>> runner.max_concurrent
        8
        """
        return self._bound or "auto"

    @max_concurrent.setter
    def max_concurrent(self, max_concurrent: int | str) -> None:
        self._bound = count("max_concurrent", max_concurrent, 1, 100_000, auto=True)
        # First the workers, then the work: whoever is woken for it must find that there may be more of them.
        run, service = self._run, self._service
        for working in (run, service):
            if working is not None:
                working.allow(self._bound or MOST_FOUND_OUT)
        for machine in self._machines():
            machine.set_max_concurrent(self._bound or None)
        logger.info("at most %s calls may be in flight", max_concurrent)

    @property
    def paused(self) -> bool:
        """Whether nothing new is started before `resume`."""
        return self._paused

    def pause(self) -> None:
        """Starts nothing new until `resume`, from any thread; what is in flight goes on, and `run` waits.

        Ctrl-C ends a run that is paused like any other. Later runs are paused, too.

        >>> from rate_limited import Runner
        >>> runner = Runner(len, [], progress=False)
        >>> runner.pause()
        >>> runner.paused
        True
        """
        self._paused = True
        for machine in self._machines():
            machine.pause()
        logger.info("paused: nothing new is started before resume()")

    def resume(self) -> None:
        """Ends a pause.

        >>> from rate_limited import Runner
        >>> runner = Runner(len, [], progress=False)
        >>> runner.pause()
        >>> runner.resume()
        >>> runner.schedule("four")
        >>> runner.run()[0]
        [4]
        """
        if not self._paused:
            return
        self._paused = False
        for machine in self._machines():
            machine.unpause()
        logger.info("resumed")

    def _machines(self) -> list[Machine]:
        service = self._service
        return [self._machine] if service is None else [self._machine, service.machine]
