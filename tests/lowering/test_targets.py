"""What each libkrun gets: the oldest calls that say exactly what the box says, or an error."""

from __future__ import annotations

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Rejected, dotted
from krunc_compiler.pipeline.compiling import compile_box
from krunc_compiler.values.inputs import Inputs
from places import ROOT

BOX = """\
krunc: 1
name: box
rootfs: {path: /r}
network: {mode: tsi}
entrypoint: {executable: /bin/a}
"""


def calls(text: str, target: str) -> list[str]:
    """The operations of a box: calls by name, implicit things in brackets."""
    chosen = api.target(target)
    assert chosen is not None
    rows = compile_box("box.yaml", text, Inputs(chosen)).operations
    return [row.get("call") or f"[{row['implicit']}]" for row in rows if "step" not in row]


HEAD = ["krun_init_log", "krun_create_ctx", "krun_set_vm_config"]
IMPLICIT = ["[balloon]", "[rng]", "[init]", "[kernel]"]


@pytest.mark.parametrize(
    ("network", "target", "middle", "implicit"),
    [
        ("{mode: tsi}", "1", ["krun_set_port_map"], ["[console_on_stdio]", "[vsock_with_tsi]"]),
        (
            "{mode: tsi, ports: all}",
            "1",
            [],
            ["[console_on_stdio]", "[vsock_with_tsi]", "[all_guest_ports_published]"],
        ),
        (
            "{mode: none}",
            "1",
            ["krun_disable_implicit_vsock"],
            ["[console_on_stdio]", "[no_network]"],
        ),
        (
            "{mode: unixstream, socket: /s}",
            "1",
            ["krun_add_net_unixstream"],
            ["[console_on_stdio]"],
        ),
        ("{mode: unixgram, socket: /s}", "1", ["krun_add_net_unixgram"], ["[console_on_stdio]"]),
        ("{mode: tsi}", "2", ["krun_add_vsock", "krun_set_port_map"], []),
        ("{mode: tsi, ports: all}", "2", ["krun_add_vsock"], ["[all_guest_ports_published]"]),
        ("{mode: none}", "2", [], ["[no_network]"]),
        ("{mode: unixstream, socket: /s}", "2", ["krun_add_net_unixstream"], []),
    ],
)
def test_network(network: str, target: str, middle: list[str], implicit: list[str]) -> None:
    text = BOX.replace("{mode: tsi}", network)
    console = ["krun_add_virtio_console_default"] if target == "2" else []
    root = "krun_set_root" if target == "1" else "krun_add_virtiofs3"
    assert calls(text, target) == [
        *HEAD,
        *middle,
        "krun_set_rlimits",
        root,
        "krun_set_workdir",
        "krun_set_exec",
        *console,
        *IMPLICIT,
        *implicit,
        "krun_start_enter",
    ]


@pytest.mark.parametrize(
    ("addition", "target", "expected"),
    [
        ("shares: [{tag: a, path: /a, read_only: false}]", "1.15", "krun_add_virtiofs"),
        ("shares: [{tag: a, path: /a, read_only: true}]", "1.18", "krun_add_virtiofs3"),
        ("shares: [{tag: a, path: /a}]", "1.18.0", "krun_add_virtiofs3"),
        ("disks: [{id: a, path: /a, format: raw}]", "1.15", "krun_add_disk2"),
        ("console: {output: /log}", "1.15", "krun_set_console_output"),
        ("console: {output: /log}", "2", "krun_add_virtio_console_default"),
    ],
)
def test_the_oldest_call_that_says_it(addition: str, target: str, expected: str) -> None:
    assert expected in calls(BOX + addition, target)


def test_vsock_without_tsi_when_there_is_no_network() -> None:
    text = BOX.replace("{mode: tsi}", "{mode: none}") + "agent: {listen: runtime:a}\n"
    one = calls(text, "1")
    assert one[3:5] == ["krun_disable_implicit_vsock", "krun_add_vsock"]
    assert "[no_network]" in one
    assert calls(text, "2")[3] == "krun_add_vsock"


def test_a_device_with_vsock_ports() -> None:
    text = (
        BOX.replace("{mode: tsi}", "{mode: unixgram, socket: /s}") + "agent: {listen: runtime:a}\n"
    )
    assert "[vsock]" in calls(text, "1")
    assert calls(text, "2")[3:5] == ["krun_add_net_unixgram", "krun_add_vsock"]


def refused(text: str, target: str) -> tuple[str, str]:
    """Key and message of the one finding."""
    with pytest.raises(Rejected) as caught:
        calls(text, target)
    (located,) = caught.value.findings
    return dotted(located.finding.path), located.finding.message


def test_read_only_is_never_weakened() -> None:
    for target in ("1.10", "1.16", "1.17.3"):
        key, message = refused(BOX + "shares: [{tag: a, path: /a, read_only: true}]", "1.17.3")
        assert key == "shares[0].read_only"
        assert "it came with libkrun 1.18.0" in message, target


@pytest.mark.parametrize("target", ["1.13", "1.16", "1.16.0"])
def test_no_network_is_never_weakened(target: str) -> None:
    key, message = refused(BOX.replace("{mode: tsi}", "{mode: none}"), target)
    assert key == "network.mode"
    assert "it came with libkrun 1.17.0" in message


def test_a_plan_says_what_it_needs_and_why() -> None:
    chosen = api.target("1")
    assert chosen is not None
    text = (
        BOX
        + "shares: [{tag: a, path: /a, read_only: true}]\ndisks: [{id: a, path: /a, format: raw}]\n"
    )
    assert compile_box("box.yaml", text, Inputs(chosen)).requires == {
        "libkrun": "1.18.0",
        "features": ["blk"],
        "because": [{"call": "krun_add_virtiofs3", "from": "shares[0].read_only"}],
    }


@pytest.mark.parametrize(
    "text", ["0", "3", "1.", ".1", "1.16.0.1", "2.0", "one", "", "1.16-rc1", "１"]
)
def test_no_such_target(text: str) -> None:
    assert api.target(text) is None


def test_the_agent_box_makes_boxlites_calls_in_boxlites_order() -> None:
    """As boxlite-shim 0.2.11 was recorded against a recording library, but for what is implicit."""
    text = (ROOT / "boxes" / "boxlite-agent.yaml").read_text("utf-8")
    assert [name for name in calls(text, "1") if not name.startswith("[")] == [
        "krun_init_log",
        "krun_create_ctx",
        "krun_set_vm_config",
        "krun_add_net_unixstream",
        "krun_set_rlimits",
        "krun_add_virtiofs",
        "krun_add_virtiofs",
        "krun_add_disk2",
        "krun_set_root_disk_remount",
        "krun_set_workdir",
        "krun_set_exec",
        "krun_add_vsock_port2",
        "krun_add_vsock_port2",
        "krun_set_console_output",
        "krun_start_enter",
    ]
