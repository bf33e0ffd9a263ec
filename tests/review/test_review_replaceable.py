"""What a guest can replace for the next launch is told, and opens when it comes."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.review.difference import compare
from krunc_compiler.review.summary import Review, review
from krunc_compiler.values.inputs import Inputs
from operations import sample
from reviews import call, reviewed, step

ROOT = call("krun_set_root", root_path="rootfs")
SHARE = call("krun_add_virtiofs", tag="w", path="work")
BOX: dict[str, Any] = {
    "krunc": 1, "name": "b", "rootfs": {"path": "rootfs", "read_only": True}, "network": {"mode": "none"},
    "shares": [{"tag": "w", "path": "./work", "read_only": False}], "entrypoint": {"executable": "/bin/a"},
}  # fmt: skip


def replaces(found: Review) -> list[str]:
    """What the guest can replace."""
    return [fact.text for fact in found.exposure if fact.kind == "replace"]


NAMING = [
    (kind, name, param)
    for kind, names in (("call", api.functions()), ("step", api.actions()))
    for name in sorted(names)
    for param in api.paths(kind, name)
]


@pytest.mark.parametrize(("kind", "name", "param"), NAMING, ids=lambda value: str(value)[:40])
def test_whatever_names_a_path(kind: str, name: str, param: api.Param) -> None:
    args = {one.name: sample(one.rules, "other") for one in api.params(kind, name)}
    args[param.name] = sample(param.rules, "./work//x/./y")
    row = {kind: name, "args": args, "from": "here"}
    assert "work/x/y" in "".join(replaces(reviewed(SHARE, row))).replace("//", "/").replace("/./", "/")  # fmt: skip
    assert not replaces(reviewed(call("krun_add_virtiofs3", tag="w", path="work", shm_size=0, read_only=True), row))  # fmt: skip


def secret(path: str) -> dict[str, Any]:
    """A program that gets what the file PATH holds."""
    return call("krun_set_exec", exec_path="/a", argv=[], envp={"A": {"from_file": path}})


def test_secrets_too() -> None:
    assert replaces(reviewed(SHARE, secret("work/t"))) == ["work/t, for it can write to work"]
    data = {"process": {"args": ["/a"], "env": {"A": {"from_file": "work/t"}}, "cwd": "/"}}
    row = call("krun_fs_add_overlay_file", fs_tag="/dev/root", path=".krun_config.json", data=data, mode=384, one_shot=True)  # fmt: skip
    assert replaces(reviewed(SHARE, row)) == ["work/t, for it can write to work"]


@pytest.mark.parametrize("path", ["work/a", "./work/a", "work//a", "work/./a", "x/../work/a", "work/a/b", "work/../work/a"])  # fmt: skip
def test_ways_to_write_a_path(path: str) -> None:
    (said,) = replaces(reviewed(SHARE, secret(path)))
    assert said.startswith(path)


@pytest.mark.parametrize("path", ["worker", "work", "work/..", "work/../a", "/work/a", "../work/a", "runtime:work/a"])  # fmt: skip
def test_what_lies_elsewhere(path: str) -> None:
    assert replaces(reviewed(SHARE, secret(path))) == []


@pytest.mark.parametrize(
    ("shared", "path"),
    [("/", "/a"), ("/", "a"), ("..", "a"), ("../..", "../a"), ("runtime:d", "runtime:d/a"), ("/srv/w", "/srv/w/a")],
)  # fmt: skip
def test_roots_of_all_kinds(shared: str, path: str) -> None:
    row = call("krun_add_virtiofs", tag="w", path=shared)
    assert any(said.startswith(f"{path}, ") for said in replaces(reviewed(row, secret(path))))


@pytest.mark.parametrize("path", [".", "./", "..", "../..", "a/.."])
def test_the_plan_itself(path: str) -> None:
    row = call("krun_add_virtiofs", tag="w", path=path)
    assert replaces(reviewed(row))[0] == f"this plan, for it can write to {path}"


def test_it_opens_and_narrows() -> None:
    apart, below = (reviewed(SHARE, secret(path)) for path in ("t", "work/t"))
    told = [change.text for change in compare(apart, below).of("widens")]
    assert "work/t, for it can write to work" in told
    # As the share becomes writable, too.
    closed = call("krun_add_virtiofs3", tag="w", path="work", shm_size=0, read_only=True)
    told = [
        change.text for change in compare(reviewed(closed, secret("work/t")), below).of("widens")
    ]
    assert "work/t, for it can write to work" in told
    told = [change.text for change in compare(below, apart).changes if change.kind == "replace"]
    assert told == ["removed: work/t, for it can write to work"]


def test_what_compiling_warns_of_is_told() -> None:
    """KR615 of a box and the facts of its plan name the same paths, each found in its own way."""
    box = {**BOX, "disks": [{"id": "d", "path": "work/d", "format": "raw"}], "console": {"output": "work/c"},
           "entrypoint": {"executable": "/bin/a", "env": {"T": {"from_file": "work/t"}, "U": {"from_file": "u"}}},
           "vsock": [{"port": 5, "socket": "work/s", "listen": True}]}  # fmt: skip
    target = api.target("1")
    assert target is not None
    try:
        (made,), warned = compile_all("b.yaml", json.dumps(box), Inputs(target))
    except Rejected as rejected:
        raise AssertionError(rejected.findings) from None
    assert sum(item.finding.code == "KR615" for item in warned) == 4
    found = replaces(review(read_plan("b.plan.json", made.text)))
    assert {said.split(",")[0] for said in found} == {"work/d", "work/c", "work/t", "work/s"}


def test_many_deep_paths_take_no_longer() -> None:
    deep = "a/" * 2000
    rows = [step("open_file", path=f"{deep}{i}", name=str(i)) for i in range(250)]
    start = time.process_time()
    assert len(replaces(reviewed(SHARE, *rows))) == 0
    assert len(replaces(reviewed(call("krun_add_virtiofs", tag="w", path="a"), *rows))) == 250
    assert time.process_time() - start < 10
