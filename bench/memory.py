"""What processes weigh where a VM would be entered."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

_MIB = 1024


def sizes(
    place: Path, environment: dict[str, str], krunc: str, shim: list[str]
) -> dict[str, dict[str, float]]:
    """RSS, private and proportional memory in MB, of each kind of process."""
    record = place / "calls"
    staying = {**environment, "KRUN_RECORDER": str(record), "KRUN_RECORDER_STAY": "1"}
    launch = [
        krunc, "launch", "--libkrun", str(place / "libraries/libkrun.so.1.16.0"),
        "--runtime-dir", str(place / "run2"),
    ]  # fmt: skip
    found = {}
    for name, command, vms in (
        ("krunc launch", [*launch, str(place / "box.plan.json")], 1),
        (
            "krunc launch of 50",
            [*launch, "--log-dir", str(place / "logs"), str(place / "fleet")],
            50,
        ),
        ("boxlite-shim", shim, 0),
    ):
        record.unlink(missing_ok=True)
        process = subprocess.Popen(command, env=staying, stderr=subprocess.DEVNULL)
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


def _size(pid: int) -> dict[str, float]:
    fields: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        fields[name] = int(value.split()[0]) / _MIB
    private = fields["Private_Clean"] + fields["Private_Dirty"]
    return {"rss": fields["Rss"], "private": private, "pss": fields["Pss"]}
