"""aiolimiter + aiohttp: a limiter for each resource, a semaphore, and retries by hand as its users write them."""

import asyncio

import aiohttp
from adapter import bound, main
from aiolimiter import AsyncLimiter

ATTEMPTS = 8


async def one(work, session, limiters, gate, request):
    body = request["body"]
    async with gate:
        for attempt in range(ATTEMPTS):
            for name, limiter in limiters.items():
                await limiter.acquire(1 if name == "requests" else min(bound(body), limiter.max_rate))
            async with session.post(work.url + "/v1/chat/completions", json=body) as response:
                answer = await response.json()
                if response.status == 200:
                    return request["custom_id"], answer
                wait = float(response.headers.get("retry-after", 0)) or min(60, 2**attempt)
            await asyncio.sleep(wait)
    return None


async def everything(work):
    limiters = {limit["name"]: AsyncLimiter(limit["quota"], limit["window"]) for limit in work.limits}
    gate = asyncio.Semaphore(work.concurrency)
    connector = aiohttp.TCPConnector(limit=work.concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:
        calls = (one(work, session, limiters, gate, request) for request in work.requests)
        return await asyncio.gather(*calls)


main(lambda work: filter(None, asyncio.run(everything(work))))
