"""`Resource`: wrong limits are refused at once, and one key is one limit."""

import copy
import pickle
import threading
import uuid
from decimal import Decimal
from fractions import Fraction

import pytest

from rate_limited.apis.common import get_requests_per_minute
from rate_limited.calls import Call
from rate_limited.resources import Resource, one_per_call


def test_as_in_version_0_4_0():
    resource = Resource(
        name="tokens",
        quota=100,
        time_window_seconds=60,
        arguments_usage_extractor=lambda call: 1,
        results_usage_extractor=lambda call, result: 2,
        max_results_usage_estimator=lambda call: 3,
    )
    assert (resource.name, resource.quota, resource.time_window_seconds) == ("tokens", 100, 60)
    assert resource.arguments_usage_extractor(Call(print)) == 1
    assert resource.results_usage_extractor(Call(print), None) == 2
    assert resource.max_results_usage_estimator(Call(print)) == 3
    assert repr(resource) == "Resource('tokens', quota=100, time_window_seconds=60)"


WRONG = [0, -1, float("nan"), 1e400, -1e400, 10**400, True, "100", None, 1j, [1], Decimal("NaN")]


@pytest.mark.parametrize("value", [*WRONG, 1e13, 1e-7])
def test_wrong_quota(value):
    with pytest.raises(ValueError, match=r"quota of resource 'tokens' is ") as caught:
        Resource("tokens", value, 60)
    assert repr(value)[:60] in str(caught.value)


@pytest.mark.parametrize("value", [*WRONG, 1e-9, 401 * 86_400, 10 * 365 * 86_400])
def test_wrong_window(value):
    with pytest.raises(ValueError, match=r"time_window_seconds of resource 'tokens' is ") as caught:
        Resource("tokens", 100, value)
    assert repr(value)[:60] in str(caught.value)


def test_no_limit_tells_what_to_do():
    with pytest.raises(ValueError, match="leave the resource out"):
        Resource("tokens", float("inf"), 60)


def test_wrong_value_when_set_later_changes_nothing():
    resource = Resource("tokens", 100, 60)
    with pytest.raises(ValueError, match="quota of resource 'tokens' is 0"):
        resource.quota = 0
    with pytest.raises(ValueError, match="time_window_seconds"):
        resource.time_window_seconds = -1
    assert (resource.quota, resource.time_window_seconds) == (100, 60)


@pytest.mark.parametrize("value", [1, 0.5, Decimal("0.5"), Fraction(1, 2), 40 * 86_400, 1e-6])
def test_right_numbers(value):
    resource = Resource("tokens", value, value)
    assert resource.quota == resource.time_window_seconds == float(value)


def test_numpy_numbers():
    numpy = pytest.importorskip("numpy")
    resource = Resource("tokens", numpy.int64(100), numpy.float32(0.5))
    assert (resource.quota, resource.time_window_seconds) == (100.0, 0.5)
    with pytest.raises(ValueError, match="must be a number"):
        Resource("tokens", numpy.True_, 60)


def test_an_estimate_must_be_settled():
    with pytest.raises(ValueError, match="max_results_usage_estimator"):
        Resource("tokens", 100, 60, max_results_usage_estimator=lambda call: 1)


@pytest.mark.parametrize(
    "argument",
    ["arguments_usage_extractor", "results_usage_extractor", "max_results_usage_estimator"],
)
def test_what_cannot_be_called_is_refused(argument):
    with pytest.raises(TypeError, match=f"{argument} of resource 'tokens' must be callable, not int"):
        Resource("tokens", 100, 60, **{argument: 1})


def test_wrong_names():
    with pytest.raises(TypeError, match="name must be a str, not int"):
        Resource(5, 100, 60)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="shared must be a str, not bool"):
        Resource("tokens", 100, 60, shared=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("constructor", "seconds"),
    [
        (Resource.per_second, 1),
        (Resource.per_minute, 60),
        (Resource.per_hour, 3_600),
        (Resource.per_day, 86_400),
    ],
)
def test_constructors(constructor, seconds):
    resource = constructor("requests", 5)
    assert resource.time_window_seconds == seconds
    assert resource.arguments_usage_extractor is one_per_call
    settled = constructor("tokens", 5, results_usage_extractor=lambda call, result: 1, learn=True)
    assert settled.arguments_usage_extractor is None
    assert settled.learn
    assert constructor("images", 5, len).arguments_usage_extractor is len
    assert get_requests_per_minute(5).arguments_usage_extractor is one_per_call


def test_constructors_of_subclasses():
    class Mine(Resource):
        pass

    assert type(Mine.per_minute("requests", 5)) is Mine


def test_each_resource_is_itself():
    assert Resource("tokens", 1, 1)._identity is not Resource("tokens", 1, 1)._identity
    assert Resource("tokens", 1, 1)._identity._native_id is None


def test_one_key_is_one_limit_and_the_latest_quota_stands():
    key = uuid.uuid4().hex
    first = Resource("tokens", 100, 60, shared=key)
    first._identity._native_id = 7
    heard = []
    first._identity.on_change = lambda quota, seconds: heard.append((quota, seconds))
    second = Resource.per_minute("tokens", 50, shared=key)
    assert second._identity is first._identity
    assert (first.quota, second.quota, second._identity._native_id) == (50, 50, 7)
    second.quota = 20
    second.time_window_seconds = 30
    Resource("tokens", 20, 30, shared=key)
    assert heard == [(50, 60), (20, 60), (20, 30)]
    assert repr(first) == f"Resource('tokens', quota=20, time_window_seconds=30, shared={key!r})"


def test_a_refused_resource_leaves_a_shared_one_alone():
    key = uuid.uuid4().hex
    first = Resource("tokens", 100, 60, shared=key)
    with pytest.raises(ValueError):
        Resource("tokens", 50, -1, shared=key)
    assert first.quota == 100


def test_one_key_from_many_threads():
    key, found = uuid.uuid4().hex, []
    start = threading.Barrier(8)

    def make():
        start.wait()
        found.append(Resource("tokens", 1, 1, shared=key)._identity)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_copies():
    key = uuid.uuid4().hex
    plain, shared = get_requests_per_minute(5), get_requests_per_minute(5, shared=key)
    assert copy.copy(plain)._identity is plain._identity
    for twin in (copy.deepcopy, lambda resource: pickle.loads(pickle.dumps(resource))):
        assert twin(plain)._identity is not plain._identity
        assert twin(plain).quota == 5
        assert twin(shared)._identity is shared._identity
