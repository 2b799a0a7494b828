"""What all adapters share: `work.json` in, results out.

An adapter calls `main(run)`. `run(work)` does all calls of the work with its tool and yields `(custom_id, answer)` for each
that it has a good answer to. It starts when the harness says so, so that imports are not measured. An adapter of a
tool that knows minutes alone imports this module before the tool: it makes the clock faster.
"""

import json
import os
import sys

import fast_clock

with open(sys.argv[1]) as file:
    fast_clock.install(json.load(file)["speed"])


class Work:
    def __init__(self, path):
        with open(path) as file:
            self.__dict__.update(json.load(file))
        # url, requests_file, results_file, limits, concurrency, speed (of the tool's clock), headers ...
        with open(self.requests_file) as file:
            self.requests = [json.loads(line) for line in file]

    def quota(self, name, window=60.0):
        """The quota of a limit for `window` seconds of the tool's clock; `None` where it is not told."""
        for limit in self.limits:
            if limit["name"] == name:
                return limit["quota"] * window / limit["window"]
        return None

    def window(self):
        return self.limits[0]["window"] if self.limits else 60.0


def main(run):
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        del os.environ[name]
    os.environ["OPENAI_API_KEY"] = "none"
    work = Work(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.readline()
    with open(work.results_file, "w") as out:
        for custom_id, answer in run(work):
            tokens = answer if isinstance(answer, int) else answer["usage"]["total_tokens"]
            out.write(json.dumps({"custom_id": custom_id, "tokens": tokens}) + "\n")


def bound(body):
    """What a call may use at most: prompt and longest answer, by the judge's count of tokens."""
    chars = sum(len(message["content"]) for message in body["messages"])
    return -(-chars // 4) + body["max_tokens"]
