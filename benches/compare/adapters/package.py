"""This project's Python package, with aiohttp, told of the API in a file as its users write one."""

import asyncio

import aiohttp
from adapter import main
from description import description
from rate_limited import Runner
from rate_limited.apis import Api


class Failed(Exception):
    def __init__(self, response):
        super().__init__(f"status {response.status}")
        self.status_code, self.response = response.status, response


def resources(work):
    file = work.results_file + ".api.toml"
    with open(file, "w") as out:
        out.write(description(work.api, work.limits))
    limits = {limit["name"]: (limit["quota"], limit["window"]) for limit in work.limits}
    return Api.load(file).resources(limits=limits, request=lambda call: call.get_argument("body"))


async def everything(work):
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask(body):
            async with session.post(work.url + "/v1/chat/completions", json=body) as response:
                await response.read()
                if response.status != 200:
                    raise Failed(response)
                # The response itself, since its headers say what remains of the limits.
                return response

        runner = Runner(ask, resources(work), max_concurrent=work.concurrency, max_retries=5, progress=False)
        for request in work.requests:
            runner.schedule(body=request["body"])
        responses, _ = await runner.run_coro()
        answered = [(it["custom_id"], response) for it, response in zip(work.requests, responses) if response is not None]
        return [(custom_id, await response.json()) for custom_id, response in answered]


main(lambda work: asyncio.run(everything(work)))
