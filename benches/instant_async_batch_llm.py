"""Instant calls through async-batch-llm: prints one JSON object, as `python_work.py` does."""

import asyncio
import gc
import json
import logging
import os
import time

from async_batch_llm import ArtifactIdentity, CallableStrategy, CallOutcome, ProcessorConfig, process_prompts

logging.disable(logging.CRITICAL)
CALLS = 2_000


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def same(prompt, *, attempt, timeout, state):
    tokens = {"input_tokens": 1, "output_tokens": 0, "total_tokens": 1}
    return CallOutcome(prompt, token_usage=tokens)


def instant(calls):
    gc.collect()
    before, start, cpu = resident(), time.perf_counter(), time.process_time()
    strategy = CallableStrategy(same, identity=ArtifactIdentity(provider="none", model="none"))
    config = ProcessorConfig(concurrency=64)
    batch = asyncio.run(process_prompts(strategy, [str(n) for n in range(calls)], config=config))
    took, cpu = time.perf_counter() - start, time.process_time() - cpu
    assert sum(it.success for it in batch.results) == calls
    return {
        "calls_per_second": round(calls / took),
        "cpu_us": round(cpu / calls * 1e6, 2),
        "bytes": round((resident() - before) / calls),
    }


instant(100)
print(json.dumps({"async": instant(CALLS)}))
