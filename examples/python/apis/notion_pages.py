"""Notion: 3 requests a second on average, which the description tells as 180 a minute.

    pip install httpx
    NOTION_TOKEN=... python notion_pages.py

Without a token, with a simulated server in another terminal, which prints its address:

    rate-limited simulate --api notion --limit requests=180/1m
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080/v1 python notion_pages.py
"""

import os

import httpx

from rate_limited import Runner
from rate_limited.apis import Api

PAGES = [f"{number:032}" for number in range(12)]

api = Api("notion")
client = httpx.Client(
    base_url=os.environ.get("RATE_LIMITED_BASE_URL") or api.base_url or "",
    headers={
        "Authorization": f"Bearer {os.environ.get('NOTION_TOKEN', 'none')}",
        "Notion-Version": "2026-03-11",  # the one that your code was written for
    },
    timeout=60,
)


def page(identifier: str) -> dict:
    response = client.get(f"/pages/{identifier}")
    response.raise_for_status()
    return response.json()


def main() -> None:
    resources = api.resources(limits={"requests": 180}, endpoint="GET /pages")
    # The journal keeps what is there: run the script again, after Ctrl-C or a crash, and it is not asked for again.
    with Runner(page, resources, journal="notion_pages.db", key=lambda call: call.args[0]) as runner:
        for identifier in PAGES:
            runner.schedule(identifier)
        results, _ = runner.run()
    print(f"{sum(answer is not None for answer in results)} of {len(results)} done")


if __name__ == "__main__":
    main()
