"""Tests run against the installed package, or against these sources where none is installed.

Temporary files of the tests, and of the processes that they start and kill, go into one folder, which is removed.
"""

import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

if importlib.util.find_spec("rate_limited") is None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

PREFIX = "rate-limited-tests-"


def pytest_configure(config: pytest.Config) -> None:
    usual = tempfile.gettempdir()
    remove_left_behind(Path(usual))
    # Those of pytest itself are kept for a look at what failed.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", usual)
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def remove_left_behind(usual: Path) -> None:
    """Removes the folders of tests that were killed."""
    for folder in usual.glob(f"{PREFIX}*-*"):
        number = folder.name.removeprefix(PREFIX).partition("-")[0]
        if number.isdecimal() and folder.lstat().st_uid == os.getuid() and not is_alive(int(number)):
            shutil.rmtree(folder, ignore_errors=True)


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
