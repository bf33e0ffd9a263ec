"""What one of pytest's processes makes for all of them: a compiler takes a second, and half a minute
where a processor is emulated."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from kvmhost.lock import locked


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Return the file NAME (DIRECTORY/FILE), which MAKE writes unless another process of this run
    has."""
    common = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        common = common.parent  # each worker's own is in it
    made = common / name
    with locked(made.parent):
        if not made.exists():
            part = made.with_name(f"part-{made.name}")
            make(part)
            part.rename(made)
    return made
