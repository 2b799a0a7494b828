"""litellm's batch_completion: threads and retries, no limits."""

import logging

from adapter import main  # isort: skip (before the tool)
import litellm

litellm.suppress_debug_info = True
logging.disable(logging.CRITICAL)


def everything(work):
    (length,) = {it["body"]["max_tokens"] for it in work.requests}
    answers = litellm.batch_completion(
        model="openai/gpt-4o-mini", api_base=work.url + "/v1", api_key="none",
        messages=[it["body"]["messages"] for it in work.requests], max_tokens=length,
        max_workers=work.concurrency, num_retries=10,
    )
    for request, answer in zip(work.requests, answers):
        if not isinstance(answer, Exception):
            yield request["custom_id"], answer.usage.total_tokens


main(everything)
