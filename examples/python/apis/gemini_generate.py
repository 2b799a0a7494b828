"""Gemini with the client of `google-genai`, whose method is wrapped as it is.

    pip install google-genai
    GEMINI_API_KEY=... python gemini_generate.py gemini-2.5-flash

Without a key, with a simulated server in another terminal, which prints its address:

    rate-limited simulate --api gemini --limit requests=15/1m --limit input_tokens=250k/1m
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080/v1beta python gemini_generate.py gemini-2.5-flash
"""

import os
import sys

from google import genai
from google.genai.types import GenerateContentConfig, HttpOptions

from rate_limited import Runner
from rate_limited.apis import Api

QUESTIONS = ["Is it nocturnal?", "Name one thing that it eats.", "How long does it live?"]


def main(model: str = "gemini-2.5-flash") -> None:
    api = Api("gemini")
    base_url = os.environ.get("RATE_LIMITED_BASE_URL") or api.base_url or ""
    client = genai.Client(
        api_key=os.environ.get("GEMINI_API_KEY", "none"),
        http_options=HttpOptions(base_url=base_url.removesuffix("/v1beta"), api_version="v1beta"),
    )
    # Gemini's answers say nothing of its limits, so tell them: AI Studio shows those of your project.
    limits = {"requests": 15, "input_tokens": 250_000, "requests_per_day": 1_000}
    resources = api.resources(limits=limits, endpoint=f"/models/{model}:generateContent")
    runner = Runner(client.models.generate_content, resources, timeout=120)
    for question in QUESTIONS:
        runner.schedule(
            model=model,
            contents=f"About the honey badger: {question} Answer in one sentence.",
            config=GenerateContentConfig(max_output_tokens=200),
        )
    results, exceptions = runner.run()

    for question, answer, errors in zip(QUESTIONS, results, exceptions):
        if answer is None:
            print(f"{question} failed: {errors[-1] if errors else 'not run'}")
        else:
            print(f"{question} {answer.text}")
    print(f"{sum(answer is not None for answer in results)} of {len(results)} done")


if __name__ == "__main__":
    main(*sys.argv[1:])
