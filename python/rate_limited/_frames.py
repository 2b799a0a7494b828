"""Where an exception was raised, kept as text: its frames would keep alive what they hold in hand."""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

if sys.version_info < (3, 11):

    class BaseExceptionGroup(BaseException):
        """Python 3.10 has no groups of exceptions."""

        exceptions: tuple[BaseException, ...] = ()


FRAMES_MAX = 8
"""How many frames a note has; of more, those in the middle are left out."""

_HEAD = "where it was raised:"
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_LIBRARIES = tuple(
    {os.path.abspath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "purelib", "platlib")}
)


class Frame(NamedTuple):
    """A line of code that was being run."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f'  File "{self.file}", line {self.line}, in {self.function}'


def without_frames(error: BaseException) -> BaseException:
    """The same exception, and those it was raised from, without what their frames held in hand.

    Where they were raised is in a note, which Python shows below the exception from 3.11 on.
    """
    todo: list[BaseException | None] = [error]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        frames = _frames_of(one.__traceback__)
        one.__traceback__ = None
        if frames:
            _note(one, frames)
        todo += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions
    return error


def raised_at(error: BaseException) -> str:
    """The last line of the user's own code, as `file.py:12 in function`; "" where there is none.

    >>> raised_at(KeyError("choices"))
    ''
    """
    notes = [note for each in (error, error.__cause__) for note in getattr(each, "__notes__", None) or ()]
    frames = next((note.frames for note in notes if isinstance(note, _Note)), ())
    own = [frame for frame in frames if not frame.file.startswith((*_LIBRARIES, "<frozen "))]
    if not own:
        return ""
    file, line, function = own[-1]
    folder, name = os.path.split(file)
    # A notebook's cell is a file with a number for a name.
    name = "cell" if os.path.basename(folder).startswith("ipykernel_") else name
    return f"{name}:{line} in {function}"


class _Note(str):
    """The text of a note, which remembers the frames that it is made of."""

    __slots__ = ("frames",)
    frames: tuple[Frame, ...]

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def _frames_of(traceback: TracebackType | None) -> list[Frame]:
    """The frames from the user's function on: how this package came to call it is nobody's concern."""
    frames: list[Frame] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if frames or not code.co_filename.startswith(_OURS):
            frames.append(Frame(code.co_filename, traceback.tb_lineno, code.co_name))
        traceback = traceback.tb_next
    return frames


def _note(error: BaseException, frames: list[Frame]) -> None:
    note = _note_of(tuple(frames))
    with suppress(Exception):  # attributes of exceptions may do anything
        notes = [each for each in getattr(error, "__notes__", ()) if not str(each).startswith(_HEAD)]
        error.__notes__ = [*notes, note]


@functools.lru_cache(maxsize=64)  # what fails once fails often: one text for all of it
def _note_of(frames: tuple[Frame, ...]) -> _Note:
    half = FRAMES_MAX // 2
    left_out = len(frames) - FRAMES_MAX
    kept = frames if left_out <= 0 else frames[:half] + frames[-half:]
    lines = [str(frame) for frame in kept]
    if left_out > 0:
        lines.insert(half, f"  … {left_out:,} more")
    note = _Note("\n".join([_HEAD, *lines]))
    note.frames = kept
    return note
