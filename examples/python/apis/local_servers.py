"""A server of your own: vllm, llama_cpp or ollama. It has no quota; what is scarce is the machine.

    pip install openai
    python local_servers.py ollama llama3.2

Without one, with a simulated server in another terminal, which prints its address:

    rate-limited simulate --api ollama --latency 100ms-300ms
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080/v1 python local_servers.py ollama llama3.2
"""

import os
import sys

import openai

from rate_limited.apis import Api
from rate_limited.apis.openai import OpenAIChatRunner

# A few more than the server runs at once: what waits at the server only uses up its time-outs.
AT_ONCE = {"vllm": 64, "llama_cpp": 4, "ollama": 4}
REVIEWS = ["Good value.", "It broke on the first day.", "My cat loves it.", "Never again.", "Fine, but loud."]


def is_verdict(answer) -> bool:
    """What the model may answer; anything else is asked for again. (Sampling at 0 would bring the same again.)"""
    text = answer.choices[0].message.content
    return bool(text and text.strip())  # for example: text.strip().lower() in ("good", "bad")


def main(name: str = "ollama", model: str = "llama3.2") -> None:
    api = Api(name)
    client = openai.OpenAI(
        base_url=os.environ.get("RATE_LIMITED_BASE_URL") or api.base_url,
        api_key=os.environ.get(api.key_env or "", "none"),
    )
    runner = OpenAIChatRunner(
        client,
        api=api,
        max_concurrent=AT_ONCE[name],
        timeout=300,  # seconds for one attempt; the first one may have to wait until the model is loaded
        validation=is_verdict,
    )
    for review in REVIEWS * 3:
        prompt = f"Is this review good or bad? Answer with one word.\n\n{review}"
        runner.schedule(model=model, messages=[{"role": "user", "content": prompt}], max_tokens=8)
    results, _ = runner.run()

    for review, answer in zip(REVIEWS, results):
        print(f"{review} -> {answer.choices[0].message.content if answer else 'failed'}")
    seconds = sorted(record["seconds"] for record in runner.records())
    print(f"{sum(answer is not None for answer in results)} of {len(results)} done")
    print(f"an answer took {seconds[len(seconds) // 2]:.2f} s in the middle")


if __name__ == "__main__":
    main(*sys.argv[1:])
