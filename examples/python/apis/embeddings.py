"""Embeddings of OpenAI or Voyage, many texts a request, as an array of NumPy.

    pip install openai numpy
    VOYAGE_API_KEY=... python embeddings.py voyage voyage-4

Without a key, with a simulated server in another terminal, which prints its address:

    rate-limited simulate --api voyage --limit requests=2000/1m --limit tokens=3M/1m
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080/v1 python embeddings.py voyage voyage-4
"""

import os
import sys

import numpy as np
import openai

from rate_limited.apis import Api
from rate_limited.apis.openai import OpenAIEmbeddingsRunner

TEXTS = [f"Observation {number}: the heron stood in the shallows." for number in range(200)]
TEXTS_A_REQUEST = 50  # saves requests, not tokens


def main(name: str = "voyage", model: str = "voyage-4") -> None:
    api = Api(name)
    client = openai.OpenAI(  # Voyage's embeddings have the same path and body
        base_url=os.environ.get("RATE_LIMITED_BASE_URL") or api.base_url,
        api_key=os.environ.get(api.key_env or "", "none"),
    )
    # The limits of your account, per minute.
    runner = OpenAIEmbeddingsRunner(client, api=api, limits={"requests": 2_000, "tokens": 3_000_000})
    for start in range(0, len(TEXTS), TEXTS_A_REQUEST):
        runner.schedule(model=model, input=TEXTS[start : start + TEXTS_A_REQUEST])
    results, exceptions = runner.run()

    if None in results:
        failed = [errors[-1] for errors, answer in zip(exceptions, results) if answer is None and errors]
        raise SystemExit(f"{results.count(None)} requests have no answer: {failed[:1]}")
    # In the order of the texts, whatever order the answers came in.
    vectors = np.array([item.embedding for answer in results for item in answer.data])
    print(f"{len(results)} of {len(results)} done")
    print(f"{vectors.shape[0]} vectors of {vectors.shape[1]} numbers")


if __name__ == "__main__":
    main(*sys.argv[1:])
