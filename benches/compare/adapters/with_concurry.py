"""concurry: a pool of threads with a limit on calls and one on tokens, its own retries, and the standard library's client."""

import json
import urllib.request

from adapter import bound, main
from concurry import CallLimit, RateLimit, worker


def limits(work):
    for limit in work.limits:
        if limit["name"] == "requests":
            yield CallLimit(window=limit["window"], capacity=limit["quota"])
        else:
            yield RateLimit(key="tokens", window=limit["window"], capacity=limit["quota"])


def everything(work):
    @worker(
        mode="thread",
        max_workers=work.concurrency,
        limits=list(limits(work)),
        num_retries=8,
        retry_wait=1.0,
    )
    class Asker:
        def ask(self, url, body):
            requested = {"tokens": bound(body)} if any(it["name"] == "tokens" for it in work.limits) else {}
            with self.limits.acquire(requested=requested) as held:
                head = {"content-type": "application/json"}
                sent = urllib.request.Request(url, json.dumps(body).encode(), head)
                with urllib.request.urlopen(sent) as response:
                    tokens = json.load(response)["usage"]["total_tokens"]
                if requested:
                    held.update(usage={"tokens": tokens})
                return tokens

    pool = Asker()
    url = work.url + "/v1/chat/completions"
    futures = [(it["custom_id"], pool.ask(url, it["body"])) for it in work.requests]
    for custom_id, future in futures:
        try:
            yield custom_id, future.result()
        except Exception:
            continue
    pool.stop()


main(everything)
