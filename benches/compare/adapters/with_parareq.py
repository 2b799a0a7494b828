"""The cookbook's script as parareq packages it. It takes https addresses alone and imports a module for its key that is not
in the package: both are put in its way here."""

import json
import logging
import sys
import types

from adapter import main  # isort: skip (before the tool)

sys.modules["synthgpt"] = types.ModuleType("synthgpt")
secret = sys.modules["synthgpt.secret"] = types.ModuleType("synthgpt.secret")
secret.OPENAI_API_KEY = "none"
from parareq import parareq  # noqa: E402

logging.disable(logging.CRITICAL)
parareq.api_endpoint_from_url = lambda url: url.split("/v1/")[1]


def everything(work):
    given, saved = work.results_file + ".given.jsonl", work.results_file + ".saved.jsonl"
    with open(given, "w") as file:
        for it in work.requests:
            file.write(json.dumps({**it["body"], "metadata": {"id": it["custom_id"]}}) + "\n")
    parareq.APIRequestProcessor(
        requests_filepath=given, save_filepath=saved, request_url=work.url + "/v1/chat/completions", api_key="none",
        max_requests_per_minute=work.quota("requests") or 1e9, max_tokens_per_minute=work.quota("tokens") or 1e12,
        max_attempts=8, logging_level=50,
    ).run()
    for name in (saved, saved.replace(".jsonl", "_with_errors.jsonl")):
        try:
            with open(name) as file:
                rows = [json.loads(line) for line in file]
        except FileNotFoundError:
            continue
        for _, answer, metadata in rows:
            if isinstance(answer, dict) and "usage" in answer:
                yield metadata["id"], answer


main(everything)
