"""A plan that is written can be read by all its readers, and no small box makes a large one."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler import libkrun
from krunc_compiler.__main__ import main
from krunc_compiler.files import source
from krunc_compiler.files.source import MAX_BYTES
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.plan.bounds import count, most
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.text.parsing import MAX_NODES
from krunc_launcher.errors import PlanRefused
from krunc_launcher.plan.verify import verify
from krunc_launcher.text.reading import parse
from krunc_launcher.text.reading import read as plan_text

HEAD = "krunc: 1\nname: x\n"
ROOT = "rootfs: {path: ./rootfs}\n"
NONE = "network: {mode: none}\n"
TRUE = "entrypoint: {executable: /x}\n"
# Twice the processor time that the slowest takes on a slow machine, and what a small host has.
SECONDS, MEMORY = 12, 400 << 20


def many(item: str, number: int) -> str:
    """NUMBER items, each with its number for a #."""
    return "[" + ", ".join(item.replace("#", str(i)) for i in range(1, number + 1)) + "]"


def pairs(item: str, number: int) -> str:
    return "{" + many(item, number)[1:-1] + "}"


def program(args: str, more: str = "") -> str:
    return f"{HEAD}{ROOT}{NONE}{more}entrypoint: {{executable: /x, args: {args}}}\n"


PORT, NUMBERED = '"#:#"', "'{{ n ~ # }}'"
LONG = "y" * 99_000
EXPRESSIONS = "".join(f"{{{{ a + {i} }}}}" for i in range(60_000))
MATRIX = 'krunc: 1\nname: "x-{{ n }}"\nmatrix: {n: {from: 1, to: 1000}}\n' + ROOT + NONE
# Boxes that grow, and the key at which that is told; "" where the plan is one that can be read.
BOXES: dict[str, tuple[str, str]] = {
    "a variable in many arguments": (program(many("'{{ a }}'", 1600), f"vars: {{a: {LONG}}}\n"), "entrypoint.args[10]"),
    "joined": (program(many("'{{ a }}{{ a }}#'", 900), f"vars: {{a: {LONG[:49_000]}}}\n"), "entrypoint.args[10]"),
    "an alias": (program(many("*a", 900), f"labels: {{a: &a {LONG}}}\n"), "entrypoint.args"),
    "aliases of gigabytes": (f"{HEAD}{ROOT}{NONE}x-s: &a {'y' * 900_000}\nentrypoint: {{executable: /x, args: {many('*a', 9000)}}}\n", "entrypoint.args"),
    "an alias of an alias": (f"{HEAD}{ROOT}{NONE}{TRUE}labels: {{a: &a {LONG}}}\nx: &b {many('*a', 30)}\nallow: {many('*b', 30)}\n", "allow[0]"),
    "one text": (program(f'["{"é" * 520_000}"]'), ""),
    "escapes": (f'{HEAD}{ROOT}{NONE}entrypoint: {{script: "{"<x>" * 180_000}"}}\n'.replace("<x>", "\\x01"), "entrypoint.script"),
    "fits": (program(many("abc", 5000)), ""),
    "many arguments": (program(many("a", 19_500)), ""),
    "variables": (f"{HEAD}{ROOT}{NONE}entrypoint: {{executable: /x, env: {pairs('A#: b', 6000)}}}\n", ""),
    "overlay": (f"{HEAD}rootfs: {{path: ./r, overlay: {many('{path: /d#, directory: true}', 1500)}}}\n{NONE}{TRUE}", "rootfs"),
    "ports": (f"{HEAD}{ROOT}network: {{mode: tsi, ports: {many(PORT, 4096)}}}\n{TRUE}", ""),
    "more ports": (f"{HEAD}{ROOT}network: {{mode: tsi, ports: {many(PORT, 4097)}}}\n{TRUE}", "network.ports"),
    "vsock": (f"{HEAD}{ROOT}{NONE}{TRUE}vsock: {many('{port: #, socket: ./s#, listen: true}', 2500)}\n", "vsock"),
    "few sockets": (f"{HEAD}{ROOT}{NONE}{TRUE}vsock: {many('{port: #, socket: ./s#, listen: true}', 300)}\n", ""),
    "labels": (f"{HEAD}{ROOT}{NONE}{TRUE}labels: {pairs('a#: b', 65)}\n", "labels"),
    "64 labels": (f"{HEAD}{ROOT}{NONE}{TRUE}labels: {pairs('a#: b', 64)}\n", ""),
    "waivers": (f"{HEAD}{ROOT}{NONE}{TRUE}waivers: {many('{rule: a#, reason: b}', 65)}\n", "waivers"),
    "expressions": (program(f"['{EXPRESSIONS}']", "vars: {a: 1}\n"), "entrypoint.args[0]"),
    "failing expressions": (program(many("'{{ b# }}'", 9000), "vars: {a: 1}\n"), "entrypoint.args[0]"),
    "openings": (program(f"['{'{{ ' * 300_000}']"), "entrypoint.args[0]"),
    "variables for expressions": (program(many("'{{ a# }}'", 1900), f"vars: {pairs('a#: b', 7000)}\n"), ""),
    "a matrix of long plans": (f"{MATRIX}entrypoint: {{executable: /x, args: [{LONG}, '{{{{ n }}}}b']}}\n", "matrix"),
    "a matrix of expressions": (f"{MATRIX}entrypoint: {{executable: /x, args: {many(NUMBERED, 450)}}}\n", "matrix"),
    "unknown keys": (f"{HEAD}{ROOT}{NONE}{TRUE}" + "".join(f"k{i}: 1\n" for i in range(9000)), "k0"),
}  # fmt: skip


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def reads(text: str) -> bool:
    """Whether all readers take the plan TEXT; they have to agree."""
    try:
        verify(parse(text))
    except PlanRefused:
        with pytest.raises(Rejected):
            read_plan("x", text)
        return False
    read_plan("x", text)
    return True


@pytest.mark.parametrize("kind", BOXES)
def test_it_is_refused_or_can_be_read(kind: str, tmp_path: Path) -> None:
    text, key = BOXES[kind]
    (tmp_path / "x.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "krunc", "compile", "x.yaml", "--target", "2"],
        cwd=tmp_path, capture_output=True, text=True, preexec_fn=limited,
    )  # fmt: skip
    plan = tmp_path / "x.plan.json"
    if key:
        assert done.returncode == 1, done.stderr[-2000:]
        assert f"]: {key}: " in done.stderr.partition("\n")[0]
        assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]
        return
    assert done.returncode == 0, done.stderr[-2000:]
    assert reads(plan.read_text())
    shown = subprocess.run(
        [sys.executable, "-m", "krunc", "show", "x.plan.json"],
        cwd=tmp_path, capture_output=True, preexec_fn=limited,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr


def test_a_base_of_gigabytes(tmp_path: Path) -> None:
    base = f"x-s: &a {'y' * 900_000}\nentrypoint: {{executable: /x, args: {many('*a', 9000)}}}\n"
    (tmp_path / "b.yaml").write_text(base)
    (tmp_path / "x.yaml").write_text(f"extends: b.yaml\n{HEAD}{ROOT}{NONE}")
    done = subprocess.run(
        [sys.executable, "-m", "krunc", "compile", "x.yaml", "--target", "2"],
        cwd=tmp_path, capture_output=True, text=True, preexec_fn=limited,
    )  # fmt: skip
    assert done.returncode == 1
    assert "entrypoint.args: a plan of this would have 8,1" in done.stderr, done.stderr[-2000:]


IMPORTED = {
    "compose": ("services: {a: {image: b, command: MANY}}", "services.a.command"),
    "oci": ("process: {args: MANY}", "process.args"),
    "boxlite": ("entrypoint: {args: MANY}", "entrypoint.args"),
}


@pytest.mark.parametrize("tool", IMPORTED)
def test_an_import_of_gigabytes(tool: str, tmp_path: Path) -> None:
    text, key = IMPORTED[tool]
    text = f"x-s: &a {'y' * 900_000}\n{text.replace('MANY', many('*a', 9000))}\n"
    (tmp_path / "config.json").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "krunc", "import", tool, "." if tool == "oci" else "config.json"],
        cwd=tmp_path, capture_output=True, text=True, preexec_fn=limited,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"error[KR220]: {key}: a plan of this would have 8,1" in done.stderr, done.stderr[-500:]


def chain(directory: Path, number: int, keys: int) -> None:
    """NUMBER boxes, each of which extends the next."""
    for i in range(number):
        base = f"extends: b{i + 1}.yaml\n" if i + 1 < number else ""
        env = ", ".join(f"A{i}_{n}: b" for n in range(keys))
        (directory / f"b{i}.yaml").write_text(f"{base}entrypoint: {{env: {{{env}}}}}\n")


@pytest.mark.parametrize(
    ("number", "keys", "said"),
    [
        (64, 2000, "more than 20,000 values are extended"),
        (64, 100, ""),
        (65, 1, "more than 64 files are extended"),
    ],
)
def test_bases_are_bounded_together(
    number: int, keys: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chain(tmp_path, number, keys)
    (tmp_path / "x.yaml").write_text(f"extends: b0.yaml\n{HEAD}{ROOT}{NONE}{TRUE}")
    status = main(["compile", str(tmp_path / "x.yaml"), "--target", "2"])
    assert status == bool(said)
    assert said in capsys.readouterr().err


def test_the_same_long_base_often(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b.yaml").write_text(f"labels: {{a: {'y' * 300_000}}}\n")
    (tmp_path / "x.yaml").write_text(f"extends: {many('b.yaml', 4)}\n{HEAD}{ROOT}{NONE}{TRUE}")
    assert main(["compile", str(tmp_path / "x.yaml")]) == 1
    assert "more than 1,048,576 characters are extended" in capsys.readouterr().err


def test_the_limits_are_the_readers() -> None:
    limits = libkrun.table()["limits"]
    assert limits["plan_bytes"] == MAX_BYTES
    assert limits["plan_values"] == MAX_NODES


def plan(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "x.yaml").write_text(HEAD + ROOT + NONE + TRUE)
    assert main(["compile", str(tmp_path / "x.yaml")]) == 0
    value: dict[str, Any] = json.loads((tmp_path / "x.plan.json").read_text())
    return value


@pytest.mark.parametrize(
    ("key", "value", "readable"),
    [
        ("labels", {}, False),
        ("labels", {"a": "b"}, True),
        ("labels", {f"a{i}": "b" for i in range(64)}, True),
        ("labels", {f"a{i}": "b" for i in range(65)}, False),
        ("waivers", [], False),
        ("waivers", [{"rule": "a", "reason": "b"}] * 64, True),
        ("waivers", [{"rule": "a", "reason": "b"}] * 65, False),
    ],
)
def test_labels_and_waivers(key: str, value: object, readable: bool, tmp_path: Path) -> None:
    assert reads(json.dumps({**plan(tmp_path), key: value})) == readable


@pytest.mark.parametrize("more", [-1, 0, 1])
@pytest.mark.parametrize("what", ["values", "bytes"])
def test_at_the_limit(what: str, more: int, tmp_path: Path) -> None:
    value = plan(tmp_path)
    row = next(row for row in value["operations"] if row.get("call") == "krun_set_exec")
    args = row["args"]["argv"]
    if what == "values":
        args += ["a"] * (most(what) + more - count(value))
        text = json.dumps(value)
    else:
        text = json.dumps(value)
        text += " " * (most(what) + more - len(text))
    path = tmp_path / "limit.json"
    path.write_text(text)
    found = []
    for reads_it in (
        lambda: verify(parse(plan_text(str(path)))),
        lambda: read_plan(*source.read(str(path))),
    ):
        try:
            reads_it()
        except PlanRefused as refused:
            found.append("more than" in str(refused))
        except Rejected as rejected:
            found.append("more than" in rejected.findings[0].finding.message)
        else:
            found.append(False)
    assert found == [more > 0] * 2
