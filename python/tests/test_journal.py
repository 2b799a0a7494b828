"""The journal: what is done is not done again, whatever happened in between."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from support import Script, quiet, scheduled

from rate_limited import Failure, Resource, Runner
from rate_limited.exceptions import EarlierError, JournalError, ResultNotStored

LIMITS = 1_000_000


class Api:
    """What is called, and what it was called with."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.fails: set[Any] = set()

    def ask(self, question: Any, size: int = 1) -> Any:
        self.sent.append(question)
        if question in self.fails:
            raise OSError(f"no answer to {question}")
        return ("answer", question, size)

    async def ask_async(self, question: Any) -> Any:
        await asyncio.sleep(0)
        return self.ask(question)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run.db"


def runner(api: Api, path: Path | None, **options: Any) -> Runner[..., Any]:
    options = {"progress": False, "max_retries": 0, **options}
    function = options.pop("function", api.ask)
    limits = options.pop("limits", None) or [Resource.per_minute("requests", LIMITS)]
    return Runner(function, limits, journal=path, **options)


def run(api: Api, path: Path, calls: Any, **options: Any) -> tuple[list[Any], list[Any]]:
    with runner(api, path, **options) as made:
        for call in calls:
            made.schedule(call)
        return made.run()


def sent(api: Api) -> list[Any]:
    found = sorted(api.sent)
    api.sent.clear()
    return found


def test_what_is_done_is_not_done_again(api: Api, path: Path) -> None:
    first, _ = run(api, path, range(20))
    assert sent(api) == list(range(20))
    second, exceptions = run(api, path, range(25))
    assert sent(api) == list(range(20, 25))
    assert second[:20] == first and second[24] == ("answer", 24, 1)
    assert exceptions == [[]] * 25


def test_async_functions(api: Api, path: Path) -> None:
    assert len(run(api, path, range(30), function=api.ask_async)[0]) == 30
    sent(api)

    async def again() -> Any:
        made = runner(api, path, function=api.ask_async)
        for call in range(35):
            made.schedule(call)
        return await made.run_coro()

    results, _ = asyncio.run(again())
    assert sent(api) == list(range(30, 35))
    assert results == [("answer", call, 1) for call in range(35)]


def test_reordered_deleted_and_equal_calls(api: Api, path: Path) -> None:
    run(api, path, ["a", "b", "a", "c"])
    sent(api)
    results, _ = run(api, path, ["c", "a", "d", "a", "a"])
    assert sent(api) == ["a", "d"], "the third a is a new call"
    assert [result[1] for result in results] == ["c", "a", "d", "a", "a"]


def test_arguments_by_position_and_by_name(api: Api, path: Path) -> None:
    with runner(api, path) as made:
        made.schedule("a", 2)
        made.schedule("a", size=3)
        made.run()
    with runner(api, path) as made:
        made.schedule("a", size=3)
        made.schedule("a", 2)
        results, _ = made.run()
    assert results == [("answer", "a", 3), ("answer", "a", 2)]
    assert sent(api) == ["a", "a"]


def test_failed_calls_stay_failed_until_they_are_retried(api: Api, path: Path) -> None:
    api.fails = {1}
    run(api, path, range(3))
    sent(api)
    api.fails.clear()
    with runner(api, path) as made:
        for call in range(3):
            made.schedule(call)
        results, exceptions = made.run()
        assert sent(api) == [] and results[1] is None
        (error,) = exceptions[1]
        assert isinstance(error, EarlierError)
        assert (error.kind, error.text) == ("OSError", "no answer to 1")
        assert made.records()[1]["status"] == "failed"
        assert made.retry_failed() == 1
        assert made.run()[0] == [("answer", 1, 1)]
    results, exceptions = run(api, path, range(3))
    assert sent(api) == [1], "it was called once more, and is known now"
    assert results[1] == ("answer", 1, 1)


def test_changed_calls(api: Api, path: Path) -> None:
    def key(call: Any) -> Any:
        return call.get_argument("question")[0]

    run(api, path, ["a1", "b1", "c1"], key=key)
    sent(api)
    with pytest.raises(JournalError, match="2 unchanged, 1 changed, 1 new and 0 gone.*on_change="):
        run(api, path, ["a1", "b2", "c1", "d1"], key=key)
    assert sent(api) == []
    results, _ = run(api, path, ["a1", "b2", "c1", "d1"], key=key, on_change="keep")
    assert sent(api) == ["d1"] and results[1][1] == "b1"
    results, _ = run(api, path, ["a1", "b2", "c1", "d1"], key=key, on_change="rerun")
    assert sent(api) == ["b2"] and results[1][1] == "b2"
    assert run(api, path, ["a1", "b2", "c1", "d1"], key=key)[0] == results


def test_a_new_version_changes_all(api: Api, path: Path) -> None:
    run(api, path, "ab", version=1)
    with pytest.raises(JournalError, match="0 unchanged, 2 changed"):
        run(api, path, "ab", version=2)
    sent(api)
    run(api, path, "ab", version=2, on_change="rerun")
    assert sent(api) == ["a", "b"]


def test_another_job_is_refused(api: Api, path: Path) -> None:
    run(api, path, "ab")
    sent(api)
    with pytest.raises(JournalError, match="0 unchanged, 0 changed, 2 new and 2 gone"):
        run(api, path, "xy")
    with pytest.raises(JournalError, match="2 changed"):
        run(api, path, "ab", function=lambda question: question)
    assert sent(api) == []


def test_submit_map_and_as_completed(api: Api, path: Path) -> None:
    with runner(api, path) as made:
        assert list(made.map(range(50))) == [("answer", call, 1) for call in range(50)]
    sent(api)
    with runner(api, path) as made:
        futures = [made.submit(call) for call in range(52)]
        concurrent.futures.wait(futures, timeout=30)
        assert [future.result()[1] for future in futures] == list(range(52))
    assert sent(api) == [50, 51]
    with runner(api, path) as made:
        assert sorted(made.as_completed(range(52))) == [(n, ("answer", n, 1)) for n in range(52)]
    assert sent(api) == []


def test_rows_that_failed_before(api: Api, path: Path) -> None:
    api.fails = {1}
    with runner(api, path) as made:
        list(made.map(range(3)))
    with runner(api, path) as made:
        rows = list(made.map(range(3)))
    assert rows[0] and not rows[1] and isinstance(rows[1].errors[0], EarlierError)


def test_a_changed_row_ends_a_stream(api: Api, path: Path) -> None:
    def key(call: Any) -> Any:
        return call.args[0] // 10

    with runner(api, path, key=key) as made:
        list(made.map([1, 10, 20]))
    sent(api)
    for stream in (lambda made: made.map([1, 11, 30]), lambda made: made.as_completed([1, 11, 30])):
        with runner(api, path, key=key) as made:
            with pytest.raises(JournalError, match=r"1 unchanged, 1 changed.*; nothing more was sent: on_change="):
                list(stream(made))
            with pytest.raises(JournalError, match="1 changed"):
                made.submit(40)
    assert sent(api) == []
    # What came before is not lost: the journal has it.
    with runner(api, path, key=key) as made, pytest.raises(JournalError, match="1 changed, 1 new"):
        list(made.map([30, 11]))
    with runner(api, path, key=key, on_change="keep") as made:
        assert [row[1] for row in made.map([1, 11, 20, 30])] == [1, 10, 20, 30]
    assert sent(api) == [30]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_rows_that_nobody_wanted_any_more_are_made_by_the_next_run(path: Path, kind: str) -> None:
    asked: list[int] = []

    def ask(number: int) -> int:
        asked.append(number)
        time.sleep(0.01)
        return number

    async def ask_later(number: int) -> int:
        asked.append(number)
        await asyncio.sleep(0.01)
        return number

    function: Any = ask if kind == "sync" else ask_later
    with quiet(function, journal=path, max_concurrent=2) as made:
        for row in made.map(range(30)):
            assert row == 0
            break
        future = made.submit(30)
        future.cancel()
    first = sorted(asked)
    assert first[0] == 0
    assert len(first) < 30
    with quiet(function, journal=path) as made:
        report = json.loads(made.report().json)
        assert (report["calls"]["succeeded"], report["calls"]["failed"]) == (len(first), 0)
        assert list(made.map(range(31))) == list(range(31))
        report = json.loads(made.report().json)
        assert (report["calls"]["succeeded"], report["calls"]["failed"]) == (31, 0)
    assert sorted(asked) == list(range(31)), "each was made once"


@pytest.mark.parametrize("way", ["run", "map", "submit"])
def test_calls_of_which_nobody_knows(path: Path, way: str) -> None:
    script = Script(
        f"""
        def ask(number):
            if number == 2:
                os.kill(os.getpid(), signal.SIGKILL)
            return number

        runner = Runner(ask, limits(), journal={str(path)!r}, key=lambda call: call.args[0],
                        max_concurrent=1, progress=False)
        for number in range(3):
            runner.schedule(number)
        runner.run()
        """
    )
    assert script.code < 0
    asked: list[int] = []

    def ask(number: int) -> int:
        asked.append(number)
        return number

    # The script's function was another one of the same name.
    ask.__module__, ask.__qualname__ = "__main__", "ask"

    def went(on_unknown: str) -> list[Any]:
        with quiet(ask, journal=path, key=lambda call: call.args[0], on_unknown=on_unknown) as made:
            if way == "map":
                return [row if row is not None and not isinstance(row, Failure) else None for row in made.map(range(3))]
            if way == "run":
                return list(scheduled(made, *range(3)).run()[0])
            futures = [made.submit(number) for number in range(3)]
            return [None if future.exception() else future.result() for future in futures]

    with pytest.raises(JournalError, match='1 call was in flight.*sent: on_unknown="retry" calls them again'):
        went("report")
    assert asked == []
    assert went("skip") == [0, 1, None]
    with quiet(ask, journal=path, key=lambda call: call.args[0], on_unknown="skip") as made:
        _, errors = scheduled(made, *range(3)).run()
        assert [type(error) for error in errors[2]] == [EarlierError]
        assert made.records()[2]["status"] == "unfinished"
        # What must not happen twice is not sent by a wish for what failed.
        assert made.retry_failed() == 0
    assert asked == []
    assert went("retry") == [0, 1, 2]
    assert asked == [2]
    assert went("report") == [0, 1, 2], "nothing is unknown any more"


@pytest.mark.parametrize("raises", ["raise", "return"])
def test_one_result_that_cannot_be_read_ends_no_stream(path: Path, raises: str) -> None:
    def decode(data: Any) -> Any:
        if data == 1:
            raise ValueError("no 1")
        return data

    with quiet(lambda n: n, journal=path) as made:
        list(made.map(range(3)))
    with quiet(lambda n: n, journal=path, encode=lambda it: it, decode=decode) as made:
        if raises == "raise":
            with pytest.raises(JournalError, match="a result of the journal .* cannot be read: no 1"):
                list(made.map(range(3), on_error="raise"))
        else:
            rows = list(made.map(range(3)))
            assert (rows[0], bool(rows[1]), rows[2]) == (0, False, 2)


def test_a_closed_runner_maps_nothing(path: Path) -> None:
    made = quiet(str, journal=path)
    made.close()
    with pytest.raises(JournalError, match="closed"):
        list(made.map([1, 2]))


def test_arguments_without_a_form_need_a_key(api: Api, path: Path) -> None:
    with (
        runner(api, path) as made,
        pytest.raises(ValueError, match=r"the argument question is of type object.*key="),
    ):
        made.schedule(object())
    with runner(api, path) as made, pytest.raises(ValueError, match=r"the argument extra"):
        made.schedule("a", extra=object())
    results, _ = run(api, path, [1], key=lambda call: call.args[0], function=lambda x: x)
    assert results == [1]


@pytest.mark.parametrize("way", ["map", "as_completed"])
def test_rows_without_a_form_end_a_map_at_the_first(api: Api, path: Path, way: str) -> None:
    with runner(api, path) as made:
        rows = getattr(made, way)(row if row < 3 else object() for row in range(9))
        with pytest.raises(ValueError, match=r"^row 3: the argument question is of type object.*give the runner key=$"):
            list(rows)
        assert [record["status"] for record in made.records()][3:] == ["unfinished"]



def test_answers_that_cannot_be_kept(api: Api, path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def odd(question: int) -> Any:
        api.sent.append(question)
        return object()

    results, exceptions = run(api, path, range(20), function=odd, max_concurrent=1)
    assert sent(api) == [0], "nothing more is sent after the first"
    assert results[0] is not None and isinstance(exceptions[0][0], ResultNotStored)
    assert "object" in caplog.text and "encode=" in caplog.text
    results, exceptions = run(api, path, [0], function=odd)
    assert sent(api) == [] and results == [None]
    assert isinstance(exceptions[0][0], ResultNotStored)


def test_encode_and_decode(api: Api, path: Path) -> None:
    class Odd:
        def __init__(self, text: str) -> None:
            self.text = text

    for encode, decode in (
        (lambda odd: odd.text, Odd),
        (lambda odd: odd.text.encode(), lambda data: Odd(data.decode())),
    ):
        where = path.with_suffix(f".{id(encode)}")
        for _ in range(2):
            results, _ = run(api, where, ["a"], function=Odd, encode=encode, decode=decode)
            assert [odd.text for odd in results] == ["a"]
    with pytest.raises(ValueError, match="both encode= and decode="):
        runner(api, path, encode=str)


def test_a_restart_does_not_burst(api: Api, path: Path) -> None:
    def limits() -> list[Resource]:
        return [Resource("requests", 10, 3_600, lambda _: 1)]

    run(api, path, range(8), limits=limits())
    sent(api)
    made = runner(api, path, limits=limits())
    for call in range(20):
        made.schedule(call)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        future = pool.submit(made.run)
        deadline = time.monotonic() + 10
        while len(api.sent) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        made.interrupt()
        results, _ = future.result(timeout=10)
    assert sent(api) == [8, 9], "two are left of ten in this hour"
    assert [result is not None for result in results] == [True] * 10 + [False] * 10


def test_a_quota_of_the_process_is_not_counted_twice(api: Api, path: Path) -> None:
    limit = Resource("requests", 10, 3_600, lambda _: 1)
    for calls in (range(4), range(8)):
        run(api, path, calls, limits=[limit])
    from rate_limited._native import resource_view
    from rate_limited._setup import native_id

    assert resource_view(native_id(limit))[0] == 8


def test_a_cell_that_is_run_again(api: Api, path: Path) -> None:
    made = runner(api, path)
    made.schedule("a")
    made.run()
    made = runner(api, path)  # while the one before is still there
    made.schedule("a")
    assert made.run()[0] == [("answer", "a", 1)]
    assert sent(api) == ["a"]
    made.close()
    with pytest.raises(JournalError, match="closed"):
        made.schedule("b")


def test_only_its_owner_can_read_it(api: Api, path: Path) -> None:
    before = os.umask(0)
    try:
        made = runner(api, path)
        made.schedule("a")
        made.run()
        modes = {stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {0o600}
    made.close()


def test_other_files_are_left_alone(api: Api, path: Path) -> None:
    path.write_text("not a journal\n" * 20)
    with pytest.raises(JournalError, match="is no journal"):
        runner(api, path)
    assert path.read_text().startswith("not a journal")
    with pytest.raises(JournalError, match="failed to open"):
        runner(api, path.parent / "no" / "run.db")


@pytest.mark.parametrize("has_journal", [True, False])
@pytest.mark.parametrize(
    ("option", "text"),
    [
        ({"on_change": "x"}, r"""on_change must be "refuse", "rerun" or "keep", got 'x'"""),
        ({"on_unknown": "x"}, r"""on_unknown must be "retry", "skip" or "report", got 'x'"""),
        ({"durability": None}, r"""durability must be "process" or "power", got None"""),
        ({"encode": str}, r"give both encode= and decode=, or neither"),
        ({"key": "id"}, r"key must be a function or None, got str"),
    ],
    ids=str,
)
def test_options_that_are_none(api: Api, path: Path, option: Any, text: str, has_journal: bool) -> None:
    with pytest.raises((TypeError, ValueError), match=text):
        runner(api, path if has_journal else None, **option)
    assert not path.exists()


def test_power(api: Api, path: Path) -> None:
    run(api, path, range(5), durability="power")
    sent(api)
    assert len(run(api, path, range(5), durability="power")[0]) == 5
    assert sent(api) == []


def test_a_runner_that_is_forgotten_frees_its_journal(api: Api, path: Path) -> None:
    made = runner(api, path)
    made.schedule("a")
    made.run()
    del made
    gc.collect()
    code = (
        "from rate_limited import Runner\n"
        f"r = Runner(len, [], journal={str(path)!r}, progress=False, on_change='rerun')\n"
        "r.close()\nprint('opened')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "opened\n", done.stderr


CANARY = "sk-CANARY-5f2a9c81e7"


def test_no_secret_is_written_down(api: Api, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "canary-0b1c2d3e4f")

    def leaks(question: int) -> Any:
        texts = [
            f"Incorrect API key provided: {CANARY}",
            f"Authorization: Bearer {CANARY}",
            f"https://user:{CANARY}@host/v1?api_key={CANARY}",
            f"{{'api_key': '{CANARY}'}}",
            "the key canary-0b1c2d3e4f is wrong",
        ]
        raise OSError(texts[question])

    made = runner(api, path, function=leaks)
    for call in range(5):
        made.schedule(call)
    made.run()
    made.close()
    _, exceptions = run(api, path, range(5), function=leaks)
    kept = [str(found[0]) for found in exceptions]
    assert all("***" in text for text in kept), kept
    for found in path.parent.iterdir():
        data = found.read_bytes()
        assert b"CANARY" not in data and b"canary-0b1c" not in data, found
    assert "Incorrect API key provided: ***" in kept[0]


def test_a_child_that_was_forked_off(api: Api, path: Path) -> None:
    made = runner(api, path)
    made.schedule("a")
    made.run()
    child = os.fork()
    if child == 0:  # pragma: no cover - the child
        try:
            made.schedule("b")
        except RuntimeError:
            time.sleep(3)
            os._exit(0)
        os._exit(1)
    made.close()
    started = time.monotonic()
    made = runner(api, path)  # the child must not keep the lock
    assert time.monotonic() - started < 2
    made.close()
    os.kill(child, 9)
    os.waitpid(child, 0)


def test_a_runner_whose_journal_a_later_one_has_says_so(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    first = quiet(str, journal=path)
    scheduled(first, 1)
    with quiet(str, journal=path) as later:
        for use in (lambda: first.schedule(2), first.run, lambda: list(first.map([3], on_error="raise"))):
            with pytest.raises(JournalError, match="belongs to a later runner of this process: use that one"):
                use()
        assert scheduled(later, 1).run()[0] == ["1"]
