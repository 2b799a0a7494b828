"""lm-deluge's client, with a model of its registry that points at the judge."""

import asyncio

from adapter import main  # isort: skip (before the tool)
from lm_deluge import Conversation, LLMClient
from lm_deluge.models import register_model


async def everything(work):
    register_model("judge", "gpt-4o-mini", work.url + "/v1", "OPENAI_API_KEY", "openai", provider="openai")
    (length,) = {it["body"]["max_tokens"] for it in work.requests}
    client = LLMClient(
        "judge",
        max_requests_per_minute=int(work.quota("requests") or 10**9),
        max_tokens_per_minute=int(work.quota("tokens") or 10**12),
        max_concurrent_requests=work.concurrency,
        max_attempts=10,
        max_new_tokens=length,
    )
    prompts = [Conversation().user(it["body"]["messages"][0]["content"]) for it in work.requests]
    answers = await client.process_prompts_async(prompts, show_progress=False)
    for request, answer in zip(work.requests, answers):
        if answer is not None and not answer.is_error and answer.usage:
            yield request["custom_id"], answer.usage.input_tokens + answer.usage.output_tokens


async def gathered(work):
    return [it async for it in everything(work)]


main(lambda work: asyncio.run(gathered(work)))
