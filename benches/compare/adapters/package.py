"""This project's Python package, with aiohttp."""

import asyncio

import aiohttp
from adapter import bound, main
from rate_limited import Resource, Runner


class Failed(Exception):
    def __init__(self, response):
        super().__init__(f"status {response.status}")
        self.status_code, self.response = response.status, response


def resources(work):
    rules = {limit["name"]: limit for limit in work.api}
    for limit in work.limits:
        if limit["name"] == "requests":
            yield Resource("requests", limit["quota"], limit["window"], arguments_usage_extractor=lambda _: 1)
        elif rules["tokens"].get("charged", "bound") == "bound":
            yield Resource(
                "tokens", limit["quota"], limit["window"],
                arguments_usage_extractor=lambda call: bound(call.get_argument("body")),
            )
        else:
            yield Resource(
                "tokens", limit["quota"], limit["window"],
                results_usage_extractor=lambda _call, answer: answer["usage"]["total_tokens"],
                max_results_usage_estimator=lambda call: bound(call.get_argument("body")), learn=True,
            )


async def everything(work):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(body):
            async with session.post(work.url + "/v1/chat/completions", json=body) as response:
                if response.status != 200:
                    raise Failed(response)
                return await response.json()

        runner = Runner(ask, list(resources(work)), max_concurrent=work.concurrency, max_retries=5, progress=False)
        for request in work.requests:
            runner.schedule(body=request["body"])
        results, _ = await runner.run_coro()
    return [(it["custom_id"], answer) for it, answer in zip(work.requests, results) if answer is not None]


main(lambda work: asyncio.run(everything(work)))
