"""The architecture that boots are tried on (pytest --arch), and what is run there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from kvmhost import architecture, foreign
from kvmhost.architecture import Architecture
from places import ROOT

_chosen: list[str] = []


def choose(name: str | None) -> None:
    """Try boots on the architecture NAME, or on this machine's."""
    _chosen[:] = [name] if name else []


def kind() -> Architecture:
    """The architecture that boots are tried on."""
    return architecture.of(_chosen[0]) if _chosen else architecture.own()


def busybox() -> Path:
    """A static busybox for the guests."""
    if kind().is_own:
        found = shutil.which("busybox")
        assert found is not None
        return Path(found)
    return foreign.root(kind()) / "bin/busybox"


def python() -> tuple[str, dict[str, str]]:
    """A Python on the emulated host, and the variables with which it finds krunc."""
    if kind().is_own:
        return sys.executable, {}
    path = ":".join(str(ROOT / name) for name in ("schema", "compiler", "launcher"))
    return "/usr/bin/python3", {"PYTHONPATH": path}


def compiler_of_c() -> list[str]:
    """A command that compiles static programs for guests."""
    if kind().is_own:
        return ["cc", "-static"]
    return [sys.executable, "-m", "ziglang", "cc", "-target", f"{kind().machine}-linux-musl"]


def libkrun_2() -> Path:
    """The extra's libkrun, by its name on the emulated host."""
    (found,) = foreign.root(kind()).glob("usr/local/lib/python3.*/dist-packages/smol/libkrun.so")
    return Path("/", found.relative_to(foreign.root(kind())))
