"""This project's command: `rate-limited run`, told of the API in a file as its users write one."""

import json
import os
import sys

KINDS = {"sliding": "sliding", "fixed": "fixed", "bucket": "bucket"}


def description(work):
    """The limits as they are told, and how the API counts."""
    told = {limit["name"]: limit for limit in work["limits"]}
    parts = ['name = "bench"', 'title = "The judge"', 'as_of = "2026-11-27"', 'source = "benches"', 'like = "openai"',
             'auth = { header = "Authorization", prefix = "Bearer " }', 'answers = "json"',
             '[[endpoints]]\npath = "/chat/completions"\nclass = "chat"\ngenerates = true']
    for limit in work["api"]:
        name, charged = limit["name"], limit.get("charged", "bound")
        cost = "{ request = 1 }" if name == "requests" else "{ prompt = 1, answer = 1 }"
        window = told.get(name, limit)["window"]
        lines = [
            "[[resources]]", f'name = "{name}"', f'unit = "{name}"', f'window = "{window * 1000:.0f}ms"',
            f'kind = "{limit.get("kind", "sliding")}"', f'counted = "{limit.get("counted", "arrival")}"',
            f'settlement = "{"keep" if name == "requests" or charged == "bound" else "usage"}"', f"cost = {cost}",
            "[resources.feedback]", f'limit = "header:x-ratelimit-limit-{name}"',
            f'remaining = "header:x-ratelimit-remaining-{name}"',
        ]
        parts.append("\n".join(lines))
    return "\n".join(parts) + "\n"


def main():
    with open(sys.argv[1]) as file:
        work = json.load(file)
    api = work["results_file"] + ".api.toml"
    with open(api, "w") as file:
        file.write(description(work))
    os.environ["OPENAI_API_KEY"] = "none"
    limits = []
    for limit in work["limits"]:
        limits += ["--limit", f'{limit["name"]}={limit["quota"]}/{limit["window"] * 1000:.0f}ms']
    command = [
        os.environ["RATE_LIMITED_BINARY"], "run", work["requests_file"], "-o", work["results_file"], "--api", api,
        "--base-url", work["url"] + "/v1", "--key-env", "OPENAI_API_KEY",
        "--max-concurrent", str(work["concurrency"]), *limits,
    ]
    print("ready", flush=True)
    sys.stdin.readline()
    # The same process goes on as the command, so that what is measured is its own.
    os.execv(command[0], command)


main()
