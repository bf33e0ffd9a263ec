"""Every operation that a plan may hold is read, or is in the list of those that say nothing."""

from __future__ import annotations

from typing import Any

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.libkrun import Param
from krunc_compiler.review.fact import BY_NAME, KINDS, Fact, Reach, Row
from krunc_compiler.review.facts.meanings import by_meaning
from krunc_compiler.review.facts.table import CALLS, IMPLICIT, ORDERS, SILENT, STEPS
from krunc_compiler.review.isolation import TOPICS
from operations import CALLED, EXPOSED, MACHINE, PORT, sample
from places import ROOT
from reviews import call, order, reviewed, step

IMPLIED = sorted({row["name"] for row in api.table()["implicit"]})


@pytest.mark.parametrize("name", CALLED)
def test_a_function_is_read_or_says_nothing(name: str) -> None:
    """In words of its own, or by what the table says of it."""
    assert not (name in CALLS and name in SILENT)
    if name not in CALLS and name not in SILENT:
        args = {param.name: sample(param.rules, "here") for param in api.functions()[name].params}
        assert list(by_meaning(Row(name, args, "default", 0, "v1", {})))


# A reach of these is the same in both; what a descriptor or a network device leads to, the words
# tell more exactly.
EXACT = {"read", "write", "listen", "secret", "user", "take"}


# krun_set_mapped_volumes has its paths within texts.
@pytest.mark.parametrize("name", [name for name in CALLS if name != "krun_set_mapped_volumes"])
def test_the_table_reads_a_function_as_its_own_words_do(name: str) -> None:
    """The table leaves out nothing of the host that a function's own words know, and the other way
    round."""
    args = {param.name: sample(param.rules, "here") for param in api.functions()[name].params}
    row = Row(name, args, "default", 0, "v1", {})
    own, told = (
        {r for fact in facts for r in fact.reach} for facts in (CALLS[name](row), by_meaning(row))
    )
    assert {fact.kind for fact in by_meaning(row)} <= set(BY_NAME)
    assert _exact(own) == _exact(told)
    assert {r.target for r in told if r.target == "here"} == {
        r.target for r in own if r.target == "here"
    }


def _exact(reaches: set[Reach]) -> set[tuple[str, str | int | None]]:
    return {(reach.verb, reach.target) for reach in reaches if reach.verb in EXACT}


@pytest.mark.parametrize("name", api.steps())
def test_a_step_is_read_or_says_nothing(name: str) -> None:
    assert (name in STEPS) != (name in SILENT)


@pytest.mark.parametrize("name", IMPLIED)
def test_what_libkrun_does_by_itself_is_read_or_says_nothing(name: str) -> None:
    assert (name in IMPLICIT) != (name in SILENT)


def test_what_says_nothing_has_a_reason_and_reaches_nothing() -> None:
    assert all(SILENT.values())
    for name in SILENT:
        found = reviewed({"step": name}, {"implicit": name}, {"call": name})
        assert not [fact for fact in found.exposure if name not in fact.text]


@pytest.mark.parametrize(("operation", "exposed"), EXPOSED, ids=lambda value: str(value)[:60])
def test_exposure(operation: dict[str, Any], exposed: list[str]) -> None:
    found = reviewed(operation)
    assert [f"{fact.kind} {fact.text}" for fact in found.exposure] == exposed
    assert all(fact.reach for fact in found.exposure)


@pytest.mark.parametrize(("operation", "said"), MACHINE, ids=lambda value: str(value)[:60])
def test_machine(operation: dict[str, Any], said: list[str]) -> None:
    # What holds where no operation says otherwise has a test of its own.
    told = [fact for fact in reviewed(operation).machine if fact.kind not in BY_DEFAULT]
    assert [f"{fact.kind} {fact.text}" for fact in told] == said


BY_DEFAULT = ("guest user", "changes")
DIRECTORY = call("krun_set_root", root_path="r")
PROGRAM = call("krun_set_exec", exec_path="/a", argv=[], envp={})


@pytest.mark.parametrize(("operations", "said"), [
    ([PROGRAM], ["guest user root"]),
    ([DIRECTORY], ["changes to the root: written to the host"]),
    ([call("krun_add_virtiofs3", tag="/dev/root", path="r", shm_size=0, read_only=True)],
     ["changes to the root: none are possible"]),
    ([order("user", user="app"), order("program", exec_path="/a", argv=[], envp={})],
     ["guest user app, as the guest's own /etc/passwd has it"]),
    ([order("user", user="00:5"), order("program", exec_path="/a", argv=[], envp={})],
     ["guest user root"]),
])  # fmt: skip
def test_what_holds_by_default(operations: list[dict[str, Any]], said: list[str]) -> None:
    told = [fact for fact in reviewed(*operations).machine if fact.kind in BY_DEFAULT]
    assert [f"{fact.kind} {fact.text}" for fact in told] == said


def test_each_reading_is_in_a_table_of_this_file() -> None:
    tested = {next(iter(operation.values())) for operation, _ in [*EXPOSED, *MACHINE]} | {
        "krun_setgid",
        "krun_display_set_physical_size",
        "krun_display_set_refresh_rate",
    }
    assert {*CALLS, *STEPS, *ORDERS} <= tested
    assert set(IMPLICIT) <= tested | {"kernel", "init"}


def test_a_descriptor_leads_to_what_a_step_opened() -> None:
    found = reviewed(
        step("open_device", path="/dev/input/event3", name="pad", access="read"),
        step("open_file", path="a b", name="log"),
        call("krun_add_input_device_fd", input_fd={"opened": "pad"}),
        call(
            "krun_add_virtio_console_default",
            input_fd="none",
            output_fd={"opened": "log"},
            err_fd={"opened": "else"},
        ),
    )
    texts = [fact.text for fact in found.facts()]
    assert "input from the device /dev/input/event3" in texts
    assert 'the file "a b", else, which nothing opens' in texts


def held(*operations: dict[str, Any]) -> dict[str, bool | None]:
    """Which isolation a plan has."""
    return {fact.subject[0]: fact.held for fact in reviewed(*operations).isolation}


# What takes which isolation away.
LOST: list[tuple[dict[str, Any], set[str]]] = [
    ({"implicit": "no_network"}, set()),
    ({"implicit": "vsock_with_tsi"}, {"network"}),
    (call("krun_add_vsock", tsi_features=["hijack_unix"]), {"network", "sockets"}),
    (call("krun_set_control_socket", socket_path="/c"), {"sockets"}),
    (call("krun_set_port_map", port_map=["1:1"]), {"ports"}),
    (call("krun_set_port_map", port_map=[]), set()),
    (call("krun_add_vsock_port", **PORT), {"sockets"}),
    (call("krun_add_vsock_port2", **PORT, listen=True), {"sockets"}),
    (call("krun_add_virtiofs3", tag="t", path="p", shm_size=0, read_only=True), set()),
    (call("krun_add_virtiofs", tag="t", path="p"), {"files", "setuid"}),
    (call("krun_set_exec", exec_path="/a", argv=[], envp={"A": {"from_env": "B"}}), {"secrets", "guest_user"}),
    (call("krun_set_root", root_path="r"), {"files", "setuid", "root"}),
    (call("krun_set_snd_device", enable=True), {"devices"}),
    (call("krun_set_firmware", firmware_path="f"), {"kernel", "guest_user"}),
    (call("krun_set_nested_virt", enabled=True), {"nesting"}),
    (call("krun_set_nested_virt", enabled=False), set()),
    *((call("krun_add_disk", block_id="d", disk_path=path, read_only=True), {"devices"}) for path in ("/dev/sda", "//dev/./vg/lv", "/srv/../dev/sda", "/dev/shm/../sda")),
    *((call("krun_add_disk", block_id="d", disk_path=path, read_only=True), set()) for path in ("/dev/shm/a.img", "/srv/dev/a.img", "./dev/sda")),
    *((call("krun_add_virtiofs3", tag="t", path=path, shm_size=0, read_only=True), {"devices"}) for path in ("/dev", "/dev/disk/", "/sys", "/sys/class")),
    *((call("krun_add_virtiofs3", tag="t", path=path, shm_size=0, read_only=True), {"devices", "environment"}) for path in ("/", "//", "/srv/..")),
    (call("krun_add_virtiofs", tag="t", path="/"), {"files", "setuid", "devices", "environment"}),
    (call("krun_set_root", root_path="/"), {"files", "root", "setuid", "devices", "environment"}),
    (call("krun_set_kernel", kernel_path="/dev/sda", kernel_format="elf", initramfs=None, cmdline=""), {"kernel", "devices"}),
    (call("krun_add_virtiofs3", tag="t", path="/proc/self", shm_size=0, read_only=True), {"environment"}),
    (call("krun_fs_add_overlay_file", fs_tag="/dev/root", path="e", data={"file": "/proc/self/environ"}, mode=420, one_shot=False), {"environment"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("root", "share", "lost"),
    [
        ("r", "r", True),
        ("r", "./r/", True),
        ("r", "r/etc", True),
        ("r", ".", True),
        ("/srv/r", "/srv", True),
        ("/srv/r", "/srv/x/../r/etc", True),
        ("/srv/r", "/", True),
        ("r", "r2", False),
        ("r", "../r", True),  # what the plan lies in, if that is called r
        ("/srv/r", "/srv/ro", False),
        ("/srv/r", "srv/r", False),
    ],
)
def test_a_share_that_writes_the_root_takes_its_isolation(
    root: str, share: str, lost: bool
) -> None:
    rows = [
        call("krun_add_virtiofs3", tag="/dev/root", path=root, shm_size=0, read_only=True),
        call("krun_add_virtiofs3", tag="a", path=share, shm_size=0, read_only=False),
    ]
    assert held(rows[0])["root"]
    assert held(*rows)["root"] == (not lost)
    assert held(*reversed(rows))["root"] == (not lost)


@pytest.mark.parametrize(("operation", "lost"), LOST, ids=range(len(LOST)))
def test_isolation(operation: dict[str, Any], lost: set[str]) -> None:
    found = held(operation)
    assert {topic for topic, has in found.items() if not has} == {
        *lost,
        "user",
        "confinement",
    }


def test_the_user_is_given_up_when_both_ids_are_set_and_none_is_root() -> None:
    uid, gid = call("krun_setuid", uid=1000), call("krun_setgid", gid=1000)
    assert held(uid, gid)["user"]
    assert not held(uid)["user"]
    assert not held(call("krun_setuid", uid=0), gid)["user"]


def test_confinement_is_held_only_when_the_vm_does_not_start_without_it() -> None:
    assert held(step("confine", mode="required"))["confinement"]
    assert not held(step("confine", mode="best-effort"))["confinement"]


def test_an_egress_policy_limits_tsi() -> None:
    policy = call("krun_set_egress_policy", c_cidrs=["10.0.0.0/8"], c_egress_hosts=None)
    found = reviewed(call("krun_add_vsock", tsi_features=["hijack_inet"]), policy)
    assert [fact.text for fact in found.exposure] == ["only to 10.0.0.0/8 (TSI)"]


def test_an_egress_policy_without_networks_limits_nothing() -> None:
    policy = call("krun_set_egress_policy", cidrs=[], hosts=None, resolvers=["10.0.0.1"])
    found = reviewed({"implicit": "vsock_with_tsi"}, policy)
    assert any(reach.target is None for fact in found.exposure for reach in fact.reach)
    assert [fact.kind for fact in found.exposure] == ["network", "network"]


def test_an_egress_policy_is_told_whole() -> None:
    cidrs = [f"10.0.{i}.0/24" for i in range(100)]
    (fact,) = reviewed(call("krun_set_egress_policy", cidrs=cidrs)).exposure
    assert fact.text == f"only to {', '.join(cidrs)} (TSI)"


CONFINED = step("confine", mode="required")
# What a confined plan has, and what its VMM can open beyond that.
ADMITTED = [
    ([step("require_directory", path="/", access="read-write")], ["directory / (reads and writes)"]),
    ([step("require_file", path="/f", access="read")], ["file /f (reads)"]),
    ([step("require_directory", path="./p/", access="read-write"), call("krun_add_virtiofs", tag="t", path="p")], []),
    ([step("require_directory", path="p", access="read-write"), call("krun_add_virtiofs3", tag="t", path="p", shm_size=0, read_only=True)], ["directory p (reads and writes)"]),
    ([step("require_file", path="k", access="read"), call("krun_set_firmware", firmware_path="k")], []),
    ([step("require_socket", path="/s", type="stream")], []),
]  # fmt: skip


@pytest.mark.parametrize(("operations", "said"), ADMITTED, ids=range(len(ADMITTED)))
def test_what_a_confined_vmm_can_open(operations: list[dict[str, Any]], said: list[str]) -> None:
    """The confinement lets the VMM open what the plan demands, whether a call uses it or not."""
    found = [
        fact.text for fact in reviewed(*operations, CONFINED).exposure if fact.kind == "vmm-only"
    ]
    assert found == said
    assert "vmm-only" not in {fact.kind for fact in reviewed(*operations).exposure}


def test_every_kind_of_fact_is_in_the_table() -> None:
    facts: list[Fact] = [
        fact for operation, _ in [*EXPOSED, *MACHINE] for fact in reviewed(operation).facts()
    ]
    assert {fact.kind for fact in facts} <= set(BY_NAME)
    for fact in facts:
        assert {reach.verb for reach in fact.reach} <= set(BY_NAME[fact.kind].verbs)
        assert fact.reach or fact.held or BY_NAME[fact.kind].group == "machine"


def test_an_arrow_is_only_between_an_old_and_a_new_value() -> None:
    """A difference puts it there: a fact that has one of its own could not be told from a change."""
    for operation, _ in [*EXPOSED, *MACHINE]:
        assert not [fact for fact in reviewed(operation).facts() if "->" in fact.text]


def test_the_table_of_kinds_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "review.md").read_text("utf-8")
    for kind in KINDS:
        row = f"| {kind.name} | {', '.join(kind.verbs)} |"
        assert row in text if kind.verbs else kind.name in text


NAMES_SOMETHING = [
    (kind, name, param)
    for kind, rows in (("call", {name: api.functions()[name].params for name in CALLED}), ("step", api.steps()), ("order", api.orders()))
    for name, params in rows.items()
    for param in params
    if param.kind in ("host_path", "socket_path", "bytes", "env", "fd") and name not in SILENT
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "param"), NAMES_SOMETHING, ids=lambda value: value if isinstance(value, str) else value.name)  # fmt: skip
def test_nothing_of_the_host_is_named_without_a_reach(kind: str, name: str, param: Param) -> None:
    params = api.params(kind, name)
    args = {one.name: sample(one.rules, "elsewhere") for one in params}
    args[param.name] = sample(param.rules, "here")
    found = reviewed({kind: name, "args": args})
    targets = {reach.target for fact in found.facts() for reach in fact.reach}
    if param.kind == "fd":
        assert {"fd 9", "the inherited file descriptor 9"} & targets
    else:
        assert "here" in targets


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("call", name) for name in CALLED),
        *(("step", name) for name in api.steps()),
        *(("order", name) for name in api.orders()),
    ],
)
def test_an_operation_is_read_with_the_arguments_of_the_table(kind: str, name: str) -> None:
    params = api.params(kind, name)
    args = {one.name: sample(one.rules, "here") for one in params}
    for nulled in [None, *(one.name for one in params if one.rules.get("nullable"))]:
        given = {key: None if key == nulled else value for key, value in args.items()}
        found = reviewed({kind: name, "args": given})
        assert bool([fact for fact in found.facts() if fact.operation == 0]) == (
            name not in SILENT and (name, nulled) != ("krun_add_vsock", None)
        )


def test_the_isolation_is_in_the_documentation() -> None:
    text = (ROOT / "docs" / "review.md").read_text("utf-8")
    for topic in TOPICS:
        assert f"| {topic.name} | {topic.isolated} | {topic.exposed} |" in text
