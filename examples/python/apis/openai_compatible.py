"""Chat completions of any API that speaks like OpenAI: openai, azure_openai, groq, mistral, together, xai, openrouter,
fireworks, deepseek, and openai_compatible for all others.

    pip install openai
    GROQ_API_KEY=... python openai_compatible.py groq llama-3.1-8b-instant

Without a key, with a simulated server in another terminal, which prints its address:

    rate-limited simulate --api groq --limit requests_per_day=1000/1d --limit tokens=6000/1m
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080/openai/v1 python openai_compatible.py groq llama-3.1-8b-instant
"""

import os
import sys

import openai

from rate_limited.apis import Api
from rate_limited.apis.openai import OpenAIChatRunner

ANIMALS = ["honey badger", "llama", "panda", "heron", "moth", "owl"]


def main(name: str = "groq", model: str = "llama-3.1-8b-instant") -> None:
    api = Api(name)  # what it limits, charges and says; print(api.explain()) shows it
    client = openai.OpenAI(
        # Azure's address has your resource's name in it, and any other API has its own: set the variable for those.
        base_url=os.environ.get("RATE_LIMITED_BASE_URL") or api.base_url,
        api_key=os.environ.get(api.key_env or "OPENAI_API_KEY", "none"),
    )
    # Without numbers the limits are found out from refusals, starting with one call. Tell what you know, and a run
    # begins at full speed: limits={"requests": 500, "tokens": 90_000}, or a plan: tier="free", model=model.
    runner = OpenAIChatRunner(client, api=api, max_concurrent=16)
    for animal in ANIMALS:
        runner.schedule(
            model=model,
            messages=[{"role": "user", "content": f"One sentence about the {animal}, please."}],
            max_tokens=60,
        )
    results, exceptions = runner.run()

    for animal, answer, errors in zip(ANIMALS, results, exceptions):
        if answer is None:
            print(f"{animal}: failed: {errors[-1] if errors else 'not run'}")
        else:
            print(f"{animal}: {answer.choices[0].message.content}")
    answers = [answer for answer in results if answer is not None]
    print(f"{len(answers)} of {len(results)} done")
    print(f"{sum(answer.usage.total_tokens for answer in answers if answer.usage)} tokens used")


if __name__ == "__main__":
    main(*sys.argv[1:])
