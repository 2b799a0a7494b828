"""This project's command: `rate-limited run`, told of the API in a file as its users write one."""

import json
import os
import sys

from description import description


def main():
    with open(sys.argv[1]) as file:
        work = json.load(file)
    api = work["results_file"] + ".api.toml"
    with open(api, "w") as file:
        file.write(description(work["api"], work["limits"]))
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
