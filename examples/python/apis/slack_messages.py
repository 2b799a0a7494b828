"""Messages in Slack: one a second for each channel's app, and errors that come with status 200.

    pip install httpx
    SLACK_BOT_TOKEN=... python slack_messages.py

Without a token, with a simulated server in another terminal, which prints its address:

    rate-limited simulate --api slack --limit requests=60/1m
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080/api python slack_messages.py
"""

import os

import httpx

from rate_limited import Runner
from rate_limited.apis import Api
from rate_limited.exceptions import AnswerError

TEAMS = {f"C{number:03}": f"Team {number}: the report is due on Friday." for number in range(8)}

api = Api("slack")
client = httpx.Client(
    base_url=os.environ.get("RATE_LIMITED_BASE_URL") or api.base_url or "",
    headers={"Authorization": f"Bearer {os.environ.get('SLACK_BOT_TOKEN', 'none')}"},
    timeout=60,
)


def post_message(channel: str, text: str) -> httpx.Response:
    response = client.post("/chat.postMessage", json={"channel": channel, "text": text})
    response.raise_for_status()
    return response  # {"ok": false} is known for the failure that it is


def main() -> None:
    # Slack knows no idempotency key: a message whose answer was lost is not posted twice if nothing is tried again.
    # Refusals are: Slack says that those were not posted.
    resources = api.resources(limits={"requests": (60, 60.0)}, endpoint="/chat.postMessage")
    runner = Runner(post_message, resources, max_retries=0, max_concurrent=4)
    for channel, text in TEAMS.items():
        runner.schedule(channel, text)
    results, exceptions = runner.run()

    for channel, answer, errors in zip(TEAMS, results, exceptions):
        if answer is None:
            why = "said no" if errors and isinstance(errors[-1], AnswerError) else "may have it"
            print(f"{channel}: not posted for certain (Slack {why}): {errors[-1:]}")
    print(f"{sum(answer is not None for answer in results)} of {len(results)} done")


if __name__ == "__main__":
    main()
