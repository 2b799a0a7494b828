"""litellm's Router with rpm and tpm, routing by usage, and its own retries."""

import asyncio
import logging

from adapter import main  # isort: skip (before the tool)
import litellm

litellm.suppress_debug_info = True
logging.disable(logging.CRITICAL)


async def everything(work):
    params = {"model": "openai/gpt-4o-mini", "api_base": work.url + "/v1", "api_key": "none", "max_retries": 0}
    for name, short in (("requests", "rpm"), ("tokens", "tpm")):
        if quota := work.quota(name):
            params[short] = int(quota)
    router = litellm.Router(
        model_list=[{"model_name": "gpt-4o-mini", "litellm_params": params}],
        routing_strategy="usage-based-routing-v2",
        num_retries=10,
        retry_after=1,
        disable_cooldowns=True,
        default_max_parallel_requests=work.concurrency,
    )
    gate = asyncio.Semaphore(work.concurrency)

    async def one(request):
        async with gate:
            try:
                answer = await router.acompletion(**request["body"])
            except Exception:
                return None
            return request["custom_id"], answer.usage.total_tokens

    return await asyncio.gather(*map(one, work.requests))


main(lambda work: filter(None, asyncio.run(everything(work))))
