"""What the progress of a Python run costs: prints one JSON object for
`python progress_work.py KIND SECONDS INTERVAL`.

KIND is `callback`, `lines` or `bar`, INTERVAL the seconds between two looks. A run of 1,000 calls a second, with a million calls behind
them, is looked at by the kernel's own books of the thread that shows the progress: how much CPU it took, and how often it woke. Beside
it a thread waits as long each time and does nothing: what that one costs is the machine's price of waking up, which in a virtual
machine can be most of it.
"""

import asyncio
import json
import os
import sys
import threading
import time

from rate_limited import Resource, Runner

CALLS_PER_SECOND = 1_000
BEHIND = 1_000_000
THREAD = "rate_limited-progress"


def books(thread):
    """The CPU seconds of a thread, and how often it went to sleep."""
    task = f"/proc/self/task/{thread.native_id}"
    with open(f"{task}/schedstat") as schedstat:
        cpu = int(schedstat.read().split()[0]) / 1e9
    with open(f"{task}/status") as status:
        sleeps = next(line for line in status if line.startswith("voluntary"))
    return cpu, int(sleeps.split()[1])


def idle(ended, interval):
    while not ended.wait(interval):
        pass


def watch(runner, seconds, interval, found):
    ended = threading.Event()
    bare = threading.Thread(target=idle, args=(ended, interval), daemon=True)
    bare.start()
    # What is loaded when the first bar is drawn is paid once, and not a second.
    time.sleep(2.5 + 2 * interval)
    shown = next(thread for thread in threading.enumerate() if thread.name == THREAD)
    threads = {"": shown, "bare_": bare}
    before = {name: books(thread) for name, thread in threads.items()}
    time.sleep(seconds)
    for name, thread in threads.items():
        cpu, sleeps = books(thread)
        found[f"{name}cpu_percent"] = round((cpu - before[name][0]) / seconds * 100, 4)
        found[f"{name}wake_ups_per_second"] = round((sleeps - before[name][1]) / seconds, 2)
    found["ticks_per_second"] = 1 / interval
    ended.set()
    runner.interrupt()
    runner.interrupt()


async def same(number):
    await asyncio.sleep(0)
    return number


class Terminal:
    """A stream that says it is a terminal, and shows nothing."""

    def write(self, text):
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return True


def measured(kind, seconds, interval):
    if kind == "lines":
        sys.modules["tqdm"] = None  # then it is taken not to be there
    sys.stderr = Terminal()
    limit = Resource.per_second("requests", CALLS_PER_SECOND)
    progress = (lambda snapshot: None) if kind == "callback" else True
    runner = Runner(same, [limit], progress=progress, progress_interval=interval)
    for number in range(BEHIND):
        runner.schedule(number)
    found = {"kind": kind, "cores": os.cpu_count()}
    threading.Thread(target=watch, args=(runner, seconds, interval, found), daemon=True).start()
    start, cpu = time.perf_counter(), time.process_time()
    results, _ = runner.run()
    took = time.perf_counter() - start
    found["calls_per_second"] = round(sum(result is not None for result in results) / took)
    found["cpu_percent_of_all"] = round((time.process_time() - cpu) / took * 100, 2)
    return found


print(json.dumps(measured(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]))))
