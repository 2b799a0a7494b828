"""The judge's API as a user of this project describes one: how each limit counts and comes back, and what answers say of it.

The command and the package read the same file; the quotas are told apart from it.
"""

HEAD = """\
name = "bench"
title = "The judge"
as_of = "2026-11-27"
source = "benches"
like = "openai"
auth = { header = "Authorization", prefix = "Bearer " }
answers = "json"
[[endpoints]]
path = "/chat/completions"
class = "chat"
generates = true
"""


def description(api, told):
    """`api`: the limits as the judge has them; `told`: those that the client is told."""
    windows = {limit["name"]: limit["window"] for limit in told}
    return HEAD + "".join(resource(limit, windows.get(limit["name"], limit["window"])) for limit in api)


def resource(limit, window):
    name, charged = limit["name"], limit.get("charged", "bound")
    is_kept = name == "requests" or charged == "bound"
    burst = f"burst = {limit['burst']}\n" if "burst" in limit else ""
    return f"""\
[[resources]]
name = "{name}"
unit = "{name}"
window = "{window * 1000:.0f}ms"
kind = "{limit.get("kind", "sliding")}"
{burst}\
counted = "{limit.get("counted", "arrival")}"
settlement = "{"keep" if is_kept else "usage"}"
cost = {"{ request = 1 }" if name == "requests" else "{ prompt = 1, answer = 1 }"}
[resources.feedback]
limit = "header:x-ratelimit-limit-{name}"
remaining = "header:x-ratelimit-remaining-{name}"
"""
