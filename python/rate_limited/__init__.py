"""Runs a long list of calls to a rate-limited API as fast as its limits allow, and never faster.

>>> from rate_limited import Resource, Runner
>>> runner = Runner(lambda n: n * n, [Resource.per_minute("requests", 3_500)], progress=False)
>>> for n in range(3):
...     runner.schedule(n)
>>> results, exceptions = runner.run()
>>> results
[0, 1, 4]
"""

from rate_limited.calls import Call
from rate_limited.exceptions import RateLimitedError, ValidationError
from rate_limited.limited import limited
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
