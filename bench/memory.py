"""What processes weigh where a VM would be entered."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from cases import FLEET, PEER, Case, environment

_MIB = 1024
# MB of a VM's process that are its own, and its part of what the other launcher in Python takes.
_MOST_PRIVATE, _MOST_OF_PEER = 1.45, 0.11


def sizes(place: Path, cases: dict[str, Case]) -> dict[str, dict[str, float]]:
    """RSS, private and proportional memory in MB, of each kind of process where a VM is entered."""
    record = place / "calls"
    staying = {**environment(place), "KRUN_RECORDER": str(record), "KRUN_RECORDER_STAY": "1"}
    fleet = f"each of {FLEET} VMs of one launch"
    found = {}
    for name, vms in (("krunc launch", 1), (fleet, FLEET), ("boxlite-shim", 0), (PEER, 0)):
        record.unlink(missing_ok=True)
        process = subprocess.Popen(cases[name].command, env=staying, stderr=subprocess.DEVNULL)
        while not record.exists() or record.read_text().count("krun_start_enter") < max(vms, 1):
            assert process.poll() is None, f"{name} ended"
            time.sleep(0.05)
        below = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if vms:
            each = [_size(int(pid)) for pid in below]
            found[f"{name}: a VM's process"] = {
                key: sum(size[key] for size in each) / len(each) for key in each[0]
            }
            found[f"{name}: the process above"] = _size(process.pid)
        else:
            found[name] = _size(process.pid)
        process.kill()
        process.wait()
    return found


def table(found: dict[str, dict[str, float]]) -> str:
    """The sizes as Markdown."""
    lines = ["| process at `krun_start_enter` | RSS, MB | private, MB | proportional, MB |"]
    lines += ["| --- | --- | --- | --- |"]
    for name, size in found.items():
        lines.append(f"| {name} | {size['rss']:.1f} | {size['private']:.1f} | {size['pss']:.1f} |")
    vm = found["krunc launch: a VM's process"]
    for what, value, most in (
        ("private memory of a VM's process, MB", vm["private"], _MOST_PRIVATE),
        (f"RSS of a VM's process against {PEER}", vm["rss"] / found[PEER]["rss"], _MOST_OF_PEER),
    ):
        verdict = "met" if value <= most else "**missed**"
        lines += ["", f"Goal: {what}: {most}; measured {value:.2f}: {verdict}."]
    return "\n".join(lines) + "\n"


def _size(pid: int) -> dict[str, float]:
    fields: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        fields[name] = int(value.split()[0]) / _MIB
    private = fields["Private_Clean"] + fields["Private_Dirty"]
    return {"rss": fields["Rss"], "private": private, "pss": fields["Pss"]}
