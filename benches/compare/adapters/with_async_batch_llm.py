"""async-batch-llm around aiohttp, with its limits on requests and tokens and its own retries."""

import asyncio
import logging

from adapter import bound, main  # isort: skip (before the tool)
import aiohttp
from async_batch_llm import ArtifactIdentity, CallableStrategy, CallOutcome, ProcessorConfig, TokenEstimate, process_prompts

logging.disable(logging.CRITICAL)


class Failed(Exception):
    def __init__(self, status, headers):
        super().__init__(f"{status} too many requests: rate limit" if status == 429 else f"status {status}")
        self.status_code, self.code, self.headers = status, status, headers


async def everything(work):
    bodies = {it["custom_id"]: it["body"] for it in work.requests}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def invoke(prompt, *, attempt, timeout, state):
            async with session.post(work.url + "/v1/chat/completions", json=bodies[prompt]) as response:
                if response.status != 200:
                    raise Failed(response.status, dict(response.headers))
                usage = (await response.json())["usage"]
            tokens = {
                "input_tokens": usage["prompt_tokens"],
                "output_tokens": usage["completion_tokens"],
                "total_tokens": usage["total_tokens"],
            }
            return CallOutcome(str(usage["total_tokens"]), token_usage=tokens)

        tokens = work.quota("tokens")
        config = ProcessorConfig(
            concurrency=work.concurrency,
            max_requests_per_minute=work.quota("requests"),
            max_tokens_per_minute=int(tokens) if tokens else None,
            token_estimator=(lambda prompt, **_: TokenEstimate(bound(bodies[prompt]))) if tokens else None,
        )
        strategy = CallableStrategy(invoke, identity=ArtifactIdentity(provider="judge", model="judge"))
        batch = await process_prompts(strategy, [(name, name) for name in bodies], config=config)
    return [(it.item_id, int(it.output)) for it in batch.results if it.success]


main(lambda work: asyncio.run(everything(work)))
