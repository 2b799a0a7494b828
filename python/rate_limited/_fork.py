"""Tells a forked child that it has none of its parent's threads."""

from __future__ import annotations

import os

generation = 0


def _count() -> None:
    global generation
    generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count)


def forked() -> RuntimeError:
    """What to raise where a runner of the parent is used."""
    return RuntimeError("this runner was made in another process: make one in each process")
