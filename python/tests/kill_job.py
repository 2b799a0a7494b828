"""What the tests of kill -9 kill: a run of calls to a server on this machine, with a journal.

It is run as `python kill_job.py PORT JOB CALLS JOURNAL`, and writes a line for each result as it comes.
"""

from __future__ import annotations

import http.client
import sys
import threading

from rate_limited import Resource, Runner

QUOTA, WINDOW_SECONDS, IN_FLIGHT = 100, 2.0, 8


def main(port: int, job: str, calls: int, journal: str) -> None:
    """Runs the calls that are not done, and says which are."""
    local = threading.local()

    def ask(number: int) -> dict[str, int]:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        local.connection.request("GET", f"/{job}/{number}")
        answer = local.connection.getresponse().read()
        return {"number": number, "answer": int(answer)}

    limit = Resource("requests", QUOTA, WINDOW_SECONDS, lambda _: 1)
    runner = Runner(ask, [limit], journal=journal, max_concurrent=IN_FLIGHT, progress=False)
    for number, result in runner.as_completed(range(calls)):
        assert result == {"number": number, "answer": number * 7}, result
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
    runner.close()
    sys.stdout.write("end\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4])
