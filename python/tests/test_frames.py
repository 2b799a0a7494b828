"""Where an exception was raised is kept as text, and nothing that its frames held."""

from __future__ import annotations

import asyncio
import gc
import pickle
import sys
import traceback
import weakref
from typing import Any

import pytest
from support import WAYS_TO_RUN, plenty, quiet, scheduled, watchdog  # noqa: F401

from rate_limited import Runner
from rate_limited._frames import FRAMES_MAX, raised_at, without_frames


class Big:
    pass


held: list[weakref.ref[Big]] = []


def outer(number: int) -> int:
    big = Big()
    held.append(weakref.ref(big))
    return inner(number)


def inner(number: int) -> int:
    raise ValueError(f"no {number}")


async def outer_async(number: int) -> int:
    await asyncio.sleep(0)
    return outer(number)


def deep(number: int) -> int:
    return deep(number - 1) if number else inner(number)


def note_of(error: BaseException) -> str:
    notes = [note for note in error.__notes__ if note.startswith("where it was raised:")]  # type: ignore[attr-defined]
    assert len(notes) == 1
    return str(notes[0])


@pytest.mark.parametrize("run", WAYS_TO_RUN)
@pytest.mark.parametrize("function", [outer, outer_async])
def test_own_frames_are_named_and_not_held(function: Any, run: Any) -> None:
    held.clear()
    _, exceptions = run(scheduled(quiet(function, max_retries=1), 1))
    assert len(held) == len(exceptions[0]) == 2
    for error in exceptions[0]:
        assert error.__traceback__ is None
        lines = note_of(error).splitlines()
        # From the user's function on: nothing of this package.
        own = ["outer_async"] * (function is outer_async) + ["outer", "inner"]
        assert [line.rpartition(", in ")[2] for line in lines[1:]] == own
        assert all(f'File "{__file__}", line ' in line for line in lines[1:])
    gc.collect()
    assert [reference() for reference in held] == [None, None]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 shows no notes")
def test_a_traceback_shows_them() -> None:
    _, exceptions = scheduled(quiet(outer, max_retries=0), 1).run()
    text = "".join(traceback.format_exception(exceptions[0][0]))
    assert "ValueError: no 1\nwhere it was raised:\n" in text and text.endswith(", in inner\n")


def test_many_frames_are_cut_in_the_middle() -> None:
    _, exceptions = scheduled(quiet(deep, max_retries=0), 50).run()
    lines = note_of(exceptions[0][0]).splitlines()
    assert len(lines) == 1 + FRAMES_MAX + 1
    assert lines[1 + FRAMES_MAX // 2] == f"  … {52 - FRAMES_MAX} more" and lines[-1].endswith(", in inner")


def test_one_exception_that_is_raised_again_and_again_has_one_note() -> None:
    the_one = ValueError("no")

    def fails(_: int) -> None:
        raise the_one

    scheduled(quiet(fails, max_retries=3), 1).run()
    assert note_of(the_one).count("in fails") == 1


def test_notes_of_others_stay_and_all_can_be_pickled() -> None:
    def fails(_: int) -> None:
        error = ValueError("no")
        error.__notes__ = ["row of 7 May"]  # type: ignore[attr-defined]
        raise error

    error = scheduled(quiet(fails, max_retries=0), 1).run()[1][0][0]
    again = pickle.loads(pickle.dumps(error))
    assert again.__notes__ == error.__notes__ and again.__notes__[0] == "row of 7 May"  # type: ignore[attr-defined]
    assert raised_at(again) == ""


def test_exceptions_that_let_nothing_be_written() -> None:
    class Closed(Exception):
        def __setattr__(self, name: str, value: object) -> None:
            if name == "__notes__":
                raise AttributeError(name)
            super().__setattr__(name, value)

    def fails(_: int) -> None:
        raise Closed("no")

    assert str(scheduled(quiet(fails, max_retries=0), 1).run()[1][0][0]) == "no"


def test_the_cause_has_its_own() -> None:
    def fails(number: int) -> int:
        try:
            return outer(number)
        except ValueError as error:
            raise RuntimeError("worse") from error

    error = scheduled(quiet(fails, max_retries=0), 1).run()[1][0][0]
    assert note_of(error).endswith(", in fails")
    assert error.__cause__ is not None and note_of(error.__cause__).endswith(", in inner")


def test_the_first_failure_is_shown_with_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    scheduled(Runner(outer, plenty(), max_retries=0, max_concurrent=1), 1, 2).run()
    line = inner.__code__.co_firstlineno + 1
    assert capsys.readouterr().err.count(f"first ValueError: no 1 (test_frames.py:{line} in inner)\n") == 1


def test_the_line_of_a_validator(capsys: pytest.CaptureFixture[str]) -> None:
    scheduled(Runner(str, plenty(), max_retries=0, validation=outer), 1).run()
    shown = capsys.readouterr().err
    assert "the validation rejected the answer: it raised ValueError" in shown and " in inner)" in shown


def test_the_line_is_the_last_of_the_users_own() -> None:
    def parses(text: str) -> Any:
        import json

        return json.loads(text)

    error = scheduled(quiet(parses, max_retries=0), "{").run()[1][0][0]
    assert "decoder.py" in note_of(error).splitlines()[-1]
    assert raised_at(error).endswith(" in parses")
    # What comes from a builtin has no line of its own.
    assert raised_at(scheduled(quiet(int, max_retries=0), "x").run()[1][0][0]) == ""


def test_an_exception_without_a_traceback() -> None:
    error = KeyError("choices")
    assert without_frames(error) is error and not hasattr(error, "__notes__")
