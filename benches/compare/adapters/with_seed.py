"""rate-limited 0.4.0 from PyPI, with aiohttp."""

import asyncio
import logging

import aiohttp
from adapter import bound, main
from rate_limited.resources import Resource
from rate_limited.runner import Runner


logging.disable(logging.CRITICAL)


class Failed(Exception):
    pass


def resources(work):
    for limit in work.limits:
        if limit["name"] == "requests":
            yield Resource("requests", limit["quota"], limit["window"], arguments_usage_extractor=lambda _: 1)
        else:
            yield Resource(
                "tokens", limit["quota"], limit["window"],
                results_usage_extractor=lambda _call, answer: answer["usage"]["total_tokens"],
                max_results_usage_estimator=lambda call: bound(call.get_argument("body")),
            )


async def everything(work):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(body):
            async with session.post(work.url + "/v1/chat/completions", json=body) as response:
                if response.status != 200:
                    raise Failed(response.status)
                return await response.json()

        runner = Runner(ask, list(resources(work)), max_concurrent=work.concurrency, max_retries=5)
        for request in work.requests:
            runner.schedule(body=request["body"])
        results, _ = await runner.run_coro()
    for request, answer in zip(work.requests, results):
        if answer is not None:
            yield request["custom_id"], answer


async def gathered(work):
    return [it async for it in everything(work)]


main(lambda work: asyncio.run(gathered(work)))
