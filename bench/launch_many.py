"""What each of many VMs of one launcher costs, few and many in turn: python bench/launch_many.py
[VMS [ROUNDS]].

Of the krunc that is installed where this runs, against the recorder, in processor time with that of
all VMs. The goal is that each of VMS costs at most 1.1 times what each of 100 does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from fleet import cost

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests/tools"), str(ROOT / "launcher")]

from recorder.fixtures import HERE  # noqa: E402
from recorder.source import source  # noqa: E402

FEW, GOAL = 100, 1.1
_MATRIX = 1000
_BOX = """\
krunc: 1
name: "box-{{{{ n }}}}"
matrix: {{n: {{from: {first}, to: {last}}}}}
rootfs: {{path: ./rootfs}}
shares: [{{tag: in, path: "./in/{{{{ n }}}}", read_only: false}}]
network: {{mode: none}}
entrypoint: {{executable: /bin/a, args: ["--shard={{{{ n }}}}"]}}
"""


def made(directory: Path, vms: int) -> list[str]:
    """Make the plans of so many VMs, and return the command that launches them."""
    for n in range(1, vms + 1):
        (directory / f"in/{n}").mkdir(parents=True)
    (directory / "rootfs/bin").mkdir(parents=True)
    (directory / "rootfs/bin/a").touch(0o755)
    for first in range(1, vms + 1, _MATRIX):
        text = _BOX.format(first=first, last=min(vms, first + _MATRIX - 1))
        (directory / f"from-{first}.yaml").write_text(text)
    subprocess.run(["krunc", "compile", directory], check=True, capture_output=True)
    options = ["--libkrun", str(directory.parent / "libkrun.so"), "-j", "8"]
    options += ["--runtime-dir", str(directory / "run"), "--log-dir", str(directory / "logs")]
    return ["krunc", "launch", *options, str(directory)]


def main() -> None:
    """Measure, and print the ratio."""
    vms, rounds = (int(one) for one in (sys.argv[1:] + ["10000", "3"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "krun.c").write_text(source("v1"))
        for code, library in ((place / "krun.c", "libkrun.so"), (HERE / "fakekvm.c", "kvm.so")):
            compiler = ["cc", "-O1", "-shared", "-fPIC", "-o", str(place / library), str(code)]
            subprocess.run([*compiler, "-ldl"], check=True)
        commands = {count: made(place / str(count), count) for count in (FEW, vms)}
        os.environ |= {"FAKE_KVM": "works", "KRUN_RECORDER_EXIT": "0"}
        os.environ["LD_PRELOAD"] = str(place / "kvm.so")
        found: dict[int, list[float]] = {count: [] for count in commands}
        for _ in range(rounds):
            for count, command in commands.items():
                found[count].append(cost(command, 1)[0])
    each = {count: statistics.median(costs) / count for count, costs in found.items()}
    for count, seconds in each.items():
        print(f"each of {count:,} VMs: {1000 * seconds:.2f} ms")
    print(f"ratio {each[vms] / each[FEW]:.2f}, goal {GOAL}")


if __name__ == "__main__":
    main()
