"""A function that is added to the API table is planned, checked, replayed, confined and reviewed
with no other edit: here some that no libkrun has, in a copy of the table."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import krunc_launcher
import krunc_schema
import pytest
from generate_krun import generate
from krunc_schema import load
from places import TOOLS

CONTEXT = {"name": "ctx_id", "c": "uint32_t", "kind": "context"}


def path(name: str, kind: str = "host_path", **rules: Any) -> dict[str, Any]:
    """A parameter that is a path."""
    return {"name": name, "c": "const char *", "kind": kind, **rules}


def function(*params: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A row of the table."""
    common = {"since": "1.0", "role": "configure", "repeat": "many", "returns": "int32_t"}
    return {"doc": "Made up.", **common, **more, "params": [CONTEXT, *params]}


FLAG = {"c": "bool", "kind": "bool"}
TAG = {"name": "tag", "c": "const char *", "kind": "text", "min_bytes": 1, "max_bytes": 36}
WORD = {"c": "const char *", "kind": "text", "max_bytes": 1024, "charset": "kernel_word"}
MADE_UP = {
    "krun_try_file": function(path("settings", target="file", opens="read")),
    "krun_try_log": function(path("log_file", target="file", opens="make")),
    "krun_try_disk": function(
        path("image", target="disk", opens="read-write", opens_if={"frozen": "read"}),
        {"name": "frozen", **FLAG},
    ),
    "krun_try_socket": function(path("control", "socket_path", opens="make")),
    "krun_try_client": function(
        path("server", "socket_path", opens="connect", opens_if={"serve": "make"}, served="stream"),
        {"name": "serve", **FLAG},
    ),
    "krun_try_share": function(
        {**TAG, "unique": "virtiofs tag"},
        path("place", target="directory", opens="read-write", opens_if={"fixed": "read"}),
        {"name": "fixed", **FLAG},
        devices=1,
    ),
    "krun_try_window": function(environment="desktop"),
    "krun_try_riddle": function(unknown_access=True),
    "krun_try_init": function(path("init", target="file", opens="read")),
    "krun_try_scratch": function(temporary=True),
    "krun_try_null": function(opens={"/dev/null": "device"}),
    "krun_try_word": function({"name": "word", **WORD, "command_line": "KRUN_TRY="}),
    "krun_try_network": function(sockets="all", feature="net"),
}
BOX = """\
krunc: 1
name: made-up
rootfs: {path: ./rootfs}
network: {mode: none}
entrypoint: {executable: /dev/true}
confine: CONFINE
"""
# Compiles the box as if a key of it led to the calls of the second argument.
COMPILE = """\
import json, sys
from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.lowering import steps
from krunc_compiler.pipeline.compiling import compile_box
from krunc_compiler.plan.operation import Operation
from krunc_compiler.plan.plan import to_text
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.values.inputs import Inputs

def key(box, target):
    for name, args in json.loads(sys.argv[2]):
        yield Operation("call", name, ("made_up", name), args)

steps.AFTER_PROGRAM = (key, *steps.AFTER_PROGRAM)
try:
    text = to_text(compile_box("box.yaml", sys.argv[1], Inputs(api.target("1"))))
except Rejected as rejected:
    sys.exit("\\n".join(one.finding.message for one in rejected.findings))
read_plan("box.plan.json", text)
sys.stdout.write(text)
"""
LAUNCH = "import sys; from krunc_launcher.__main__ import main; sys.exit(main())"
Calls = list[tuple[str, dict[str, Any]]]


class House:
    """A copy of the schema and of the launcher in which the table has more functions."""

    def __init__(self, root: Path, fake_kvm: Path) -> None:
        table = json.loads(json.dumps(load("krun")))
        table["functions"].update(MADE_UP)
        next(row for row in table["implicit"] if row["name"] == "init")["unless"].append(
            "krun_try_init"
        )
        schema = Path(krunc_schema.__path__[0])
        shutil.copytree(schema, root / "schema/krunc_schema")
        (root / "schema/krunc_schema/krun.json").write_text(json.dumps(table))
        package = root / "launcher/krunc_launcher"
        shutil.copytree(Path(krunc_launcher.__path__[0]), package)
        generate(package, table)
        tests = TOOLS
        paths = [root / "schema", root / "launcher", tests]
        self.env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        self.fake_kvm = fake_kvm
        self.library = root / "libkrun.so"
        text = self.python("from recorder.source import source; print(source('v1'))").stdout
        (root / "krun.c").write_text(text)
        command = ["cc", "-Wall", "-Werror", "-shared", "-fPIC", "-o"]
        subprocess.run([*command, str(self.library), str(root / "krun.c")], check=True)

    def python(self, text: str, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Runs Python with the copies before everything else."""
        return subprocess.run(
            [sys.executable, "-c", text, *words], env={**self.env, **env},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip

    def plan(self, place: Path, calls: Calls, confine: str = "required") -> dict[str, Any]:
        """Compiles a box that makes CALLS into PLACE."""
        done = self.python(COMPILE, BOX.replace("CONFINE", confine), json.dumps(calls))
        assert done.returncode == 0, done.stderr
        (place / "box.plan.json").write_text(done.stdout)
        value: dict[str, Any] = json.loads(done.stdout)
        return value

    def launch(self, place: Path, *tries: str, **env: str) -> tuple[int, str, list[dict[str, Any]]]:
        """Exit status, messages and what the recorder wrote; TRIES are made in the confined VM."""
        record = place / "calls"
        record.unlink(missing_ok=True)
        lines = [f"{line[0]} {place / line[2:]}" for line in tries]
        done = self.python(
            LAUNCH, "--libkrun", str(self.library), "--runtime-dir", str(place / "run"),
            str(place / "box.plan.json"), LD_PRELOAD=str(self.fake_kvm), KRUN_RECORDER=str(record),
            KRUN_RECORDER_REACH="\n".join(lines), **env,
        )  # fmt: skip
        written = record.read_text().splitlines() if record.exists() else []
        return done.returncode, done.stderr, [json.loads(line) for line in written]

    def krunc(self, place: Path, *words: str) -> str:
        """What a verb of krunc prints."""
        text = "import os, sys; os.chdir(sys.argv.pop(1)); from krunc import main; sys.exit(main())"
        done = self.python(text, str(place), *words)
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, fake_kvm: Path) -> House:
    return House(tmp_path_factory.mktemp("house"), fake_kvm)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What the plans name, and files beside it that they do not."""
    for name in ("rootfs", "shared", "sockets", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("text")
    for name in ("settings", "init", "image", "secret"):
        (tmp_path / name).write_text("text")
    return tmp_path


# Each call, the condition that it brings, what the confined VM then can and cannot do, and a line
# of the review.
CASES: dict[str, tuple[tuple[str, dict[str, Any]], dict[str, Any] | None, list[str], list[str], tuple[str, str]]] = {
    "file": (
        ("krun_try_file", {"settings": "settings"}),
        {"step": "require_file", "args": {"path": "settings", "access": "read"}},
        ["r settings"], ["w settings", "k settings", "r secret"],
        ("read", "file settings (krun_try_file settings)"),
    ),
    "made file": (
        ("krun_try_log", {"log_file": "made"}),
        None,
        ["w made", "k made"], ["r made", "c new", "w secret"],
        ("write", "file made (krun_try_log log_file)"),
    ),
    "disk": (
        ("krun_try_disk", {"image": "image", "frozen": False}),
        {"step": "require_file", "args": {"path": "image", "access": "read-write"}},
        ["r image", "w image", "k image"], ["r secret"],
        ("write", "disk image (krun_try_disk image)"),
    ),
    "frozen disk": (
        ("krun_try_disk", {"image": "image", "frozen": True}),
        {"step": "require_file", "args": {"path": "image", "access": "read"}},
        ["r image"], ["w image", "k image"],
        ("read", "disk image (krun_try_disk image)"),
    ),
    "socket": (
        ("krun_try_socket", {"control": "sockets/control"}),
        None,
        ["s sockets/control", "u sockets/file"], ["s other/control", "d sockets", "c sockets/new"],
        ("listen", "socket sockets/control (krun_try_socket control)"),
    ),
    "served": (
        ("krun_try_client", {"server": "sockets/control", "serve": True}),
        {"step": "require_socket", "args": {"path": "sockets/control", "type": "stream"}},
        ["s sockets/new"], ["s other/control"],
        ("listen", "socket sockets/control (krun_try_client server)"),
    ),
    "share": (
        ("krun_try_share", {"tag": "t", "place": "shared", "fixed": False}),
        {"step": "require_directory", "args": {"path": "shared", "access": "read-write"}},
        ["r shared/file", "w shared/file", "c shared/new", "m shared/directory"], ["r other/file", "c other/new"],
        ("write", "directory shared (krun_try_share place)"),
    ),
    "fixed share": (
        ("krun_try_share", {"tag": "t", "place": "shared", "fixed": True}),
        {"step": "require_directory", "args": {"path": "shared", "access": "read"}},
        ["r shared/file"], ["w shared/file", "c shared/new"],
        ("read", "directory shared (krun_try_share place)"),
    ),
    "init": (
        ("krun_try_init", {"init": "init"}),
        {"step": "require_file", "args": {"path": "init", "access": "read"}},
        ["r init"], ["w init"],
        ("read", "file init (krun_try_init init)"),
    ),
    "scratch": (
        ("krun_try_scratch", {}), None, ["c run/tmp/made", "m run/tmp/directory"], ["c run/made"], ("", "krun_try_scratch"),
    ),
    "path of its own": (
        ("krun_try_null", {}), None, ["r /dev/null", "w /dev/null"], ["r /dev/zero"],
        ("device", "/dev/null (krun_try_null)"),
    ),
    "network": (
        ("krun_try_network", {}), None, ["n 0"], [], ("network", "anything that krun_try_network leads to"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_is_planned_replayed_and_confined(name: str, house: House, place: Path) -> None:
    call, condition, allowed, denied, _ = CASES[name]
    rows = house.plan(place, [call])["operations"]
    planned = {
        "call": call[0],
        **({"args": call[1]} if call[1] else {}),
        "from": f"made_up.{call[0]}",
    }
    assert planned in rows
    demands = [row for row in rows if row.get("step", "").startswith("require_")]
    own = [row for row in demands if row["from"] == planned["from"]]
    assert own == ([{**condition, "from": planned["from"]}] if condition else [])
    if name == "served":  # nobody serves it
        status, said, _ = house.launch(place)
        assert (status, "start the network backend first" in said) == (125, True)
        return
    status, said, calls = house.launch(place, *allowed, *denied)
    assert (status, said) == (0, "")
    seen = next(one for one in calls if one.get("call") == call[0])
    paths = {"settings", "log_file", "image", "control", "server", "place", "init"}
    given = [str(place / value) if key in paths else value for key, value in call[1].items()]
    assert seen["args"] == [42, *given]
    found = [errno.errorcode.get(one["errno"], "") for one in calls if "reach" in one]
    assert dict(zip([*allowed, *denied], found, strict=True)) == {
        **dict.fromkeys(allowed, ""), **dict.fromkeys(denied, "EACCES"),
    }  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_is_reviewed(name: str, house: House, place: Path) -> None:
    call, _, _, _, (kind, text) = CASES[name]
    house.plan(place, [])
    (place / "box.plan.json").rename(place / "old.plan.json")
    house.plan(place, [call])
    shown = json.loads(house.krunc(place, "show", "--format", "json", "box.plan.json"))
    facts = {(fact["kind"], fact["text"]) for fact in shown["host_access"]}
    changes = json.loads(
        house.krunc(place, "diff", "--format", "json", "old.plan.json", "box.plan.json")
    )
    opens = [one["text"] for one in changes["changes"] if one["effect"] == "widens"]
    if kind:
        assert (kind, text) in facts
        assert any(one.endswith(text) for one in opens), changes
    else:
        assert any(text in one for one in opens), changes


@pytest.mark.parametrize("name", [name for name, row in CASES.items() if row[1]])
def test_the_launcher_wants_its_condition_and_what_it_names(
    name: str, house: House, place: Path
) -> None:
    call, condition, *_ = CASES[name]
    value = house.plan(place, [call])
    if condition is None or condition["step"] == "require_socket":
        return
    named = place / condition["args"]["path"]
    shutil.rmtree(named) if named.is_dir() else named.unlink()
    status, said, calls = house.launch(place)
    assert (status, calls) == (125, [])
    assert "no such file or directory" in said
    rows = value["operations"]
    value["operations"] = [row for row in rows if row.get("args") != condition["args"]]
    (place / "box.plan.json").write_text(json.dumps(value))
    status, said, calls = house.launch(place)
    assert (status, calls) == (125, [])
    assert "no condition before it demands" in said


@pytest.mark.parametrize(("call", "kept"), [("krun_try_window", True), ("krun_try_scratch", False)])
def test_a_desktop_keeps_its_variables(call: str, kept: bool, house: House, place: Path) -> None:
    house.plan(place, [(call, {})])
    status, said, calls = house.launch(place, KRUN_RECORDER_KEPT="1", DISPLAY=":7", TRIED="x")
    assert (status, said) == (0, "")
    (names,) = (one["kept"] for one in calls if "kept" in one)
    assert ("DISPLAY" in names, "TRIED" in names) == (kept, False)


def test_what_cannot_be_known_is_not_confined(house: House, place: Path) -> None:
    riddle: Calls = [("krun_try_riddle", {})]
    house.plan(place, riddle, "best-effort")
    status, said, _ = house.launch(place)
    assert (status, "the host access that krun_try_riddle needs is not known" in said) == (0, True)
    done = house.python(COMPILE, BOX.replace("CONFINE", "required"), json.dumps(riddle))
    assert "confine: required and made_up.krun_try_riddle are mutually exclusive" in done.stderr


def test_another_init_is_told(house: House, place: Path) -> None:
    implicit = [row.get("implicit") for row in house.plan(place, [CASES["init"][0]])["operations"]]
    assert "init" not in implicit
    assert "kernel" in implicit
    shown = " ".join(house.krunc(place, "show", "box.plan.json").split())
    assert "as krun_try_init says, not libkrun's" in shown
    assert "status 0 also where the guest fails before the made_up.krun_try_init" in shown


WATCHED = """\
import json, sys
from krunc_launcher.host.program import program
from krunc_launcher.paths import Directories
from krunc_launcher.plan.verify import verify
from krunc_launcher.resolve.resolve import resolve
plan = verify(json.load(open(sys.argv[1])))
directories = Directories("/base", "/run")
print(program(plan, resolve(plan, directories, None)[0], directories))
"""


def test_where_another_init_starts_the_program_its_file_is_not_watched(
    house: House, place: Path
) -> None:
    plan = str(place / "box.plan.json")
    house.plan(place, [])
    assert house.python(WATCHED, plan).stdout == "('/base/rootfs', '/dev/true')\n"
    house.plan(place, [CASES["init"][0]])
    assert house.python(WATCHED, plan).stdout == "('', '')\n"


def test_a_device_and_a_word_of_the_command_line_count(house: House, place: Path) -> None:
    shares: Calls = [
        ("krun_try_share", {"tag": f"t{i}", "place": "shared", "fixed": True}) for i in range(125)
    ]
    long: Calls = [("krun_try_word", {"word": "x" * 1000})] * 2
    for calls, message in (
        (shares, "virtio devices; a machine of libkrun"),
        (long, "bytes of the guest's kernel command line"),
    ):
        done = house.python(COMPILE, BOX.replace("CONFINE", "off"), json.dumps(calls))
        assert message in done.stderr, done.stderr


def test_the_tests_copy_changes_nothing_else(
    house: House, place: Path, build: Callable[..., Path]
) -> None:
    """The project's own launcher knows none of them."""
    house.plan(place, [CASES["file"][0]])
    command = [sys.executable, "-c", LAUNCH, "--libkrun", str(build("v1"))]
    done = subprocess.run(
        [*command, str(place / "box.plan.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 125
    assert '"krun_try_file" is not a function of libkrun' in done.stderr
