"""Puts the figures of a run into the tables of README.md and docs that quote them: `python3 benches/compare --figures`.

A table is known by its first line, a row of the text of `docs/limits.md` by its name. A part that was not measured leaves its
table as it is.
"""

import re

import report
from bars import INSTANT, POWER, PROCESS, SCHEDULER, kept
from scenario import Scenario
from tool import CACHE, ROOT, Tool

# What the README shows of the comparison; docs/benchmarks.md has all of it.
RIVALS = ("rate-limited", "rate_limited-py", "seed", "async-batch-llm", "lm-deluge", "litellm-router", "openai", "aiolimiter", "governor")
SHOWN = (
    "minute", "requests_sliding", "tokens_spread", "both_long_blocks", "max_tokens_usage", "failures", "told_2x_no_hint", "told_10x",
)
KINDS = {"sliding": "sliding window", "fixed": "fixed window", "bucket": "token bucket"}


def of_kinds(pattern):
    """The names of a scenario that is there for each kind of limit."""
    return [pattern.format(kind) for kind in KINDS]


REQUESTS, TOKENS = "requests bind", "tokens bind, sizes spread 100 ×"
BOTH = "requests and tokens bind about equally, sizes spread 100 ×"
BLOCKS = "300 small calls (requests bind), then 50 big ones (tokens bind), three times"
# The rows of the README's table on virtual time, each with its scenarios; of several the widest span.
VIRTUAL = [
    (f"{what}; {words}", [f"{name}_{kind}"])
    for what, name in ((REQUESTS, "requests"), (TOKENS, "tokens"), (BOTH, "both"), (BLOCKS, "blocks"))
    for kind, words in KINDS.items()
] + [
    ("the 300 + 50 blocks dispatched in order, for comparison", ["blocks_in_order"]),
    ("both limits, dispatched in order", ["in_order"]),
    ("token bucket with a burst of a tenth", ["small_burst"]),
    ("5 % of attempts fail", ["failures"]),
    ("`max_tokens` 10 × too high; the API charges real usage, learnt", ["max_tokens_usage"]),
    ("`max_tokens` 10 × too high; the API reserves it, corrects at the end", ["max_tokens_reserved"]),
    ("the same, taken for an API that charges real usage", ["max_tokens_reserved_untold"]),
    ("the same, where answers tell what remains", ["max_tokens_reserved_headers"]),
    ("tokens counted when the answer is complete", ["tokens_completion"]),
    ("answers take long now and then (lognormal, σ 0.7)", ["heavy_tail"]),
    ("3,500 a minute of 10 s each, concurrency found from 64 on", ["slow"]),
    ("limits told 2 or 10 × too high; refusals tell nothing", of_kinds("told_2x_{}_no_hint") + of_kinds("told_10x_{}_no_hint")),
    ("a bucket that holds 6 calls, told as a window or a bucket of a minute", ["burst_untold", "burst_untold_no_hint", "burst_untold_bucket"]),
    ("the same, told 10 × too high", ["burst_untold_10x", "burst_untold_10x_no_hint"]),
    ("limits that nobody told, answers name them", of_kinds("untold_{}_headers")),
    ("limits that nobody told, refusals have `Retry-After`", of_kinds("untold_{}_retry_after")),
    ("limits that nobody told, refusals tell nothing", of_kinds("untold_{}_no_hint")),
]
ROW = r"^(\w+) +([\d.]+)× +([\d.]+)× +[\d.]+× +([\d.]+) per 1,000$"


def write(cache=CACHE):
    """Writes what there is; tells what it could not find."""
    readme, reliability, limits = (ROOT / it for it in ("README.md", "docs/reliability.md", "docs/limits.md"))
    tables = [
        (readme, "| makespan / optimum · refusals per 1,000 |", rivals(cache)),
        (readme, "| scenario | makespan / optimum, best to worst |", virtual_table(kept("makespan", cache))),
        (readme, "| order, calls | waiting |", scheduler(kept("scheduler", cache))),
        (readme, "| | |", driver(kept("driver", cache))),
        (readme, "| | rate-limited 0.4.0 | this |", python(kept("python", cache))),
        (reliability, "| | |", journal(kept("journal", cache))),
        (reliability, "| | 10,000 done |", resume(kept("resume", cache))),
    ]
    for file, head, rows in tables:
        if not rows:
            print(f"{file.name}: the table of {head!r} stays as it is, its part was not measured")
            continue
        file.write_text(replaced(file.read_text(), head, rows))
    limits.write_text(virtual(limits.read_text(), kept("makespan", cache)))


def replaced(text, head, rows):
    """The text with another table in the place of the one that begins so."""
    lines = text.splitlines()
    starts = [at for at, line in enumerate(lines) if line.startswith(head) and (head != "| | |" or line == head)]
    if len(starts) != 1:
        raise SystemExit(f"{len(starts)} tables begin with {head!r}, instead of one")
    end = starts[0]
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    return "\n".join([*lines[: starts[0]], *rows, *lines[end:]]) + "\n"


def table(head, align, rows):
    return [head, align, *("| " + " | ".join(row) + " |" for row in rows)] if rows else []


def rivals(cache):
    """Some scenarios and some of the peers; all that were measured."""
    measured = report.read(cache / "results.jsonl", Scenario.all(), Tool.all())
    tools = [it for it in RIVALS if any(key[1] == it for key in measured)]
    rows = [(it, *(report.cell(measured, it, tool) for tool in tools)) for it in SHOWN if any(key[0] == it for key in measured)]
    names = {"rate-limited": "this, command", "rate_limited-py": "this, Python", "seed": "rate-limited 0.4.0", "openai": "openai + tenacity"}
    head = "| makespan / optimum · refusals per 1,000 | " + " | ".join(names.get(it, it) for it in tools) + " |"
    return table(head, "|---|" + "---|" * len(tools), rows)


def virtual_table(text):
    found = {name: tuple(map(float, numbers)) for name, *numbers in re.findall(ROW, text, re.MULTILINE)}
    rows = []
    for what, names in VIRTUAL:
        taken = [found[it] for it in names if it in found]
        if len(taken) < len(names):
            continue
        best, worst, refused = min(it[0] for it in taken), max(it[1] for it in taken), max(it[2] for it in taken)
        rows.append((what, f"{best:.3f} – {worst:.3f}", f"{refused:g}"))
    return table("| scenario | makespan / optimum, best to worst | refusals per 1,000 |", "|---|--:|--:|", rows)


def scheduler(text):
    head = "| order, calls | waiting | µs a call (schedule + admission + settlement), the best of three | bytes a waiting call |"
    rows = [
        (name.strip(), f"{int(waiting):,}", f"{float(micros):.2f}", f"{float(size):.0f}")
        for name, waiting, micros, size in re.findall(SCHEDULER, text)
        # Of a thousand calls the pages of the system say little.
        if int(waiting) >= 100_000
    ]
    return table(head, "|---|--:|--:|--:|", rows)


def driver(text):
    late = re.search(r"wake-up lateness over (\d+) waits: p50 (\S+), p99 (\S+), most (\S+)", text)
    idle = re.search(r"CPU while it waited for (\S+): (\S+)", text)
    found = {limits: (int(rate) * 1000, cpu) for limits, rate, cpu in re.findall(INSTANT, text)}
    if not (late and idle and len(found) == 2):
        return []
    shown = "none that the system's clock of 10 ms ticks shows" if idle[2] == "0ns" else idle[2]
    rows = [
        (f"lateness of wake-ups, {int(late[1]):,} waits", ", ".join(f"{name} {spaced(it)}" for name, it in zip(("p50", "p99", "most"), late.groups()[1:]))),
        (f"CPU while it waits for {spaced(idle[1])}", shown),
    ]
    for limits, name in (("0", "without limits"), ("2", ", two limits that do not bind")):
        rate, cpu = found[limits]
        rows.append((f"instant calls {name}".replace(" ,", ","), f"{rate:,} a second, {cpu} µs of CPU a call"))
    return table("| | |", "|---|---|", rows)


def spaced(duration):
    """`1.16ms` as `1.16 ms`."""
    return re.sub(r"(?<=\d)(?=[a-zµ])", " ", duration)


def python(text):
    return [line for line in text.splitlines() if line.startswith("|")]


def journal(text):
    process = re.findall(PROCESS, text)
    power = re.findall(POWER, text)
    opened, walked = re.search(r"opened in (\S+)", text), re.search(r"walked in ([^;]+); (\d+) MB", text)
    if not (process and power and opened and walked):
        return []
    rows = [
        ("level `process`", f"{ends(process, 0)} calls a second, {ends(process, 1)} µs of CPU a call"),
        ("level `power`", f"{ends(power, 0)} calls a second, {ends(power, 1)} × the disk's fdatasync rate in the same run"),
        ("opening a journal of a million calls of 1 kB", spaced(opened[1])),
        ("walking through the same million inputs", f"{spaced(walked[1])}, {walked[2]} MB of memory"),
    ]
    return table("| | |", "|---|---|", rows)


def ends(rows, column):
    """The least and the most of a column."""
    values = sorted((row[column] for row in rows), key=float)
    least, most = (it if "." in it else f"{int(it):,}" for it in (values[0], values[-1]))
    return f"{least} – {most}"


def resume(text):
    found = re.findall(r"([\d,]+) calls done .*first new request after ([\d.]+) s.*at most (\d+) MB", text)
    if len(found) != 2:
        return []
    (few, few_first, few_memory), (many, many_first, many_memory) = found
    rows = [
        ("from its start to the first new request", f"{few_first} s", f"{many_first} s"),
        ("most memory", f"{few_memory} MB", f"{many_memory} MB"),
    ]
    return table(f"| | {few} done | {many} done |", "|---|--:|--:|", rows)


def virtual(text, measured):
    """The rows of scenarios that `docs/limits.md` quotes, each by its name."""
    new = {line.split()[0]: line for line in measured.splitlines() if "per 1,000" in line}
    return "\n".join(new.get(line.split()[0], line) if "per 1,000" in line and "× " in line else line for line in text.splitlines()) + "\n"
