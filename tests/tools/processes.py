"""Processes of a launch: when they are there, and when they are gone."""

from __future__ import annotations

import time
from pathlib import Path


def entered(record: Path, vms: int = 1) -> None:
    """Wait until so many VMs are entered."""
    deadline = time.monotonic() + 20
    while not record.exists() or record.read_text().count("krun_start_enter") < vms:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    """The children of a process."""
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def gone(pid: int) -> bool:
    """Whether a process ends soon."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.01)
    return False
