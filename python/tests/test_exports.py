"""What `import rate_limited` offers, though it loads nothing before it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import rate_limited

MODULES = ["apis", "calls", "exceptions", "resources", "runner", "usage", "validators"]


def told(code: str) -> object:
    """What a fresh interpreter prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", rate_limited.__all__)
def test_each_export_is_there_at_the_first_touch(name: str) -> None:
    code = f"import json, rate_limited; print(json.dumps(repr(rate_limited.{name})))"
    assert "module" not in str(told(code)).split()[0]


@pytest.mark.parametrize("name", MODULES)
def test_each_module_is_an_attribute_as_if_it_were_loaded(name: str) -> None:
    code = f"import json, rate_limited; print(json.dumps(rate_limited.{name}.__name__))"
    assert told(code) == f"rate_limited.{name}"


def test_a_star_brings_all_exports() -> None:
    code = "import json; from rate_limited import *; print(json.dumps(sorted(globals())))"
    names = told(code)
    assert isinstance(names, list)
    assert set(rate_limited.__all__) <= set(names)


def test_an_export_is_the_same_object_each_time() -> None:
    assert rate_limited.Runner is rate_limited.Runner
    assert rate_limited.Runner is rate_limited.runner.Runner
    assert rate_limited.limited.__module__ == "rate_limited._limited"


def test_dir_lists_them_before_they_are_loaded() -> None:
    code = "import json, rate_limited; print(json.dumps(dir(rate_limited)))"
    names = told(code)
    assert isinstance(names, list)
    assert {*rate_limited.__all__, *MODULES} <= set(names)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'rate_limited' has no attribute 'Ruhner'"):
        rate_limited.Ruhner  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="Ruhner"):
        from rate_limited import Ruhner  # type: ignore[attr-defined]  # noqa: F401


def test_threads_that_touch_it_first_at_once() -> None:
    code = """
import json, threading
import rate_limited
seen, start = [], threading.Barrier(8)
def touch():
    start.wait()
    seen.append((rate_limited.Runner, rate_limited.Resource, rate_limited.limited))
threads = [threading.Thread(target=touch) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps([len(seen), len(set(seen))]))
"""
    assert told(code) == [8, 1]
