"""Results as bytes and back: data only, with the types that they had.

What JSON has is written as JSON. Everything else is an object with the key "$", which names its kind. A
class is named by its module and its name, and is looked up among the modules that are loaded: nothing is
imported because a file says so, and no constructor of a stranger is called.
"""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import pathlib
import sys
import uuid
from typing import Any

_KIND = "$"

# Deeper structures are not written: reading them back might not be possible.
_DEPTH_MAX = 200


class CannotEncodeError(TypeError):
    """A value that cannot be written as data."""


class NoFormError(ValueError):
    """An argument that has no form as data, so that a journal cannot know its call."""


class CannotDecodeError(ValueError):
    """Bytes that are no value, or one of a class that is not loaded."""


def encode(value: Any) -> bytes:
    """The value as bytes.

    Raises:
        CannotEncodeError: a part of it is neither JSON-like nor of a kind that is known; it names its type.

    >>> decode(encode((1, b"two", {"three": 3.0})))
    (1, b'two', {'three': 3.0})
    """
    return json.dumps(_plain(value, 0, ""), separators=(",", ":")).encode()


def decode(data: bytes) -> Any:
    """The value that was written.

    Raises:
        CannotDecodeError: it is of a class that is not loaded, or was not written by `encode`.
    """
    try:
        return _restored(json.loads(data))
    except CannotDecodeError:
        raise
    except Exception as error:
        raise CannotDecodeError(f"the data is no result: {type(error).__name__}") from error


def canonical(value: Any, where: str) -> bytes:
    """As `encode`, and equal values are equal bytes, whatever the order of keys.

    Nobody reads it back: more kinds of values have such a form, the rows of data frames among them.

    Raises:
        CannotEncodeError: it names `where`.
    """
    plain = _plain(value, 0, where)
    return json.dumps(plain, separators=(",", ":"), sort_keys=True).encode()


def _plain(value: Any, depth: int, where: str) -> Any:
    """The value in terms of JSON."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        return value
    if depth > _DEPTH_MAX:
        raise CannotEncodeError(f"{where or 'a value'} is nested deeper than {_DEPTH_MAX} levels")
    deeper = depth + 1
    if kind is list:
        return [_plain(item, deeper, where) for item in value]
    if kind is dict:
        if all(type(key) is str for key in value) and _KIND not in value:
            return {key: _plain(item, deeper, where) for key, item in value.items()}
        pairs = [[_plain(key, deeper, where), _plain(item, deeper, where)] for key, item in value.items()]
        return {_KIND: "dict", "v": pairs}
    simple = _SIMPLE.get(kind)
    if simple is not None:
        name, write, _ = simple
        return {_KIND: name, "v": write(value)}
    if kind in (tuple, set, frozenset):
        items = [_plain(item, deeper, where) for item in value]
        if kind is not tuple:
            items.sort(key=lambda item: json.dumps(item, sort_keys=True))
        return {_KIND: kind.__name__, "v": items}
    return _object(value, kind, deeper, where)


def _object(value: Any, kind: type[Any], depth: int, where: str) -> Any:
    """A value of a class that is not built in."""
    if isinstance(value, enum.Enum):
        return {_KIND: "enum", "c": _name_of(kind, where), "v": value.name}
    if where and (known := _known_by(value, kind, depth, where)) is not None:
        return known
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        items = [_plain(item, depth, where) for item in value]
        return {_KIND: "namedtuple", "c": _name_of(kind, where), "v": items}
    if dataclasses.is_dataclass(value):
        fields = [field.name for field in dataclasses.fields(value)]
        values = {name: _plain(getattr(value, name), depth, where) for name in fields}
        return {_KIND: "dataclass", "c": _name_of(kind, where), "v": values}
    if _is_pydantic(kind):
        return _model(value, kind, depth, where)
    if isinstance(value, pathlib.PurePath):
        return {_KIND: "path", "v": str(value)}
    if kind.__module__ == "numpy" or kind.__module__.startswith("numpy."):
        return _numpy(value, kind, where)
    raise CannotEncodeError(_complaint(kind, where))


def _known_by(value: Any, kind: type[Any], depth: int, where: str) -> Any:
    """The form of an argument that could not be read back; None: it has none of its own."""
    if isinstance(value, tuple) and hasattr(kind, "_fields") and not _is_loaded(kind):
        # A class that was made on the way, such as that of the rows of a data frame.
        items = [_plain(item, depth, where) for item in value]
        return {_KIND: "namedtuple", "f": list(kind._fields), "v": items}
    for base in (datetime.datetime, datetime.date, datetime.time):
        if isinstance(value, base):
            # Its own words for itself: it may be finer than its base.
            return {_KIND: _SIMPLE[base][0], "v": str(value.isoformat())}
    if isinstance(value, datetime.timedelta):
        finer = getattr(value, "nanoseconds", 0)
        return {_KIND: "timedelta", "v": [*_timedelta_parts(value), *([int(finer)] if finer else [])]}
    return None


def _complaint(kind: type[Any], where: str) -> str:
    if where:
        return f"{where} is of type {kind.__qualname__}, which has no form as data: give the runner key="
    return (
        f"a result of type {kind.__module__}.{kind.__qualname__} cannot be kept in the journal: give the "
        "runner encode= and decode="
    )


def _is_pydantic(kind: type[Any]) -> bool:
    return hasattr(kind, "__pydantic_fields_set__") or hasattr(kind, "__pydantic_core_schema__")


def _model(value: Any, kind: type[Any], depth: int, where: str) -> Any:
    """A pydantic model as it is: its fields, not what a validation would make of them."""

    def plain(values: dict[str, Any] | None) -> Any:
        if values is None:
            return None
        pairs = values.items()
        return [[name, _plain(item, depth, where)] for name, item in pairs]

    state = {
        "v": plain(value.__dict__),
        "extra": plain(getattr(value, "__pydantic_extra__", None)),
        "set": sorted(getattr(value, "__pydantic_fields_set__", ())),
    }
    return {_KIND: "pydantic", "c": _name_of(kind, where), **state}


def _numpy(value: Any, kind: type[Any], where: str) -> Any:
    numpy = sys.modules["numpy"]
    if isinstance(value, numpy.generic) or kind is numpy.ndarray:
        array = numpy.asarray(value)
        if not array.dtype.hasobject and array.dtype.names is None:
            data = base64.b64encode(numpy.ascontiguousarray(array).tobytes()).decode()
            scalar = kind is not numpy.ndarray
            shape = list(array.shape)
            return {_KIND: "numpy", "t": array.dtype.str, "s": shape, "v": data, "one": scalar}
    raise CannotEncodeError(_complaint(kind, where))


def _name_of(kind: type[Any], where: str) -> str:
    if not _is_loaded(kind):
        raise CannotEncodeError(_complaint(kind, where))
    return _path_of(kind)


def _is_loaded(kind: type[Any]) -> bool:
    """Whether it is found by its name; one made inside of a function, or by another module than it says, is not."""
    return _found(_path_of(kind)) is kind


def _path_of(kind: type[Any]) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"


def _found(name: str) -> Any:
    """The class of that name, among the modules that are loaded."""
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        # No descriptors, no `__getattr__` of a module that might import something.
        found = getattr(found, "__dict__", {}).get(part)
    return found


def _class_of(name: Any, is_right: Any) -> Any:
    kind = _found(name) if isinstance(name, str) else None
    if not isinstance(kind, type) or not is_right(kind):
        module, _, path = str(name).partition(":")
        raise CannotDecodeError(
            f"the class {path} of the module {module} is not loaded: import it before the calls are scheduled"
        )
    return kind


def _restored(plain: Any) -> Any:
    """The value of something in terms of JSON."""
    if isinstance(plain, list):
        return [_restored(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    kind = plain.get(_KIND)
    if kind is None:
        return {key: _restored(item) for key, item in plain.items()}
    if kind in _READ:
        return _READ[kind](plain["v"])
    if kind in _CONTAINERS:
        return _CONTAINERS[kind](_restored(plain["v"]))
    if kind == "dict":
        return {_restored(key): _restored(item) for key, item in plain["v"]}
    if kind in _OBJECTS:
        return _OBJECTS[kind](plain)
    raise CannotDecodeError(f"there is no kind {kind!r} of data")


def _enum(plain: dict[str, Any]) -> Any:
    kind = _class_of(plain["c"], lambda kind: issubclass(kind, enum.Enum))
    return kind[plain["v"]]


def _namedtuple(plain: dict[str, Any]) -> Any:
    kind = _class_of(plain["c"], lambda kind: issubclass(kind, tuple) and hasattr(kind, "_fields"))
    return tuple.__new__(kind, _restored(plain["v"]))


def _dataclass(plain: dict[str, Any]) -> Any:
    kind = _class_of(plain["c"], dataclasses.is_dataclass)
    value = object.__new__(kind)
    for name, item in plain["v"].items():
        object.__setattr__(value, name, _restored(item))
    return value


def _pydantic(plain: dict[str, Any]) -> Any:
    kind = _class_of(plain["c"], _is_pydantic)
    value = object.__new__(kind)
    extra = plain["extra"]
    state = {
        "__dict__": {name: _restored(item) for name, item in plain["v"]},
        "__pydantic_extra__": None if extra is None else {name: _restored(item) for name, item in extra},
        "__pydantic_fields_set__": set(plain["set"]),
        "__pydantic_private__": None,
    }
    for name, item in state.items():
        object.__setattr__(value, name, item)
    return value


def _numpy_back(plain: dict[str, Any]) -> Any:
    numpy = sys.modules.get("numpy")
    if numpy is None:
        raise CannotDecodeError("numpy is not loaded: import it before the calls are scheduled")
    array = numpy.frombuffer(base64.b64decode(plain["v"]), dtype=numpy.dtype(plain["t"]))
    array = array.reshape(plain["s"]).copy()
    return array[()] if plain["one"] else array


def _float_parts(value: complex) -> list[float]:
    return [value.real, value.imag]


def _timedelta_parts(value: datetime.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _b64(value: Any) -> str:
    return base64.b64encode(value).decode()


# Types with a simple form: the name of their kind, how they are written, how they are read.
_SIMPLE: dict[type[Any], tuple[str, Any, Any]] = {
    bytes: ("bytes", _b64, base64.b64decode),
    bytearray: ("bytearray", _b64, lambda text: bytearray(base64.b64decode(text))),
    complex: ("complex", _float_parts, lambda parts: complex(*parts)),
    decimal.Decimal: ("decimal", str, decimal.Decimal),
    fractions.Fraction: ("fraction", str, fractions.Fraction),
    datetime.datetime: (
        "datetime",
        datetime.datetime.isoformat,
        datetime.datetime.fromisoformat,
    ),
    datetime.date: ("date", datetime.date.isoformat, datetime.date.fromisoformat),
    datetime.time: ("time", datetime.time.isoformat, datetime.time.fromisoformat),
    datetime.timedelta: (
        "timedelta",
        _timedelta_parts,
        lambda parts: datetime.timedelta(*parts),
    ),
    uuid.UUID: ("uuid", str, uuid.UUID),
}

_READ = {name: read for name, _, read in _SIMPLE.values()} | {"path": pathlib.Path}
_CONTAINERS: dict[str, Any] = {"tuple": tuple, "set": set, "frozenset": frozenset}
_OBJECTS = {
    "enum": _enum,
    "namedtuple": _namedtuple,
    "dataclass": _dataclass,
    "pydantic": _pydantic,
    "numpy": _numpy_back,
}
