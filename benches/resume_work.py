"""Runs the command over a list of calls, lengthens the list, and watches the same command go on.

Prints how long it took from its start to the first new request at the server, and the most memory that it held;
first for a short list, then for a long one.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NEW = 100
PORT = 8931
ANSWER = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()


class Server(BaseHTTPRequestHandler):
    """Answers at once, and remembers when the first request came."""

    protocol_version = "HTTP/1.1"
    first = 0.0

    def do_POST(self) -> None:
        Server.first = Server.first or time.monotonic()
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        pass


def lines(path: str, numbers: range, mode: str) -> None:
    with open(path, mode) as file:
        for number in numbers:
            text = f"{number} " + "honey badger " * 62
            body = {"model": "m", "max_tokens": 16, "messages": [{"role": "user", "content": text}]}
            print(json.dumps({"custom_id": f"c{number}", "body": body}), file=file)


def run(command: str, folder: str) -> tuple[float, float, float, float]:
    """Seconds until the first request and until the end, and MB of memory at most."""
    Server.first = 0.0
    environment = os.environ | {"OPENAI_API_KEY": "k", "RATE_LIMITED_BASE_URL": f"http://127.0.0.1:{PORT}/v1"}
    begun = time.monotonic()
    child = subprocess.Popen(
        [command, "run", "in.jsonl", "-o", "out.jsonl", "--quiet"], cwd=folder, env=environment
    )
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"the command ended with {status}")
    ended = time.monotonic()
    return Server.first - begun, ended - begun, used.ru_maxrss / 1024, used.ru_utime + used.ru_stime


def fill(command: str, folder: str, count: int) -> float:
    """Answers the first `count` calls, by a server that keeps up: the command's own."""
    server = subprocess.Popen(
        [command, "simulate", "--port", str(PORT), "--limit", "requests=1000000000/1s", "--latency", "0ms"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/stats").read()
                break
            except OSError:
                time.sleep(0.1)
        return run(command, folder)[1]
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def served() -> Iterator[None]:
    server = ThreadingHTTPServer(("127.0.0.1", PORT), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


def measure(command: str, count: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
        path = os.path.join(folder, "in.jsonl")
        lines(path, range(count), "w")
        filled = fill(command, folder, count)
        lines(path, range(count, count + NEW), "a")
        with served():
            first, whole, memory, cpu = run(command, folder)
        size = os.path.getsize(path) / 1e6
        print(
            f"{count:>9,} calls done ({size:,.0f} MB of input; the first run took {filled:.0f} s): first new request"
            f" after {first:.2f} s, all {NEW} done after {whole:.2f} s, {cpu:.1f} s of CPU, at most {memory:.0f} MB",
            flush=True,
        )
        with open(os.path.join(folder, "out.jsonl"), "rb") as output:
            assert sum(1 for _ in output) == count + NEW
        return first, memory


def main() -> None:
    command, count = sys.argv[1], int(sys.argv[2])
    _, small = measure(command, min(10_000, count))
    first, large = measure(command, count)
    print(f"bars: first request < 8 s ({first:.2f}); memory + 32 MB at most ({large - small:+.0f})")


main()
