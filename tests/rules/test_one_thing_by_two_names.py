"""Two names of one thing: what is the same to the system, or to programs in the guest, is refused as
if it were written alike."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.__main__ import main
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.pipeline.compiling import compile_all
from krunc_compiler.values.inputs import Inputs
from recorder.fixtures import LAUNCHER

BOX = {
    "krunc": 1, "name": "good", "rootfs": {"path": "./rootfs"}, "network": {"mode": "none"},
    "entrypoint": {"executable": "/bin/true"},
}  # fmt: skip


def refused(**keys: object) -> list[tuple[str, str]]:
    """The codes and keys of the errors of a box with KEYS."""
    try:
        compile_all("box.yaml", json.dumps({**BOX, **keys}), Inputs(api.target("2")))
    except Rejected as rejected:
        errors = [item.finding for item in rejected.findings if not item.finding.warning]
        return [(one.code, ".".join(map(str, one.path))) for one in errors]
    return []


def sockets(*paths: str) -> list[dict[str, object]]:
    return [{"port": 1024 + i, "socket": path, "listen": True} for i, path in enumerate(paths)]


ONE_SOCKET = [
    ("./s", "s"), ("./s", "././s"), ("s", "a/../s"), ("/run/s", "/var/run/s"), ("/a//s", "/a/s"),
    ("//a/s", "/a/s"), ("/a/./b/../s", "/a/s"), ("runtime:s", "runtime:s"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), ONE_SOCKET)
def test_a_socket_by_two_paths(one: str, other: str) -> None:
    assert refused(vsock=sockets(one, other)) == [("KR201", "vsock.1.socket")]
    assert refused(vsock=sockets(other, one)) == [("KR201", "vsock.1.socket")]


@pytest.mark.parametrize("other", ["./t", "./S", "/s", "runtime:s", "./s/s", "../s"])
def test_other_sockets(other: str) -> None:
    assert refused(vsock=sockets("./s", other)) == []


@pytest.mark.parametrize("path", ["./one.sock", "x/../one.sock", "one.sock"])
def test_a_plan_with_a_socket_by_two_paths(path: str, tmp_path: Path) -> None:
    """The launcher holds that of each plan, however it was made."""
    (tmp_path / "a.yaml").write_text(
        json.dumps({**BOX, "vsock": sockets("./one.sock", "./two.sock")})
    )
    assert main(["compile", str(tmp_path / "a.yaml"), "--target", "2"]) == 0
    plan = tmp_path / "a.plan.json"
    text = plan.read_text()
    assert '"two.sock"' in text
    plan.write_text(text.replace('"two.sock"', json.dumps(path)))
    done = subprocess.run(
        [*LAUNCHER, "--dry-run", str(plan)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert f'the vsock socket path "{path}" is that of operations[' in done.stderr


@pytest.mark.parametrize(
    ("hosts", "found"),
    [
        (["a", "A"], ["hosts.A"]),
        (["Db.Example", "db.example"], ["hosts.db.example"]),
        (["aa", "aA", "AA", "b"], ["hosts.aA", "hosts.AA"]),
        (["a", "b", "a.b", "a-b", "a_b"], []),
    ],
)
def test_a_host_by_two_names(hosts: list[str], found: list[str]) -> None:
    """Programs find the first in /etc/hosts, and no other."""
    given = {name: f"10.0.0.{i}" for i, name in enumerate(hosts)}
    assert refused(hosts=given) == [("KR201", key) for key in found]
