"""Results as data: what goes in comes out, with its type."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import math
import pathlib
import subprocess
import sys
import uuid
from typing import Any

import pytest

from rate_limited._encode import CannotDecodeError, CannotEncodeError, canonical, decode, encode

Point = collections.namedtuple("Point", "x y")


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Answer:
    text: str
    tokens: int
    parts: tuple[Any, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    value: decimal.Decimal


UTC = datetime.timezone.utc
VALUES = [
    None, True, 0, -1, 2**200, 1.5, "", "text", "\u0000\ud800\U0001f4a9", [], [1, [2]], {}, {"a": {"b": 1}},
    {"$": 1}, {1: "one", (2, 3): "two"}, (), (1, "a", None), b"", b"\xff\x00", bytearray(b"x"), 1 + 2j,
    decimal.Decimal("1.10"), fractions.Fraction(1, 3), datetime.datetime(2026, 1, 2, 3, 4, 5, 6),
    datetime.datetime(2026, 1, 2, tzinfo=UTC), datetime.date(2026, 1, 2), datetime.time(1, 2, 3),
    datetime.timedelta(days=1, microseconds=5), {1, 2, 3}, frozenset("ab"), uuid.UUID(int=7), Point(1, [2]),
    Colour.RED, Answer("a", 2, (1, b"x")), Frozen(decimal.Decimal(3)), pathlib.Path("a/b"), math.inf, [Answer("b", 1)],
]  # fmt: skip


def name(value: Any) -> str:
    """The name of a case: the same in each process, while a set of strings has another order in each."""
    return "frozenset" if isinstance(value, frozenset) else repr(value)


@pytest.mark.parametrize("value", VALUES, ids=name)
def test_what_goes_in_comes_out(value: Any) -> None:
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)


def test_what_is_not_equal_to_itself() -> None:
    assert math.isnan(decode(encode(math.nan)))
    back = decode(encode(decimal.Decimal("NaN")))
    assert isinstance(back, decimal.Decimal) and back.is_nan()


def test_plain_values_are_plain_json() -> None:
    assert encode({"a": [1, "ü", None]}) == b'{"a":[1,"\\u00fc",null]}'


def test_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    arrays = [numpy.arange(6, dtype="<f4").reshape(2, 3), numpy.array([]), numpy.array(["a", "bc"])]
    for array in arrays:
        back = decode(encode(array))
        assert back.dtype == array.dtype and back.shape == array.shape
        assert (back == array).all()
        back[...] = back  # it can be written to
    for scalar in (numpy.float64(1.5), numpy.int8(3), numpy.bool_(True), numpy.datetime64("2026-01-02")):
        back = decode(encode(scalar))
        assert back == scalar and type(back) is type(scalar)
    with pytest.raises(CannotEncodeError, match=r"numpy\.ndarray"):
        encode(numpy.array([object()]))


def test_pydantic_models() -> None:
    pydantic = pytest.importorskip("pydantic")
    global Inner, Outer

    class Inner(pydantic.BaseModel):
        value: float | None = None

    class Outer(pydantic.BaseModel):
        model_config = pydantic.ConfigDict(extra="allow")
        inner: Inner
        items: list[Inner] = []

    Inner.__qualname__, Outer.__qualname__ = "Inner", "Outer"
    value = Outer(inner=Inner(value=1.5), items=[Inner()], more={"x": 1})
    back = decode(encode(value))
    assert back == value and type(back.inner) is Inner
    assert back.model_fields_set == value.model_fields_set
    assert back.model_dump() == value.model_dump()
    # An answer that no validation would accept is an answer all the same.
    odd = Inner.model_construct(value="no number")
    assert decode(encode(odd)).value == "no number"


def test_answers_of_openai() -> None:
    openai_types = pytest.importorskip("openai.types.chat")
    data = {
        "id": "1", "object": "chat.completion", "created": 1, "model": "m", "unknown": {"x": 1},
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }  # fmt: skip
    answer = openai_types.ChatCompletion.construct(**data)
    back = decode(encode(answer))
    assert type(back) is openai_types.ChatCompletion
    assert back.choices[0].message.content == "hi"
    assert back.usage.total_tokens == 3
    assert back.to_dict() == answer.to_dict()


def local_class() -> Any:
    @dataclasses.dataclass
    class Local:
        x: int

    return Local(1)


@pytest.mark.parametrize(
    "value",
    [object(), local_class(), lambda: 1, iter([]), type("Text", (str,), {})("x"), sys, ValueError("x")],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_form_is_told_by_its_type(value: Any) -> None:
    with pytest.raises(CannotEncodeError, match=type(value).__qualname__.split(".")[-1]) as told:
        encode([value])
    assert "encode=" in str(told.value)


def test_a_structure_without_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(CannotEncodeError, match="deeper than"):
        encode(endless)


def test_equal_arguments_have_equal_bytes() -> None:
    assert canonical({"a": 1, "b": {1, 2}}, "x") == canonical({"b": {2, 1}, "a": 1}, "x")
    assert canonical((1,), "x") != canonical([1], "x")
    with pytest.raises(CannotEncodeError, match=r"the argument x is of type object.*key="):
        canonical([object()], "the argument x")


class Stamp(datetime.datetime):
    """A moment that is finer than its base, as those of data frames are."""

    nanoseconds = 0

    def isoformat(self, *_: Any) -> str:
        return super().isoformat() + (f".{self.nanoseconds:09}" if self.nanoseconds else "")


class Span(datetime.timedelta):
    """The same for a duration."""

    nanoseconds = 0


@pytest.mark.parametrize(
    ("kind", "parts"), [(Stamp, (2026, 1, 2, 3, 4, 5, 6)), (Stamp, (2026, 1, 2)), (Span, (1, 2, 3)), (Span, (0,))]
)
def test_arguments_of_finer_kinds_of_times_are_known(kind: Any, parts: tuple[int, ...]) -> None:
    value, base = kind(*parts), kind.__base__(*parts)
    assert value == base and canonical(value, "x") == canonical(base, "x")
    value.nanoseconds = 7
    assert canonical(value, "x") != canonical(base, "x")
    # As a result it would come back as something else.
    with pytest.raises(CannotEncodeError, match="encode= and decode="):
        encode(value)


def test_rows_of_a_class_that_was_made_on_the_way_are_known() -> None:
    # So are those of `DataFrame.itertuples()`.
    rows = [collections.namedtuple("Row", names, rename=True)(1, "a") for names in ("x y", "x y", "x z")]
    first, again, other = (canonical(row, "x") for row in rows)
    assert first == again != other
    assert json.loads(canonical(Point(1, 2), "x"))["c"].endswith(":Point"), "as journals have it"
    with pytest.raises(CannotEncodeError):
        encode(rows[0])


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"\xff", b'{"$":"nothing","v":1}', b'{"$":"bytes"}', b'{"$":"dataclass","c":"os:system","v":{}}',
     b'{"$":"dataclass","c":"builtins:int","v":{}}', b'{"$":"enum","c":"no.such:Thing","v":"A"}',
     b'{"$":"namedtuple","c":"subprocess:Popen","v":["true"]}', b'{"$":["list"],"v":1}',
     b'{"$":"pydantic","c":"subprocess:Popen","v":[],"extra":null,"set":[]}', b'{"$":"numpy","t":"O","s":[1],"v":"AAAA","one":false}'],
)  # fmt: skip
def test_bytes_that_are_no_value(data: bytes) -> None:
    with pytest.raises(CannotDecodeError):
        decode(data)


def test_nothing_is_imported_because_a_file_says_so() -> None:
    data = b'{"$":"dataclass","c":"this:c","v":{}}'
    code = (
        f"from rate_limited._encode import decode, CannotDecodeError\nimport sys\n"
        f"try: decode({data!r})\nexcept CannotDecodeError as e: print(e)\nassert 'this' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "is not loaded: import it before" in done.stdout
    assert json.loads(encode(Answer("a", 1)))["c"].endswith(":Answer")
