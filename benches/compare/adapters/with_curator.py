"""bespokelabs-curator, with its openai backend."""

import logging
import os

from adapter import main  # isort: skip (before the tool)

os.environ |= {"CURATOR_DISABLE_CACHE": "1", "CURATOR_DISABLE_RICH_DISPLAY": "1", "TELEMETRY_ENABLED": "0", "CURATOR_VIEWER": "0"}
from bespokelabs import curator  # noqa: E402

logging.disable(logging.CRITICAL)


class Asker(curator.LLM):
    def prompt(self, row):
        return row["prompt"]

    def parse(self, row, response):
        return [{"custom_id": row["custom_id"]}]


def everything(work):
    params = {
        "base_url": work.url + "/v1",
        "max_concurrent_requests": work.concurrency,
        "require_all_responses": False,
        "invalid_finish_reasons": [],
        "max_retries": 10,
        "max_requests_per_minute": int(work.quota("requests") or 10**9),
        "max_tokens_per_minute": int(work.quota("tokens") or 10**12),
    }
    asker = Asker(model_name="gpt-4o-mini", backend="openai", backend_params=params)
    rows = [
        {
            "custom_id": it["custom_id"],
            "prompt": it["body"]["messages"][0]["content"],
            "generation_params": '{"max_tokens": %d}' % it["body"]["max_tokens"],
        }
        for it in work.requests
    ]
    for row in asker(rows, working_dir=work.results_file + ".curator").dataset:
        yield row["custom_id"], 1


main(everything)
