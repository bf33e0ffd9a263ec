"""Reviews and engines of many plans, in processor seconds: python bench/fleet.py [BOXES [ROUNDS]].

Of the krunc that is installed where this runs. Processor time, with that of all workers: what else
the machine does changes it less.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

LONG_BOX = (Path(__file__).parent / "box.yaml").read_text()
POLICY = "krunc_policy: 1\nallow: {writes: [./], ports: [], memory: 8GiB}\nisolation: [kernel]\n"
# All boxes have one root.
ALLOWED = ["--allow-loss", "shared_writable_path=a bench", "--allow-loss", "shared_port=a bench"]
READ = """\
import sys
from pathlib import Path
from krunc_compiler.plan.reading import read_plan
for directory in sys.argv[1:]:
    for path in Path(directory).glob("*.plan.json"):
        read_plan(str(path), path.read_text())
"""


def made(directory: Path, boxes: int, memory: str) -> None:
    """A directory of boxes with their plans."""
    (directory / ".krunc").mkdir(parents=True)
    for n in range(boxes):
        text = LONG_BOX.replace("NUMBER", str(n)).replace("PORT", str(n % 60000 + 1))
        (directory / f"web-{n}.yaml").write_text(text.replace("1GiB", memory))
    subprocess.run(["krunc", "compile", directory], check=True, capture_output=True)


def cost(command: list[str], most: int) -> tuple[float, float]:
    """The processor seconds of COMMAND, and the memory of its largest process in MB."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode > most:
        raise SystemExit(f"{command}: {process.returncode}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Measure and print."""
    boxes, rounds = (int(one) for one in (sys.argv[1:] + ["10000", "5"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as place:
        old, new = Path(place, "old"), Path(place, "new")
        made(old, boxes, "1GiB")
        made(new, boxes, "2GiB")
        cases = {
            "krunc compile --check": ["krunc", "compile", "--check", str(old)],
            "krunc check, a policy that fails": ["krunc", "check", str(old)],
            "both directories read": [sys.executable, "-c", READ, str(old), str(new)],
            "krunc diff of two directories": ["krunc", "diff", str(old), str(new)],
            "krunc digest --fleet": ["krunc", "digest", "--fleet", str(new)],
            **{
                f"krunc emit {engine}": [
                    "krunc",
                    "emit",
                    engine,
                    str(new),
                    "--base",
                    "/srv",
                    *ALLOWED,
                ]
                for engine in ("slurm", "systemd", "kubernetes")
            },
        }
        (old / ".krunc/policy.yaml").write_text(POLICY)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for _ in range(rounds):
            for name, command in cases.items():
                times[name].append(cost(command, 1))
    print(f"{boxes:,} boxes, {rounds} rounds")
    for name, found in times.items():
        seconds = statistics.median(one for one, _ in found)
        print(f"{name}: {seconds:.2f} s, {max(size for _, size in found):.0f} MB")


if __name__ == "__main__":
    main()
