"""What the stage costs, with it and without it in turn: python bench/stage_cost.py [option...].

    --repeat N     pairs of boots with each library, an even number (default 16)
    --docs         write the table into docs/guest.md

Real microVMs boot in the emulated KVM host of the tests, of which the clock counts the instructions
that it executes: only the ratio of its times means something. A boot is measured there, from exec
of krunc to the first byte that the program prints: how long that is, and how much of it the
launcher and the VM execute. The two boots of a pair follow each other, another one first each time,
and a boot that is not measured goes before two pairs.
A goal is met, or missed, when all of the interval is. Needs what the tests' boots need, valgrind,
and the packages of `pip install -e .[dev,libkrun]`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cases import ROOT, run
from paired import Pairs

sys.path.insert(0, str(ROOT / "tests/tools"))

import libraries
from kvmhost import architecture, job, machine
from kvmhost.errors import HostError
from recorder.fixtures import HERE, LAUNCHER
from recorder.source import source

# What a processor keeps of free pages for itself is in no sum of meminfo, and it is a MiB or two.
SCRIPT = """\
echo first
read -r go
while read -r name size rest; do echo $name $size; done </proc/meminfo
while read -r name size rest; do [ "$name" != count: ] || echo $name $size; done </proc/zoneinfo
"""
# What makes a box staged, and nothing else of the plan: an order that takes no time.
KINDS: dict[str, dict[str, Any]] = {"without": {}, "with": {"hostname": "here"}}
# Run in the emulated host: seconds to the first byte, those of a processor that krunc and what it
# has started have used by then, for which the program waits, and all that the program prints.
DRIVER = """\
import glob, json, os, subprocess, sys, time
def used(pid):
    tasks = f"/proc/{pid}/task/*/"
    here = sum(int(open(file).read().split()[0]) for file in glob.glob(tasks + "schedstat"))
    below = [child for file in glob.glob(tasks + "children") for child in open(file).read().split()]
    return here / 1e9 + sum(map(used, below))
for command in json.load(sys.stdin):
    start = time.monotonic()
    vm = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    text = os.read(vm.stdout.fileno(), 65536)
    first = time.monotonic() - start
    executed = used(vm.pid)
    text += vm.communicate(b"go\\n")[0]
    print(json.dumps([vm.returncode, first, executed, text.decode()]))
"""
# Five boots take 40 s on a quiet machine; this only ends what hangs.
_PATIENCE_S = 150
_MEMORY_MB, _PAGE_KB = 256, 4
_MOST_PERCENT, _MOST_MB = 3.0, 0.3


def compiled(place: Path, kind: str, target: str) -> Path:
    """Compile the box of a KIND; return its plan."""
    box = {
        "krunc": 1,
        "name": kind,
        "machine": {"cpus": 1, "memory": f"{_MEMORY_MB}MiB"},
        "rootfs": {"path": "./rootfs"},
        "network": {"mode": "tsi"},
        "entrypoint": {"script": SCRIPT},
        **KINDS[kind],
    }
    (place / f"{kind}.yaml").write_text(json.dumps(box))
    plan = place / f"{kind}-{target}.plan.json"
    krunc = [sys.executable, "-m", "krunc", "compile", "--target", target, "-o", str(plan)]
    run(*krunc, str(place / f"{kind}.yaml"))
    return plan


def boots(place: Path, library: Path, target: str, repeat: int) -> Iterator[Pairs]:
    """Boot both kinds in turn, REPEAT times; yield what is compared."""
    options = ["--libkrun", str(library), "--runtime-dir", str(place / "run")]
    krunc = [sys.executable, "-m", "krunc", "launch", *options]
    commands = [[*krunc, str(compiled(place, kind, target))] for kind in KINDS]
    seconds: list[tuple[float, float]] = []
    executed: list[tuple[float, float]] = []
    memory: list[tuple[float, float]] = []
    # The first boot of a job finds no file in memory, which takes it longer than what is measured.
    order = json.dumps([commands[0], *commands, *reversed(commands)]).encode()
    for _ in range(0, repeat, 2):
        driver = [sys.executable, "-I", "-S", "-c", DRIVER]
        try:
            done = job.run(place / "host", driver, stdin=order, timeout=_PATIENCE_S)
        except (subprocess.TimeoutExpired, HostError):  # a boot can hang under emulation
            machine.down(place / "host")
            machine.up(place / "host", kind=architecture.counted())
            continue
        told = [json.loads(line) for line in done.stdout.splitlines()]
        if any(status for status, *_ in told):
            continue  # a guest's kernel can fail under emulation
        for without, with_it in (told[1:3], reversed(told[3:5])):
            seconds.append((without[1], with_it[1]))
            executed.append((without[2], with_it[2]))
            lacking = [_lacking(boot[3]) for boot in (without, with_it)]
            memory.append((lacking[0], lacking[1]))
    name = {"1": "1.16.0", "2": "2.0-dev"}[target]
    if seconds:
        of = f"{len(seconds)} pairs"
        yield Pairs(f"{name}: boot, {of}", "s", seconds, _MOST_PERCENT, True)
        yield Pairs(f"{name}: of it executed, {of}", "s", executed, _MOST_PERCENT, True)
        yield Pairs(f"{name}: memory that the guest has not, {of}", "MB", memory, _MOST_MB, False)


def _lacking(text: str) -> float:
    """Tell how much of its memory a guest has not, of what its program printed."""
    found = re.search(r"MemAvailable: (\d+)", text)
    assert found is not None, text
    kept = sum(map(int, re.findall(r"^count: (\d+)", text, re.MULTILINE)))
    return _MEMORY_MB - (int(found[1]) + kept * _PAGE_KB) / 1024


def instructions(place: Path) -> Pairs:
    """Count what the launcher executes up to the VM's entry, libkrun being the tests' recorder."""
    recorder, kvm = place / "libkrun.so", place / "kvm.so"
    (place / "krun.c").write_text(source("v1"))
    run("cc", "-shared", "-fPIC", "-o", recorder, place / "krun.c")
    run("cc", "-shared", "-fPIC", "-o", kvm, HERE / "fakekvm.c", "-ldl")
    options = ["--libkrun", str(recorder), "--runtime-dir", str(place / "run")]
    counting = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable]
    counts = []
    for kind in KINDS:
        # As -I, but for the seed of hashes: with another one each time counts differ.
        command = ["-s", "-c", LAUNCHER[2], *options, str(compiled(place, kind, "1"))]
        env = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
        env |= {"PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "0", "LD_PRELOAD": str(kvm)}
        env["FAKE_OPENAT2"] = "1"  # which valgrind has not
        # 0 would be the end of a guest whose program nobody has seen: a failed launch.
        env |= {"KRUN_RECORDER_EXIT": "7", "KRUN_RECORDER_SAYS": "started\nexit 7\n"}
        # The first run may have to compile modules, which is not what is counted.
        for words in ([sys.executable, *command], [*counting, *command]):
            with subprocess.Popen(words, env=env, stderr=subprocess.PIPE) as above:
                _, told = above.communicate()
            assert above.returncode == 7, told
        # Of the two processes the VM's, with all that was done before the fork.
        (count,) = {
            int(count)
            for pid, count in re.findall(rb"==(\d+)== Collected : (\d+)", told)
            if int(pid) != above.pid
        }
        counts.append(count / 1e6)
    pair = (counts[0], counts[1])
    return Pairs("launch, million instructions", "M", [pair], _MOST_PERCENT, True, True)


def main() -> None:
    """Measure, and print or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=16)
    parser.add_argument("--docs", action="store_true")
    given = parser.parse_args()
    found = find_spec("smol")
    assert found is not None
    assert found.origin is not None
    used = {
        "1": libraries.fetched() / "libkrun.so.1.16.0",
        "2": Path(found.origin).parent / "libkrun.so",
    }
    lines = [
        "| what | without the stage | with it | more | 95 % interval | goal | |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        run(ROOT / "boxes/make-inputs", place)
        lines.append(instructions(place).row())
        machine.up(place / "host", kind=architecture.counted())
        try:
            for target, library in used.items():
                for cost in boots(place, library, target, given.repeat):
                    lines.append(cost.row())
        finally:
            machine.down(place / "host")
            shutil.rmtree(place / "run", ignore_errors=True)
    table = "\n".join(lines) + "\n"
    print(table)
    if given.docs:
        guide = ROOT / "docs/guest.md"
        text = guide.read_text("utf-8")
        marked = re.compile(r"(?<=<!-- stage -->\n).*?(?=<!-- end -->)", re.DOTALL)
        guide.write_text(marked.sub(lambda _: table, text), "utf-8")


if __name__ == "__main__":
    main()
