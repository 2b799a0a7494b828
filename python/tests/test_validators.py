"""What validators say: all must accept, in order; what raises does not accept."""

import asyncio
import pickle

import pytest

from rate_limited import exceptions
from rate_limited.calls import Call
from rate_limited.exceptions import RateLimitedError, ValidationError
from rate_limited.validators import check, normalise


def accept(answer):
    return True


def refuse(answer):
    return False


@pytest.mark.parametrize(
    ("validation", "validators"),
    [
        (None, ()),
        ([], ()),
        (accept, (accept,)),
        ([accept, refuse], (accept, refuse)),
        ((accept,), (accept,)),
        (iter([accept, refuse]), (accept, refuse)),
    ],
)
def test_what_validation_may_be(validation, validators):
    assert normalise(validation) == validators


@pytest.mark.parametrize(
    ("validation", "text"),
    [
        (5, "validation must be a callable, a list of callables or None, not int"),
        ("even", "not str"),
        ([accept, "even"], r"validation\[1\] must be callable, not str"),
        ([None], r"validation\[0\] must be callable, not NoneType"),
    ],
)
def test_what_cannot_be_called_is_refused(validation, text):
    with pytest.raises(TypeError, match=text):
        normalise(validation)


def test_coroutine_functions_are_refused():
    async def later(answer):
        return False

    with pytest.raises(TypeError, match="coroutine function"):
        normalise(later)
    accepted, cause, fatal = check((lambda answer: later(answer),), 1)
    assert (accepted, type(cause), fatal) == (False, TypeError, True)


def test_all_must_accept_in_order_and_the_first_refusal_ends_it():
    asked = []

    def ask(name, verdict):
        return lambda answer: asked.append(name) or verdict

    assert check((ask("a", True), ask("b", 1), ask("c", "yes")), "x") == (True, None, False)
    assert asked == ["a", "b", "c"]
    asked.clear()
    assert check((ask("a", True), ask("b", False), ask("c", True)), "x") == (False, None, False)
    assert asked == ["a", "b"]
    assert check((), None) == (True, None, False)


@pytest.mark.parametrize("verdict", [False, None, 0, 0.0, "", [], {}])
def test_falsy_is_invalid(verdict):
    assert check((lambda answer: verdict,), "x") == (False, None, False)


class Odd(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "fatal"),
    [
        (KeyError("text"), False),
        (StopIteration(), False),
        (AssertionError(), False),
        (UnboundLocalError(), False),
        (asyncio.CancelledError(), False),
        (Odd(), False),
        (NameError("misspelt"), True),
        (ImportError(), True),
        (ModuleNotFoundError(), True),
    ],
)
def test_raising_is_invalid(error, fatal):
    def validator(answer):
        raise error

    accepted, cause, is_fatal = check((accept, validator), "x")
    assert (accepted, is_fatal) == (False, fatal)
    assert cause is error


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_leaving_the_program_passes_through(error):
    def validator(answer):
        raise error

    with pytest.raises(error):
        check((validator,), "x")


def test_what_returns_nothing_may_lack_a_return():
    assert check((lambda answer: None,), "x").text.endswith("it returned None; return True for a good answer")
    assert check((lambda answer: 0,), "x").text == "the validation rejected the answer"


def test_a_value_without_truth_counts_as_raising():
    class Ambiguous:
        def __bool__(self):
            raise ValueError("ambiguous")

    accepted, cause, fatal = check((lambda answer: Ambiguous(),), "x")
    assert (accepted, str(cause), fatal) == (False, "ambiguous", False)


def test_numpy_arrays():
    numpy = pytest.importorskip("numpy")
    accepted, cause, fatal = check((lambda answer: numpy.array([True, False]),), "x")
    assert (accepted, type(cause), fatal) == (False, ValueError, False)
    assert check((lambda answer: numpy.True_,), "x").accepted
    assert not check((lambda answer: numpy.False_,), "x").accepted


def test_the_exception_keeps_the_answer_and_does_not_show_it():
    call = Call(len, ("hi",), {})
    error = ValidationError("validation failed", call, "secret")
    assert (error.message, error.call, error.value) == ("validation failed", call, "secret")
    assert "secret" not in f"{error} {error!r}"
    assert pickle.loads(pickle.dumps(error)).value == "secret"
    assert isinstance(error, RateLimitedError)
    # The base's name in version 0.4.0.
    assert exceptions.BaseException is RateLimitedError
