"""Ready-made descriptions of the limits of well-known APIs, and runners for their clients."""

from rate_limited.apis._api import Api

__all__ = ["Api"]
