"""Messages with the client of `anthropic`, within the limits of an account.

    pip install anthropic
    ANTHROPIC_API_KEY=... python anthropic_messages.py MODEL

The limits below are examples: give those of your account and model.
"""

import os
import sys

from rate_limited.apis.anthropic import AnthropicRunner

SUBJECTS = ["a honey badger", "an owl", "a moth", "a heron", "the salt marsh"]


def main() -> None:
    if not os.environ.get("ANTHROPIC_API_KEY") or len(sys.argv) != 2:
        print(__doc__)
        return

    import anthropic

    runner = AnthropicRunner(
        anthropic.Anthropic(),
        requests_per_minute=50,
        input_tokens_per_minute=30_000,
        output_tokens_per_minute=8_000,
        pacing=2,  # the first requests go one after the other, not at once
    )
    for subject in SUBJECTS:
        runner.schedule(
            model=sys.argv[1],
            messages=[{"role": "user", "content": f"A short poem about {subject}, please."}],
            max_tokens=256,
        )
    results, exceptions = runner.run()

    answers = [answer for answer in results if answer is not None]
    print(f"{len(answers)} of {len(results)} answered,")
    print(f"{sum(answer.usage.output_tokens for answer in answers)} tokens written")
    for answer in answers[:1]:
        print("the first one:", *(part.text for part in answer.content if part.type == "text"))
    for errors in filter(None, exceptions):
        print("an attempt failed:", errors[-1])


if __name__ == "__main__":
    main()
