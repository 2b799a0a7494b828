"""Runs a long list of calls to a rate-limited API as fast as its limits allow, and never faster.

>>> from rate_limited import Resource, Runner
>>> runner = Runner(lambda n: n * n, [Resource.per_minute("requests", 3_500)], progress=False)
>>> for n in range(3):
...     runner.schedule(n)
>>> results, exceptions = runner.run()
>>> results
[0, 1, 4]
"""

TYPE_CHECKING = False  # checkers of types take it for true
if TYPE_CHECKING:
    from rate_limited._limited import limited
    from rate_limited.calls import Call
    from rate_limited.exceptions import RateLimitedError, ValidationError
    from rate_limited.resources import Resource
    from rate_limited.runner import Failure, Plan, Report, Runner

__version__ = "0.5.0"

__all__ = [
    "Call",
    "Failure",
    "Plan",
    "RateLimitedError",
    "Report",
    "Resource",
    "Runner",
    "ValidationError",
    "__version__",
    "limited",
]

# Loaded when they are asked for: the command needs none of them, and is up in less than a quarter of the time.
_HOMES = {
    "Call": "calls",
    "Failure": "runner",
    "Plan": "runner",
    "RateLimitedError": "exceptions",
    "Report": "runner",
    "Resource": "resources",
    "Runner": "runner",
    "ValidationError": "exceptions",
    "limited": "_limited",
}
_MODULES = ("apis", "calls", "exceptions", "resources", "runner", "usage", "validators")

if not TYPE_CHECKING:

    def __getattr__(name):
        from importlib import import_module

        if name in _MODULES:
            return import_module(f"rate_limited.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module 'rate_limited' has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"rate_limited.{_HOMES[name]}"), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})
