"""Benchmarks, as ratios of alternatives that are run in turn: python bench/run.py [option...].

    --repeat N     times that each alternative is run (default 31)
    --boxes N      boxes of the large compile (default 2000)
    --json FILE    the figures, as JSON
    --table FILE   the table, in Markdown
    --plot FILE    a picture of the ratios (matplotlib)

Needs cc, npm and the packages of `pip install -e .[dev,libkrun]`; krunc is installed anew, as users
do. Nothing boots: libkrun is the recorder of the tests, which ends the process where a VM would be
entered, and a launch is measured up to there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import libraries  # noqa: E402
import memory  # noqa: E402
from recorder.source import source  # noqa: E402
from test_import_boxlite import spec  # noqa: E402

BOX = """\
krunc: 1
name: box-{n}
rootfs: {{path: ./rootfs}}
shares: [{{tag: src, path: ./src, read_only: false}}]
network: {{mode: tsi, ports: ["{port}:80"]}}
entrypoint: {{executable: /bin/httpd, args: [-f, -h, /srv], env: {{MODE: prod}}}}
"""


class Goal(NamedTuple):
    """What is measured, against what, and the ratio that is asked for."""

    what: str
    peer: str
    most: float


GOALS = [
    Goal("krunc launch", "python -I -c pass", 1.1),
    Goal("krunc launch", "boxlite-shim", 1.7),
    Goal("krunc launch", "C program, same calls", float("inf")),
    Goal("krunc-launch without site", "python -I -c pass", 0.85),
    Goal("each of 50 VMs of one launch", "boxlite-shim", 0.6),
    Goal("krunc --help", "python -c pass", 1.3),
    Goal("krunc --version", "python -c pass", 1.3),
    Goal("krunc compile, one box", "import yaml, jsonschema, jinja2", 0.45),
    Goal("krunc compile, one box with expressions", "import yaml, jsonschema, jinja2", 0.75),
    Goal("krunc compile, one box", "check-jsonschema, one box", 0.25),
    Goal("krunc compile, many boxes", "CSafeLoader, many boxes", 2.5),
    Goal("krunc compile, many boxes", "check-jsonschema, many boxes", 1 / 7),
]


class Case(NamedTuple):
    """One alternative; its time is divided by `share`."""

    command: list[str]
    share: int = 1
    again: Callable[[], None] = lambda: None


def environment(place: Path) -> dict[str, str]:
    """For every alternative alike."""
    return {
        "PATH": "/usr/bin:/bin",
        "LD_PRELOAD": str(place / "kvm.so"),
        "LD_LIBRARY_PATH": str(place / "libraries"),
        "HOME": str(place),
        "KRUN_RECORDER_STAMP": str(place / "stamp"),
    }


def installed(place: Path) -> Path:
    """The programs of krunc and check-jsonschema as users install them; --editable costs more."""
    run(sys.executable, "-m", "venv", place / "venv")
    run(place / "venv/bin/pip", "install", ROOT, "check-jsonschema")
    return place / "venv/bin"


def prepare(place: Path, programs: Path, boxes: int) -> dict[str, Case]:
    """Make what is run, in PLACE."""
    krunc, python = str(programs / "krunc"), str(programs / "python")
    shim = libraries.fetched() / "boxlite-shim"
    (place / "libraries").mkdir()
    recorder = place / "libraries/libkrun.so.1.16.0"
    (place / "recorder.c").write_text(source("v1"))
    run("cc", "-O1", "-shared", "-fPIC", "-o", recorder, place / "recorder.c")
    fake = ROOT / "tests/recorder/fakekvm.c"
    run("cc", "-O1", "-shared", "-fPIC", "-o", place / "kvm.so", fake, "-ldl")
    for name in ("rootfs", "src", "share", "root", "many", "fleet"):
        (place / name).mkdir()
    (place / "box.yaml").write_text(BOX.format(n=1, port=8080))
    templated = BOX.format(n=1, port="{{ p }}") + "vars: {p: 8080}\n"
    (place / "templated.yaml").write_text(templated)
    compiled = [krunc, "compile"]
    run(*compiled, place / "box.yaml")
    for n in range(boxes):
        (place / "many" / f"box-{n}.yaml").write_text(BOX.format(n=n, port=n % 60000 + 1))
    (place / "fleet.yaml").write_text(
        BOX.format(n="{{ n }}", port="{{ 8000 + n }}").replace(
            "name: box-{{ n }}", 'name: "box-{{ n }}"'
        )
        + "matrix: {n: {from: 1, to: 50}}\n"
    )
    run(*compiled, place / "fleet.yaml", "-o", place / "fleet")
    (place / "same.c").write_text(c_program(place, krunc))
    run("cc", "-O1", "-o", place / "same", place / "same.c", recorder)
    config = json.dumps(spec()).replace("DIR/", f"{place}/")
    schema = ROOT / "schema/krunc_schema/box.schema.json"
    launch = ["--libkrun", str(recorder), "--runtime-dir", str(place / "run")]
    plan = str(place / "box.plan.json")
    no_site = [
        python, "-I", "-S", "-c",
        f"import sys; sys.path[:0] = {site_folders(python)!r}; "
        "from krunc_launcher.__main__ import main; sys.exit(main())",
    ]  # fmt: skip
    parse = (
        "import sys, yaml, pathlib\n"
        "for path in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    yaml.load(path.read_bytes(), yaml.CSafeLoader)"
    )
    check = [str(programs / "check-jsonschema"), "--schemafile", str(schema)]
    many = sorted(map(str, (place / "many").glob("*.yaml")))
    return {
        "python -c pass": Case([python, "-c", "pass"]),
        "python -I -c pass": Case([python, "-I", "-c", "pass"]),
        "C program, same calls": Case([str(place / "same")]),
        "boxlite-shim": Case([str(shim), "--engine", "libkrun", "--config", config]),
        "krunc launch": Case([krunc, "launch", *launch, plan]),
        "krunc-launch without site": Case([*no_site, *launch, plan]),
        "each of 50 VMs of one launch": Case(
            [
                krunc,
                "launch",
                *launch,
                "--log-dir",
                str(place / "logs"),
                str(place / "fleet"),
            ],
            share=50,
        ),
        "krunc --help": Case([krunc, "--help"]),
        "krunc --version": Case([krunc, "--version"]),
        "import yaml, jsonschema, jinja2": Case([python, "-c", "import yaml, jsonschema, jinja2"]),
        "krunc compile, one box": Case([*compiled, str(place / "box.yaml"), "-o", "-"]),
        "krunc compile, one box with expressions": Case(
            [*compiled, str(place / "templated.yaml"), "-o", "-"]
        ),
        "check-jsonschema, one box": Case([*check, str(place / "box.yaml")]),
        "CSafeLoader, many boxes": Case([python, "-c", parse, str(place / "many")]),
        "krunc compile, many boxes": Case(
            [*compiled, str(place / "many"), "-o", str(place / "plans")],
            again=lambda: again(place / "plans"),
        ),
        "check-jsonschema, many boxes": Case([*check, *many]),
    }


def again(folder: Path) -> None:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def site_folders(python: str) -> list[str]:
    """Where that Python finds what is installed."""
    ask = "import site; print('\\n'.join(site.getsitepackages()))"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    return done.stdout.split()


def c_program(place: Path, krunc: str) -> str:
    """A program that makes the calls of the plan: the listing of the dry run, compiled."""
    listing = subprocess.run(
        [krunc, "launch", "--dry-run", place / "box.plan.json"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    lines = [
        line.removeprefix("call").strip()
        for line in listing.splitlines()
        if line.startswith("call")
    ]
    declared = sorted({line.split("(")[0].split("=")[-1].split()[-1] for line in lines})
    calls = "\n    ".join(literals(line) for line in lines)
    return (
        "#include <stdint.h>\n#include <stddef.h>\n#include <stdbool.h>\n"
        + "".join(f"int {name}();\n" for name in declared)
        + f"{HEADER}int main(void) {{\n    int ctx = 0;\n    {calls}\n}}\n"
    )


HEADER = "#define KRUN_LOG_LEVEL_ERROR 1\n#define KRUN_LOG_STYLE_AUTO 0\n"


def literals(line: str) -> str:
    """Lists of the listing as C's compound literals."""
    line = line.replace("{", "(const char *[]){")
    return line.replace("ctx = krun_create_ctx", "ctx = krun_create_ctx")


def run(*command: str | Path) -> None:
    """A command that has to succeed."""
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


def measure(cases: dict[str, Case], repeat: int, place: Path) -> dict[str, list[float]]:
    """Seconds of each run, the alternatives in turn."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(repeat):
        for name, case in cases.items():
            # The large ones take seconds: a few runs are enough for their median.
            if "many" in name and turn >= 3:
                continue
            case.again()
            stamp = place / "stamp"
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


def table(times: dict[str, list[float]], sizes: dict[str, dict[str, float]]) -> str:
    """The figures as Markdown."""
    lines = [
        "| what | against | goal | median | minimum | |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for goal in GOALS:
        ratio = statistics.median(times[goal.what]) / statistics.median(times[goal.peer])
        least = min(times[goal.what]) / min(times[goal.peer])
        known = goal.most != float("inf")
        asked = f"{goal.most:.2f}" if known else "-"
        met = ("met" if ratio <= goal.most else "**missed**") if known else ""
        lines.append(f"| {goal.what} | {goal.peer} | {asked} | {ratio:.2f} | {least:.2f} | {met} |")
    lines += ["", "| process at `krun_start_enter` | RSS, MB | private, MB | proportional, MB |"]
    lines += ["| --- | --- | --- | --- |"]
    for name, size in sizes.items():
        lines.append(f"| {name} | {size['rss']:.1f} | {size['private']:.1f} | {size['pss']:.1f} |")
    return "\n".join(lines) + "\n"


def plot(times: dict[str, list[float]], path: Path) -> None:
    """The ratios as a picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    names = [f"{goal.what} / {goal.peer}" for goal in GOALS if goal.most != float("inf")]
    ratios = [
        statistics.median(times[goal.what]) / statistics.median(times[goal.peer]) / goal.most
        for goal in GOALS
        if goal.most != float("inf")
    ]
    figure, axes = pyplot.subplots(figsize=(9, 4.5))
    axes.barh(names, ratios, color=["#2a7" if ratio <= 1 else "#c63" for ratio in ratios])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xlabel("measured ratio, with the goal as 1")
    axes.invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=31)
    parser.add_argument("--boxes", type=int, default=2000)
    for name in ("json", "table", "plot"):
        parser.add_argument(f"--{name}", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        programs = installed(place)
        cases = prepare(place, programs, given.boxes)
        times = measure(cases, given.repeat, place)
        sizes = memory.sizes(
            place, environment(place), str(programs / "krunc"), cases["boxlite-shim"].command
        )
    text = table(times, sizes)
    sys.stdout.write(text)
    if given.table:
        given.table.write_text(text)
    if given.json:
        figures: dict[str, Any] = {
            "cpus": os.cpu_count(),
            "python": sys.version.split()[0],
            "seconds": times,
            "memory_mb": sizes,
        }
        given.json.write_text(json.dumps(figures, indent=1) + "\n")
    if given.plot:
        plot(times, given.plot)


if __name__ == "__main__":
    main()
