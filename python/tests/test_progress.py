"""What a run tells: bars, ever rarer lines, first failures; and that it never breaks a run."""

import io
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import rate_limited
from rate_limited import Runner, _attempts, _progress
from rate_limited._progress import Progress, failure_text


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def snapshot(done=0, failed=0, **more):
    state = {"scheduled": 100, "done": done, "failed": failed, "in_flight": 3, "waiting": 5}
    return {**state, "waiting_on": None, "wait_seconds": None, "refusals": 0, "retries": 0, **more}


@pytest.fixture
def no_tqdm(monkeypatch):
    monkeypatch.setattr(_progress, "_tqdm_modules", lambda in_notebook: [])


def run(seconds, stream, setting=True, **more):
    """A run that is updated every second."""
    clock = Clock()
    progress = Progress(100, setting=setting, stream=stream, clock=clock)
    for second in range(1, seconds + 1):
        clock.now = float(second)
        progress.update(snapshot(min(second, 100), **more))
    progress.close(snapshot(100, **more))
    return progress


def test_lines_come_ever_rarer(no_tqdm):
    stream, clock = io.StringIO(), Clock()
    progress = Progress(100, stream=stream, clock=clock)
    told = []
    for second in range(1, 301):
        clock.now = float(second)
        before = stream.tell()
        progress.update(snapshot(second // 3))
        if stream.tell() > before:
            told.append(second)
    progress.close(snapshot(100))
    assert told == [1, 2, 5, 10, 30, 60, 120, 180, 240, 300]
    lines = stream.getvalue().splitlines()
    assert lines[0] == "0 of 100 calls done; 3 in flight"
    assert lines[-1] == "100 of 100 calls done in 300 s"


def test_late_updates_do_not_pile_up_lines(no_tqdm):
    stream, clock = io.StringIO(), Clock()
    progress = Progress(None, stream=stream, clock=clock)
    for now in (45.0, 46.0, 59.0, 61.0, 62.0):
        clock.now = now
        progress.update({"done": 1})
    assert stream.getvalue().count("\n") == 2


def test_a_short_run_says_nothing(no_tqdm):
    stream, clock = io.StringIO(), Clock()
    progress = Progress(100, stream=stream, clock=clock)
    clock.now = 0.9
    progress.update(snapshot(1))
    progress.close(snapshot(100))
    assert stream.getvalue() == ""


def test_the_bar_is_not_even_made_for_a_run_without_updates(monkeypatch):
    monkeypatch.setattr(_progress, "_sink", lambda *_: pytest.fail("made"))
    Progress(1, stream=io.StringIO()).close(snapshot(1))


def test_a_long_wait_is_told_at_once(no_tqdm):
    stream, clock = io.StringIO(), Clock()
    progress = Progress(100, stream=stream, clock=clock)
    for second, wait in ((61, 1.0), (62, 1.9), (63, 40.0), (64, 39.0)):
        clock.now = float(second)
        progress.update(snapshot(9, wait_seconds=wait, waiting_on="tokens"))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert "waiting" not in lines[0]
    assert lines[1].endswith("; waiting 40 s for tokens")


def test_no_long_wait_without_a_threshold(no_tqdm):
    stream, clock = io.StringIO(), Clock()
    progress = Progress(100, stream=stream, clock=clock, long_wait_warning_seconds=None)
    clock.now = 2.0
    progress.update(snapshot(9, wait_seconds=1e6, waiting_on="tokens"))
    assert "waiting" not in stream.getvalue()


def test_troubles_are_counted(no_tqdm):
    stream = io.StringIO()
    run(1, stream, failed=2, refusals=3, retries=4)
    assert "; 2 failed; 3 refused; 4 tried again" in stream.getvalue()


def test_first_failures_are_shown_and_the_rest_counted(no_tqdm):
    stream = io.StringIO()
    progress = Progress(100, stream=stream)
    for error in (ValueError("one"), ValueError("two"), KeyError("k"), ValueError("three")):
        progress.first_failure(error)
    assert stream.getvalue() == "first ValueError: one\nfirst KeyError: 'k'\n"
    progress.close(snapshot(98, 2))
    last = stream.getvalue().splitlines()[-1]
    assert last == "2 of 100 calls failed; exceptions by type: ValueError 3, KeyError 1"


def test_many_types_fit_one_line(no_tqdm):
    stream = io.StringIO()
    progress = Progress(100, stream=stream)
    for number in range(12):
        progress.first_failure(type(f"Error{number}", (Exception,), {})())
    progress.close(snapshot(88, 12))
    assert stream.getvalue().splitlines()[-1].endswith("Error7 1, and 4 more types")


def test_failures_from_many_threads(no_tqdm):
    stream = io.StringIO()
    progress = Progress(100, stream=stream)

    def fail():
        for _ in range(500):
            progress.first_failure(OSError("x"))

    threads = [threading.Thread(target=fail) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    progress.close(snapshot(0, 100))
    assert stream.getvalue().count("first ") == 1
    assert "OSError 2,000" in stream.getvalue()


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def test_text_of_failures():
    assert failure_text(ValueError()) == "ValueError"
    assert failure_text(ValueError("a\n\x1b[31mb\x07")) == "ValueError: a ?[31mb?"
    assert failure_text(Mute()) == "Mute: (its text cannot be had)"
    assert len(failure_text(ValueError("x" * 100_000_000))) < 230
    error = ValueError("validation failed")
    error.__cause__ = KeyError("choices")
    assert failure_text(error) == "ValueError: validation failed (from KeyError: 'choices')"


def test_silence(capsys):
    stream = io.StringIO()
    progress = run(70, stream, setting=False)
    progress.first_failure(ValueError("x"))
    progress.close(snapshot(0, 100))
    assert stream.getvalue() == ""
    assert capsys.readouterr() == ("", "")


def test_a_callable_is_given_each_snapshot():
    seen = []
    progress = Progress(100, setting=seen.append)
    progress.first_failure(ValueError("x"))
    progress.update(snapshot(5))
    progress.close(snapshot(100))
    assert [state["done"] for state in seen] == [5, 100]
    assert seen[0]["failures"] == {"ValueError": 1}
    assert snapshot(5).items() <= seen[0].items()


def test_a_callable_that_raises_is_not_called_again(capsys):
    asked = []

    def callback(state):
        asked.append(state)
        raise ValueError("mine")

    run(5, io.StringIO(), setting=callback)
    assert len(asked) == 1
    assert "progress callback is off, it raised ValueError: mine" in capsys.readouterr().err


class Broken(io.StringIO):
    def write(self, text):
        raise BrokenPipeError

    def flush(self):
        raise BrokenPipeError

    def isatty(self):
        raise OSError


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("with_tqdm", [False, True])
@pytest.mark.parametrize("stream", [Broken(), closed()])
def test_broken_streams(stream, with_tqdm, monkeypatch):
    if with_tqdm:
        pytest.importorskip("tqdm")
    else:
        monkeypatch.setattr(_progress, "_tqdm_modules", lambda in_notebook: [])
    progress = run(70, stream)
    progress.first_failure(ValueError("x"))
    progress.close(snapshot(0, 100))


def test_no_stderr_at_all(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    progress = run(70, None)
    progress.first_failure(ValueError("x"))


def test_a_stream_that_cannot_write_every_character(no_tqdm):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Progress(1, stream=stream).first_failure(ValueError("猫 \ud800"))
    assert raw.getvalue() == b"first ValueError: \\u732b ?\n"


def test_odd_snapshots_do_not_break_a_run(no_tqdm):
    clock = Clock()
    progress = Progress(1, stream=io.StringIO(), clock=clock)
    clock.now = 2.0
    for state in ({}, {"scheduled": "x"}, {"wait_seconds": "x"}, None):
        progress.update(state)  # type: ignore[arg-type]
    progress.close({})
    progress.update({})
    progress.close({})


def test_the_bar():
    pytest.importorskip("tqdm")
    stream, clock = io.StringIO(), Clock()
    progress = Progress(10, stream=stream, clock=clock)
    clock.now = 1.0
    progress.update(snapshot(7, 2, wait_seconds=9, waiting_on="tokens", refusals=1))
    text = stream.getvalue()
    assert "9/100" in text
    assert "waiting 9 s for tokens" in text
    assert "2 failed, 1 refused" in text
    progress.first_failure(ValueError("x"))
    assert "first ValueError: x\n" in stream.getvalue()
    for second in range(2, 10):
        clock.now = float(second)
        progress.update(snapshot(7 + second))
    # Where a bar cannot overwrite itself it is drawn but seldom.
    assert "17/100" not in stream.getvalue()
    progress.close(snapshot(98, 2))
    assert "100/100" in stream.getvalue()
    assert stream.getvalue().endswith("2 of 100 calls failed; exceptions by type: ValueError 1\n")


def test_tqdm_auto_only_with_widgets(monkeypatch):
    found = {"ipywidgets": None}
    monkeypatch.setattr(_progress.importlib.util, "find_spec", found.get)
    assert _progress._tqdm_modules(False) == ["tqdm"]
    assert _progress._tqdm_modules(True) == ["tqdm"]
    found["ipywidgets"] = object()
    assert _progress._tqdm_modules(True) == ["tqdm.auto", "tqdm"]


def test_without_tqdm_there_are_lines(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    stream = io.StringIO()
    run(2, stream)
    assert "1 of 100 calls done; 3 in flight\n" in stream.getvalue()


PROGRAM = """
    import sys
    from rate_limited._progress import Progress

    clock = iter(range(1000))
    progress = Progress(100, clock=lambda: float(next(clock)))
    progress.first_failure(ValueError("x"))
    for done in range(3):
        progress.update({"scheduled": 100, "done": done, "wait_seconds": 5, "waiting_on": "tokens"})
    progress.close({"scheduled": 100, "done": 99, "failed": 1})
    print("end")
"""


def program(**options):
    path = str(Path(rate_limited.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", **options.pop("env", {})}
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    return subprocess.run(command, env=env, check=True, timeout=30, **options)


def test_closed_stderr_of_a_process():
    done = program(stdout=subprocess.PIPE, preexec_fn=lambda: os.close(2))
    assert done.stdout == b"end\n"


def test_a_reader_that_has_gone():
    reader, writer = os.pipe()
    os.close(reader)
    done = program(stdout=subprocess.PIPE, stderr=writer)
    os.close(writer)
    assert done.stdout == b"end\n"


@pytest.mark.parametrize("columns", [1, 2, 10, 80])
def test_narrow_terminals_without_colour(columns):
    pty = pytest.importorskip("pty")
    fcntl = pytest.importorskip("fcntl")
    termios = pytest.importorskip("termios")
    master, terminal = pty.openpty()
    size = (24).to_bytes(2, sys.byteorder) + columns.to_bytes(2, sys.byteorder) + bytes(4)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    done = program(stdout=subprocess.PIPE, stderr=terminal, env={"COLUMNS": str(columns)})
    os.close(terminal)
    text = os.read(master, 100_000)
    os.close(master)
    assert done.stdout == b"end\n"
    assert b"1 of 100 calls failed" in text
    assert b"\x1b[3" not in text  # no colour


def test_a_callback_that_blocks_keeps_no_run_waiting():
    gate = threading.Event()
    runner = Runner(str, [], progress=lambda _: gate.wait(20), progress_interval=0.01)
    runner.schedule(1)
    begun = time.monotonic()
    assert runner.run() == (["1"], [[]])
    assert time.monotonic() - begun < 2
    gate.set()


def test_a_call_that_takes_unusually_long_is_named(monkeypatch):
    monkeypatch.setattr(_attempts, "SLOW_CALL_SECONDS", 0.1)
    gate, seen = threading.Event(), []
    runner = Runner(lambda n: n and gate.wait(5), [], progress=seen.append, progress_interval=0.05)
    for n in (0, 1, 0, 1):
        runner.schedule(n)
    threading.Timer(0.4, gate.set).start()
    runner.run()
    slow = [each["slow_calls"] for each in seen if each["slow_calls"]]
    assert sorted(slow[-1]) == [1, 3]
    assert 0.1 < slow[-1][1] < 1
    assert seen[-1]["slow_calls"] == {}


def test_slow_calls_are_shown_with_the_longest_first():
    text = io.StringIO()
    progress = Progress(9, stream=text, clock=iter([0.0, 3.0]).__next__)
    progress._sink = _progress._Lines(progress._text)
    progress.update({"scheduled": 9, "slow_calls": {4: 612.2, 7: 1_000.4}})
    assert "call 7 has been running for 1,000 s (and 1 more)" in text.getvalue()


class Stream:
    """What a `map` says while its first row keeps all others waiting."""

    def __init__(self, **options):
        self.gate, self.seen = threading.Event(), []
        self.runner = Runner(self.work, [], progress_interval=0.05, **options)

    def work(self, n):
        if n == 0:
            self.gate.wait(5)
        if n == 3:
            raise KeyError(n)
        return n


def test_rows_that_wait_for_one_say_for_which():
    stream = Stream(progress=lambda state: stream.seen.append(state), max_retries=0)
    threading.Timer(0.4, stream.gate.set).start()
    assert len(list(stream.runner.map(range(30), buffer=10))) == 30
    stalled = [each for each in stream.seen if "call 0," in str(each["waiting_on"])]
    assert stalled[-1]["waiting_on"] == "call 0, 9 results behind it"
    assert stalled[-1]["wait_seconds"] > 0.1
    assert (stalled[-1]["done"], stalled[-1]["failed"]) == (8, 1)
    last = stream.seen[-1]
    assert (last["done"], last["failed"], last["failures"]) == (29, 1, {"KeyError": 1})
    stream.runner.close()


@pytest.mark.parametrize("is_sized", [True, False])
def test_rows_are_shown_as_calls_of_a_run_are(no_tqdm, capsys, is_sized):
    stream = Stream(long_wait_warning_seconds=0.2, max_retries=0)
    threading.Timer(0.8, stream.gate.set).start()
    rows = range(30) if is_sized else (row for row in range(30))
    assert len(list(stream.runner.map(rows, buffer=10))) == 30
    said = capsys.readouterr().err
    assert "first KeyError: 3" in said
    assert f"9 {'of 30 ' if is_sized else ''}calls done; 1 in flight" in said
    assert "s for call 0, 9 results behind it" in said
    assert "1 of 30 calls failed; exceptions by type: KeyError 1" in said
    stream.runner.close()


def test_a_length_that_is_not_that_of_the_rows_tells_nothing():
    class Frame(list):
        def __len__(self):
            return self.length

    told = []
    runner = Runner(str, [], progress=told.append)
    for length, last in ((2, None), (9, 5), (5, 5), (-1, None)):
        rows = Frame(range(5))
        rows.length = length
        assert list(runner.map(rows)) == list("01234")
        assert told[-1]["scheduled"] == last, length
