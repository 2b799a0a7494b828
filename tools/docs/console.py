"""Blocks of `console`: run as they stand, each in a shell of its own, against the simulated API."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .page import ROOT, Block

PATIENCE_SECONDS = 120
KNOWN = re.compile(r"(rate-limited|kill|cat|head|tail|ls|wc|grep|cut|sort|diff|echo|printf|sleep|jq|sed|cp|rm) ")
# Keys of the one who runs this are for nobody here, and proxies are not for loopback.
HIDDEN = re.compile(r"_KEY$|_TOKEN$|_BASE_URL$|^(https?|all)_proxy$", re.IGNORECASE)
DURATION = re.compile(r"\b[0-9][0-9,.]*( (ms|s|m|h)\b)")
SENDS = re.compile(r" run (\S+) (?:.* )?(?:-o|--output) (\S+)")


class Example:
    """A block of commands and what they print, with all blocks that go on with it."""

    def __init__(self, block: Block, files: dict[str, str]) -> None:
        self.blocks = [block]
        self.files = dict(files)

    @property
    def first(self) -> str:
        return self.steps()[0][0]

    def steps(self) -> list[tuple[str, list[str]]]:
        """Each command, with the lines that it shows."""
        steps: list[tuple[str, list[str]]] = []
        for block in self.blocks:
            for line in block.text.replace("\\\n", " ").splitlines():
                if line.startswith("$ "):
                    steps.append((re.sub(r"\s#\s[^'\"]*$", "", re.sub(r" +", " ", line[2:])).strip(), []))
                elif line.strip():
                    assert steps, f"{block}: it begins with a line that no command shows: {line!r}"
                    steps[-1][1].append(line)
        return steps

    def run(self, binary: Path) -> int:
        """Runs it and compares what it said; how many results it has checked."""
        steps = self.steps()
        place = Path(tempfile.mkdtemp())
        try:
            shutil.copytree(ROOT / "examples", place / "examples")
            for name, text in self.files.items():
                (place / name).write_text(text, encoding="utf-8")
            said = in_a_shell(place, binary, [command for command, _ in steps])
            for _, shown in steps:
                for line in shown:
                    wanted = pattern(line)
                    came = any(wanted.fullmatch(timeless(heard)) for heard in said.splitlines())
                    assert came, f"{line!r} did not come:\n{said}"
            good = [command for command, shown in steps if any(" 0 failed" in line for line in shown)]
            return sum(results_of(place, command) for command in good)
        finally:
            shutil.rmtree(place)


def examples(blocks: Iterable[Block]) -> list[Example]:
    """The examples of a page, each with the page's files: as they were shown last before it, else as they will be first."""
    blocks = list(blocks)
    files = first_files(blocks)
    found: list[Example] = []
    for block in blocks:
        if "file" in block.marks:
            files[block.marks["file"]] = block.text
        elif block.language == "console" and block.is_run:
            if "goes on" in block.marks:
                assert found, f"{block}: there is no block before it that it could go on with"
                found[-1].blocks.append(block)
                assert found[-1].files == files, f"{block}: it goes on, so no file can change before it: use sed, or echo"
            else:
                found.append(Example(block, files))
    return found


def first_files(blocks: Iterable[Block]) -> dict[str, str]:
    """The files that a page shows, by name, each as it is shown first."""
    files: dict[str, str] = {}
    for block in blocks:
        if "file" in block.marks:
            files.setdefault(block.marks["file"], block.text)
    return files


def in_a_shell(place: Path, binary: Path, commands: list[str]) -> str:
    """What commands print, after each of them did what it had to."""
    environment = {name: value for name, value in os.environ.items() if not HIDDEN.search(name)}
    environment["PATH"] = f"{binary.parent}:{environment['PATH']}"
    shell = subprocess.Popen(
        ["bash", "-c", script(commands, free_port())],
        cwd=place, env=environment, text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    try:
        said, _ = shell.communicate(timeout=PATIENCE_SECONDS)
        assert shell.returncode == 0, f"exit code {shell.returncode}\n{said}"
        return said
    finally:
        # What a failed example left running is in its session; often nothing is.
        try:
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def script(commands: list[str], port: int) -> str:
    """The commands for a shell, where each server is waited for."""
    wait = f"until (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.05; done"
    lines = ["set -uo pipefail"]
    for command in commands:
        assert KNOWN.match(command), f"not a command that is known here: {command}"
        command = command.replace("8080", str(port))
        if command.endswith("&"):
            lines += [command, wait]
        elif command.endswith("; echo $?"):
            lines.append(command)
        else:
            lines.append(f"{command} || exit")
    return "\n".join([*lines, "wait"])


def results_of(place: Path, command: str) -> int:
    """Checks that all lines of the input have a good result, in their order; how many."""
    sends = SENDS.search(command)
    if not sends or " --first " in command:
        return 0
    given, out = sends.groups()
    if out.endswith(".csv"):
        return rows_of(place / given, place / out)
    rows = [[json.loads(line) for line in (place / name).read_text().splitlines()] for name in (given, out)]
    names = [[row.get("custom_id") for row in half] for half in rows]
    assert names[0] == names[1] or None in names[0], f"{out} has other calls than {given}"
    assert len(rows[0]) == len(rows[1]), f"{out} has {len(rows[1])} lines, {given} {len(rows[0])}"
    for row in rows[1]:
        assert row["error"] is None and row["response"]["status_code"] == 200, row
    return len(rows[1])


def rows_of(given: Path, out: Path) -> int:
    """Each row of the input has an answer, and its own columns as they were."""
    with given.open(newline="") as before, out.open(newline="") as after:
        rows, made = list(csv.DictReader(before)), list(csv.DictReader(after))
    assert len(rows) == len(made), f"{out} has {len(made)} rows, {given} {len(rows)}"
    for row, answered in zip(rows, made):
        assert row.items() <= answered.items() and answered["answer"] and not answered["error"], answered
    return len(made)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def pattern(line: str) -> re.Pattern[str]:
    """What a line that is shown may look like: `…` stands for anything."""
    return re.compile(".*".join(re.escape(part) for part in timeless(line).split("…")))


def timeless(line: str) -> str:
    return DURATION.sub(r"0\1", " ".join(line.split()))
