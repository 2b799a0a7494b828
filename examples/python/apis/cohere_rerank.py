"""Cohere's embeddings and rerank, over HTTP, each within its own limit.

    pip install httpx
    CO_API_KEY=... python cohere_rerank.py

Without a key, with a simulated server in another terminal, which prints its address:

    rate-limited simulate --api cohere --limit embed_inputs=2000/1m --limit rerank_requests=1000/1m
    RATE_LIMITED_BASE_URL=http://127.0.0.1:8080/v2 python cohere_rerank.py
"""

import os

import httpx

from rate_limited import Runner
from rate_limited.apis import Api

DOCUMENTS = [
    "It sleeps through most of the day.",
    "It is fond of cold water.",
    "It can be heard from far away.",
]
QUESTIONS = ["When does it sleep?", "What does it like?", "Is it loud?", "Where does it swim?"]

api = Api("cohere")
client = httpx.Client(
    base_url=os.environ.get("RATE_LIMITED_BASE_URL") or api.base_url or "",
    headers={"Authorization": f"Bearer {os.environ.get('CO_API_KEY', 'none')}"},
    timeout=60,
)


def post(path: str, body: dict) -> httpx.Response:
    """One request. It raises for a status that is no success: that is all that a runner asks of a function."""
    response = client.post(path, json=body)
    response.raise_for_status()
    return response


def runner_of(path: str) -> Runner:
    """A runner for one path, since Cohere limits each by itself; embeddings by their texts, not by requests."""
    resources = api.resources("production", endpoint=path, request=lambda call: call.get_argument("body"))
    return Runner(post, resources)


def main() -> None:
    embed, rerank = runner_of("/embed"), runner_of("/rerank")
    model = {"model": "embed-v4.0", "input_type": "search_document", "embedding_types": ["float"]}
    embed.schedule("/embed", {**model, "texts": DOCUMENTS})
    for question in QUESTIONS:
        rerank.schedule("/rerank", {"model": "rerank-v4.0", "query": question, "documents": DOCUMENTS})
    vectors, _ = embed.run()
    ranks, _ = rerank.run()

    for question, answer in zip(QUESTIONS, ranks):
        print(question, "->", DOCUMENTS[answer.json()["results"][0]["index"]] if answer else "failed")
    done = sum(answer is not None for answer in [*vectors, *ranks])
    print(f"{done} of {len(vectors) + len(ranks)} done")


if __name__ == "__main__":
    main()
