"""Measures this project, its rivals and the optimum on the same work: `benches/compare --help`."""

import argparse
import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from measure import measure  # noqa: E402
from scenario import Scenario  # noqa: E402
from tool import CACHE, ROOT, Tool, build  # noqa: E402

SCENARIOS = ROOT / "benches" / "scenarios"


def arguments():
    parser = argparse.ArgumentParser(prog="benches/compare", description=__doc__)
    parser.add_argument("--tools", help="which tools, with commas between; default: all")
    parser.add_argument("--scenarios", help="which scenarios, with commas between; default: all")
    parser.add_argument("--together", type=int, default=4, help="how many tools run at the same time, each with its own server")
    parser.add_argument("--results", type=Path, default=CACHE / "results.jsonl", help="where each measurement goes, one a line")
    parser.add_argument("--no-install", action="store_true", help="take what is installed already")
    parser.add_argument("--fresh", action="store_true", help="forget earlier measurements")
    return parser.parse_args()


def wanted(given, all_of_them):
    if given is None:
        return all_of_them
    names = given.split(",")
    unknown = set(names) - {it.name for it in all_of_them}
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(it.name for it in all_of_them)}")
    return [it for it in all_of_them if it.name in names]


def main():
    args = arguments()
    CACHE.mkdir(parents=True, exist_ok=True)
    tools = wanted(args.tools, Tool.all())
    scenarios = wanted(args.scenarios, [Scenario.read(path) for path in sorted(SCENARIOS.glob("*.toml"))])
    binaries = build(any(tool.rust for tool in tools))
    for tool in tools:
        tool.reason = tool.reason or ("" if args.no_install else tool.install())
        if tool.reason:
            print(f"{tool.name}: left out, {tool.reason}")
    tools = [tool for tool in tools if not tool.reason]
    if args.fresh:
        args.results.unlink(missing_ok=True)
    for scenario in scenarios:
        print(f"{scenario.name}: {scenario.about}", flush=True)
        for start in range(0, len(tools), args.together):
            group = tools[start : start + args.together]
            barrier = threading.Barrier(len(group))
            with ThreadPoolExecutor(len(group)) as pool:
                for one in pool.map(lambda tool: measure(tool, scenario, binaries, barrier), group):
                    show(one)
                    with open(args.results, "a") as out:
                        out.write(json.dumps(one.json()) + "\n")


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


if __name__ == "__main__":
    os.umask(0o077)
    main()
