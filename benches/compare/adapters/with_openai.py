"""The openai client, a semaphore, and tenacity around it, as its cookbook shows; it knows no limits."""

import asyncio

from adapter import main  # isort: skip (before the tool)
import openai
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential


async def everything(work):
    client = openai.AsyncOpenAI(base_url=work.url + "/v1", max_retries=2)
    gate = asyncio.Semaphore(work.concurrency)
    again = retry(
        retry=retry_if_exception_type(openai.APIError),
        wait=wait_random_exponential(min=1, max=60),
        stop=stop_after_attempt(6),
    )

    @again
    async def ask(body):
        return await client.chat.completions.create(**body)

    async def one(request):
        async with gate:
            try:
                answer = await ask(request["body"])
            except Exception:
                return None
            return request["custom_id"], answer.usage.total_tokens

    return await asyncio.gather(*map(one, work.requests))


main(lambda work: filter(None, asyncio.run(everything(work))))
