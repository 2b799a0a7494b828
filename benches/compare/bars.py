"""The bars that the project sets itself, and whether they are held: from what all parts of `benches/all` have written."""

import re

import stream
from tool import CACHE

OURS = ("rate-limited", "rate_limited-py")
# What the parts print, as the tables want it.
SCHEDULER = r"(.+?) +(\d+) waiting +([\d.]+) µs a call +([\d.]+) bytes each"
INSTANT = r"instant calls, (\d) limits: (\d+) k/s, ([\d.]+) µs of CPU a call"
PROCESS = r"process: (\d+) calls/s, ([\d.]+) µs"
POWER = r"power: (\d+) calls/s, ([\d.]+) ×"
# Where a time is told only by medians, a hundredth is nothing.
FIRST = 1.01


def kept(name, cache=CACHE):
    """What a part has printed; nothing if it has not ended well."""
    file = cache / "kept" / f"{name}.txt"
    return file.read_text() if file.exists() else ""


def single(cache, costs, memory):
    """The bars of one figure each: what, the bar, what was measured, and whether it holds; none of these if it was not."""
    rows = [*core(kept("scheduler", cache)), *driver(kept("driver", cache)), *http(costs), *instant(costs)]
    rows += [*long_list(memory), *journal(kept("journal", cache)), *resume(kept("resume", cache))]
    head = ["| | bar | measured | |", "|---|---|--:|---|"]
    return "\n".join(head + [row(*it) for it in rows]) + "\n"


def row(what, bar, measured, held):
    verdict = {None: "not measured", True: "held", False: "**missed**"}[held]
    return f"| {what} | {bar} | {measured or '–'} | {verdict} |"


def at_most(what, value, bar, unit, digits=2):
    held = None if value is None else value <= bar
    return what, f"≤ {bar:,} {unit}", "" if value is None else f"{value:,.{digits}f} {unit}", held


def at_least(what, value, bar, unit="×", digits=2):
    held = None if value is None else value >= bar
    return what, f"≥ {bar:,} {unit}", "" if value is None else f"{value:,.{digits}f} {unit}", held


def core(text):
    """From `crates/rate_limited_core/benches/core.rs`: the slowest case and the largest counts."""
    found = [
        (int(waiting), float(micros), float(size))
        for _, waiting, micros, size in re.findall(SCHEDULER, text)
    ]
    slowest = {waiting: max(it[1] for it in found if it[0] == waiting) for waiting, _, _ in found}
    largest = max((size for waiting, _, size in found if waiting >= 100_000), default=None)
    rate = 1e6 / slowest[100_000] if 100_000 in slowest else None
    yield at_least("core on one core, 100,000 waiting, the slowest case", rate, 1_000_000, "calls/s", 0)
    yield at_most("core, 10,000,000 waiting, the slowest case", slowest.get(10_000_000), 2.5, "µs a call")
    yield at_most("core, a waiting call, the largest case from 100,000 waiting on", largest, 120, "bytes", 0)


def driver(text):
    """From `crates/rate_limited/benches/driver.rs`: time of the clock and CPU, whichever is more."""
    found = {
        limits: max(1000 / float(rate), float(cpu))
        for limits, rate, cpu in re.findall(INSTANT, text)
    }
    for limits, name in (("0", "no limit"), ("2", "two limits that do not bind")):
        yield at_most(f"`Runner` of the crate, an instant call, {name}; time or CPU, what is more", found.get(limits), 2, "µs")


def http(costs):
    rates = {name: it["rate"] for name, it in costs["http"].items()} if costs else {}
    bare = rates.get("bare reqwest loop")
    for name, bar in (("command, no journal", 0.8), ("command, journal", 0.4)):
        ratio = rates[name] / bare if bare and name in rates else None
        yield at_least(f"{name}: calls/s over loopback HTTP, of a bare `reqwest` loop", ratio, bar)


def instant(costs):
    inside = costs["instant"] if costs else {}

    def ratio(kind, other, its_kind):
        try:
            return inside["ours"][kind]["calls_per_second"] / inside[other][its_kind]["calls_per_second"]
        except KeyError:
            return None

    yield at_least("Python, instant sync calls/s, of the seed's", ratio("sync", "seed", "sync"), 5, digits=1)
    yield at_least("Python, instant async calls/s, of the seed's", ratio("async", "seed", "async"), 2, digits=1)
    yield at_least("Python, instant sync calls/s, of async-batch-llm's", ratio("sync", "async-batch-llm", "async"), 50, digits=1)


def long_list(memory):
    if not memory:
        yield at_most("memory over a list of 10,000,000 calls", None, stream.BYTES_MAX // 10**6, "MB")
        return
    for name, it in memory["runs"].items():
        most, growth = max(it["samples"]) / 1e6, stream.growth(it["samples"]) / 1e6
        held = not list(stream.check({"runs": {name: it}}))
        bar = f"≤ {stream.BYTES_MAX / 1e6:g} MB, growth ≤ {stream.GROWTH_MAX / 1e6:g} MB"
        yield f"{name}: memory over {it['calls']:,} calls", bar, f"{most:.0f} MB, {growth:.1f} MB", held


def journal(text):
    """From `crates/rate_limited_store/benches/journal.rs`: the worst of its rounds."""
    process = re.findall(PROCESS, text)
    power = [float(times) for _, times in re.findall(POWER, text)]
    opened = re.search(r"opened in ([\d.]+)(ms|s)", text)
    yield at_least("journal, level `process`", min((float(it) for it, _ in process), default=None), 20_000, "calls/s", 0)
    yield at_most("journal, level `process`", max((float(it) for _, it in process), default=None), 25, "µs of CPU a call", 1)
    yield at_least("journal, level `power`: calls/s, of the disk's fdatasync/s", min(power, default=None), 5, digits=1)
    seconds = float(opened[1]) / (1000 if opened[2] == "ms" else 1) if opened else None
    yield at_most("journal of a million calls, opened", seconds, 2, "s")


def resume(text):
    """From `benches/resume`."""
    found = re.search(r"bars: first request < 8 s \(([\d.]+)\); memory \+ 32 MB at most \(([-+]\d+)\)", text)
    first, memory = (float(it) for it in found.groups()) if found else (None, None)
    yield at_most("going on behind a million calls: the first new request", first, 8, "s")
    yield at_most("going on behind a million calls: memory above that behind 10,000", memory, 32, "MB", 0)


def makespans(measured, scenarios):
    """The bars of time, refusals and place among the rivals, a row for each scenario."""
    rows = [MAKESPANS, "| | bar | best rival | command | Python |\n|---|---|---|---|---|"]
    for scenario in scenarios:
        reference = measured.get((scenario.name, "reference"), {}).get("ratio", 0.0)
        bar, refusals = limits(scenario, reference)
        best = best_rival(measured, scenario.name)
        place = 1.0 if too_high(scenario) else FIRST
        cells = [verdict(measured.get((scenario.name, name)), bar, refusals, best, place) for name in OURS]
        rival = f"{best['ratio']:.3f}, {best['tool']}" if best else "none delivered all"
        rows.append(f"| {scenario.name} | ≤ {bar:.3f}, ≤ {refusals} | {rival} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


MAKESPANS = """Makespan / optimum, refusals per 1,000 calls. Limits told right or too low: at most max(1.02, reference + 0.01) times the optimum
and 2 refusals per 1,000 calls, and first or within 1 % of the first among those that deliver all; with a burst that no page
tells, 20 refusals. Told too high, lowered on the way, or not told at all: 1.10 times and 20 per 1,000, and first. What is missed is
named; `reference` is not a rival.
"""


def too_high(scenario):
    return scenario.told == "nothing" or scenario.told > 1 or bool(scenario.changes)


def limits(scenario, reference):
    if too_high(scenario):
        return 1.10, 20
    return max(1.02, reference + 0.01), 20 if scenario.unsaid else 2


def best_rival(measured, scenario):
    """The fastest of the others that delivered everything."""
    rivals = [one for (name, tool), one in measured.items() if name == scenario and tool not in (*OURS, "reference")]
    return min((it for it in rivals if it["delivered"] == it["calls"]), key=lambda it: it["ratio"], default=None)


def verdict(one, bar, refusals, best, place):
    if one is None:
        return "not measured"
    refused = one["refusals"] * 1000 / one["calls"]
    missed = [
        what
        for what, wrong in (
            ("lost calls", one["delivered"] < one["calls"]),
            ("time", round(one["ratio"], 3) > round(bar, 3)),
            ("refusals", refused > refusals),
            ("place", best and round(one["ratio"], 3) > round(best["ratio"] * place, 3)),
        )
        if wrong
    ]
    return f"{one['ratio']:.3f}, {refused:.0f}: " + (f"**missed** ({', '.join(missed)})" if missed else "held")


PARTS = {
    "scheduler": "The scheduler",
    "driver": "The driver on tokio",
    "makespan": "Makespans on virtual time",
    "journal": "The journal",
    "resume": "Resuming",
    "python": "The Python package beside rate-limited 0.4.0",
    "progress": "What the progress costs",
    "instructions": "Instructions a call",
}


def kept_page(cache):
    """What the other parts have printed, as it is."""
    sections = ["## The parts\n\nWhat the parts of `make bench` print; what a scenario on virtual time is stands in its file in `scenarios/`.\n"]
    for name, title in PARTS.items():
        if text := kept(name, cache).strip():
            # A table is one already.
            block = text if text.startswith("| ") else f"```text\n{text}\n```"
            sections.append(f"### {title}\n\n{block}\n")
    return "\n".join(sections) + "\n" if len(sections) > 1 else ""
