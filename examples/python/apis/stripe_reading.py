"""Stripe, read only: single objects and searches, each with its own limit a second.

    pip install httpx
    STRIPE_API_KEY=... python stripe_reading.py

Without a key, with a simulated server in another terminal, which prints its address:

    rate-limited simulate --api stripe --limit requests=100/1s --limit search_requests=20/1s
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080 python stripe_reading.py
"""

import os

import httpx

from rate_limited import Runner
from rate_limited.apis import Api

CUSTOMERS = [f"cus_{number:04}" for number in range(20)]
MONTHS = range(1, 7)

api = Api("stripe")
client = httpx.Client(
    base_url=os.environ.get("RATE_LIMITED_BASE_URL") or api.base_url or "",
    headers={"Authorization": f"Bearer {os.environ.get('STRIPE_API_KEY', 'none')}"},
    timeout=60,
)


def get(path: str, **params: str) -> dict:
    response = client.get(path, params=params)
    response.raise_for_status()
    return response.json()


def main() -> None:
    # Both take of the account's 100 requests a second: `shared` makes that one limit for all who use the key.
    options = {"limits": {"requests": 100}, "shared": "stripe account"}
    customers = Runner(get, api.resources(endpoint="GET /v1/customers", **options))
    searches = Runner(get, api.resources(endpoint="GET /v1/invoices/search", **options))
    for customer in CUSTOMERS:
        customers.schedule(f"/v1/customers/{customer}")
    for month in MONTHS:
        searches.schedule("/v1/invoices/search", query=f"metadata['month']:'{month}'")
    found, _ = customers.run()
    invoices, _ = searches.run()

    print([resource.name for resource in searches.resources], "limit a search")
    done = sum(answer is not None for answer in [*found, *invoices])
    print(f"{done} of {len(found) + len(invoices)} done")


if __name__ == "__main__":
    main()
