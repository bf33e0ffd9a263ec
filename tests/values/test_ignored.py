"""Keys at the top of a box that start with x- are a place for anchors, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.pipeline.effective import effective
from krunc_compiler.shape.misfits import validator
from krunc_compiler.values.inputs import Inputs
from krunc_compiler.values.kind import kind
from krunc_schema import load

PLAIN = """\
krunc: 1
name: good
vars: {n: 3}
machine: {cpus: 2}
rootfs: {path: ./rootfs}
network: {mode: none}
entrypoint: {executable: /bin/true, env: {LOG: info, N: "n{{ n }}"}}
"""
# Ways to write the same.
WAYS = {
    "a map": "x-env: &env {LOG: info, N: 'n{{ n }}'}\n" + PLAIN.replace('{LOG: info, N: "n{{ n }}"}', "*env"),
    "a merge": "x-env: &env {LOG: info, N: 'n{{ n }}'}\n" + PLAIN.replace('{LOG: info, N: "n{{ n }}"}', "{<<: *env}"),
    "a scalar": "x-n: &n 2\n" + PLAIN.replace("cpus: 2", "cpus: *n"),
    "a list": 'x-all: [&a "n{{ n }}", &b {cpus: 2}]\n' + PLAIN.replace('"n{{ n }}"', "*a").replace("{cpus: 2}", "*b"),
    "in quotes": PLAIN.replace("krunc: 1", "krunc: 1\n\"x-a\": 1\n'x-b': 2"),
    "escaped": PLAIN.replace("krunc: 1", 'krunc: 1\n"\\x78-a": 1'),
    "null": PLAIN + "x-:\n",
    "what is no expression": PLAIN + "x-a: '{{ missing }}'\nx-b: ['{{', '{{ 1 + }}', {c: '{{ n | no_filter }}'}]\n",
    "known names": PLAIN + "x-machine: {cpus: 400}\nx-allow: 7\nx-extends: gone.yaml\nx-matrix: {n: [1, 2]}\n",
    "a merge at the top": "x-all: &all {x-b: 1, machine: {cpus: 2}}\n" + PLAIN.replace("machine: {cpus: 2}", "<<: *all"),
}  # fmt: skip


def inputs() -> Inputs:
    """Inputs for family 1."""
    target = api.target("1")
    assert target is not None
    return Inputs(target)


def made(text: str) -> list[str]:
    """The plans of the boxes in TEXT."""
    results, warned = compile_all("box.yaml", text, inputs())
    assert not warned
    return [result.text for result in results]


@pytest.mark.parametrize("way", WAYS)
def test_the_plan_is_the_same(way: str) -> None:
    assert made(WAYS[way]) == made(PLAIN)
    assert "x-" not in effective("box.yaml", WAYS[way], inputs())
    assert kind("box.yaml", WAYS[way].encode()).kind == "box"


def test_in_json() -> None:
    value = {
        "krunc": 1, "name": "a", "x-a": {"b": ["{{"]}, "rootfs": {"path": "./r"},
        "network": {"mode": "none"}, "entrypoint": {"executable": "/bin/a"},
    }  # fmt: skip
    assert made(json.dumps(value)) == made(json.dumps({k: v for k, v in value.items() if k != "x-a"}))  # fmt: skip
    assert validator(load("box.schema")).is_valid(value)


def test_of_a_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file has its own, whatever they hold: nothing of them is merged."""
    monkeypatch.chdir(tmp_path)
    Path("base.yaml").write_text("x-a: &a {cpus: 2}\nmachine: *a\nx-b: [1]\n" + PLAIN.replace("machine: {cpus: 2}\n", ""))  # fmt: skip
    over = "extends: base.yaml\nx-a: no map\nx-b: null\nlabels: {a: b}\n"
    assert made(over) == made(PLAIN + "labels: {a: b}\n")
    Path("box.yaml").write_text(over)
    assert kind("box.yaml", over.encode()).kind == "box"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PLAIN.replace("{cpus: 2}", "{cpus: 2, x-a: 1}"), "machine.x-a: the key 'x-a' is not known"),
        (PLAIN.replace("{n: 3}", "{n: 3, x-a: 1}"), "x-a"),
        (PLAIN + "X-a: 1\n", "the key 'X-a' is not known"),
        (PLAIN + "x: 1\n", "the key 'x' is not known"),
        (PLAIN + "x_a: 1\n", "the key 'x_a' is not known"),
        (PLAIN + "x-a: 1\nx-a: 2\n", "duplicate key"),
        (PLAIN + "x-a: {b: 1, b: 2}\n", "duplicate key"),
        (PLAIN + "x-a: !!python/object a\n", "tag"),
        (PLAIN + "x-a: .nan\n", "nan"),
        (PLAIN + "".join(f"x-{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9) if i else 1}]\n" for i in range(9)), "more than 20,000 values"),
    ],
    ids=lambda text: text[-30:],
)  # fmt: skip
def test_what_is_wrong_stays_wrong(text: str, said: str) -> None:
    with pytest.raises(Rejected) as caught:
        compile_all("box.yaml", text, inputs())
    told = [".".join(map(str, one.finding.path)) + ": " + one.finding.message for one in caught.value.findings]  # fmt: skip
    assert any(said in one for one in told), told


def test_a_file_of_nothing_else_is_no_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text("x-krunc: 1\n")
    assert kind("a.yaml", b"x-krunc: 1\n").kind == "neither"
    assert main(["check", "."]) == 2
    assert "skipped 1 file (a.yaml)" in capsys.readouterr().err
