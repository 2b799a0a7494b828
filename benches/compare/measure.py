"""One tool at one scenario: starts the judge and the tool, and measures."""

import json
import os
import signal
import subprocess
import tempfile
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from judge import Judge, rehearse
from memory import Peak
from scenario import seconds, toml_of

CONCURRENCY = 64
# Who needs this many times the optimum is stopped, unless the scenario says another number; what was delivered until then counts.
PATIENCE = 2.0


@dataclass
class Measured:
    tool: str
    scenario: str
    calls: int
    delivered: int
    makespan: float  # seconds of the API's clock, first arrival to last end
    optimum: float
    refusals: int
    failures: int
    cpu: float
    rss: int  # bytes
    cut: bool
    error: str = ""
    load: float = 0.0

    @property
    def ratio(self):
        return self.makespan / self.optimum if self.optimum else 0.0

    @property
    def refusals_per_thousand(self):
        return self.refusals * 1000 / self.calls

    def json(self):
        return {**asdict(self), "ratio": round(self.ratio, 4)}


def measure(tool, scenario, binaries, barrier=None):
    """Runs it; with a barrier, several tools start at the same moment."""
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        # A tool that knows minutes alone runs on a faster clock, and so does its server.
        clock = scenario.speed if tool.minute else 1.0
        pace = 1.0 if tool.minute else scenario.speed
        model = place / "model.toml"
        model.write_text(scenario.model(pace))
        requests = scenario.requests()
        work = write_work(place, scenario, requests, clock, pace)
        if tool.knows_all:
            work["knows"] = knowledge(place, scenario, requests, binaries, pace)
        changes = [(seconds(it["at"]) / pace, it["limit"], it["quota"]) for it in scenario.changes]
        with Judge(binaries.judge, str(model), clock, changes) as judge:
            work["url"] = judge.url
            (place / "work.json").write_text(json.dumps(work))
            ended = run(tool, place, binaries, scenario, barrier, scenario.patience or PATIENCE)
            stats = judge.stats()
        return result(tool, scenario, work, stats, ended, scenario.speed)


def write_work(place, scenario, requests, clock, pace):
    file = place / "requests.jsonl"
    file.write_text("".join(json.dumps(it) + "\n" for it in requests))
    return {
        "requests_file": str(file),
        "results_file": str(place / "results.jsonl"),
        "limits": [{**it, "window": it["window"] / pace} for it in scenario.limits_told()],
        "api": [{**it, "window": it["window"] / pace} for it in scenario.pages()],
        "concurrency": CONCURRENCY,
        "speed": clock,
    }


def knowledge(place, scenario, requests, binaries, pace):
    """What the client that knows all knows: each limit as it is, and what each call will use."""
    free = {key: scenario.api[key] for key in ("seed", "answers") if key in scenario.api}
    model = place / "free.toml"
    model.write_text(toml_of(free))
    limits = [{**it, "window": seconds(it["window"]) / pace} for it in scenario.api["limits"]]
    changes = [{**it, "at": seconds(it["at"]) / pace} for it in scenario.changes]
    return {"usage": rehearse(binaries.judge, str(model), requests), "limits": limits, "changes": changes}


@dataclass
class Ended:
    cpu: float
    rss: int
    cut: bool
    error: str


def run(tool, place, binaries, scenario, barrier, patience):
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= {"HOME": str(place), "RATE_LIMITED_BINARY": str(binaries.command), **tool.environment()}
    with open(place / "errors", "w+") as errors:
        process = subprocess.Popen(
            tool.command(binaries, place / "work.json"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            cwd=place, env=environment, start_new_session=True,
        )
        ready = "ready" in first_line(process.stdout)
        before = cpu_of(process.pid) if ready else 0.0
        peak = Peak(process.pid)
        if barrier:
            barrier.wait()
        # No scenario has more work than about 40 windows; who hangs is stopped as well.
        allowed = 5 + patience * scenario.expected() / scenario.speed
        timer = threading.Timer(allowed, end, [process.pid])
        timer.start()
        if ready:
            try:
                process.stdin.write("go\n")
                process.stdin.flush()
            except BrokenPipeError:
                pass
        drain = threading.Thread(target=process.stdout.read, daemon=True)
        drain.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        cut = not timer.is_alive() or timer.finished.is_set()
        timer.cancel()
        end(process.pid)
        errors.seek(0)
        text = errors.read()[-2000:] if status or not ready else ""
    cpu = usage.ru_utime + usage.ru_stime - before
    return Ended(cpu, peak.stop(), cut, text)


def end(pid):
    """Ends a tool and what it started."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def cpu_of(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def result(tool, scenario, work, stats, ended, speed):
    delivered = set()
    try:
        for line in Path(work["results_file"]).read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # cut off
            if good(row):
                delivered.add(row["custom_id"])
    except OSError:
        pass
    charged = {limit["name"]: limit["work"] for limit in stats["limits"]}
    first, last = stats["first_arrival"] or 0, stats["last_end"] or 0
    virtual = 1.0 if tool.minute else speed
    return Measured(
        tool=tool.name,
        scenario=scenario.name,
        calls=len(scenario.requests()),
        delivered=len(delivered),
        makespan=(last - first) / 1e9 * virtual,
        optimum=scenario.optimum(charged),
        refusals=stats["refusals"],
        failures=stats["failures"],
        cpu=round(ended.cpu, 3),
        rss=ended.rss,
        cut=ended.cut,
        error=ended.error,
        load=os.getloadavg()[0],
    )


def good(row):
    """A result of an adapter, or a line of the batch output format."""
    if "tokens" in row:
        return row["tokens"] > 0
    return row.get("error") is None and row["response"]["status_code"] == 200



def first_line(stdout):
    """The line by which the adapter says that it is ready; tools may print before it."""
    for line in stdout:
        if line.strip() == "ready":
            return "ready"
    return ""
