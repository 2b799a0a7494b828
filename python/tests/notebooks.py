"""Notebooks that are executed by a kernel of their own, and interrupted in the middle."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")


async def executed(
    notebook: Any, interrupt_at: Path | None = None, after: float = 0.0, timeout: float = 6
) -> float:
    """Executes a notebook; so long after the file is there, interrupts the cell that is executing.

    Returns the moment of the interruption, or 0.
    """
    client = nbclient.NotebookClient(notebook, timeout=timeout, kernel_name="python3")
    sent = 0.0

    async def interrupt() -> None:
        nonlocal sent
        assert interrupt_at is not None
        while not interrupt_at.exists():
            await asyncio.sleep(0.005)
        await asyncio.sleep(after)
        sent = time.monotonic()
        await client.km.interrupt_kernel()

    waiting = asyncio.create_task(interrupt()) if interrupt_at else None
    try:
        await client.async_execute()
    finally:
        if waiting is not None:
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
    return sent


def facts_of(notebook: Any) -> dict[str, Any]:
    """What the cells said, merged."""
    facts: dict[str, Any] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "stream" and output.name == "stdout":
                for line in output.text.splitlines():
                    facts.update(json.loads(line))
    return facts
