"""What the progress of the command costs: prints one JSON object for `progress_command.py COMMAND SECONDS ROUNDS`.

It sends 1,000 requests a second to its own simulated API, in turn with `--quiet`, with `--json-progress` (a line a second),
and on a terminal (a bar). The kernel counts the CPU and the sleeps of the process; a difference between medians of what
takes turns on a shared machine is what can be told.
"""

import json
import os
import pty
import resource
import statistics
import subprocess
import sys
import tempfile
import threading

WAYS = {"quiet": ["--quiet"], "json": ["--json-progress"], "bar": []}
CALLS_PER_SECOND = 1_000


def drain(file):
    try:
        while os.read(file, 65_536):
            pass
    except OSError:
        pass  # the other side is closed


def run(command, way, url, folder, seconds):
    """The CPU percent and the sleeps per second of one run."""
    requests, output = f"{folder}/in.jsonl", f"{folder}/{way}.jsonl"
    arguments = [command, "run", requests, "-o", output, "--base-url", url, "--fresh", *WAYS[way]]
    arguments += ["--limit", f"requests={CALLS_PER_SECOND}/1s", "--max-concurrent", "64"]
    mine, theirs = pty.openpty() if way == "bar" else os.pipe()
    threading.Thread(target=drain, args=(mine,), daemon=True).start()
    environment = {**os.environ, "RATE_LIMITED_API_KEY": "none", "OPENAI_API_KEY": "none", "TERM": "xterm"}
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=theirs, env=environment)
    _, code, used = os.wait4(process.pid, 0)
    process.returncode = code
    os.close(theirs)
    if code != 0:
        raise SystemExit(f"{' '.join(arguments)} ended with {code}")
    return (used.ru_utime + used.ru_stime) / seconds * 100, used.ru_nvcsw / seconds


def main(command, seconds, rounds):
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/in.jsonl", "w") as file:
            for number in range(seconds * CALLS_PER_SECOND):
                body = {"model": "m", "messages": [{"role": "user", "content": f"{number}"}], "max_tokens": 5}
                file.write(json.dumps(body) + "\n")
        limits = ["--limit", "requests=100000/1s", "--latency", "5ms"]
        server = subprocess.Popen(
            [command, "simulate", "--port", "0", *limits], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            line = next(line for line in server.stdout if "http://" in line)
            url = next(word for word in line.split() if word.startswith("http://")).rstrip(".,;:")
            threading.Thread(target=lambda: server.stdout.read(), daemon=True).start()
            found = {way: [] for way in WAYS}
            for _ in range(rounds):
                for way in WAYS:
                    found[way].append(run(command, way, url, folder, seconds))
        finally:
            server.terminate()
            server.wait()
    for way, runs in found.items():
        cpu, sleeps = (statistics.median(column) for column in zip(*runs, strict=True))
        least = min(cpu for cpu, _ in runs)
        print(json.dumps({"way": way, "cpu_percent": round(cpu, 2), "least": round(least, 2), "sleeps_per_second": round(sleeps)}))


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
