"""Any API of the web: what most of them have in common is read, and limits that nobody told are found out.

    pip install httpx
    RATE_LIMITED_BASE_URL=https://api.openalex.org python any_api.py

With a simulated server in another terminal, which prints its address:

    rate-limited simulate --api generic --limit requests=10/1s
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080 python any_api.py
"""

import os

import httpx

from rate_limited import Runner
from rate_limited.apis import Api

SUBJECTS = ["honey badgers", "llamas", "pandas", "herons", "moths", "owls"] * 4

client = httpx.AsyncClient(
    base_url=os.environ.get("RATE_LIMITED_BASE_URL", "https://api.openalex.org"),
    headers={"User-Agent": "my-study/1.0 (mailto:me@example.org)"},  # many APIs want to know who asks
    timeout=60,
)


async def works(subject: str) -> httpx.Response:
    response = await client.get("/works", params={"search": subject, "per-page": 25})
    response.raise_for_status()
    return response


def main() -> None:
    # "generic" reads Retry-After, X-RateLimit-* and the RateLimit fields of the IETF's draft. Tell a limit that you
    # know: resources(limits={"requests": (10, 1.0)}). For more, describe the API in a file: docs/guides/custom_api.md.
    runner = Runner(works, Api("generic").resources(), max_concurrent=8)
    for subject in SUBJECTS:
        runner.schedule(subject)
    results, exceptions = runner.run()

    print(f"{sum(answer is not None for answer in results)} of {len(results)} done")
    print(f"{sum(map(len, exceptions))} attempts were refused or failed, and were made again")
    print("found out:", runner.resources[0].limit or "no limit was met")


if __name__ == "__main__":
    main()
