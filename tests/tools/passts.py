"""Plans with a passt, programs in its place, and launches of them with a recording library."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from krunc_compiler.__main__ import main
from krunc_launcher.supervise import relay
from ports import free_ports
from processes import below
from recorder.fixtures import LAUNCHER
from roots import runnable

BOX = """\
krunc: 1
name: web
rootfs: {path: ./rootfs}
network: {mode: passt, ports: ["PORT:80"], program: PROGRAM}
entrypoint: {executable: /bin/a}
"""
NEW = relay._NEW.decode()


def planned(
    directory: Path, program: object = "/usr/bin/passt", port: int = 0, more: str = ""
) -> Path:
    """A plan with a passt, for which the port is free."""
    runnable(directory / "rootfs")
    text = BOX.replace("PORT", str(port or free_ports(1))).replace("PROGRAM", str(program))
    (directory / "box.yaml").write_text(text + more)
    assert main(["compile", str(directory / "box.yaml")]) == 0
    return directory / "box.plan.json"


def script(directory: Path, text: str) -> Path:
    """A program in the place of passt."""
    program = directory / "passt"
    program.write_text(f"#!/bin/sh\n# {NEW}\n{text}\n")
    program.chmod(0o755)
    return program


def command(build: Callable[..., Path], directory: Path, *plans: Path) -> list[str]:
    """krunc launch of PLANS with a recording library."""
    words = ["--libkrun", str(build("v1")), "--runtime-dir", str(directory / "run")]
    return [*LAUNCHER, *words, *map(str, plans)]


def environment(fake_kvm: Path, directory: Path, **more: str) -> dict[str, str]:
    """With a VM that stays."""
    record = {"KRUN_RECORDER": str(directory / "calls"), "KRUN_RECORDER_STAY": "1"}
    return {**os.environ, "LD_PRELOAD": str(fake_kvm), **record, **more}


def named(pid: int, name: str) -> list[int]:
    """The processes below PID that run the program NAME."""
    return [one for one in below(pid) if Path(f"/proc/{one}/comm").read_text().startswith(name)]
