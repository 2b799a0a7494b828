"""The server process that judges: `crates/rate_limited_sim/examples/judge.rs`."""

import json
import subprocess
import urllib.request

OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Judge:
    def __init__(self, binary, model, speed=1.0, changes=()):
        """Starts it; `changes` are (seconds of the API's clock, limit, quota)."""
        args = [binary, model, "--speed", str(speed)]
        for at, limit, quota in changes:
            args += ["--change", f"{at}:{limit}:{quota}"]
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def stats(self):
        with OPENER.open(f"{self.url}/stats", timeout=10) as answer:
            return json.load(answer)

    def ask(self, body):
        """The answer to one request."""
        head = {"content-type": "application/json"}
        sent = urllib.request.Request(f"{self.url}/v1/chat/completions", json.dumps(body).encode(), head)
        with OPENER.open(sent, timeout=10) as answer:
            return json.load(answer)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()


def rehearse(binary, model, requests):
    """The tokens that each call will really use, for the client that knows all: asked of the same API without limits."""
    with Judge(binary, model) as judge:
        return {it["custom_id"]: judge.ask(it["body"])["usage"]["total_tokens"] for it in requests}
