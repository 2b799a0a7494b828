"""Instant calls through the tool that is installed: prints one JSON value.

`instant.py rate_limited|async_batch_llm`: what they cost. `instant.py count sync|async N`: N of them and nothing else, for
`benches/instructions`. `instant.py map N [JOURNAL]`: resident bytes at each hundredth of N calls of `map`.
"""

import asyncio
import gc
import json
import logging
import os
import sys
import time

logging.disable(logging.CRITICAL)


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def same(n):
    return n


def rate_limited(function, calls):
    from rate_limited import runner as module
    from rate_limited.resources import Resource

    ours = not hasattr(module, "CompletionTrackingQueue")
    limits = [Resource("r", 10**9, 60, arguments_usage_extractor=lambda _: 1) for _ in range(2)]
    runner = module.Runner(function, limits, **({"progress": False} if ours else {}))
    for n in range(calls):
        runner.schedule(n)
    results, _ = runner.run()
    return results


def async_batch_llm(calls):
    from async_batch_llm import ArtifactIdentity, CallableStrategy, CallOutcome, ProcessorConfig, process_prompts

    async def invoke(prompt, *, attempt, timeout, state):
        return CallOutcome(prompt, token_usage={"input_tokens": 1, "output_tokens": 0, "total_tokens": 1})

    strategy = CallableStrategy(invoke, identity=ArtifactIdentity(provider="none", model="none"))
    prompts = [str(n) for n in range(calls)]
    batch = asyncio.run(process_prompts(strategy, prompts, config=ProcessorConfig(concurrency=64)))
    return [it for it in batch.results if it.success]


def measured(run, calls):
    run(100)
    gc.collect()
    before, start, cpu = resident(), time.perf_counter(), time.process_time()
    results = run(calls)
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    assert len(results) == calls
    return {
        "calls_per_second": round(calls / took),
        "cpu_us": round(cpu / calls * 1e6, 2),
        "bytes": round((resident() - before) / calls),
    }


def mapped(calls, journal=None):
    from rate_limited import Resource, Runner

    limits = [Resource("r", 10**9, 60, lambda _: 1) for _ in range(2)]
    runner, taken = Runner(int, limits, progress=False, journal=journal), []
    for row, _ in enumerate(runner.map(range(calls))):
        if row % max(1, calls // 100) == 0:
            taken.append(resident())
    runner.close()
    return taken


def main(tool, *more):
    if tool == "map":
        return mapped(int(more[0]), *more[1:])
    if tool == "count":
        return len(rate_limited(same if more[0] == "async" else lambda n: n, int(more[1])))
    if tool == "async_batch_llm":
        return {"async": measured(async_batch_llm, 2_000)}
    return {
        "async": measured(lambda calls: rate_limited(same, calls), 100_000),
        "sync": measured(lambda calls: rate_limited(lambda n: n, calls), 100_000),
    }


print(json.dumps(main(*sys.argv[1:])))
