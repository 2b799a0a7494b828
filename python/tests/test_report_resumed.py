"""Reports of runs that went on with a journal: they tell of the earlier runs, too, and tell them apart."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from support import Script, binary, quiet, scheduled, watchdog  # noqa: F401 - a fixture

from rate_limited import Runner

JOB = """
class Refused(Exception):
    status_code = 429
    headers = {{"retry-after": "0.01"}}

seen = set()

def ask(number):
    if number % 5 == 0 and number not in seen:
        seen.add(number)
        raise Refused("CANARY")
    if number % 7 == 3:
        raise KeyError("CANARY")
    if {dies} and number == {calls} - 1:
        runner._statistics.save({{}})      # as every ten seconds of a run
        runner._machine.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return "CANARY"

runner = Runner(ask, limits(), journal={path!r}, key=lambda call: f"poem-{{call.args[0]}}", max_retries=1,
                max_concurrent=1, max_cost=1, prices=lambda call: 0.01, progress=False)
for number in range({calls}):
    runner.schedule(number)
with runner:
    before = json.loads(runner.report().json)
    runner.run()
    report = runner.report()
    say(before=before, after=json.loads(report.json), text=report.text, html=report.html)
"""


def job(path: Path, calls: int, *, dies: bool = False) -> Script:
    return Script(JOB.format(path=str(path), calls=calls, dies=dies))


def data(runner: Runner[..., Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(runner.report().json)
    return found


def test_two_processes_are_one_report(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    first = job(path, 20).succeeded()["after"]
    assert (first["runs"], first["earlier"]) == (1, None)
    assert (first["calls"]["succeeded"], first["calls"]["failed"]) == (17, 3)
    assert first["attempts"]["refused_by_code"] == {"Refused": 4}
    assert first["attempts"]["total"] == 20 + 4 + 3

    facts = job(path, 30).succeeded()
    before, after = facts["before"], facts["after"]
    # Before the second run there is the first one, and what is left.
    assert before["earlier"] == {"runs": 1, "calls": 20, "attempts": 27}
    assert (before["calls"]["requests"], before["calls"]["unfinished"]) == (30, 10)
    assert (after["runs"], after["earlier"]) == (2, before["earlier"])
    assert (after["calls"]["succeeded"], after["calls"]["failed"]) == (26, 4)
    assert after["calls"]["failed_by_code"] == {"KeyError": 4}
    assert (after["calls"]["requests"], after["calls"]["unfinished"]) == (30, 0)
    assert after["attempts"]["total"] == 27 + 10 + 2 + 1
    assert after["attempts"]["refused_by_code"] == {"Refused": 6}
    assert sum(slice_["succeeded"] for slice_ in after["timeline"]) == 26
    assert after["elapsed_ms"] > first["elapsed_ms"]
    assert len(after["runs_began_ms"]) == 2
    assert after["limits"][0]["name"] == "requests"
    assert after["cost"]["dollars"] == pytest.approx(0.34), "of both runs all but what was refused"
    assert after["notes"] == []
    # Those of the first run have their names still.
    retried = [call["call"] for call in after["most_retried"]]
    assert set(retried) == {f"poem-{number}" for number in (0, 3, 5, 10, 15, 17, 20, 24, 25)}
    told = "of these, 20 calls and 27 attempts were in 1 earlier run"
    assert told in facts["text"] and told in facts["html"]
    assert "30 calls: 26 succeeded, 4 failed in " in facts["text"]
    assert "CANARY" not in facts["html"] + facts["text"]

    # The command tells the same of it.
    ran = subprocess.run(
        [binary(), "report", str(path), "--format", "json"], capture_output=True, text=True, check=True
    )
    by_command = json.loads(ran.stdout)
    assert by_command["earlier"] is None, "it is part of none of the runs"
    for part in ("runs", "attempts", "latency", "limits", "timeline", "most_retried"):
        assert by_command[part] == after[part], part
    assert by_command["calls"]["succeeded"] == 26


def test_a_kill_loses_no_call_and_what_it_loses_is_said(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    killed = job(path, 12, dies=True)
    assert killed.code != 0
    # What was kept last is the beginning of the run.
    kept = json.loads((tmp_path / "run.db-report").read_bytes())
    over = kept["succeeded"] + kept["failed"]
    assert kept["runs"] == 1
    assert over >= 10
    kept["succeeded"] -= 4
    (tmp_path / "run.db-report").write_text(json.dumps(kept))
    after = job(path, 12).succeeded()["after"]
    assert (after["calls"]["succeeded"], after["calls"]["failed"]) == (10, 2)
    assert after["earlier"]["calls"] == over
    assert [note.split(":")[0] for note in after["notes"]] == ["4 calls are over and not in the statistics"]
    # The names that nobody had told before the kill are numbers of that run.
    assert any(call["call"].endswith(" of an earlier run") for call in after["most_retried"])


AGAIN = """
def ask(number):
    if {dies} and number == 2:
        while not os.path.exists({path!r} + "-report"):      # a thread of its own writes it
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGKILL)
    return number

with Runner(ask, [], journal={path!r}, max_concurrent=1, progress=False) as runner:
    for number in range(4):
        runner.schedule(number)
    runner.run()
    say(report=json.loads(runner.report().json))
"""


def test_a_call_that_is_sent_again_after_a_kill_is_a_retry_of_a_run_that_was(tmp_path: Path) -> None:
    path = str(tmp_path / "run.db")
    assert Script(AGAIN.format(path=path, dies=True)).code != 0
    report = Script(AGAIN.format(path=path, dies=False)).succeeded()["report"]
    assert (report["calls"]["succeeded"], report["runs"]) == (4, 2)
    assert report["attempts"]["retries"] == 1


@pytest.mark.parametrize("harm", ["lost", "damaged", "of another form", "large"])
def test_without_its_statistics_a_journal_tells_what_it_knows(tmp_path: Path, harm: str) -> None:
    path, kept = tmp_path / "run.db", tmp_path / "run.db-report"
    with quiet(str, journal=path) as runner:
        scheduled(runner, 1, 2, 3).run()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    if harm == "lost":
        kept.unlink()
    else:
        contents = {"damaged": b"{", "of another form": b'{"form": 99}', "large": b" " * (1 << 21)}
        kept.write_bytes(contents[harm])
    with quiet(str, journal=path) as runner:
        assert scheduled(runner, 1, 2, 3, 4).run()[0] == ["1", "2", "3", "4"]
        report = data(runner)
    assert (report["runs"], report["earlier"], report["calls"]["succeeded"]) == (1, None, 4)
    assert report["attempts"]["total"] == 1
    assert report["notes"][0].startswith("3 calls are over and not in the statistics")


def test_a_call_that_is_run_again_is_one_call(tmp_path: Path) -> None:
    for text in ("poem", "poem", "ode"):
        options = {"journal": tmp_path / "run.db", "key": lambda call: call.args[0], "on_change": "rerun"}
        with quiet(lambda number, text: text, **options) as runner:
            for number in range(5):
                runner.schedule(number, text)
            assert runner.run()[0] == [text] * 5
            report = data(runner)
        assert (report["calls"]["succeeded"], report["calls"]["requests"]) == (5, 5)
    assert (report["attempts"]["total"], report["notes"]) == (10, [])


def test_another_journal_in_its_place_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    with quiet(str, journal=path) as runner:
        scheduled(runner, 1, 2).run()
    for file in tmp_path.iterdir():
        if not file.name.endswith("-report"):
            file.unlink()
    with quiet(str, journal=path) as runner:
        scheduled(runner, 1).run()
        report = data(runner)
    assert (report["runs"], report["earlier"], report["calls"]["succeeded"]) == (1, None, 1)
    assert report["notes"] == []


def test_a_later_runner_of_the_process_goes_on_and_the_former_keeps_out(tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    former = quiet(lambda n: n, journal=path)
    assert list(former.map(range(5))) == list(range(5))
    later = quiet(lambda n: n, journal=path)  # a cell that is run again
    assert list(later.map(range(8))) == list(range(8))
    former.close()
    report = data(later)
    assert report["earlier"] == {"runs": 1, "calls": 5, "attempts": 5}
    assert (report["calls"]["succeeded"], report["attempts"]["total"]) == (8, 8)
    rows = {call["call"] for call in report["slowest"]}
    assert rows == {f"row {n} of an earlier run" for n in range(5)} | {f"row {n}" for n in (5, 6, 7)}
    later.close()
    assert json.loads((tmp_path / "run.db-report").read_bytes())["attempts"] == 8


def test_names_that_look_like_numbers_are_no_numbers(tmp_path: Path) -> None:
    options = {"journal": tmp_path / "run.db", "key": lambda call: f"call {call.args[0] + 1}"}
    with quiet(str, **options) as runner:
        scheduled(runner, 0, 1).run()
        for _ in range(2):
            assert {call["call"] for call in data(runner)["slowest"]} == {"'call 1'", "'call 2'"}
            runner.run()
    with quiet(str, **options) as runner:
        scheduled(runner, 0, 1).run()
        assert {call["call"] for call in data(runner)["slowest"]} == {"'call 1'", "'call 2'"}


def test_a_forked_child_leaves_the_statistics_alone(tmp_path: Path) -> None:
    path, kept = tmp_path / "run.db", tmp_path / "run.db-report"
    with quiet(str, journal=path) as runner:
        scheduled(runner, 1).run()
        kept.write_text("sentinel")
        child = os.fork()
        if child == 0:
            runner.close()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert kept.read_text() == "sentinel"
    assert kept.read_text() != "sentinel", "the parent has written it at its end"
