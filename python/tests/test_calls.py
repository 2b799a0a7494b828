"""`Call`: arguments by name however they were passed, little memory, no secrets in its text."""

import copy
import functools
import gc
import pickle
import sys
import weakref
from typing import Any

import pytest

from rate_limited import calls
from rate_limited.calls import Call, parameters_of


def ask(prompt, model="small", /, temperature=0.5, *parts, n=1, **options):
    return prompt, model, temperature, parts, n, options


class Client:
    def create(self, prompt, max_tokens=16):
        return prompt

    async def acreate(self, prompt, max_tokens=16):
        return prompt

    def __call__(self, prompt):
        return prompt


@pytest.mark.parametrize(
    ("args", "kwargs", "name", "value"),
    [
        (("hi",), {}, "prompt", "hi"),
        (("hi",), {}, "model", "small"),
        (("hi", "big"), {}, "model", "big"),
        (("hi", ""), {}, "model", ""),
        (("hi", None), {}, "model", None),
        (("hi",), {"temperature": 0}, "temperature", 0),
        (("hi", "big", 0.0), {}, "temperature", 0.0),
        (("hi",), {"n": 0}, "n", 0),
        (("hi",), {"max_tokens": []}, "max_tokens", []),
        (("hi", "big", 1, "a", "b"), {}, "parts", ("a", "b")),
        (("hi",), {}, "parts", ()),
        (("hi",), {"n": 2, "stop": "x"}, "options", {"stop": "x"}),
        (("hi",), {}, "unheard_of", None),
        ((), {}, "prompt", None),
    ],
)
def test_argument_by_name(args, kwargs, name, value):
    assert Call(ask, args, kwargs).get_argument(name) == value


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "name", "value"),
    [
        (Client().create, ("hi",), {}, "prompt", "hi"),
        (Client().create, ("hi",), {}, "max_tokens", 16),
        (Client().acreate, ("hi", 0), {}, "max_tokens", 0),
        (Client(), ("hi",), {}, "prompt", "hi"),
        (lambda text: text, ("hi",), {}, "text", "hi"),
        (functools.partial(ask, "hi", n=3), ("big",), {}, "prompt", "hi"),
        (functools.partial(ask, "hi", n=3), ("big",), {}, "model", "big"),
        (functools.partial(ask, "hi", n=3), (), {}, "n", 3),
        (functools.partial(ask, "hi", n=3), (), {"n": 0}, "n", 0),
        (functools.partial(ask, "hi", stop="x"), (), {}, "stop", "x"),
        (functools.partial(functools.partial(ask, "hi"), "big"), (), {}, "model", "big"),
        (functools.partial(ask, "hi"), (), {}, "temperature", 0.5),
        (pow, (2, 8), {}, "exp", 8),
        (len, ([1],), {}, "obj", [1]),
        (print, ("hi",), {"sep": ""}, "sep", ""),
        (dict, (), {"model": "small"}, "model", "small"),
        (dict, ((),), {}, "model", None),
        (int, ("5",), {"base": 8}, "base", 8),
    ],
)
def test_any_callable(function, args, kwargs, name, value):
    assert Call(function, args, kwargs).get_argument(name) == value


def test_decorated_function_is_read_through_its_wrapper():
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            return function(*args, **kwargs)

        return wrapper

    assert Call(decorate(Client().create), ("hi",), {}).get_argument("max_tokens") == 16


def test_a_function_that_refuses_to_be_read_is_searched_by_keyword():
    class Odd:
        @property
        def __signature__(self):
            raise RuntimeError("no")

        def __call__(self, *args: object, **kwargs: object) -> None: ...

    call = Call(Odd(), ("hi",), {"n": 2})
    assert call.get_argument("n") == 2
    assert call.get_argument("prompt") is None


def test_arguments_and_defaults_as_dicts():
    call = Call(ask, ("hi", "big"), {"stop": "x"})
    assert call.all_arguments_dict == {"prompt": "hi", "model": "big", "stop": "x"}
    assert call.default_params == {"model": "small", "temperature": 0.5, "n": 1}


def test_defaults_of_what_has_come_so_far():
    call = Call(ask, ("hi",), {})
    assert (call.result, call.exceptions, call.num_retries) == (None, [], 0)
    call.result, call.num_retries = "yes", 2
    call.exceptions.append(ValueError())
    assert (call.result, len(call.exceptions), call.num_retries) == ("yes", 1, 2)
    other = Call(ask, ("hi",), {}, num_retries=1, result=0)
    assert (other.result, other.exceptions, other.num_retries) == (0, [], 1)


def test_repr_shows_no_argument():
    secret = "sk-123456"
    call = Call(functools.partial(ask, secret), (secret,), {"key": secret, secret: 1})
    assert secret not in repr(call)
    assert repr(call) == "Call(ask, 1 positional and 2 keyword arguments)"
    assert repr(Call(Client())) == "Call(Client, 0 positional and 0 keyword arguments)"


def test_calls_without_keywords_share_no_dict_that_can_be_written():
    one, two = Call(ask, ("hi",), {}), Call(ask, ("hi",), {})
    one.kwargs["n"] = 5
    assert (one.get_argument("n"), two.get_argument("n"), two.kwargs) == (5, 1, {})
    assert calls.NO_KWARGS == {}


def test_size():
    assert sys.getsizeof(Call(ask, ("hi",), {})) <= 64
    assert not hasattr(Call(ask), "__dict__")


def test_signature_is_read_once_per_function(monkeypatch):
    read = []
    monkeypatch.setattr(calls, "_read", lambda function: read.append(function) or [])
    function = Client().create
    for number in range(10):
        Call(function, (number,), {}).get_argument("prompt")
    assert read == [function]


def test_functions_are_not_kept_alive():
    def function(text: Any) -> None: ...

    reference = weakref.ref(function)
    Call(function, ("hi",), {}).get_argument("text")
    key = id(function)
    del function
    gc.collect()
    assert reference() is None
    assert key not in calls._known


def test_callables_without_weak_references_are_cached_too():
    class Slotted:
        __slots__ = ()

        def __call__(self, text):
            return text

    function = Slotted()
    assert parameters_of(function) is parameters_of(function)
    assert Call(function, ("hi",), {}).get_argument("text") == "hi"


def test_unhashable_callables():
    class Unhashable(Client):
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other):
            return False

    assert Call(Unhashable(), ("hi",), {}).get_argument("prompt") == "hi"


def test_copies():
    call = Call(ask, ("hi",), {"n": 2}, result="yes")
    for twin in (copy.copy(call), copy.deepcopy(call), pickle.loads(pickle.dumps(call))):
        assert (twin.function, twin.args, twin.kwargs, twin.result) == (
            ask,
            ("hi",),
            {"n": 2},
            "yes",
        )
