"""Fixtures that boot real microVMs in an emulated host, and the matrix of what they showed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import guests
import pytest
import yaml
from krunc_compiler.__main__ import main
from kvmhost import architecture, job, machine
from kvmhost.errors import HostError
from places import ROOT, TOOLS

# An interface with a default route, for the emulated host has none.
ROUTE = [
    ["sh", "-c", "test -e /sys/class/net/tap9 || ip tuntap add tap9 mode tap"],
    ["busybox", "ip", "address", "replace", "10.9.1.1/24", "dev", "tap9"],
    ["busybox", "ip", "link", "set", "tap9", "up"],
    ["sh", "-c", "ip route replace default via 10.9.1.254 dev tap9"],
]
_KRUNC = ["-m", "krunc"]
# A boot takes 5 to 20 s of emulation, 40 s with a passt; this only ends what hangs.
TIMEOUT = 90
# The guest of libkrun 1.16.0 can start before its console is there, seen in 1 of 10 boots while
# both processors were busy: then nothing that the program prints is left, whatever its status.
_NO_CONSOLE = "unable to open an initial console"
# A guest's kernel that panics under emulation, seen when the processors were busy.
_PANIC = "Kernel Offset: disabled"
# What krunc says of a guest that ended before its program; one test provokes it.
_GAVE_UP = "the guest ended before its program was started"
# What libkrun's log says where the host is too busy to run a vCPU within a second.
LATE = "VcpuResume"
_TRIES = 4


class Boot(NamedTuple):
    """How a launch ended, and what the host's side of its sockets heard."""

    status: int
    stdout: str
    stderr: str
    heard: dict[str, str]


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One emulated host for all boots."""
    directory = tmp_path_factory.mktemp("kvmhost")
    machine.up(directory, machine.IDLE, guests.kind())
    yield directory
    machine.down(directory)


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """A copy of the example boxes with all that they use."""
    for box in (ROOT / "boxes").glob("*.yaml"):
        (tmp_path / box.name).write_text(box.read_text())
    inputs = [ROOT / "boxes" / "make-inputs", tmp_path, guests.busybox()]
    subprocess.run(list(map(str, inputs)), check=True, capture_output=True)
    return tmp_path


@pytest.fixture(scope="session")
def vsock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program for guests that speaks vsock."""
    program = tmp_path_factory.mktemp("guest") / "vsock"
    command = [*guests.compiler_of_c(), "-O1", "-o", str(program), str(TOOLS / "guest/vsock.c")]
    subprocess.run(command, check=True)
    return program


@pytest.fixture
def boot(
    emulated: Path, libkrun: tuple[Path, str], boxes: Path, request: pytest.FixtureRequest
) -> Callable[..., Boot]:
    """Compiles a box for the library in turn and launches it in the emulated host.

    `host` is what the host does meanwhile, as hostside.py takes it; `start` is what Python runs in the
    place of krunc, and `change` edits the plan; `prints` repeats a boot of
    which no output is left; one that `panics` is meant to; one that takes more than `seconds` hangs.
    What was repeated is told at the end of the run.
    """

    def repeat(why: str, before: str) -> None:
        request.node.user_properties.append((REPEATED, why))
        restore(boxes, before)

    def run(
        box: str,
        prints: bool = False,
        host: dict[str, Any] | None = None,
        start: list[str] = _KRUNC,
        change: Callable[[dict[str, Any]], None] | None = None,
        panics: bool = False,
        seconds: int = TIMEOUT,
        **env: str,
    ) -> Boot:
        library, target = libkrun
        _fit(boxes / f"{box}.yaml")
        assert main(["compile", str(boxes / f"{box}.yaml"), "--target", target]) == 0
        plan = boxes / f"{box}.plan.json"
        if change is not None:
            value = json.loads(plan.read_text())
            change(value)
            plan.write_text(json.dumps(value))
        options = ["--libkrun", str(library), "--runtime-dir", str(boxes / "run")]
        python, variables = guests.python()
        launch = command = [python, *start, "launch", *options, str(plan)]
        order = b""
        if host:
            # Without site, and only where it is of use: this Python takes as long as krunc's.
            command = [python, "-I", "-S", str(TOOLS / "hostside.py")]
            order = json.dumps({**host, "command": launch}).encode()
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **variables, **env}
        console = boxes / "run/console.log"
        with TemporaryDirectory(prefix="boot-before-") as before:
            copy(boxes, before)
            for left in reversed(range(_TRIES)):
                try:
                    done = job.run(emulated, command, stdin=order, timeout=seconds, env=environment)
                except (subprocess.TimeoutExpired, HostError):
                    renew(emulated)
                    if left < _TRIES - 2:
                        raise
                    repeat(f"{box}: the boot hung, or its machine was lost", before)
                    continue
                said, told = (
                    text.decode("utf-8", "replace") for text in (done.stdout, done.stderr)
                )
                result = Boot(done.returncode, said, told, {})
                if host:
                    assert done.returncode == 0, done
                    result = Boot(**json.loads(said.splitlines()[-1]))
                written = console.read_text(errors="replace") if console.exists() else ""
                said = result.stderr + result.stdout + written
                gave_up = _GAVE_UP in said and start is _KRUNC
                broken = _NO_CONSOLE in said or _PANIC in said or LATE in said or gave_up
                if left and ((broken and not panics) or (prints and not result.stdout)):
                    repeat(f"{box}: the guest's console, kernel or vCPU failed", before)
                    continue
                break
        return result

    return run


def renew(emulated: Path) -> None:
    """Start the emulated host anew, in which a VM hung: it is not trusted with another.

    Seen: its timer had lost an interrupt. QEMU 7.2 changes the mask of those of a CPU without a lock
    when a guest exits (do_vmexit in svm_helper.c)."""
    machine.down(emulated)
    machine.up(emulated, machine.IDLE, guests.kind())


def copy(source: str | Path, target: str | Path) -> None:
    """Copy what is in the directory SOURCE into the directory TARGET."""
    subprocess.run(["cp", "-a", "--sparse=always", f"{source}/.", str(target)], check=True)


def restore(place: Path, before: str) -> None:
    """Have in the directory PLACE what its copy BEFORE has: a guest has written there, and its
    launcher, which is gone, could not remove all."""
    for made in place.iterdir():
        shutil.rmtree(made) if made.is_dir() and not made.is_symlink() else made.unlink()
    copy(before, place)


def _fit(box: Path) -> None:
    """The default memory is more than the emulated host has."""
    text = box.read_text("utf-8")
    value = yaml.safe_load(text)
    if "machine" not in value:
        small = {"machine": {"cpus": 1, "memory": "512MiB"}}
        is_json = text.startswith("{")
        box.write_text(
            json.dumps({**value, **small}, ensure_ascii=False)
            if is_json
            else f"{text}{json.dumps(small)[1:-1]}\n",
            "utf-8",
        )


# Names of a test's properties, by which its process tells the one that prints the summary.
_SHOWN, REPEATED = "boot showed", "boot repeated"
# Of the matrix. No package index has a 1.16.0 for arm64.
COLUMNS = (("x86_64", "1.16.0"), ("x86_64", "2.0-dev"), ("arm64", "2.0-dev"))
_TOLD: list[tuple[str, Any]] = []


@pytest.fixture
def shown(request: pytest.FixtureRequest, libkrun: tuple[Path, str]) -> Callable[[str], None]:
    """Notes that a boot of the library in turn has shown something, for the matrix."""
    del libkrun
    library = request.node.callspec.params["libkrun"]

    def note(what: str) -> None:
        request.node.user_properties.append((_SHOWN, [what, library]))

    return note


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of boots."""
    parser.addoption("--arch", choices=architecture.NAMES, help="boot on this architecture")
    parser.addoption(
        "--matrix", type=Path, metavar="FILE", help="keep in FILE what boots showed, and add to it"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Choose the architecture."""
    guests.choose(config.getoption("--arch"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Boots that need more than the emulated host of all come first: they take longest, and the last
    of them would be waited for while a processor is idle."""

    def comes_later(item: pytest.Item) -> bool:
        of_all = isinstance(item, pytest.Function) and "emulated" in item.fixturenames
        return of_all or item.get_closest_marker("boot") is None

    items.sort(key=comes_later)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep what a boot has told."""
    if report.when == "call":
        _TOLD.extend(one for one in report.user_properties if one[0] in (_SHOWN, REPEATED))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The matrix: what was seen in a guest, with which library."""
    matrix: dict[str, set[str]] = {}
    kept: Path | None = terminalreporter.config.getoption("--matrix")
    if kept is not None and kept.exists():
        matrix = {what: set(where) for what, where in json.loads(kept.read_text() or "{}").items()}
    shown = [value for name, value in _TOLD if name == _SHOWN]
    for what, library in shown:
        matrix.setdefault(what, set()).add(f"{guests.kind().name} {library}")
    if kept is not None and shown:
        kept.write_text(json.dumps({what: sorted(where) for what, where in matrix.items()}))
    if shown:
        terminalreporter.section("boots of real microVMs")
        width = max(map(len, matrix))
        heads = ("".join(f"{column[i]:9}" for column in COLUMNS) for i in (0, 1))
        for head in heads:
            terminalreporter.write_line(f"{'':{width}}  {head.rstrip()}")
        for what, seen in sorted(matrix.items()):
            marks = "".join(f"{'yes' if ' '.join(one) in seen else '-':9}" for one in COLUMNS)
            terminalreporter.write_line(f"{what:{width}}  {marks.rstrip()}")
    for name, why in _TOLD:
        if name == REPEATED:
            terminalreporter.write_line(f"repeated: {why}")
