"""What is measured: each alternative as a command, on files that are made for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests/tools"))

import libraries  # noqa: E402
from boxlite_specs import spec  # noqa: E402
from recorder.source import source  # noqa: E402

BOX = """\
krunc: 1
name: box-{n}
rootfs: {{path: ./rootfs}}
shares: [{{tag: src, path: ./src, read_only: false}}]
network: {{mode: tsi, ports: ["{port}:80"]}}
entrypoint: {{executable: /bin/httpd, args: [-f, -h, /srv], env: {{MODE: prod}}}}
"""
LONG_BOX = (Path(__file__).parent / "box.yaml").read_text()
READ = """\
import os, sys, {}
for name in os.listdir(sys.argv[1]):
    with open(os.path.join(sys.argv[1], name), "rb") as file:
        {}
"""
# What no launcher in Python that watches its VM can be faster than: no plan, no check, no limits.
BARE = """\
import os
from krunc_launcher._krun import ffi
if os.fork():
    os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
libkrun = ffi.dlopen({!r})
libkrun.krun_start_enter(0)
"""
FLEET = 50
# So many of the boxes are given to what is slow.
FEW = 500


class Case(NamedTuple):
    """One alternative; its time is divided by `share`. `again` comes before each run, and a case
    that is `long` has fewer of them."""

    command: list[str]
    share: int = 1
    again: Callable[[], None] = lambda: None
    long: bool = False


# The other launcher of libkrun in Python, of PyPI's celesto: by ctypes, without checks.
PEER = "celesto's launcher"
_PEER_CONFIG = {"vcpus": 1, "memory_mib": 256, "cmdline": "quiet", "env": {"MODE": "prod"}}


def environment(place: Path) -> dict[str, str]:
    """For every alternative alike."""
    return {
        "PATH": "/usr/bin:/bin",
        "LD_PRELOAD": str(place / "kvm.so"),
        "LD_LIBRARY_PATH": str(place / "libraries"),
        "HOME": str(place),
        "KRUN_RECORDER_STAMP": str(place / "stamp"),
        # As a guest does that starts its program: a VM that ends before is told as failed.
        "KRUN_RECORDER_REACH": f"r {place}/rootfs/bin/httpd",
    }


def installed(place: Path) -> Path:
    """The programs of krunc and its peers as users install them; --editable costs more."""
    for name, wanted in (("venv", [ROOT, "check-jsonschema"]), ("peer", ["celesto"])):
        run(sys.executable, "-m", "venv", place / name)
        run(place / name / "bin/pip", "install", *wanted)
    return place / "venv/bin"


def prepare(place: Path, programs: Path, boxes: int) -> dict[str, Case]:
    """Make what is run, in PLACE."""
    (place / "libraries").mkdir()
    recorder = place / "libraries/libkrun.so.1.16.0"
    (place / "libraries/libkrun.so.1").symlink_to(recorder)
    (place / "recorder.c").write_text(source("v1"))
    run("cc", "-O1", "-shared", "-fPIC", "-o", recorder, place / "recorder.c")
    # The loader has to find one beside libkrun, as where they are installed.
    (place / "firmware.c").write_text("")
    firmware = place / "libraries/libkrunfw.so.5"
    run("cc", "-shared", "-fPIC", "-o", firmware, place / "firmware.c")
    fake = ROOT / "tests/tools/recorder/fakekvm.c"
    run("cc", "-O1", "-shared", "-fPIC", "-o", place / "kvm.so", fake, "-ldl")
    for name in ("rootfs", "src", "share", "root"):
        (place / name).mkdir()
    (place / "rootfs/bin").mkdir()
    (place / "rootfs/bin/httpd").touch(0o755)
    (place / "box.yaml").write_text(BOX.format(n=1, port=8080))
    templated = BOX.format(n=1, port="{{ p }}") + "vars: {p: 8080}\n"
    (place / "templated.yaml").write_text(templated)
    run(programs / "krunc", "compile", place / "box.yaml")
    krunc, python = str(programs / "krunc"), str(programs / "python")
    return {
        "python -c pass": Case([python, "-c", "pass"]),
        "python -I -c pass": Case([python, "-I", "-c", "pass"]),
        "krunc --help": Case([krunc, "--help"]),
        "krunc --version": Case([krunc, "--version"]),
        **_launches(place, programs, recorder),
        **_compilations(place, programs),
        **_many(place, programs, boxes),
    }


def _launches(place: Path, programs: Path, recorder: Path) -> dict[str, Case]:
    krunc, python = str(programs / "krunc"), str(programs / "python")
    (place / "fleet").mkdir()
    quoted = BOX.replace("name: box-{n}", 'name: "box-{n}"')
    named = quoted.format(n="{{ n }}", port="{{ 8000 + n }}")
    (place / "fleet.yaml").write_text(named + f"matrix: {{n: {{from: 1, to: {FLEET}}}}}\n")
    run(krunc, "compile", place / "fleet.yaml", "-o", place / "fleet")
    (place / "same.c").write_text(_c_program(place, krunc))
    run("cc", "-O1", "-o", place / "same", place / "same.c", recorder)
    launch = ["--libkrun", str(recorder), "--runtime-dir", str(place / "run")]
    plan = str(place / "box.plan.json")
    found = f"import sys; sys.path[:0] = {_site_directories(python)!r}\n"
    files = {f"{name}_path": str(place / name) for name in ("kernel", "rootfs")}
    (place / "peer.json").write_text(json.dumps(_PEER_CONFIG | files))
    peer = [str(place / "peer/bin/python"), "-m", "celesto.runtime._libkrun_launcher"]
    bare = found + BARE.format(str(recorder))
    shim = str(libraries.fetched() / "boxlite-shim")
    config = json.dumps(spec()).replace("DIR/", f"{place}/")
    logs = ["--log-dir", str(place / "logs")]
    return {
        "C program, same calls": Case([str(place / "same")]),
        "boxlite-shim": Case([shim, "--engine", "libkrun", "--config", config]),
        "krunc launch": Case([krunc, "launch", *launch, plan]),
        "krunc-launch without site": Case(
            [python, "-IS", str(programs / "krunc-launch"), *launch, plan]
        ),
        PEER: Case([*peer, str(place / "peer.json")]),
        "bare fork and entry": Case([python, "-I", "-c", bare]),
        "bare fork and entry without site": Case([python, "-I", "-S", "-c", bare]),
        f"each of {FLEET} VMs of one launch": Case(
            [krunc, "launch", *launch, *logs, str(place / "fleet")], share=FLEET
        ),
    }


def _compilations(place: Path, programs: Path) -> dict[str, Case]:
    krunc, python = str(programs / "krunc"), str(programs / "python")
    compiled = [krunc, "compile", "-o", "-"]
    check = [str(programs / "check-jsonschema"), "--schemafile", _schema()]
    return {
        "import yaml, jsonschema, jinja2": Case([python, "-c", "import yaml, jsonschema, jinja2"]),
        "krunc compile": Case([*compiled, str(place / "box.yaml")]),
        "krunc compile with expressions": Case([*compiled, str(place / "templated.yaml")]),
        "check-jsonschema": Case([*check, str(place / "box.yaml")]),
    }


def _many(place: Path, programs: Path, boxes: int) -> dict[str, Case]:
    """Alternatives for many boxes, each measured by the box."""
    krunc, python = str(programs / "krunc"), str(programs / "python")
    for name, count in (("many", boxes), ("tenth", boxes // 10)):
        (place / name).mkdir()
        for n in range(count):
            text = LONG_BOX.replace("NUMBER", str(n)).replace("PORT", str(n % 60000 + 1))
            (place / name / f"box-{n}.yaml").write_text(text)
    for name in ("made", "kept", "tenths"):
        (place / name).mkdir()
    parse = READ.format("yaml", "yaml.load(file.read(), yaml.CSafeLoader)")
    digest = READ.format("hashlib", "hashlib.sha256(file.read()).hexdigest()")
    check = [str(programs / "check-jsonschema"), "--schemafile", _schema()]
    few = [str(place / "many" / f"box-{n}.yaml") for n in range(min(FEW, boxes))]
    one, every = ["taskset", "-c", "0"], str(place / "many")

    def compiled(source: str, target: str) -> list[str]:
        return [krunc, "compile", str(place / source), "-o", str(place / target)]

    for directory, plans in (("many", "kept"), ("tenth", "tenths")):
        run(*compiled(directory, plans), env=environment(place))
    return {
        "a box parsed by CSafeLoader, one core": Case(
            [*one, python, "-c", parse, every], boxes, long=True
        ),
        "a box read and hashed": Case([python, "-c", digest, every], boxes, long=True),
        "a box of many checked, one core": Case(
            [*one, *compiled("many", "kept"), "--check"], boxes, long=True
        ),
        "a box of many compiled, one core": Case(
            [*one, *compiled("many", "made")], boxes, lambda: _empty(place, "made"), long=True
        ),
        "a box of a tenth as many checked, one core": Case(
            [*one, *compiled("tenth", "tenths"), "--check"], boxes // 10, long=True
        ),
        "a box of many compiled": Case(
            compiled("many", "made"), boxes, lambda: _empty(place, "made"), long=True
        ),
        "a box of many, unchanged": Case(compiled("many", "kept"), boxes, long=True),
        "a box of many by check-jsonschema": Case([*check, *few], len(few), long=True),
    }


def _empty(place: Path, directory: str) -> None:
    """An empty directory for plans, and no memory of an earlier run to it.

    The plans of that run are put aside: for minutes after thousands of files were removed, ext4
    looks at each of their inodes again whenever it makes a file, which takes ten times as long.
    """
    os.rename(place / directory, tempfile.mkdtemp(dir=place))
    (place / directory).mkdir()


def _schema() -> str:
    return str(ROOT / "schema/krunc_schema/box.schema.json")


def _site_directories(python: str) -> list[str]:
    """Where that Python finds what is installed."""
    ask = "import site; print('\\n'.join(site.getsitepackages()))"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True, check=True)
    return done.stdout.split()


def _c_program(place: Path, krunc: str) -> str:
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
    # Lists of the listing are C's compound literals.
    calls = "\n    ".join(line.replace("{", "(const char *[]){") for line in lines)
    return (
        "#include <stdint.h>\n#include <stddef.h>\n#include <stdbool.h>\n"
        "#define KRUN_LOG_LEVEL_ERROR 1\n#define KRUN_LOG_STYLE_AUTO 0\n"
        + "".join(f"int {name}();\n" for name in declared)
        + f"int main(void) {{\n    int ctx = 0;\n    {calls}\n}}\n"
    )


def run(*command: str | Path, env: dict[str, str] | None = None) -> None:
    """A command that has to succeed."""
    subprocess.run(list(map(str, command)), check=True, capture_output=True, env=env)
