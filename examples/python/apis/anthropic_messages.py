"""Anthropic's messages, with the async client, within the limits of a plan.

    pip install anthropic
    ANTHROPIC_API_KEY=... python anthropic_messages.py claude-sonnet-5

Without a key, with a simulated server in another terminal, which prints its address:

    rate-limited simulate --api anthropic --limit requests=1000/1m
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080/v1 python anthropic_messages.py claude-sonnet-5
"""

import os
import sys

import anthropic

from rate_limited.apis import Api
from rate_limited.apis.anthropic import AnthropicRunner

TEXTS = ["The heron stood still.", "Moths came to the lamp.", "An owl called twice.", "The badger slept."]


def is_whole(answer) -> bool:
    """Whether the answer ended by itself; one that was cut off is asked for again."""
    return answer.stop_reason != "max_tokens"


def main(model: str = "claude-sonnet-5") -> None:
    base_url = os.environ.get("RATE_LIMITED_BASE_URL") or Api("anthropic").base_url or ""
    client = anthropic.AsyncAnthropic(
        api_key=os.environ.get("ANTHROPIC_API_KEY", "none"),
        base_url=base_url.removesuffix("/v1"),  # this client adds it
    )
    # The numbers of a plan, for this class of models. Those of your account: requests_per_minute=…,
    # input_tokens_per_minute=…, output_tokens_per_minute=…
    runner = AnthropicRunner(client, tier="start", model=model, validation=is_whole, pacing=1)
    for text in TEXTS:
        runner.schedule(
            model=model,
            system="You translate into Welsh.",
            messages=[{"role": "user", "content": text}],
            max_tokens=200,  # plays no part in Anthropic's limits: what is written counts
        )
    # It blocks, also in a notebook; `await runner.run_coro()` is the same for async code.
    results, exceptions = runner.run()

    for text, answer, errors in zip(TEXTS, results, exceptions):
        if answer is None:
            print(f"{text} -> failed: {errors[-1] if errors else 'not run'}")
        else:
            print(f"{text} -> {answer.content[0].text}")
    print(f"{sum(answer is not None for answer in results)} of {len(results)} done")
    for record in runner.records()[:1]:
        print("the first one took", record["usage"])


if __name__ == "__main__":
    main(*sys.argv[1:])
