"""Platforms of images: those of the guests that libkrun runs."""

from __future__ import annotations

import os
from typing import Any

from krunc_schema import load

from krunc_compiler import libkrun as api

# The variants that any processor of an architecture has (containerd's platforms/database.go).
_BASELINE = {"linux/amd64": ("", "v1"), "linux/arm64": ("", "v8")}


def platforms() -> list[str]:
    """Return the platforms that a lock may have."""
    image: dict[str, Any] = load("lock.schema")["properties"]["images"]["items"]
    found: list[str] = image["properties"]["platform"]["enum"]
    return found


def takes(wanted: str, offered: str, variant: str) -> bool:
    """Tell whether what is OFFERED, with a VARIANT of its architecture, runs on all of WANTED."""
    return offered == wanted and variant in _BASELINE[wanted]


def arch_of(platform: str) -> str:
    """Return how boxes call the processors of PLATFORM."""
    return next(name for name, row in api.architectures().items() if row["platform"] == platform)


def of_arch(arch: str | None) -> str | None:
    """Return the platform of a box with this ARCH; None without one."""
    return None if arch is None else str(api.architectures()[arch]["platform"])


def of_this_machine() -> str | None:
    """Return the platform of the guests that this machine runs; None when libkrun runs none."""
    machine = os.uname().machine
    rows = api.architectures().values()
    return next((str(row["platform"]) for row in rows if machine in row["machines"]), None)
