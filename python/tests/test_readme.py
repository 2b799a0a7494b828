"""The Python code of the README runs as it stands."""

import re
from pathlib import Path

import pytest


def readme() -> Path | None:
    """The README beside the sources these tests came from."""
    for folder in Path(__file__).resolve().parents:
        found = folder / "README.md"
        if (folder / "pyproject.toml").exists() and found.exists():
            return found
    return None


def test_every_block_of_python_runs() -> None:
    found = readme()
    if found is None:
        pytest.fail("the README was not found above the tests")
    blocks = re.findall(r"```python\n(.*?)```", found.read_text(encoding="utf-8"), re.S)
    assert blocks
    for block in blocks:
        exec(compile(block, str(found), "exec"), {"__name__": "readme"})  # noqa: S102
