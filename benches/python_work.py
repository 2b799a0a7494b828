"""The work of the Python benchmark, for whichever `rate_limited` is installed: prints one JSON object."""

import gc
import json
import logging
import os
import sys
import time

from rate_limited.resources import Resource
from rate_limited.runner import Runner

logging.disable(logging.CRITICAL)
CALLS = 100_000
OURS = not hasattr(sys.modules["rate_limited.runner"], "CompletionTrackingQueue")
QUIET = {"progress": False} if OURS else {}


def resource(quota, seconds):
    return Resource("r", quota, seconds, arguments_usage_extractor=lambda _: 1)


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def instant(function):
    gc.collect()
    runner = Runner(function, [resource(10**9, 60), resource(10**9, 60)], **QUIET)
    before, start, cpu = resident(), time.perf_counter(), time.process_time()
    for n in range(CALLS):
        runner.schedule(n)
    results, _ = runner.run()
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    assert len(results) == CALLS
    return {
        "calls_per_second": round(CALLS / took),
        "cpu_us": round(cpu / CALLS * 1e6, 2),
        "bytes": round((resident() - before) / CALLS),
    }


def timed(function, quota, seconds, calls):
    runner = Runner(function, [resource(quota, seconds)], **QUIET)
    for n in range(calls):
        runner.schedule(n)
    start = time.perf_counter()
    runner.run()
    return round(time.perf_counter() - start, 4)


def one_at_a_time():
    """20 calls of 10 ms, of which one fits at a time: each gives all of its reservation back."""
    limit = Resource(
        "r",
        1,
        60,
        results_usage_extractor=lambda _call, _result: 0,
        max_results_usage_estimator=lambda _call: 1,
    )
    runner = Runner(lambda n: time.sleep(0.01), [limit], **QUIET)
    for n in range(20):
        runner.schedule(n)
    start = time.perf_counter()
    runner.run()
    return round(time.perf_counter() - start, 4)


def map_memory():
    """How much more resident memory a map over a million rows needs than one over 10,000."""
    if not OURS:
        return None
    peaks = []
    for rows in (10_000, 1_000_000):
        runner = Runner(int, [resource(10**9, 60)], **QUIET)
        peak = 0
        for row, _ in enumerate(runner.map(range(rows))):
            if row % 5_000 == 0:
                peak = max(peak, resident())
        runner.close()
        peaks.append(peak)
    return peaks[1] - peaks[0]


async def same(n):
    return n


instant(same)  # whoever comes first would pay for warming up
report = {
    "async": instant(same),
    "sync": instant(lambda n: n),
    "one_call": min(timed(lambda n: n, 10, 60, 1) for _ in range(3)),
    "one_at_a_time": one_at_a_time(),
    "twenty_a_second": timed(lambda n: n, 20, 1, 100),
    "map_memory": map_memory(),
}
print(json.dumps(report))
