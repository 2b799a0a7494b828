"""Measures this project, its rivals and the optimum on the same work: `python3 benches/compare --help`.

What is installed and built for it, and what was measured, is kept in `benches/.cache`, or in the folder that the environment
variable RATE_LIMITED_BENCH_CACHE names.
"""

import argparse
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bars
import figures
import overhead
import report
import stream
from measure import measure
from scenario import Scenario
from tool import CACHE, Tool, build

OVERHEAD = CACHE / "overhead.json"
STREAM = CACHE / "stream.json"


def arguments():
    parser = argparse.ArgumentParser(prog="benches/compare", description=__doc__)
    parser.add_argument("--tools", help="which tools, with commas between; default: all")
    parser.add_argument("--scenarios", help="which scenarios, with commas between; default: all")
    parser.add_argument("--speed", type=float, help="how much shorter than a minute windows are; default: as the scenario says")
    parser.add_argument("--together", type=int, default=5, help="how many tools run at a time, each with its own server")
    parser.add_argument("--results", type=Path, default=CACHE / "results.jsonl", help="where measurements go, one a line")
    parser.add_argument("--install", action="store_true", help="install the tools, and measure nothing")
    parser.add_argument("--no-install", action="store_true", help="take what is installed already")
    parser.add_argument("--fresh", action="store_true", help="forget earlier measurements")
    parser.add_argument("--overhead", action="store_true", help="measure what a call costs instead of the scenarios")
    parser.add_argument("--stream", action="store_true", help="measure whether memory stays flat instead of the scenarios")
    parser.add_argument("--calls", type=int, help="how many calls --stream or --overhead makes; default: as the page says")
    parser.add_argument("--page", action="store_true", help="write docs/benchmarks.md at the end")
    parser.add_argument("--page-only", action="store_true", help="write the page from what was measured before")
    parser.add_argument("--figures", action="store_true", help="put the figures of the parts into the README and docs that quote them")
    parser.add_argument("--debug", action="store_true", help="debug builds: for trying the harness, not for figures")
    parser.add_argument("--check", action="store_true", help="fail if a result is impossible, or this project's is bad")
    return parser.parse_args()


def wanted(given, all_of_them):
    """Those that are named, in the order of their naming."""
    if given is None:
        return all_of_them
    by_name = {it.name: it for it in all_of_them}
    names = [name for name in given.split(",") if name]
    if unknown := set(names) - set(by_name):
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names]


def main():
    args = arguments()
    CACHE.mkdir(parents=True, exist_ok=True)
    every_tool = Tool.all()
    every_scenario = Scenario.all()
    tools, scenarios = wanted(args.tools, every_tool), wanted(args.scenarios, every_scenario)
    if args.fresh:
        args.results.unlink(missing_ok=True)
    if args.figures:
        return figures.write()
    if not args.page_only:
        run(args, tools, scenarios)
    if args.page or args.page_only:
        costs, memory = (json.loads(it.read_text()) if it.exists() else None for it in (OVERHEAD, STREAM))
        sections = bars.kept_page(CACHE) + overhead.page(costs) + "\n" + stream.page(memory)
        single = bars.single(CACHE, costs, memory)
        report.write(args.results, every_scenario, every_tool, single, sections)


def run(args, tools, scenarios):
    if args.overhead:
        tools = [tool for tool in tools if tool.name in overhead.TOOLS]
    elif args.stream:
        tools = [tool for tool in tools if tool.ours]
    install(tools, args.no_install)
    if args.install:
        return
    binaries = build(args.overhead or any(tool.rust for tool in tools), args.debug)
    if args.overhead:
        OVERHEAD.write_text(json.dumps(overhead.measure(binaries, args.calls or overhead.CALLS), indent=1))
        print(overhead.page(json.loads(OVERHEAD.read_text())))
    elif args.stream:
        keeps_flat(args, tools, binaries)
    else:
        able = [tool for tool in tools if not tool.reason]
        measured = [one for it in scenarios for one in compare(able, it, binaries, args)]
        if args.check:
            check(measured)


def keeps_flat(args, tools, binaries):
    if not tools or tools[0].reason:
        sys.exit("the Python package is needed: leave out --tools and --no-install")
    found = stream.measure(binaries, tools[0].python, args.calls or stream.CALLS)
    STREAM.write_text(json.dumps(found))
    # A missed bar is told, and is not a failure: the page judges it.
    print("\n".join(stream.check(found)))


def install(tools, already):
    for tool in tools:
        tool.reason = tool.reason or tool.install(already)
        if tool.reason:
            print(f"{tool.name}: left out, {tool.reason}")


def compare(tools, scenario, binaries, args):
    """All tools at one scenario, some at a time; all of these start at the same moment."""
    scenario.speed = args.speed or scenario.speed
    tools = [tool for tool in tools if tool.can(scenario)]
    print(f"{scenario.name}: {scenario.about}", flush=True)
    for start in range(0, len(tools), args.together):
        group = tools[start : start + args.together]
        barrier = threading.Barrier(len(group))
        with ThreadPoolExecutor(len(group)) as pool:
            for one in pool.map(lambda tool: measure(tool, scenario, binaries, barrier), group):
                show(one)
                with open(args.results, "a") as out:
                    out.write(json.dumps(one.json()) + "\n")
                yield one


def show(one):
    lost = "all" if one.delivered == one.calls else f"{one.delivered} of {one.calls}"
    cut = ", stopped" if one.cut else ""
    print(
        f"  {one.tool:16} {one.ratio:6.3f} × {one.optimum:5.1f} s, {one.refusals_per_thousand:6.0f} refused per 1,000,"
        f" {lost} delivered{cut}, {one.cpu:6.2f} s CPU, {one.rss / 1e6:4.0f} MB, load {one.load:.1f}",
        flush=True,
    )
    if one.error and one.delivered < one.calls:
        print("    " + "\n    ".join(one.error.strip().splitlines()[-4:]))


def check(measured):
    """Bounds that hold on a busy machine and with short windows: they find a broken harness, not a slow tool."""
    wrong = []
    for one in measured:
        # Half of the answers are faster than the median, so a little below 1 is possible.
        if one.ratio < 0.97:
            wrong.append(f"{one.tool} at {one.scenario}: {one.ratio:.3f} × the optimum, which nobody can reach")
        # Some give their results at the end, and may have been stopped before it.
        if one.delivered == 0 and not one.cut:
            wrong.append(f"{one.tool} at {one.scenario}: nothing was delivered")
        if one.tool == "rate-limited" and (one.delivered < one.calls or one.ratio > 2.5 or one.refusals_per_thousand > 200):
            wrong.append(f"{one.tool} at {one.scenario}: {one.delivered} of {one.calls}, {one.ratio:.3f} ×")
    if wrong:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()
