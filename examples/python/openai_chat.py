"""Chat completions with the client of `openai`, against a simulated server: no key is needed.

Start the server in one terminal:

    rate-limited simulate --limit requests=50/1m --limit tokens=90k/1m

and run this in another one, with the address that the server prints:

    pip install openai
    OPENAI_BASE_URL=http://127.0.0.1:8080/v1 python openai_chat.py

For the real API, make the client with `openai.OpenAI()` and give the limits of your account.
"""

import os

from rate_limited.apis.openai import OpenAIChatRunner

SUBJECTS = ["a honey badger", "an owl", "a moth", "a heron", "the salt marsh"]


def main() -> None:
    base_url = os.environ.get("OPENAI_BASE_URL")
    if not base_url:
        print(__doc__)
        return

    import openai

    client = openai.OpenAI(api_key="simulated", base_url=base_url)
    runner = OpenAIChatRunner(client, requests_per_minute=50, tokens_per_minute=90_000)
    for subject in SUBJECTS * 4:
        runner.schedule(
            model="simulated",
            messages=[{"role": "user", "content": f"A short poem about {subject}, please."}],
            max_tokens=64,
        )
    results, exceptions = runner.run()

    answers = [answer for answer in results if answer is not None]
    print(f"{len(answers)} of {len(results)} answered,")
    print(f"{sum(answer.usage.total_tokens for answer in answers if answer.usage)} tokens used")
    if answers:
        print("the first one:", answers[0].choices[0].message.content)
    for errors in filter(None, exceptions):
        print("an attempt failed:", errors[-1])


if __name__ == "__main__":
    main()
