"""Writes `docs/benchmarks.md` and its picture from the measurements."""

import json
import os
import platform
import subprocess
from pathlib import Path

from bars import makespans
from picture import picture
from tool import HERE, ROOT

PAGE = ROOT / "docs" / "benchmarks.md"
NOTES = HERE / "notes.md"


def read(results, scenarios, tools):
    """The last measurement of each tool at each scenario."""
    last = {}
    for line in Path(results).read_text().splitlines() if Path(results).exists() else []:
        one = json.loads(line)
        last[one["scenario"], one["tool"]] = one
    able = {tool.name: tool for tool in tools}
    by_name = {it.name: it for it in scenarios}
    return {(scenario, tool): one for (scenario, tool), one in last.items()
            if scenario in by_name and tool in able and able[tool].can(by_name[scenario])}


def write(results, scenarios, tools, single, sections):
    """`single`: the table of the bars that are one figure each; `sections`: those of the other parts."""
    measured = read(results, scenarios, tools)
    scenarios = [it for it in scenarios if any(key[0] == it.name for key in measured)]
    present = [it for it in tools if any(key[1] == it.name for key in measured)]
    (PAGE.parent / "benchmarks.svg").write_text(picture(measured, scenarios, present))
    parts = [
        "# Measured beside its peers\n",
        INTRODUCTION.format(command="make bench", machine=machine(measured)),
        "## The bars\n",
        "What the project demands of itself, as it was measured in this run.\n",
        single,
        makespans(measured, scenarios),
        "![Makespan as a multiple of the optimum, for each tool and scenario](benchmarks.svg)\n",
        "## Makespan, refusals, losses\n",
        CELLS,
        table(measured, scenarios, present, cell),
        "What the scenarios are (`benches/scenarios`):\n",
        "\n".join(f"- **{it.name}**: {it.about}" for it in scenarios) + "\n",
        NOTES.read_text(),
        "## CPU and memory\n",
        "CPU seconds from the start of the work to the end of the process · peak of resident memory in MB.\n",
        table(measured, scenarios, present, cost),
        sections,
        "## Who took part\n",
        "\n".join(f"- {line}" for line in who(tools)) + "\n",
    ]
    PAGE.write_text("\n".join(part for part in parts if part))


INTRODUCTION = """No figure in a table is typed in. How to repeat it:

- `{command}` (`benches/all`) measures everything anew, that of the README too, and writes this page: about an hour and a quarter.
- `python3 benches/compare --fresh --page`: the scenarios alone, about half an hour. It needs network for the first installation
  of the rivals (`--install` does that alone); later, `--no-install` needs none.
- `python3 benches/compare --scenarios NAME --tools reference,rate-limited --page`: one row, a minute.
- `python3 benches/compare --overhead --page`: what a call costs, three minutes; `--stream`: ten million calls, a quarter of an hour;
  `benches/instructions`: instructions a call, which need valgrind and no idle machine.

Each tool does the same work with 64 calls at once, against a server process that judges by its own rules
(`crates/rate_limited_sim`). The **optimum** is what no client can beat: the largest over all limits of
(⌈charged work / quota⌉ − 1) × window (of a bucket: (work − burst) / rate), and the median answer. Where a limit is told too
low the client has to believe it. Latency and failures are drawn for each call and attempt, the same for every tool.
Windows of a minute are 5 seconds here. Tools that know minutes alone run on a clock that is 12 times faster, and so does
their server. `reference` is a client that knows how each limit counts and what each call will use
(`benches/compare/adapters/reference.py`); it has no code of this project.

Machine: {machine}.
"""

CELLS = """Makespan / optimum · refusals per 1,000 calls. **lost n**: so many calls were not delivered. **stopped**: after twice
the optimum, or what the scenario says. Bold: the shortest of those that delivered everything, and all within 1 % of it; `reference` not counted.
"""


def table(measured, scenarios, tools, content):
    head = "| | " + " | ".join(it.name for it in tools) + " |"
    rows = [head, "|---|" + "---|" * len(tools)]
    for scenario in scenarios:
        cells = [content(measured, scenario.name, tool.name) for tool in tools]
        rows.append(f"| {scenario.name} | " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def complete(one):
    return one["delivered"] == one["calls"]


def first(measured, scenario):
    ratios = [one["ratio"] for (name, tool), one in measured.items() if name == scenario and complete(one) and tool != "reference"]
    return min(ratios, default=0.0)


def cell(measured, scenario, tool):
    one = measured.get((scenario, tool))
    if one is None:
        return "–"
    refused = round(one["refusals"] * 1000 / one["calls"])
    if not complete(one):
        how = "stopped, " if one["cut"] else ""
        return f"{how}lost {one['calls'] - one['delivered']} · {refused}"
    text = f"{one['ratio']:.2f}"
    if tool != "reference" and one["ratio"] <= first(measured, scenario) * 1.01:
        text = f"**{text}**"
    return f"{text} · {refused}"


def cost(measured, scenario, tool):
    one = measured.get((scenario, tool))
    if one is None:
        return "–"
    memory = f"{one['rss'] / 1e6:.0f}" if one["rss"] else "–"
    return f"{one['cpu']:.2f} · {memory}"


def who(tools):
    for tool in tools:
        what = ", ".join(f"`{it}`" for it in tool.packages) or ("`benches/rivals_rust`" if tool.rust else "this tree")
        about = f": {tool.about}" if tool.about else ""
        length = "; one `max_tokens` for all calls, so not where they differ" if tool.one_answer_length else ""
        minutes = "; minutes alone, so on the faster clock" if tool.minute else ""
        left_out = f". Not run: {tool.reason}" if tool.reason else ""
        yield f"**{tool.name}**{about} ({what}{minutes}{length}){left_out}"


def machine(measured):
    loads = sorted(one["load"] for one in measured.values()) or [0.0]
    model = next((it.split(":")[1].strip() for it in open("/proc/cpuinfo") if it.startswith("model name")), platform.machine())
    rust = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.split()[1]
    return (
        f"{os.cpu_count()} × {model}, Linux {platform.release()}, Python {platform.python_version()}, Rust {rust}; load while"
        f" measuring the scenarios between {loads[0]:.1f} and {loads[-1]:.1f}, median {loads[len(loads) // 2]:.1f}, of which the tools of"
        " a row and their servers are a part"
    )
