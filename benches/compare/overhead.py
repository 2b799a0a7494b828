"""What a call costs where no limit binds: the command beside a bare `reqwest` loop, and Python runners on instant calls."""

import json
import os
import re
import shutil
import statistics
import subprocess
import time

from judge import Judge
from memory import Peak
from scenario import request
from tool import CACHE, HERE

CALLS = 60_000
RUNS = 5
CONCURRENCY = 64
# Those of `tools.toml` that it needs; the bare loop is built beside the rivals in Rust.
TOOLS = ("rate_limited-py", "seed", "async-batch-llm")


WRK = "wrk, 64 connections"
WRK_SECONDS = 3


def measure(binaries, calls=CALLS, runs=RUNS):
    """Everything; calls a second, CPU microseconds a call and peak memory of each, as medians of interleaved runs."""
    report = {"load": os.getloadavg()[0], "calls": calls, "runs": runs}
    report["http"] = over_http(binaries, calls, runs)
    report["instant"] = instant(runs=3)
    return report


def over_http(binaries, calls, runs):
    place = CACHE / "overhead"
    place.mkdir(parents=True, exist_ok=True)
    (place / "free.toml").write_text("headers = false\n")
    given = place / "given.jsonl"
    # Lines of about 1 kB.
    given.write_text("".join(json.dumps(request(number, 200, 10)) + "\n" for number in range(calls)))
    with Judge(binaries.judge, str(place / "free.toml")) as judge:
        variants = {
            "bare reqwest loop": [binaries.rivals, "bare", given, place / "out.jsonl", judge.url + "/v1/chat/completions", CONCURRENCY],
            "command, no journal": command(binaries, given, place, judge.url, ["--no-journal"]),
            "command, journal": command(binaries, given, place, judge.url, []),
        }
        taken = {name: [] for name in variants}
        for _ in range(runs):
            for name, args in variants.items():
                taken[name].append(timed(place, args, calls))
            if shutil.which("wrk"):
                taken.setdefault(WRK, []).append(wrk(place, judge.url))
    return {name: medians(rows) for name, rows in taken.items()}


def command(binaries, given, place, url, more):
    return [
        binaries.command, "run", given, "-o", place / "out.jsonl", "--base-url", url + "/v1", "--quiet",
        "--max-concurrent", CONCURRENCY, *more,
    ]


def timed(place, args, calls):
    for old in place.glob("out.jsonl*"):
        old.unlink()
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment["OPENAI_API_KEY"] = "none"
    start = time.perf_counter()
    process = subprocess.Popen(list(map(str, args)), env=environment, cwd=place)
    peak = Peak(process.pid)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    with open(place / "out.jsonl", "rb") as out:
        lines = sum(1 for _ in out)
    assert process.returncode == 0 and lines == calls, f"{args[0]}: {lines} of {calls} results, status {process.returncode}"
    return calls / seconds, (usage.ru_utime + usage.ru_stime) / calls * 1e6, peak.stop()


def wrk(place, url):
    """What a load generator gets from the same server: the same request again and again, no file read and none written."""
    script = place / "post.lua"
    body = json.dumps(request(0, 200, 10)["body"])
    script.write_text(
        f'wrk.method = "POST"\nwrk.headers["content-type"] = "application/json"\nwrk.body = [==[{body}]==]\n'
    )
    args = ["wrk", "-t1", f"-c{CONCURRENCY}", f"-d{WRK_SECONDS}s", "-s", str(script), url + "/v1/chat/completions"]
    process = subprocess.Popen(args, stdout=subprocess.PIPE, text=True)
    peak, told = Peak(process.pid), process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wrong = process.returncode or "Non-2xx" in told or "Socket errors" in told
    assert not wrong, f"wrk: status {process.returncode}\n{told}"
    calls = int(re.search(r"(\d+) requests in", told)[1])
    rate = float(re.search(r"Requests/sec: +([\d.]+)", told)[1])
    return rate, (usage.ru_utime + usage.ru_stime) / calls * 1e6, peak.stop()


def medians(rows):
    rate, cpu, rss = (statistics.median(column) for column in zip(*rows))
    return {"rate": round(rate), "cpu_us": round(cpu, 1), "rss": round(rss)}


def instant(runs):
    """Instant calls in Python, through both `rate_limited` and async-batch-llm, in turn."""
    modules = {"ours": "rate_limited", "seed": "rate_limited", "async-batch-llm": "async_batch_llm"}
    taken = {name: [] for name in modules}
    for _ in range(runs):
        for name, rows in taken.items():
            command = [CACHE / name / "bin" / "python", HERE / "instant.py", modules[name]]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    report = {}
    for name, rows in taken.items():
        report[name] = {
            kind: {key: statistics.median(row[kind][key] for row in rows) for key in ("calls_per_second", "cpu_us", "bytes")}
            for kind in ("sync", "async") if kind in rows[0]
        }
    return report


def page(report):
    """The section of the page."""
    if not report:
        return ""
    http, inside = report["http"], report["instant"]
    bare = http["bare reqwest loop"]["rate"]
    rows = [
        "## What a call costs\n",
        f"No limit binds; {report['calls']:,} lines of 1 kB over loopback HTTP, {CONCURRENCY} at once, the median of {report['runs']}"
        f" interleaved runs; load before it {report['load']:.1f}. Server and client share the machine.\n",
        "| | calls/s | of the bare loop | CPU µs a call | peak MB |\n|---|--:|--:|--:|--:|",
    ]
    for name, it in http.items():
        rows.append(f"| {name} | {it['rate']:,} | {it['rate'] / bare:.2f} | {it['cpu_us']} | {it['rss'] / 1e6:.0f} |")
    if WRK in http:
        rows.append("\n`wrk` is a check from outside: it repeats one request, reads no file, parses no answer and writes none.")
    rows.append("\nInstant calls in Python, 100,000 of them (async-batch-llm: 2,000), two limits that do not bind:\n")
    rows.append("| | kind | calls/s | CPU µs a call | bytes a call |\n|---|---|--:|--:|--:|")
    for name, kinds in inside.items():
        for kind, it in kinds.items():
            rows.append(f"| {name} | {kind} | {it['calls_per_second']:,} | {it['cpu_us']} | {it['bytes']:,} |")
    return "\n".join(rows) + "\n"
