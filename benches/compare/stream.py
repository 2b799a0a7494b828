"""Whether memory stays flat over a long list of instant calls: the command with and without a journal, `run_each` and `stream`
of the crate, `map` of the package with and without one. Ten million calls each unless told otherwise; a fifth of that where a
journal is kept, which takes 1.5 kB of disk a call."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from judge import Judge
from tool import CACHE, HERE, cargo

CALLS = 10_000_000
CONCURRENCY = 64
RECORDED = 0.2
# What a run of the command may take at any time, and how much more its second half may take than its first.
BYTES_MAX, GROWTH_MAX = 64_000_000, 4_000_000


def measure(binaries, python, calls):
    """Resident bytes over each run, in the order of time; the last of them is its end."""
    place = CACHE / "stream"
    place.mkdir(parents=True, exist_ok=True)
    report = {"calls": calls, "load": os.getloadavg()[0], "runs": {}}
    fewer = max(1, round(calls * RECORDED))
    parts = [
        (calls, lambda: {"command, pipes, no journal": piped(binaries, place, calls)}),
        (fewer, lambda: {"command, files, journal": recorded(binaries, place, fewer)}),
        (calls, lambda: crate(calls)),
        (calls, lambda: {"package, map": mapped(python, calls)}),
        (fewer, lambda: {"package, map, journal": mapped_and_recorded(python, place, fewer)}),
    ]
    for made, part in parts:
        begun = time.perf_counter()
        for name, samples in part().items():
            # What comes in one process is counted in one time.
            report["runs"][name] = it = {"calls": made, "samples": samples, "seconds": round(time.perf_counter() - begun, 1)}
            show(name, it)
    return report


def piped(binaries, place, calls):
    """Lines through pipes, so that nothing but the command's memory grows."""
    with Judge(binaries.judge, free(place)) as judge:
        lines = subprocess.Popen([sys.executable, str(Path(__file__)), "lines", str(calls)], stdout=subprocess.PIPE)
        process = start(binaries, judge.url, ["-", "--no-journal"], place, stdin=lines.stdout, stdout=subprocess.PIPE)
        lines.stdout.close()
        count = Count(process.stdout)
        return ended(process, count.join_and_tell, calls)


def recorded(binaries, place, calls):
    """From a file into a file, with a journal: about 1.5 kB of disk a call, which is given back."""
    given, out = place / "given.jsonl", place / "out.jsonl"
    try:
        with open(given, "wb") as file:
            subprocess.run([sys.executable, str(Path(__file__)), "lines", str(calls)], stdout=file, check=True)
        with Judge(binaries.judge, free(place)) as judge:
            process = start(binaries, judge.url, [str(given), "-o", str(out)], place)
            return ended(process, lambda: lines_of(out), calls)
    finally:
        for old in [given, *place.glob("out.jsonl*")]:
            old.unlink(missing_ok=True)


def lines_of(file):
    with open(file, "rb") as opened:
        return sum(1 for _ in opened)


def free(place):
    model = place / "free.toml"
    model.write_text("headers = false\n")
    return str(model)


def start(binaries, url, more, place, **pipes):
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment["OPENAI_API_KEY"] = "none"
    command = [str(binaries.command), "run", *more, "--base-url", url + "/v1", "--quiet", "--max-concurrent", str(CONCURRENCY)]
    return subprocess.Popen(command, env=environment, cwd=place, **pipes)


def ended(process, results, calls):
    samples = Samples(process.pid)
    process.wait()
    found = results()
    assert process.returncode == 0 and found == calls, f"{found} of {calls} results, status {process.returncode}"
    return samples.stop()


class Samples(threading.Thread):
    """The resident memory of a process, five times a second."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.file, self.taken, self.ended = Path(f"/proc/{pid}/statm"), [], threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(0.2):
            try:
                self.taken.append(int(self.file.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
            except (OSError, IndexError):
                return

    def stop(self):
        self.ended.set()
        self.join()
        return [it for it in self.taken if it]


class Count(threading.Thread):
    """Counts lines as they come, so that nobody waits for a reader."""

    def __init__(self, pipe):
        super().__init__(daemon=True)
        self.pipe, self.lines = pipe, 0
        self.start()

    def run(self):
        while block := self.pipe.read1(1 << 20):
            self.lines += block.count(b"\n")

    def join_and_tell(self):
        self.join()
        return self.lines


def crate(calls):
    """`flat` of `crates/rate_limited/benches/driver.rs`, which tells its memory at each tenth."""
    done = cargo("bench", "-q", "--locked", "-p", "rate_limited", "--bench", "driver", "--", "flat", calls, capture_output=True, text=True)
    taken = {}
    for line in done.stdout.splitlines():
        name, _, resident = line.split()
        taken.setdefault(f"crate, {name}", []).append(int(resident))
    return taken


def mapped(python, calls, *more):
    done = subprocess.run([python, HERE / "instant.py", "map", str(calls), *more], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def mapped_and_recorded(python, place, calls):
    """With a journal, whose disk is given back."""
    try:
        return mapped(python, calls, place / "map.journal")
    finally:
        for old in place.glob("map.journal*"):
            old.unlink(missing_ok=True)


def growth(samples):
    """How much more the second half takes than the first, in which it warms up."""
    half = max(1, len(samples) // 2)
    return max(0, max(samples[half:], default=0) - max(samples[:half]))


def show(name, it):
    tenths = it["samples"][:: max(1, len(it["samples"]) // 10)]
    told = " ".join(f"{sample / 1e6:.0f}" for sample in tenths)
    print(f"  {name:28} most {max(it['samples']) / 1e6:5.1f} MB, on its way {told} ({it['seconds']} s)", flush=True)


def check(report):
    """What is above the bar."""
    for name, it in report["runs"].items():
        if (most := max(it["samples"])) > BYTES_MAX:
            yield f"{name}: {most / 1e6:.1f} MB"
        if (more := growth(it["samples"])) > GROWTH_MAX:
            yield f"{name}: its second half takes {more / 1e6:.1f} MB more than its first"


def page(report):
    """The section of the page."""
    if not report:
        return ""
    rows = [
        "## Memory over a long list\n",
        f"Instant calls; the command sends them over loopback HTTP, {CONCURRENCY} at once. The bar: at most"
        f" {BYTES_MAX / 1e6:.0f} MB at any time, and flat, so that the second half of a run takes at most"
        f" {GROWTH_MAX / 1e6:.0f} MB more than its first. Seconds are of the whole process, building and writing of the list included;"
        " both of the crate run in one.\n",
        "| | calls | peak MB | second half above first | seconds |\n|---|--:|--:|--:|--:|",
    ]
    for name, it in report["runs"].items():
        rows.append(f"| {name} | {it['calls']:,} | {max(it['samples']) / 1e6:.0f} | {growth(it['samples']) / 1e6:.1f} MB | {it['seconds']:,.0f} |")
    return "\n".join(rows) + "\n"


def lines(calls):
    """Requests as small as they come, on standard output."""
    block = []
    for number in range(calls):
        block.append(
            '{"custom_id":"%d","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":'
            '[{"role":"user","content":"%d"}],"max_tokens":5}}\n' % (number, number)
        )
        if len(block) == 10_000 or number == calls - 1:
            sys.stdout.write("".join(block))
            block.clear()


if __name__ == "__main__":
    lines(int(sys.argv[2]))
