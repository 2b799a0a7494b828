"""Shopify's GraphQL Admin API: points a second, of which a query's answer tells its cost.

    pip install httpx
    SHOPIFY_ACCESS_TOKEN=... RATE_LIMITED_BASE_URL=https://MY-SHOP.myshopify.com/admin/api/2026-10 \\
        python shopify_orders.py

Without a shop, with a simulated server in another terminal, which prints its address:

    rate-limited simulate --api shopify_graphql --limit points=100/1s
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080/admin/api/2026-10 python shopify_orders.py
"""

import os

import httpx

from rate_limited import Runner
from rate_limited.apis import Api

QUERY = "query($after: String) { orders(first: 20, after: $after) { nodes { id name } } }"
CURSORS = [f"cursor-{number}" for number in range(12)]


def main() -> None:
    base_url = os.environ.get("RATE_LIMITED_BASE_URL")
    if not base_url:
        raise SystemExit(__doc__)  # there is one address for each shop
    client = httpx.Client(
        base_url=base_url,
        headers={"X-Shopify-Access-Token": os.environ.get("SHOPIFY_ACCESS_TOKEN", "none")},
        timeout=60,
    )

    def orders(variables: dict) -> dict:
        response = client.post("/graphql.json", json={"query": QUERY, "variables": variables})
        response.raise_for_status()
        return response.json()  # THROTTLED comes with status 200; the description knows it

    # The points of a plan. The first queries are taken for 1 point each, until answers have told: so few at once.
    runner = Runner(orders, Api("shopify_graphql").resources("standard"), max_concurrent=4)
    for cursor in CURSORS:
        runner.schedule({"after": cursor})
    results, exceptions = runner.run()

    print(f"{sum(answer is not None for answer in results)} of {len(results)} done")
    print(f"{sum(map(len, exceptions))} attempts were refused or failed, and were made again")
    print("points:", [record["usage"].get("points") for record in runner.records()])


if __name__ == "__main__":
    main()
