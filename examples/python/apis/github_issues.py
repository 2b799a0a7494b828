"""GitHub's REST API: pages of issues, within 5,000 requests an hour, as rows for a data frame.

    pip install httpx
    GITHUB_TOKEN=... python github_issues.py

Without a token, with a simulated server in another terminal, which prints its address:

    rate-limited simulate --api github --limit primary=5000/1h
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080 python github_issues.py
"""

import os

import httpx

from rate_limited import Failure, Runner
from rate_limited.apis import Api

PAGES = range(1, 9)

api = Api("github")
client = httpx.Client(
    base_url=os.environ.get("RATE_LIMITED_BASE_URL") or api.base_url or "",
    headers={
        "User-Agent": "my-study",  # GitHub refuses requests without one
        "Authorization": f"Bearer {os.environ.get('GITHUB_TOKEN', 'none')}",
    },
    timeout=60,
)


def issues(page: int) -> httpx.Response:
    """One page. The response itself is returned, since its headers say what remains of the hour."""
    response = client.get(
        "/repos/rust-lang/rust/issues", params={"state": "open", "per_page": 100, "page": page}
    )
    response.raise_for_status()  # a 403 that means "wait" is told from one that means "never"
    return response


def main() -> None:
    # The hour of a user's token; beside it 900 points a minute, of which a GET takes 1, and a write 5.
    resources = api.resources("user", endpoint="GET /repos/rust-lang/rust/issues")
    runner = Runner(issues, resources, max_concurrent=10)

    done = 0
    for page, answer in zip(PAGES, runner.map(PAGES)):  # lazy, in order, in bounded memory
        if isinstance(answer, Failure):
            print(f"page {page}: {answer}")
            continue
        done += 1
        print(
            f"page {page}: {len(answer.content)} bytes, {answer.headers.get('x-ratelimit-remaining')} remain"
        )
    print(f"{done} of {len(PAGES)} done")


if __name__ == "__main__":
    main()
