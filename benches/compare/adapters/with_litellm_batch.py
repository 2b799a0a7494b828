"""litellm's batch_completion: threads and retries, no limits. It takes one max_tokens a call, so blocks go one by one."""

import logging
from itertools import groupby

from adapter import main  # isort: skip (before the tool)
import litellm

litellm.suppress_debug_info = True
logging.disable(logging.CRITICAL)


def everything(work):
    for max_tokens, block in groupby(work.requests, key=lambda it: it["body"]["max_tokens"]):
        block = list(block)
        answers = litellm.batch_completion(
            model="openai/gpt-4o-mini", api_base=work.url + "/v1", api_key="none",
            messages=[it["body"]["messages"] for it in block], max_tokens=max_tokens,
            max_workers=work.concurrency, num_retries=10,
        )
        for request, answer in zip(block, answers):
            if not isinstance(answer, Exception):
                yield request["custom_id"], answer.usage.total_tokens


main(everything)
