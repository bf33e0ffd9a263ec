"""Instructions of processes, counted by valgrind: the same whatever else the machine does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from cases import Case, environment

_BASE = "python -I -c pass"
# What is asked for, of the base.
GOALS = {"krunc-launch without site": 1.05}
_COUNTED = (
    _BASE,
    "C program, same calls",
    "krunc launch",
    "krunc-launch without site",
    "krunc --help",
    "import yaml, jsonschema, jinja2",
    "krunc compile",
    "krunc compile with expressions",
)


def counts(place: Path, cases: dict[str, Case]) -> dict[str, int]:
    """The instructions of each command: of its process that executes most, which is the VM's."""
    found = {}
    for name in _COUNTED:
        command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
        # valgrind has no openat2, which the launcher asks for: see recorder/fakekvm.c of the tests.
        env = {**environment(place), "FAKE_OPENAT2": "1"}
        done = subprocess.run([*command, *cases[name].command], capture_output=True, env=env)
        told = re.findall(rb"Collected : (\d+)", done.stderr)
        found[name] = max(map(int, told))
    return found


def table(found: dict[str, int]) -> str:
    """The counts as Markdown."""
    lines = [f"| process | million instructions | of {_BASE} | goal | |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for name, count in found.items():
        ratio, most = count / found[_BASE], GOALS.get(name)
        asked = (
            "- | " if most is None else f"{most:.2f} | {'met' if ratio <= most else '**missed**'}"
        )
        lines.append(f"| {name} | {count / 1e6:.1f} | {ratio:.2f} | {asked} |")
    return "\n".join(lines) + "\n"
