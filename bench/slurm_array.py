"""The cost of krunc in a Slurm array: 200 tasks that launch plans against the recorder, and the
same array with /bin/true in the launcher's place, in turn:

    python bench/slurm_array.py [--tasks N] [--repeat N]

Needs root, slurm-wlm, munge and cc. The goal is a ratio of 1.15 of the wall time, from sbatch until
the last task is over. It is no test: an array takes as long as its controller likes.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests/tools"), str(ROOT / "launcher")]

from recorder.fixtures import HERE, LAUNCHER  # noqa: E402
from recorder.source import source  # noqa: E402
from slurm import Cluster  # noqa: E402

GOAL = 1.15
_LINE = "/usr/bin/python3 -IS /usr/bin/krunc-launch"
_BOX = """\
krunc: 1
name: "box-{{{{ n }}}}"
matrix: {{n: [{numbers}]}}
rootfs: {{path: {root}, read_only: true}}
network: {{mode: none}}
machine: {{cpus: 1, memory: 64MiB}}
entrypoint: {{executable: /bin/a}}
"""


def _compiler(*words: str | Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "krunc", *map(str, words)], check=True, stderr=subprocess.DEVNULL
    )


def _prepared(directory: Path, tasks: int) -> tuple[Path, Path, Path]:
    """Return the script with the launcher, the one with /bin/true, and the plans."""
    root, plans = directory / "root", directory / "plans"
    for name in ("bin", "dev", "proc", "sys"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/a")
    plans.mkdir()
    box = directory / "box.yaml"
    numbers = ", ".join(map(str, range(tasks)))
    box.write_text(_BOX.format(numbers=numbers, root=root))
    _compiler("compile", box, "--target", "2", "-o", plans)
    _compiler("emit", "slurm", plans, "-o", directory)
    (script,) = directory.glob("*.sbatch")
    library, kvm = directory / "libkrun.so", directory / "fakekvm.so"
    (directory / "krun.c").write_text(source("v2_flat"))
    for code, made in ((directory / "krun.c", library), (HERE / "fakekvm.c", kvm)):
        subprocess.run(["cc", "-shared", "-fPIC", "-o", made, code, "-ldl"], check=True)
    launcher = directory / "launcher"
    launcher.write_text(
        f"#!/bin/sh\nexport LD_PRELOAD={kvm} FAKE_KVM=works KRUN_RECORDER_EXIT=0\n"
        f"export KRUN_RECORDER_REACH='r {root}/bin/a'\n"
        f'exec {shlex.join(LAUNCHER)} --libkrun {library} "$@"\n'
    )
    launcher.chmod(0o755)
    text = script.read_text()
    nothing = directory / "true.sbatch"
    nothing.write_text(text.replace(_LINE, "/bin/true"))
    script.write_text(text.replace(_LINE, str(launcher)))
    return script, nothing, plans


def _seconds(cluster: Cluster, script: Path, plans: Path, tasks: int) -> float:
    results = Path(tempfile.mkdtemp(dir=plans.parent))
    begun = time.monotonic()
    job = cluster.submit(script, str(plans), cwd=results)
    ended = cluster.waits_for(job, tasks)
    took = time.monotonic() - begun
    failed = [task for task in ended.values() if task.state != "COMPLETED"]
    if failed:
        logs = sorted(results.glob("*.log"))
        raise SystemExit(f"{len(failed)} tasks failed: {logs[0].read_text()}")
    return took


def main() -> None:
    """Measure, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="krunc-slurm-") as name:
        directory = Path(name)
        script, nothing, plans = _prepared(directory, args.tasks)
        (directory / "cluster").mkdir()
        cluster = Cluster(directory / "cluster", cpus=os.cpu_count() or 1)
        took: dict[Path, list[float]] = {script: [], nothing: []}
        try:
            cluster.start()
            for _ in range(args.repeat):
                for one, seconds in took.items():
                    seconds.append(_seconds(cluster, one, plans, args.tasks))
        finally:
            cluster.stop()
    launches, empty = (statistics.median(seconds) for seconds in took.values())
    print(f"{args.tasks} tasks: {launches:.1f} s, /bin/true {empty:.1f} s")
    print(f"ratio {launches / empty:.2f}, goal {GOAL}")


if __name__ == "__main__":
    main()
