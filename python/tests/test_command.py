"""The command `rate-limited` as `pip install` brings it: real processes, real signals, real HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import rate_limited
from support import eventually

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals are sent")

WAYS = {
    "script": [str(Path(sys.executable).with_name("rate-limited"))],
    "module": [sys.executable, "-m", "rate_limited"],
}


@pytest.fixture(params=WAYS.values(), ids=WAYS.keys())
def way(request: pytest.FixtureRequest) -> list[str]:
    """How the command is called."""
    command: list[str] = request.param
    return command


class Api:
    """A server that answers after an event, with one status."""

    def __init__(self) -> None:
        self.arrived, self.status, self.go_on = 0, 200, threading.Event()
        self.go_on.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.arrived += 1
                outer.go_on.wait(10)
                data = json.dumps({"choices": [], "usage": {"total_tokens": 3}}).encode()
                self.send_response(outer.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    yield server
    server.close()


def start(command: list[str | bytes], folder: Path, **options: Any) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RATE_LIMITED_")}
    environment |= {"OPENAI_API_KEY": "k", "NO_PROXY": "127.0.0.1"}
    environment.pop("OPENAI_BASE_URL", None)
    pipe = subprocess.PIPE
    options = {"stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, "env": environment} | options
    return subprocess.Popen(command, cwd=folder, text=True, **options)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Its exit code, and what it said; nothing of Python's own is in there."""
    said, complained = process.communicate(timeout=20)
    assert "Traceback" not in complained and "KeyboardInterrupt" not in complained, complained
    return process.returncode, said, complained


def requests(folder: Path, count: int) -> None:
    line = '{"custom_id": "r%d", "body": {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 5}}\n'
    (folder / "in.jsonl").write_text("".join(line % number for number in range(count)))


def run_of(way: list[str], api: Api, *more: str) -> list[str]:
    return [*way, "run", "in.jsonl", "-o", "out.jsonl", "--base-url", api.url, "--rpm", "60000", *more]


def results(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert [line["custom_id"] for line in lines] == [f"r{number}" for number in range(len(lines))]
    return lines


def errors(folder: Path) -> list[str | None]:
    """The code of the error of each call, in order."""
    return [(line.get("error") or {}).get("code") for line in results(folder)]


def test_it_tells_the_version_of_the_package(way: list[str], tmp_path: Path) -> None:
    code, said, _ = ended(start([*way, "--version"], tmp_path))
    assert (code, said) == (0, f"rate-limited {rate_limited.__version__}\n")


def test_help_names_the_command_however_it_was_called(way: list[str], tmp_path: Path) -> None:
    code, said, _ = ended(start([*way, "run", "--help"], tmp_path))
    assert code == 0
    assert re.search(r"Usage: rate-limited run \[", said), said


def test_a_simulated_run(way: list[str], tmp_path: Path) -> None:
    requests(tmp_path, 30)
    code, said, complained = ended(start([*way, "run", "in.jsonl", "--simulate", "-o", "-"], tmp_path))
    assert code == 0, complained
    assert [json.loads(line)["custom_id"] for line in said.splitlines()] == [f"r{n}" for n in range(30)]
    assert "30 succeeded, 0 failed" in complained


def test_a_narrow_terminal_breaks_no_word(way: list[str], api: Api, tmp_path: Path) -> None:
    requests(tmp_path, 30)
    command = run_of(way, api, "--max-concurrent", "4")
    columns = 40
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    # A terminal that cannot move its cursor has no bar, and nothing but lines.
    environment = dict(os.environ, OPENAI_API_KEY="k", NO_PROXY="127.0.0.1", TERM="dumb")
    process = start(command, tmp_path, stderr=theirs, env=environment)
    os.close(theirs)
    said = ""
    with suppress(OSError), open(ours, encoding="utf-8", newline="") as terminal:
        while line := terminal.readline():
            said += line
    assert process.wait(20) == 0, said
    lines = said.replace("\r\n", "\n").splitlines()
    assert any(line.startswith("30 succeeded, 0 failed") for line in lines), said
    narrow = [word for line in lines for word in line.split()]
    # Addresses and paths may be longer than a line.
    assert all(len(line) <= columns or " " not in line.strip() for line in lines), said
    assert "30 attempts, 0 retries, 0 refusals, 90 tokens used" in " ".join(narrow), said
    assert any(line.startswith("  ") for line in lines), said


def test_a_text_arrives_whole_where_it_is_read_through_a_pipe(way: list[str], tmp_path: Path) -> None:
    texts = [ended(start([*way, "completions", shell], tmp_path))[1] for shell in ("bash", "elvish")]
    assert texts[0].endswith("\nfi\n")
    assert texts[1].rstrip().endswith("}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "no-such-file.jsonl", "-o", "-"], "no-such-file.jsonl"),
        (["run", "in.jsonl", "--no-such-option"], "--no-such-option"),
        ([], "Usage: rate-limited"),
    ],
)
def test_bad_usage_ends_with_2(way: list[str], tmp_path: Path, arguments: list[str], said: str) -> None:
    code, _, complained = ended(start([*way, *arguments], tmp_path))
    assert code == 2
    assert said in complained


def test_failed_calls_end_with_1_and_a_bad_key_with_3(way: list[str], api: Api, tmp_path: Path) -> None:
    requests(tmp_path, 3)
    api.status = 400
    code, _, complained = ended(start(run_of(way, api), tmp_path))
    assert code == 1, complained
    assert None not in errors(tmp_path)
    api.status = 401
    code, _, complained = ended(start(run_of(way, api, "--fresh"), tmp_path))
    assert code == 3, complained


def test_names_that_are_no_text(way: list[str], api: Api, tmp_path: Path) -> None:
    requests(tmp_path, 2)
    odd = b"\xff\xfe.jsonl"
    try:
        (tmp_path / "in.jsonl").rename(tmp_path / os.fsdecode(odd))
    except OSError:
        pytest.skip("this file system takes text only")
    command = [*way, "run", odd, "-o", "out.jsonl", "--base-url", api.url]
    code, _, complained = ended(start(command, tmp_path))
    assert code == 0, complained
    assert errors(tmp_path) == [None, None]


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_lets_calls_in_flight_finish(
    way: list[str], api: Api, tmp_path: Path, number: int, expected: int
) -> None:
    requests(tmp_path, 20)
    api.go_on.clear()
    process = start(run_of(way, api, "--max-concurrent", "4", "--json-progress"), tmp_path)
    assert eventually(lambda: api.arrived == 4)
    process.send_signal(number)
    wait_until_heard(process)
    api.go_on.set()
    code, _, complained = ended(process)
    assert code == expected, complained
    assert errors(tmp_path) == [None] * 4 + ["not_run"] * 16
    # The same command goes on, and pays for nothing twice.
    code, _, complained = ended(start(run_of(way, api), tmp_path))
    assert code == 0, complained
    assert errors(tmp_path) == [None] * 20
    assert api.arrived == 20


def test_a_second_ctrl_c_cuts_them_off(way: list[str], api: Api, tmp_path: Path) -> None:
    requests(tmp_path, 9)
    api.go_on.clear()
    process = start(run_of(way, api, "--max-concurrent", "2"), tmp_path)
    assert eventually(lambda: api.arrived == 2)
    process.send_signal(signal.SIGINT)
    wait_until_heard(process)
    process.send_signal(signal.SIGINT)
    code, _, complained = ended(process)
    assert code == 130, complained
    assert errors(tmp_path) == ["interrupted"] * 2 + ["not_run"] * 7


def wait_until_heard(process: subprocess.Popen[str]) -> None:
    """Reads what it says until it says that it will end."""
    assert process.stderr is not None
    for line in process.stderr:
        if "Ctrl-C" in line or "SIGTERM" in line or "SIGHUP" in line:
            return
    pytest.fail("it ended without a word about the signal")


def ignoring(number: int) -> Callable[[], object]:
    return lambda: signal.signal(number, signal.SIG_IGN)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_what_is_ignored_from_the_start_stays_ignored(
    way: list[str], api: Api, tmp_path: Path, number: int
) -> None:
    requests(tmp_path, 4)
    api.go_on.clear()
    process = start(run_of(way, api, "--max-concurrent", "2"), tmp_path, preexec_fn=ignoring(number))
    assert eventually(lambda: api.arrived == 2)
    process.send_signal(number)
    api.go_on.set()
    code, _, complained = ended(process)
    assert code == 0, complained
    assert errors(tmp_path) == [None] * 4


def test_a_closed_pipe_is_no_traceback(way: list[str], tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = start([*way, "apis"], tmp_path, stdout=writing)
    os.close(writing)
    _, complained = process.communicate(timeout=20)
    assert "Traceback" not in complained and "Exception" not in complained, complained


def test_the_command_loads_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    code = """
import sys
sys.argv = ["rate-limited", "--version"]
from rate_limited._command import main
assert main() == 0
print(*sorted(sys.modules))
"""
    _, said, _ = ended(start([sys.executable, "-I", "-c", code], tmp_path))
    loaded = set(said.split())
    assert "rate_limited._native" in loaded
    assert not loaded & {
        "asyncio",
        "concurrent.futures",
        "dataclasses",
        "json",
        "logging",
        "threading",
        "typing",
    }
