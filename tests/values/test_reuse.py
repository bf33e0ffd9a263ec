"""Variables with types, extends, matrix, and the effective box."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from krunc_compiler import libkrun as api
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.findings.report import report
from krunc_compiler.pipeline.compiling import compile_all, compile_box
from krunc_compiler.pipeline.effective import effective
from krunc_compiler.values.inputs import Inputs

MINIMAL = """\
krunc: 1
name: good
rootfs: {path: ./rootfs}
network: {mode: tsi}
entrypoint: {executable: /bin/true}
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def inputs(**given: Any) -> Inputs:
    """Inputs for family 1."""
    target = api.target("1")
    assert target is not None
    return Inputs(target, **given)


def refusal(text: str, **given: Any) -> str:
    """What krunc says about a box that is wrong."""
    with pytest.raises(Rejected) as caught:
        compile_all("box.yaml", text, inputs(**given))
    return report(caught.value.findings)


def understood(base: str, over: str) -> dict[str, Any]:
    """The effective box of OVER, which extends BASE."""
    Path("base.yaml").write_text(base)
    return dict(yaml.safe_load(effective("box.yaml", f"extends: base.yaml\n{over}", inputs())))


# What the base says, what the box says over it, the key to look at, and what it is then.
MERGES: list[tuple[str, str, str, Any]] = [
    (
        "machine: {cpus: 2, memory: 1GiB}",
        "machine: {cpus: 3}",
        "machine",
        {"cpus": 3, "memory": "1GiB"},
    ),
    ("machine: {cpus: 2}", "machine: {cpus: null}", "machine", {"cpus": 4, "memory": "4GiB"}),
    ("disks: [{id: a, path: a, format: raw}]", "disks: null", "disks", []),
    (
        "disks: [{id: a, path: a, format: raw}, {id: b, path: b, format: raw}]",
        "disks: [{id: c, path: c, format: raw}, {id: a, format: qcow2}]",
        "disks",
        [
            {"id": "a", "path": "a", "format": "qcow2", "read_only": False},
            {"id": "b", "path": "b", "format": "raw", "read_only": False},
            {"id": "c", "path": "c", "format": "raw", "read_only": False},
        ],
    ),
    (
        "shares: [{tag: a, path: /a}]",
        "shares: [{tag: a, read_only: false}, {tag: b, path: b}]",
        "shares",
        [
            {"tag": "a", "path": "/a", "read_only": False},
            {"tag": "b", "path": "b", "read_only": True},
        ],
    ),
    (
        "vsock: [{port: 5, socket: 'runtime:a', listen: true}]",
        "vsock: [{port: 5, listen: false}]",
        "vsock",
        [{"port": 5, "socket": "runtime:a", "listen": False}],
    ),
    (
        "limits: {core: 1, cpu: 2}",
        "limits: {core: 3}",
        "limits",
        {"core": 3, "cpu": 2, "nproc": "4096:8192", "nofile": 1048576},
    ),
    (
        "network: {mode: tsi, ports: ['1:1', '2:2']}",
        "network: {ports: ['3:3']}",
        "network",
        {"mode": "tsi", "ports": ["3:3"]},
    ),
    ("network: {mode: tsi, ports: ['1:1']}", "network: {mode: none}", "network", {"mode": "none"}),
    (
        "entrypoint: {executable: /bin/a, args: [b]}",
        "entrypoint: {script: echo, args: [c]}",
        "entrypoint",
        {"script": "echo", "args": ["c"]},
    ),
    (
        "rootfs: {path: r, overlay: [{path: /a, text: a}, {path: /b, text: b}]}",
        "rootfs: {overlay: [{path: /b, file: ./c, mode: '0600'}]}",
        "rootfs",
        {
            "path": "r",
            "overlay": [
                {"path": "/a", "text": "a"},
                {"path": "/b", "file": "./c", "mode": "0600"},
            ],
        },
    ),
    (
        "network: {mode: unixgram, socket: ./a.sock}",
        "network: {fd: 3, vfkit: false}",
        "network",
        {"mode": "unixgram", "fd": 3, "vfkit": False},
    ),
    (
        "rootfs: {path: ./x}",
        "rootfs: {disk: a}\ndisks: [{id: a, path: a, format: raw}]",
        "rootfs",
        {"disk": "a", "fstype": "ext4"},
    ),
]


def without_defaults(found: Any, wanted: Any) -> Any:
    """FOUND with only the keys that WANTED names."""
    if isinstance(found, list):
        return [without_defaults(*pair) for pair in zip(found, wanted, strict=True)]
    if isinstance(found, dict) and isinstance(wanted, dict):
        return {
            key: without_defaults(item, wanted[key]) for key, item in found.items() if key in wanted
        }
    return found


@pytest.mark.parametrize(("base", "over", "key", "value"), MERGES)
def test_extends_merges(base: str, over: str, key: str, value: Any) -> None:
    used = {line.split(":")[0] for line in f"{base}\n{over}".splitlines()}
    rest = [line for line in MINIMAL.splitlines() if line.split(":")[0] not in used]
    found = understood("\n".join([*rest, base]), over)[key]
    assert without_defaults(found, value) == value


def test_later_bases_change_earlier_ones() -> None:
    Path("a.yaml").write_text(MINIMAL + "machine: {cpus: 1, memory: 1GiB}\n")
    Path("b.yaml").write_text("machine: {cpus: 2}\n")
    plan = compile_box("box.yaml", "extends: [a.yaml, b.yaml]\nname: other\n", inputs())
    (config,) = (row["args"] for row in plan.operations if row.get("call") == "krun_set_vm_config")
    assert (plan.box, config) == ("other", {"num_vcpus": 2, "ram_mib": 1024})


def test_paths_of_a_base_start_at_its_directory() -> None:
    Path("lib/deep").mkdir(parents=True)
    Path("lib/deep/root.yaml").write_text(
        "rootfs: {path: ./rootfs}\nshares: [{tag: a, path: '../{{ dir }}'}]\n"
    )
    Path("lib/base.yaml").write_text(
        "extends: deep/root.yaml\nvars: {dir: d}\nconsole: {output: log}\n"
    )
    Path("box.yaml").write_text(
        "extends: lib/base.yaml\nkrunc: 1\nname: x\nnetwork: {mode: tsi}\n"
        "entrypoint: {executable: /x}\nvsock: [{port: 5, socket: s, listen: true}]\n"
    )
    plan = compile_box("box.yaml", Path("box.yaml").read_text(), inputs())
    args = {row["call"]: row.get("args", {}) for row in plan.operations if "call" in row}
    assert args["krun_set_root"]["root_path"] == "lib/deep/rootfs"
    assert args["krun_add_virtiofs3"]["path"] == "lib/d"
    assert args["krun_set_console_output"]["filepath"] == "lib/log"
    assert args["krun_add_vsock_port2"]["filepath"] == "s"
    Path("plans").mkdir()
    assert main(["compile", "box.yaml", "-o", "plans"]) == 0
    assert '"root_path": "../lib/deep/rootfs"' in Path("plans/box.plan.json").read_text()


def test_a_finding_points_into_the_file_that_says_it() -> None:
    Path("base.yaml").write_text(MINIMAL + "machine:\n  cpus: 300\n")
    said = refusal("extends: base.yaml\nmachine: {memory: '{{ gib }}GiB'}\n")
    assert (
        "base.yaml:7:9: error[KR104]: machine.cpus: 300 is above the maximum of 255\n    7 |   cpus: 300\n"
        in said
    )
    assert (
        "box.yaml:2:23: error[KR020]: machine.memory: the expression fails: 'gib' is undefined"
        in said
    )


EXTENDS = {
    "itself": (
        "extends: box.yaml",
        "box.yaml:1:10: error[KR023]: extends: box.yaml extends this box again",
    ),
    "around": (
        "extends: around.yaml",
        "around.yaml:1:11: error[KR023]: extends[0]: ./box.yaml extends this box again: box.yaml -> around.yaml -> box.yaml",
    ),
    "missing": (
        "extends: [missing.yaml]",
        "box.yaml:1:11: error[KR023]: extends[0]: missing.yaml: the file cannot be read: no such file",
    ),
    "a device": (
        "extends: /dev/zero",
        "/dev/zero: the file cannot be read: it is a device, not a regular file",
    ),
    "a directory": ("extends: .", "the file cannot be read: is a directory"),
    "no name": (
        'extends: "a\\0b"',
        "error[KR023]: extends: a\\x00b: the file cannot be read: no file can have such a name",
    ),
    "dash": ("extends: '-'", "extends: -: the file cannot be read: no such file"),
    "an expression": ('extends: "{{ x }}"', "extends takes no expressions"),
    "a broken base": (
        "extends: broken.yaml",
        "broken.yaml: the file is wrong in line 2, column 1, and not a box",
    ),
    "a number": ("extends: 1", "error[KR103]: extends: 1 is an integer, not a string or a list"),
    "many": ("extends: many0.yaml", "error[KR023]"),
}


@pytest.mark.parametrize(("text", "message"), EXTENDS.values(), ids=EXTENDS)
def test_extends_refused(text: str, message: str) -> None:
    Path("around.yaml").write_text("extends: [./box.yaml]\n")
    Path("broken.yaml").write_text("a: [\n")
    for i in range(12):
        Path(f"many{i}.yaml").write_text(f"extends: [many{i + 1}.yaml, many{i + 1}.yaml]\n")
    Path("many12.yaml").write_text(MINIMAL)
    assert message in refusal(text + "\n" + MINIMAL)


def names(text: str, **given: Any) -> list[str]:
    """The names of the boxes that TEXT makes."""
    results, _ = compile_all("box.yaml", text, inputs(**given))
    return [result.plan.box for result in results]


def matrix(matrix: str, name: str = "'b-{{ n }}'") -> str:
    """A box with a MATRIX."""
    return MINIMAL.replace("name: good", f"name: {name}") + f"matrix: {matrix}\n"


MATRICES = {
    "a list": ("{n: [x, y]}", "'b-{{ n }}'", ["b-x", "b-y"]),
    "a range": ("{n: {from: 2, to: 4}}", "'b-{{ n }}'", ["b-2", "b-3", "b-4"]),
    "every combination": ("{n: [1, 2], k: [a, b]}", "'{{ k }}{{ n }}'", ["a1", "b1", "a2", "b2"]),
    "rows": ("[{n: 1, k: a}, {n: 2, k: b}]", "'{{ k }}{{ n }}'", ["a1", "b2"]),
    "one box": ("{n: [1]}", "'b-{{ n }}'", ["b-1"]),
}


@pytest.mark.parametrize(("rows", "name", "boxes"), MATRICES.values(), ids=MATRICES)
def test_matrix(rows: str, name: str, boxes: list[str]) -> None:
    assert names(matrix(rows, name)) == boxes


def test_a_fleet_of_500_boxes_is_one_file() -> None:
    text = matrix("{n: {from: 1, to: 500}}") + 'shares: [{tag: "t{{ n }}", path: "./s{{ n }}"}]\n'
    text = text.replace("{mode: tsi}", '{mode: tsi, ports: ["{{ 8000 + n }}:80"]}')
    results, warnings = compile_all("box.yaml", text, inputs())
    ports = {
        row["args"]["port_map"][0]
        for result in results
        for row in result.plan.operations
        if row.get("call") == "krun_set_port_map"
    }
    assert (len(results), len(ports), warnings) == (500, 500, [])


BAD_MATRICES = {
    "one name": (
        matrix("{n: [1, 2]}", "same"),
        "error[KR024]: name: two boxes of the matrix have the name 'same'",
    ),
    "too many": (matrix("{n: {from: 1, to: 1000000000}}"), "this makes more than 1,000 boxes"),
    "too many combinations": (
        matrix("{n: {from: 1, to: 999}, m: {from: 1, to: 999}}"),
        "this makes more than 1,000 boxes",
    ),
    "declared twice": (
        matrix("{n: [1]}") + "vars: {n: 1}\n",
        "error[KR024]: matrix.n: 'n' is a variable under vars too",
    ),
    "empty": (matrix("{n: []}"), "error[KR104]: matrix.n: this is empty"),
    "no values": (matrix("{n: [[1]]}"), "error[KR103]: matrix.n[0]: [1] is a list"),
    "a word": (matrix("all"), 'error[KR103]: matrix: "all" is a string, not a mapping or a list'),
}


@pytest.mark.parametrize(("text", "message"), BAD_MATRICES.values(), ids=BAD_MATRICES)
def test_matrix_refused(text: str, message: str) -> None:
    assert message in refusal(text)


def test_what_is_wrong_with_many_boxes_is_said_once() -> None:
    said = refusal(matrix("{n: {from: 1, to: 99}}") + "machine: {cpus: '{{ n + 300 }}'}\n")
    assert said.count("error[KR104]") == 1
    assert "301 is above the maximum of 255 (in the box b-1 and alike in 98 more)" in said


def test_a_matrix_of_boxes_that_are_too_large_together() -> None:
    words = ", ".join("a" * 1_000)
    text = matrix("{n: {from: 1, to: 1000}}").replace("/bin/true", f"/x, args: [{words}]")
    assert "error[KR024]: matrix: 1,000 boxes of 1,0" in refusal(text)


def test_plans_of_a_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    Path("fleet.yaml").write_text(matrix("{n: [1, 2]}"))
    assert main(["compile", "fleet.yaml"]) == 0
    assert sorted(path.name for path in Path().glob("*.json")) == ["b-1.plan.json", "b-2.plan.json"]
    assert main(["compile", "--check", "fleet.yaml"]) == 0
    Path("b-2.plan.json").unlink()
    capsys.readouterr()
    assert main(["compile", "--check", "fleet.yaml"]) == 1
    assert "b-2.plan.json: error[KR301]" in capsys.readouterr().err
    for output in ("-", "one.plan.json"):
        assert main(["compile", "fleet.yaml", "-o", output]) == 2
        assert "choose one with --box" in capsys.readouterr().err
        assert main(["compile", "fleet.yaml", "-o", output, "--box", "b-2"]) == 0
    capsys.readouterr()
    assert main(["show", "fleet.yaml"]) == 2
    assert "fleet.yaml makes 2 boxes; choose one with --box: b-1, b-2" in capsys.readouterr().err
    assert main(["show", "fleet.yaml", "--box", "b-1"]) == 0
    assert main(["compile", "fleet.yaml", "--box", "b-3"]) == 2
    assert "it has b-1, b-2" in capsys.readouterr().err


VARIABLES = {
    "not given": (
        "{n: {type: integer}}",
        (),
        "error[KR022]: vars.n: the variable 'n' has no default and was given no value",
    ),
    "values to choose from": ("{n: {type: string, enum: [a, b]}}", (), "--set n=VALUE (a, b)"),
    "not one of them": (
        "{n: {type: string, enum: [a, b]}}",
        (("n", "c"),),
        "--set n=c: error[KR021]: the variable 'n': \"c\" is not allowed here",
    ),
    "below": (
        "{n: {type: integer, default: 5, minimum: 2, maximum: 9}}",
        (("n", "1"),),
        "1 is below the minimum of 2\n    = help: write 2 to 9",
    ),
    "no whole number": (
        "{n: {type: integer, default: 5}}",
        (("n", "1.5"),),
        "1.5 is a number, not an integer",
    ),
    "a bad default": (
        "{n: {type: integer, default: x}}",
        (),
        'error[KR022]: vars.n.default: "x" is a string, not an integer',
    ),
    "a default out of range": (
        "{n: {type: number, default: 5, maximum: 1}}",
        (),
        "error[KR022]: vars.n.default: 5 is above the maximum of 1",
    ),
    "an unknown type": (
        "{n: {type: int, default: 5}}",
        (),
        'error[KR105]: vars.n.type: "int" is not allowed here',
    ),
    "an unknown key": (
        "{n: {type: integer, default: 5, min: 2}}",
        (),
        "error[KR101]: vars.n.min: the key 'min' is not known",
    ),
    "no number": (
        "{n: 1}",
        (("n", ".inf"),),
        "--set n=.inf: error[KR021]: .inf is not a finite number",
    ),
}


@pytest.mark.parametrize(("declared", "settings", "message"), VARIABLES.values(), ids=VARIABLES)
def test_variables_refused(
    declared: str, settings: tuple[tuple[str, str], ...], message: str
) -> None:
    text = MINIMAL.replace("/bin/true}", "/bin/true, args: ['{{ n }}']}") + f"vars: {declared}\n"
    said = refusal(text, settings=settings)
    assert message in said
    assert "is undefined" not in said, "one mistake is one finding"


def test_variables_of_a_file_are_found_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("box.yaml").write_text(MINIMAL + "vars: {port: {type: integer}, word: x}\n")
    Path("values.yaml").write_text("word: y\nport: many\nprot: 1\n")
    assert main(["compile", "box.yaml", "--vars", "values.yaml"]) == 1
    said = capsys.readouterr().err
    assert "values.yaml:2:7: error[KR021]: the variable 'port': \"many\" is a string" in said
    assert "values.yaml:3:1: error[KR021]: the box declares no variable 'prot'" in said


EXPRESSIONS = {
    "the name": ("'a-{{ port }}-{{ prot }}'", "prot"),
    "the second expression": ("'{{ port }}{{ port // 0 }}'", "{{ port // 0 }}"),
    "in double quotes with escapes": ('"\\t{{ port }} {{ nope.x }}"', "nope"),
    "not closed": ("'x {{ port'", "{{ port"),
    "a method": ("'{{ port.bit_length() }}'", "{{ port.bit_length() }}"),
}


@pytest.mark.parametrize(("value", "marked"), EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_an_expression_that_fails_is_marked(value: str, marked: str) -> None:
    text = MINIMAL.replace("entrypoint", "vars: {port: 1}\nentrypoint")
    said = refusal(text.replace("/bin/true}", f"/x, args: [{value}]}}"))
    line, marks = re.findall(r"(?m)^ +6? \| (.*)$", said)
    start = line.index(marked)
    assert f"box.yaml:6:{start + 1}: error[KR020]: entrypoint.args[0]: the expression" in said
    assert marks == " " * start + "^" * len(marked)


def test_an_expression_in_a_block_of_text() -> None:
    said = refusal(
        MINIMAL.replace("{executable: /bin/true}", "\n  executable: |\n    /bin\n    /{{ nope }}\n")
    )
    assert "box.yaml:8:9: error[KR020]" in said


HOSTILE = [
    "'x' * 10 ** 9", "'x'.ljust(10 ** 9)", "9 ** 9 ** 9", "[1] * 10 ** 9", "(['x' * 99999] * 99999) | string",
    "('x' * 99999) | join('y' * 99999)", "('x' * 99999) | replace('x', 'y' * 99999)", "[1] | batch(10 ** 9, 0) | list",
    "''.__class__", "range(10 ** 9)", "self", "cycler", "(" * 400 + ")" * 400, "1e308 * 10", "1e308 * 10 - 1e308 * 10",
    "[nope]", "x ~ " * 300 + "1", "[1] | map('upper')", "{1: 2}", "''.join", "lipsum()", "'%99999999d' % 1", "0 | round(10 ** 9)",
]  # fmt: skip


@pytest.mark.parametrize("expression", HOSTILE, ids=lambda text: text[:30])
def test_hostile_expressions_are_refused(expression: str) -> None:
    text = json.dumps({**yaml.safe_load(MINIMAL), "name": f"{{{{ {expression} }}}}"})
    assert "error[KR" in refusal(text)


def test_the_effective_box_compiles_to_the_same_calls() -> None:
    Path("lib").mkdir()
    Path("lib/base.yaml").write_text(
        MINIMAL + "vars: {n: {type: integer, default: 2}}\nmachine: {cpus: '{{ n }}'}\n"
        "shares: [{tag: a, path: ./a}]\n"
    )
    box = "extends: lib/base.yaml\nentrypoint: {args: ['yes', '1', 'a b', '']}\n"
    shown = effective("box.yaml", box, inputs(settings=(("n", "3"),)))
    assert shown.startswith(
        "# variables:\n#   n: 3                                          # --set\nkrunc: 1 "
    )
    lines = {
        line.split("#")[0].strip(): line.split("# ", 1)[1]
        for line in shown.splitlines()
        if "  # " in line
    }
    assert lines["cpus: 3"] == "lib/base.yaml:7, from {{ n }}"
    assert lines['memory: "4GiB"'] == "default"
    assert lines["path: lib/rootfs"] == "lib/base.yaml:3"
    assert lines['- "1"'] == "box.yaml:2"
    again = compile_box("again.yaml", shown, inputs())
    first = compile_box("box.yaml", box, inputs(settings=(("n", "3"),)))
    strip = [{key: row[key] for key in row if key != "from"} for row in first.operations]
    assert strip == [{key: row[key] for key in row if key != "from"} for row in again.operations]


def test_the_effective_box_says_where_variables_come_from(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("base.yaml").write_text("vars:\n  a: {type: integer, default: 1}\n  b: 2\n  c: 3\n")
    box = MINIMAL.replace("good", "box-{{ n }}") + "vars: {d: 4}\nmatrix: {n: [5]}\n"
    Path("box.yaml").write_text(f"extends: base.yaml\n{box}")
    Path("values.yaml").write_text("# some\nb: 6\n")
    assert main(["show", "--effective", "box.yaml", "--vars", "values.yaml", "--set", "c=7"]) == 0
    head = [line.split() for line in capsys.readouterr().out.splitlines()[:6]]
    assert [row[1:] for row in head] == [
        ["variables:"],
        ["a:", "1", "#", "base.yaml:2"],
        ["b:", "6", "#", "values.yaml:2"],
        ["c:", "7", "#", "--set"],
        ["d:", "4", "#", "box.yaml:7"],
        ["n:", "5", "#", "matrix"],
    ]


def test_every_kind_of_host_path_of_a_base_starts_at_its_directory() -> None:
    Path("lib").mkdir()
    Path("lib/base.yaml").write_text(
        """\
boot: {kernel: {path: k, format: elf, initramfs: ./i}, init: ./init}
rootfs: {path: r, overlay: [{path: /a, file: f}, {path: /b, file: runtime:g}]}
network: {mode: devices, devices: [{mode: unixgram, socket: n}, {mode: tap, device: tap0, mac: "02:00:00:00:00:01"}]}
console: {devices: [{type: virtio, output: {file: o}}]}
"""
    )
    box = "extends: lib/base.yaml\nkrunc: 1\nname: a\nentrypoint: {executable: /x}\n"
    value = yaml.safe_load(effective("box.yaml", box, inputs()))
    assert (value["boot"]["kernel"]["path"], value["boot"]["kernel"]["initramfs"]) == (
        "lib/k",
        "lib/i",
    )
    assert value["boot"]["init"] == "lib/init"
    assert value["rootfs"]["path"] == "lib/r"
    assert [item["file"] for item in value["rootfs"]["overlay"]] == ["lib/f", "runtime:g"]
    assert value["network"]["devices"][0]["socket"] == "lib/n"
    assert value["network"]["devices"][1]["device"] == "tap0"
    assert value["console"]["devices"][0]["output"] == {"file": "lib/o"}


def test_show_effective(capsys: pytest.CaptureFixture[str]) -> None:
    text = MINIMAL.replace("good", "box-{{ n }}") + "matrix: {n: [1, 2]}\n"
    Path("box.yaml").write_text(text)
    assert main(["show", "--effective", "box.yaml"]) == 0
    out = capsys.readouterr().out
    assert [value["name"] for value in yaml.safe_load_all(out)] == ["box-1", "box-2"]
    assert main(["show", "--effective", "--box", "box-2", "box.yaml"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["name"] == "box-2"
    assert main(["show", "--effective", "--format", "json", "box.yaml"]) == 2
    assert main(["compile", "--box", "box-1", "box.yaml", "-o", "a.plan.json"]) == 0
    capsys.readouterr()
    assert main(["show", "--effective", "a.plan.json"]) == 2
    assert capsys.readouterr().err.endswith("a.plan.json is a plan\n")
