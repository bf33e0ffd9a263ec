"""The contracts as data: box schema, plan schema, libkrun's API table, host steps."""

from __future__ import annotations

import json
import os
from functools import cache
from typing import Any


@cache
def load(name: str) -> Any:
    """Return the contract NAME (a file of this package, without .json); nobody changes it."""
    return json.loads(text(name))


def text(name: str) -> str:
    """Return the contract NAME as it is written."""
    # importlib.resources takes longer to import than the largest contract to parse.
    with open(os.path.join(os.path.dirname(__file__), f"{name}.json"), encoding="utf-8") as file:
        return file.read()
