"""Benchmarks, as ratios of alternatives that are run in turn: python bench/run.py [option...].

    --repeat N     times that each alternative is run (default 31; the long ones 5 times)
    --boxes N      boxes of the large compilations (default 10000)
    --docs         write docs/speed.json and docs/speed.png, and the tables into docs/speed.md

Needs cc, npm, valgrind, a package index and the packages of `pip install -e .[dev,libkrun]`; krunc
is installed anew, as users do. Nothing boots: libkrun is the recorder of the tests, which ends the
process where a VM would be entered, and a launch is measured up to there.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import instructions
import memory
from cases import FLEET, PEER, ROOT, Case, environment, installed, prepare

DOCS = ROOT / "docs"
_LONG_REPEAT = 5


class Goal(NamedTuple):
    """What is measured, against what, and the ratio that is asked for, if one is; with a NOTE it
    stands there for comparison alone."""

    what: str
    peer: str
    most: float | None = None
    note: str = ""


# The first goals of a launch, which C would reach: see docs/speed.md.
IN_C = " (in C)"
GOALS = [
    Goal("krunc launch", "python -I -c pass", 1.4),
    Goal("krunc-launch without site", "python -I -c pass", 1.25),
    Goal("krunc launch", "bare fork and entry", 1.6),
    Goal("krunc-launch without site", "bare fork and entry without site", 1.6),
    Goal("krunc launch", PEER, 0.05),
    Goal("krunc launch", "python -c pass", 1.5),
    Goal("krunc launch", "C program, same calls"),
    Goal("krunc launch", "python -I -c pass", 1.1, IN_C),
    Goal("krunc launch", "boxlite-shim", 1.7, IN_C),
    Goal("krunc-launch without site", "python -I -c pass", 0.85, IN_C),
    Goal("bare fork and entry", "python -I -c pass"),
    Goal("bare fork and entry without site", "python -I -c pass"),
    Goal(f"each of {FLEET} VMs of one launch", "boxlite-shim", 0.6),
    Goal("krunc --help", "python -c pass", 1.3),
    Goal("krunc --version", "python -c pass", 1.3),
    Goal("krunc compile", "import yaml, jsonschema, jinja2", 0.45),
    Goal("krunc compile with expressions", "import yaml, jsonschema, jinja2", 0.75),
    Goal("krunc compile", "check-jsonschema", 0.25),
    Goal("a box of many checked, one core", "a box parsed by CSafeLoader, one core", 2.5),
    Goal("a box of many compiled, one core", "a box parsed by CSafeLoader, one core", 2.5),
    Goal("a box of many checked, one core", "a box of a tenth as many checked, one core", 1.1),
    Goal("a box of many checked, one core", "a box of many by check-jsonschema", 1 / 7),
    Goal("a box of many compiled", "a box of many compiled, one core"),
    Goal("a box of many, unchanged", "a box read and hashed", 2),
]


def measure(cases: dict[str, Case], repeat: int, place: Path) -> dict[str, list[float]]:
    """Seconds of each run, the alternatives in turn."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    stamp = place / "stamp"
    for turn in range(repeat):
        for name, case in cases.items():
            # Long ones last: where many files were removed a minute ago, ext4 is slow to make some.
            if case.long and turn < repeat - _LONG_REPEAT:
                continue
            case.again()
            stamp.write_bytes(bytes(8))
            start = time.monotonic_ns()
            done = subprocess.run(case.command, capture_output=True, env=environment(place))
            # To the entry of the last VM, where there is one; else to the end.
            end = int.from_bytes(stamp.read_bytes(), sys.byteorder) or time.monotonic_ns()
            times[name].append((end - start) / case.share / 1e9)
            if done.returncode:
                said = done.stderr.decode(errors="replace")
                raise SystemExit(f"{name}: status {done.returncode}\n{said}")
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{turn + 1} of {repeat}")
    return times


def _ratio(goal: Goal, times: dict[str, list[float]]) -> float:
    return statistics.median(times[goal.what]) / statistics.median(times[goal.peer])


def speed_table(times: dict[str, list[float]]) -> str:
    """The ratios as Markdown."""
    lines = [
        "| what | against | goal | median | minimum | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for goal in GOALS:
        ratio, least = _ratio(goal, times), min(times[goal.what]) / min(times[goal.peer])
        asked = "-" if goal.most is None else f"{goal.most:.2f}{goal.note}"
        missed = "" if goal.note else "**missed**"
        met = "" if goal.most is None else "met" if ratio <= goal.most else missed
        lines.append(f"| {goal.what} | {goal.peer} | {asked} | {ratio:.2f} | {least:.2f} | {met} |")
    return "\n".join(lines) + "\n"


def time_table(times: dict[str, list[float]]) -> str:
    """The times as Markdown, for whoever wants to know the order of things."""
    lines = ["| alternative | median, ms | minimum, ms |", "| --- | --- | --- |"]
    for name, runs in times.items():
        middle, least = statistics.median(runs) * 1e3, min(runs) * 1e3
        lines.append(f"| {name} | {middle:.2f} | {least:.2f} |")
    return "\n".join(lines) + "\n"


def plot(times: dict[str, list[float]], path: Path) -> None:
    """How far each ratio is from its goal, as a picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    goals = [goal for goal in GOALS if goal.most is not None and not goal.note]
    ratios = [_ratio(goal, times) / (goal.most or 1) for goal in goals]
    figure, axes = pyplot.subplots(figsize=(10, 5))
    axes.barh(
        [f"{goal.what} / {goal.peer}" for goal in goals],
        ratios,
        color=["#2a7f4f" if ratio <= 1 else "#c0603a" for ratio in ratios],
    )
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("measured ratio; the goal is 1, shorter is better")
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def write_docs(tables: dict[str, str], figures: dict[str, Any]) -> None:
    """The figures into docs/, and each table between its marks in docs/speed.md."""
    (DOCS / "speed.json").write_text(json.dumps(figures, indent=1) + "\n")
    page = DOCS / "speed.md"
    text = page.read_text()
    for name, table in tables.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        text = before + mark + table + rest[rest.index("<!-- end -->") :]
    page.write_text(text)
    plot(figures["seconds"], DOCS / "speed.png")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=31)
    parser.add_argument("--boxes", type=int, default=10_000)
    parser.add_argument("--docs", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        cases = prepare(place, installed(place), given.boxes)
        times = measure(cases, given.repeat, place)
        sizes = memory.sizes(place, cases)
        counts = instructions.counts(place, cases)
    python = f"Python {platform.python_version()}"
    machine = f"{python}, {os.cpu_count()} CPUs, {given.boxes:,} boxes\n"
    tables = {
        "machine": machine,
        "speed": speed_table(times),
        "times": time_table(times),
        "memory": memory.table(sizes),
        "instructions": instructions.table(counts),
    }
    sys.stdout.write("\n".join(tables.values()))
    if given.docs:
        figures = {
            "machine": machine.strip(),
            "seconds": times,
            "memory_mb": sizes,
            "instructions": counts,
        }
        write_docs(tables, figures)


if __name__ == "__main__":
    main()
