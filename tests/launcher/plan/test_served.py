"""A passt serves one network device of the plan, and nothing else gets its socket."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from refusals import refusals

BOX = """\
krunc: 1
name: a
rootfs: {path: ./r}
network: {mode: passt, ports: ["8080:80"]}
entrypoint: {executable: /bin/true}
"""


@pytest.fixture
def plan(tmp_path: Path) -> dict[str, Any]:
    """A plan with a passt."""
    (tmp_path / "a.yaml").write_text(BOX)
    assert main(["compile", str(tmp_path / "a.yaml")]) == 0
    found: dict[str, Any] = json.loads((tmp_path / "a.plan.json").read_text())
    assert refusals(found) == []
    return found


def places(plan: dict[str, Any]) -> tuple[int, int]:
    """Where the step stands, and the call that it serves."""
    names = [row.get("step") or row.get("call") for row in plan["operations"]]
    return names.index("start_passt"), names.index("krun_add_net_unixstream")


ONE = 'one krun_add_net_unixstream, and no other call, needs "passt" (network)'


def test_it_serves_a_device(plan: dict[str, Any]) -> None:
    _, call = places(plan)
    plan["operations"][call]["args"]["fd"] = 7
    assert refusals(plan) == [ONE]


def test_nothing_else_has_its_socket(plan: dict[str, Any]) -> None:
    _, call = places(plan)
    rows = plan["operations"]
    port = {"console_id": 0, "name": None, "input_fd": {"opened": "passt"}, "output_fd": "none"}
    console = {"call": "krun_add_console_port_inout", "args": port, "from": "console"}
    assert ONE in refusals({**plan, "operations": [*rows[: call + 1], console, *rows[call + 1 :]]})
    other = {**rows[call], "args": {**rows[call]["args"], "mac": "02:00:00:00:00:01"}}
    assert ONE in refusals({**plan, "operations": [*rows[: call + 1], other, *rows[call + 1 :]]})


def test_it_is_started_once_and_before(plan: dict[str, Any]) -> None:
    step, call = places(plan)
    rows = plan["operations"]
    second = {**rows[step], "args": {**rows[step]["args"], "name": "second"}}
    found = refusals({**plan, "operations": [*rows[:step], second, *rows[step:]]})
    assert "start_passt is allowed only once (network)" in found
    moved = [*rows[:step], rows[call], rows[step], *rows[call + 1 :]]
    assert 'no open_file before it opens "passt" (network)' in refusals(
        {**plan, "operations": moved}
    )
    assert 'no open_file before it opens "passt" (network)' in refusals(
        {**plan, "operations": [*rows[:step], *rows[step + 1 :]]}
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("tcp_ports", ["127.0.0.1:80:1", "0.0.0.0:80:2"], "port 80 is in an earlier one"),
        ("tcp_ports", ["127.0.0.1:80:1"] * 1001, "found 1001 items; at most 1000"),
        ("udp_ports", [80], "found 80; allowed: ADDRESS:HOST:GUEST"),
        ("udp_ports", ["none"], "allowed: ADDRESS:HOST:GUEST"),
        ("address", "--help", "allowed: an IPv4 address"),
        ("gateway", None, "allowed: an IPv4 address"),
        ("prefix", 31, "allowed: 1 to 30 bits"),
        ("host_loopback", "no", "allowed: true, false"),
        ("program", "", "allowed: 1 to 4095"),
        ("pcap", "/etc/passwd", "the key \"pcap\" is not known"),
    ],
)  # fmt: skip
def test_its_arguments(name: str, value: object, said: str, plan: dict[str, Any]) -> None:
    plan["operations"][places(plan)[0]]["args"][name] = value
    found = refusals(plan)
    assert any(said in one for one in found), found
