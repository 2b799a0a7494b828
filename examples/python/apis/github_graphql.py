"""GitHub's GraphQL API, where a query costs points, and a refusal has status 200.

    pip install requests
    GITHUB_TOKEN=... python github_graphql.py

Without a token, with a simulated server in another terminal, which prints its address:

    rate-limited simulate --api github_graphql --limit primary=5000/1h
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080 python github_graphql.py
"""

import os

import requests

from rate_limited import Runner
from rate_limited.apis import Api

REPOSITORIES = ["rust-lang/rust", "python/cpython", "numpy/numpy", "pandas-dev/pandas"]
QUERY = """
query($owner: String!, $name: String!) {
  repository(owner: $owner, name: $name) { issues(first: 50, states: OPEN) { nodes { title } } }
  rateLimit { cost remaining resetAt }
}
"""  # what `rateLimit` says a query cost is what is counted

api = Api("github_graphql")
base_url = os.environ.get("RATE_LIMITED_BASE_URL") or api.base_url
session = requests.Session()
session.headers["Authorization"] = f"Bearer {os.environ.get('GITHUB_TOKEN', 'none')}"


def ask(query: str, variables: dict) -> dict:
    """One query. An error in the body, such as RATE_LIMITED, is known by the description: nothing to do here."""
    response = session.post(f"{base_url}/graphql", json={"query": query, "variables": variables}, timeout=60)
    response.raise_for_status()
    return response.json()


def main() -> None:
    runner = Runner(ask, api.resources(limits={"primary": 5_000}, endpoint="/graphql"), max_concurrent=10)
    for repository in REPOSITORIES:
        owner, name = repository.split("/")
        runner.schedule(QUERY, {"owner": owner, "name": name})
    results, exceptions = runner.run()

    for repository, answer, errors in zip(REPOSITORIES, results, exceptions):
        print(f"{repository}: {sorted(answer['data']) if answer else errors[-1:]}")
    print(f"{sum(answer is not None for answer in results)} of {len(results)} done")
    print("points:", [record["usage"].get("primary") for record in runner.records()])


if __name__ == "__main__":
    main()
