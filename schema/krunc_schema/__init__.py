"""The contracts as data: box schema, plan schema, libkrun's API table, host steps."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def load(name: str) -> Any:
    """Return the contract NAME (a file of this package, without .json)."""
    return json.loads(text(name))


def text(name: str) -> str:
    """Return the contract NAME as it is written."""
    return files(__name__).joinpath(f"{name}.json").read_text("utf-8")
