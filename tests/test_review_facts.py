"""Every operation that a plan may hold is read, or is in the list of those that say nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from krunc_compiler import libkrun as api
from krunc_compiler.libkrun import Param
from krunc_compiler.review.fact import BY_NAME, KINDS, Fact, Reach, Row
from krunc_compiler.review.facts.meanings import by_meaning
from krunc_compiler.review.facts.table import CALLS, IMPLICIT, SILENT, STEPS
from krunc_compiler.review.isolation import TOPICS
from reviews import call, reviewed, step

CALLED = [
    name
    for name, row in api.table()["functions"].items()
    if row["role"] in ("log", "create", "configure", "enter")
]
IMPLIED = sorted({row["name"] for row in api.table()["implicit"]})


@pytest.mark.parametrize("name", CALLED)
def test_a_function_is_read_or_says_nothing(name: str) -> None:
    """In words of its own, or by what the table says of it."""
    assert not (name in CALLS and name in SILENT)
    if name not in CALLS and name not in SILENT:
        args = {param.name: sample(param.rules, "here") for param in api.functions()[name].params}
        assert list(by_meaning(Row(name, args, "default", 0, {}, [])))


# A reach of these is the same in both; what a descriptor or a network device leads to, the words
# tell more exactly.
EXACT = {"read", "write", "listen", "secret", "user", "take"}


# krun_set_mapped_volumes has its paths within texts.
@pytest.mark.parametrize("name", [name for name in CALLS if name != "krun_set_mapped_volumes"])
def test_the_table_reads_a_function_as_its_own_words_do(name: str) -> None:
    """The table leaves out nothing of the host that a function's own words know, and the other way
    round."""
    args = {param.name: sample(param.rules, "here") for param in api.functions()[name].params}
    row = Row(name, args, "default", 0, {}, [])
    own, told = (
        {r for fact in facts for r in fact.reach} for facts in (CALLS[name](row), by_meaning(row))
    )
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


PORT = {"port": 5000, "filepath": "runtime:a"}
DEVICE: dict[str, Any] = {
    "mac": "5a:94:ef:e4:0c:ee",
    "features": [],
    "flags": [],
    "path": None,
    "fd": "none",
}
PROCESS = {"cwd": "/w", "env": {"A": "x", "T": {"from_env": "TOKEN"}}, "args": ["/bin/a", "b c"]}
OVERLAY = {"fs_tag": "/dev/root", "path": ".krun_config.json", "mode": 0o644, "one_shot": False}
DISK = {"block_id": "d", "disk_path": "d.img", "read_only": False}

# An operation, and the exposure that it shows: kind and text, in order.
EXPOSED: list[tuple[dict[str, Any], list[str]]] = [
    (call("krun_set_root", root_path="r"), ["writes folder r (the guest's root)"]),
    (call("krun_add_virtiofs", tag="t", path="p"), ["writes folder p (share t)"]),
    (call("krun_add_virtiofs2", tag="t", path="p", shm_size=4096), ["writes folder p (share t, a window of 4096 bytes)"]),
    (call("krun_add_virtiofs3", tag="t", path="p", shm_size=0, read_only=True), ["reads folder p (share t)"]),
    (call("krun_add_virtiofs3", tag="/dev/root", path="p", shm_size=512 << 20, read_only=True), ["reads folder p (the guest's root)"]),
    (call("krun_add_virtiofs4", tag="t", path="p", shm_size=0, read_only=False, semantics="simplified"), ["writes folder p (share t, ownership is not kept)"]),
    (call("krun_set_mapped_volumes", mapped_volumes=["/a:/b"]), ["writes folder /a (mapped volume)"]),
    (call("krun_add_disk", **DISK), ["writes raw disk d.img (d)"]),
    (call("krun_add_disk2", **DISK, disk_format="qcow2"), ["writes qcow2 disk d.img (d)"]),
    (call("krun_add_disk3", **{**DISK, "read_only": True}, disk_format="raw", direct_io=True, sync_mode="none"), ["reads raw disk d.img (d, past the page cache, flushes none)"]),
    (call("krun_set_root_disk", disk_path="d"), ["writes raw disk d (root)"]),
    (call("krun_set_data_disk", disk_path="d"), ["writes raw disk d (data)"]),
    (call("krun_fs_add_overlay_file", **OVERLAY, data={"file": "h"}), ["reads file h (as .krun_config.json in the root)"]),
    (call("krun_fs_add_overlay_file", **OVERLAY, data={"process": PROCESS}), ["secrets variable TOKEN as T"]),
    (call("krun_fs_add_overlay_file", **{**OVERLAY, "path": "x"}, data={"process": PROCESS}), ["secrets variable TOKEN as T"]),
    (call("krun_set_exec", exec_path="/a", argv=[], envp={"A": {"from_env": "B"}}), ["secrets variable B as A (in the guest's /proc/cmdline)"]),
    (call("krun_set_env", envp={"A": {"from_env": "B"}}), ["secrets variable B as A (in the guest's /proc/cmdline)"]),
    (call("krun_add_vsock", tsi_features=["hijack_inet"]), ["network TSI: the guest connects wherever the launching user can, localhost included"]),
    (call("krun_add_vsock", tsi_features=["hijack_unix"]), ["network TSI: the guest connects to Unix sockets of the host by their paths"]),
    (call("krun_add_vsock", tsi_features=[]), []),
    ({"implicit": "vsock_with_tsi"}, ["network TSI: the guest connects wherever the launching user can, localhost included"]),
    ({"implicit": "all_guest_ports_published"}, ["listens every port that the guest listens on is opened here"]),
    ({"implicit": "console_on_stdio"}, ["stdio the launcher's stdin, stdout and stderr (console)"]),
    (call("krun_set_port_map", port_map=["8080:80", "1"]), ["listens TCP port 8080 to guest port 80", 'listens TCP port 1 to guest port ""']),
    (call("krun_add_vsock_port", **PORT), ["connects socket runtime:a from vsock port 5000"]),
    (call("krun_add_vsock_port2", **PORT, listen=False), ["connects socket runtime:a from vsock port 5000"]),
    (call("krun_add_vsock_port2", **PORT, listen=True), ["listens socket runtime:a to vsock port 5000"]),
    (call("krun_set_egress_policy", cidrs=["10.0.0.0/8"], egress_hosts=["a.example"], dns_resolvers=["10.0.0.1"]), ["network TSI: the guest connects only to 10.0.0.0/8, a.example, names resolved by 10.0.0.1"]),
    (call("krun_set_control_socket", socket_path="runtime:c"), ["listens socket runtime:c: who connects to it pauses and resumes the VM"]),
    (call("krun_add_net_unixstream", **{**DEVICE, "path": "s"}), ["network through the program behind socket s"]),
    (call("krun_add_net_unixgram", **{**DEVICE, "fd": 5}), ["network through the program behind the inherited descriptor 5"]),
    (call("krun_add_net_tap", tap_name="tap0", mac="5a:94:ef:e4:0c:ee", features=[], flags=[]), ["network whatever the host's tap device tap0 leads to"]),
    (call("krun_set_passt_fd", fd=7), ["network through the program behind the inherited descriptor 7"]),
    (call("krun_set_gvproxy_path", path="s"), ["network through the program behind socket s"]),
    (call("krun_set_attestation_url", url="https://a.example"), ["connects attestation server https://a.example"]),
    (call("krun_set_kernel", kernel_path="k", kernel_format="elf", initramfs="i", cmdline=None), ["reads file k (kernel)", "reads file i (initramfs)"]),
    (call("krun_set_firmware", firmware_path="f"), ["reads file f (firmware)"]),
    (call("krun_set_tee_config_file", filepath="t"), ["reads file t (TEE configuration)"]),
    (call("krun_nitro_set_image", image_path="i", image_type=1), ["reads file i (enclave image)"]),
    (call("krun_set_gpu_options", virgl_flags=["venus"]), ["devices the host's GPU through virglrenderer (venus)"]),
    (call("krun_set_gpu_options2", virgl_flags=[], shm_size=1), ["devices the host's GPU through virglrenderer (no flags, window of 1 bytes)"]),
    (call("krun_set_snd_device", enable=True), ["devices sound of the host, microphone included, through PipeWire"]),
    (call("krun_set_snd_device", enable=False), []),
    (call("krun_add_input_device_fd", input_fd=4), ["devices input from the inherited descriptor 4"]),
    (call("krun_add_vhost_user_device", device_type="snd", socket_path="s", name=None, num_queues=1, queue_sizes=None), ["connects socket s: the program behind it is the snd device"]),
    (call("krun_set_console_output", filepath="c"), ["writes file c (console)"]),
    (call("krun_add_virtio_console_default", input_fd="stdin", output_fd="stdout", err_fd="stdout"), ["stdio the launcher's stdin and stdout (console)"]),
    (call("krun_add_virtio_console_default", input_fd="none", output_fd="none", err_fd="none"), []),
    (call("krun_add_console_port_tty", console_id=0, name="t", tty_fd=9), ["stdio the inherited descriptor 9 (console)"]),
    (call("krun_add_console_port_inout", console_id=0, name=None, input_fd="stdin", output_fd="none"), ["stdio the launcher's stdin (console)"]),
    (step("open_file", path="f", name="n"), ["writes file f (n)"]),
    (step("open_device", path="/dev/input/event3", name="n", access="read"), ["devices /dev/input/event3 (n, reads)"]),
    (step("open_device", path="/dev/pts/1", name="n", access="read-write"), ["devices /dev/pts/1 (n, reads and writes)"]),
    (step("make_runtime_folder"), ["launcher makes the runtime folder where it is missing"]),
    (step("clear_stale_socket", path="s"), ["launcher removes a stale socket s"]),
    (step("raise_nofile"), ["launcher raises its limit of open files to the hard limit"]),
    (step("surprise", a="b"), ['other step surprise {a: "b"}']),
    (call("krun_surprise", a=[1]), ["other call krun_surprise {a: [1]}"]),
    ({"implicit": "surprise"}, ["other implicit surprise"]),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "exposed"), EXPOSED, ids=lambda value: str(value)[:60])
def test_exposure(operation: dict[str, Any], exposed: list[str]) -> None:
    found = reviewed(operation)
    assert [f"{fact.kind} {fact.text}" for fact in found.exposure] == exposed
    assert all(fact.reach for fact in found.exposure)


# An operation and what it says of the machine.
MACHINE: list[tuple[dict[str, Any], list[str]]] = [
    (call("krun_set_vm_config", num_vcpus=2, ram_mib=512), ["vCPUs 2", "memory 512 MiB"]),
    (call("krun_set_log_level", level="warn"), ["log level warn, on the launcher's stderr"]),
    (call("krun_init_log", target_fd="stdout", level="off", style="auto", options=["no_env"]), ["log level off, on the launcher's stdout, no_env"]),
    (call("krun_set_root_disk_remount", device="/dev/vda", fstype=None, options="ro"), ["root disk /dev/vda (no disk of this plan), any file system, options ro", "status 0 whatever the program ends with"]),
    (call("krun_set_exec", exec_path="/a", argv=["b c", ""], envp={"A": "x y"}), ['program /a "b c" ""', 'env A="x y"']),
    (call("krun_fs_add_overlay_file", **OVERLAY, data={"process": PROCESS}), ['program /bin/a "b c"', "workdir /w", "env A=x", "env T from the launcher's TOKEN"]),
    (call("krun_fs_add_overlay_file", **{**OVERLAY, "path": "//./.krun_config.json"}, data={"text": "{}"}), ['program as the file //./.krun_config.json in the root says: the text "{}"', 'overlay //./.krun_config.json in the root: the text "{}", mode 644']),
    (call("krun_fs_add_overlay_file", **{**OVERLAY, "path": "x", "one_shot": True}, data={"base64": "AAA="}), ["overlay x in the root: 2 bytes, sha256 96a296d224f2, mode 644, seen once"]),
    (call("krun_fs_add_overlay_dir", fs_tag="t", path="d", mode=0o755), ["overlay d in share t: an empty folder, mode 755"]),
    (call("krun_set_workdir", workdir_path="/w"), ["workdir /w"]),
    (call("krun_set_rlimits", rlimits={"nproc": "1:2"}), ["limits nproc 1:2"]),
    (call("krun_set_net_mac", mac="5a:94:ef:e4:0c:ee"), ["network device MAC 5a:94:ef:e4:0c:ee"]),
    (call("krun_add_display", width=1, height=2), ["display 1 x 2 pixels"]),
    (call("krun_display_set_dpi", display_id=0, dpi=96), ["display 0: dpi 96"]),
    (call("krun_display_set_edid", display_id=0, edid_blob={"base64": "AA=="}), ['display 0: edid "{base64: \\"AA==\\"}"']),
    (call("krun_set_nested_virt", enabled=True), ["nested the guest can run VMs of its own"]),
    (call("krun_split_irqchip", enable=True), ["interrupts the controller is split between libkrun and KVM"]),
    (call("krun_set_smbios_oem_strings", oem_strings=["a", "b c"]), ['smbios a, "b c"']),
    (call("krun_set_cpu_template", cpu_template=1), ["cpu template 1"]),
    (call("krun_setuid", uid=1000), ["user the VMM runs with uid 1000"]),
    ({"implicit": "program_of_the_root"}, ["program what the root's own file /.krun_config.json names, or a shell"]),
    (call("krun_disable_implicit_init"), [
                "init the root's own, none of libkrun's",
                "status 0 also where the guest fails before the program starts",
            ]),
    (call("krun_set_kernel_console", console_id="ttyS0"), ["console the kernel's is ttyS0"]),
    (call("krun_add_serial_console_default", input_fd="none", output_fd="stderr"), ["console a serial port on the launcher's stderr"]),
    (call("krun_nitro_set_start_flags", start_flags=1), ["enclave start flags 1"]),
    (step("stop_on_sigterm", grace_s=10), ["stop SIGTERM asks the guest's program to stop; a second one, or 10 seconds, end the VM"]),
    (step("confine", mode="required"), ["confine what the plan does not name is out of reach, or the VM is not started"]),
    (step("confine", mode="best-effort"), ["confine what the plan does not name is out of reach where the kernel can do it"]),
    (step("stop_on_sigterm", by="eventfd"), ["stop SIGTERM asks the guest's program to stop, by eventfd"]),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "said"), MACHINE, ids=lambda value: str(value)[:60])
def test_machine(operation: dict[str, Any], said: list[str]) -> None:
    assert [f"{fact.kind} {fact.text}" for fact in reviewed(operation).machine] == said


def test_each_reading_is_in_a_table_of_this_file() -> None:
    tested = {next(iter(operation.values())) for operation, _ in [*EXPOSED, *MACHINE]} | {
        "krun_setgid",
        "krun_display_set_physical_size",
        "krun_display_set_refresh_rate",
    }
    assert {*CALLS, *STEPS} <= tested
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
    (call("krun_add_virtiofs", tag="t", path="p"), {"files"}),
    (call("krun_set_exec", exec_path="/a", argv=[], envp={"A": {"from_env": "B"}}), {"secrets"}),
    (call("krun_set_snd_device", enable=True), {"devices"}),
    (call("krun_set_firmware", firmware_path="f"), {"kernel"}),
    (call("krun_set_nested_virt", enabled=True), {"nesting"}),
    (call("krun_set_nested_virt", enabled=False), set()),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "lost"), LOST, ids=range(len(LOST)))
def test_isolation(operation: dict[str, Any], lost: set[str]) -> None:
    found = held(operation)
    assert {topic for topic, has in found.items() if not has} == {
        *lost,
        "user",
        "confinement",
    }
    assert found["environment"]


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
    assert [fact.text for fact in found.exposure] == ["TSI: the guest connects only to 10.0.0.0/8"]


def test_an_egress_policy_without_networks_limits_nothing() -> None:
    policy = call("krun_set_egress_policy", cidrs=[], hosts=None, resolvers=["10.0.0.1"])
    found = reviewed({"implicit": "vsock_with_tsi"}, policy)
    assert any(reach.target is None for fact in found.exposure for reach in fact.reach)
    assert [fact.kind for fact in found.exposure] == ["network", "network"]


def test_an_egress_policy_is_told_whole() -> None:
    cidrs = [f"10.0.{i}.0/24" for i in range(100)]
    (fact,) = reviewed(call("krun_set_egress_policy", cidrs=cidrs)).exposure
    assert fact.text == f"TSI: the guest connects only to {', '.join(cidrs)}"


CONFINED = step("confine", mode="required")
# What a confined plan has, and what its VMM can open beyond that.
ADMITTED = [
    ([step("require_folder", path="/", access="read-write")], ["folder / (reads and writes)"]),
    ([step("require_file", path="/f", access="read")], ["file /f (reads)"]),
    ([step("require_folder", path="./p/", access="read-write"), call("krun_add_virtiofs", tag="t", path="p")], []),
    ([step("require_folder", path="p", access="read-write"), call("krun_add_virtiofs3", tag="t", path="p", shm_size=0, read_only=True)], ["folder p (reads and writes)"]),
    ([step("require_file", path="k", access="read"), call("krun_set_firmware", firmware_path="k")], []),
    ([step("require_socket", path="/s", type="stream")], []),
]  # fmt: skip


@pytest.mark.parametrize(("operations", "said"), ADMITTED, ids=range(len(ADMITTED)))
def test_what_a_confined_vmm_can_open(operations: list[dict[str, Any]], said: list[str]) -> None:
    """The confinement lets the VMM open what the plan demands, whether a call uses it or not."""
    found = [
        fact.text for fact in reviewed(*operations, CONFINED).exposure if fact.kind == "admits"
    ]
    assert found == said
    assert "admits" not in {fact.kind for fact in reviewed(*operations).exposure}


def test_every_kind_of_fact_is_in_the_table() -> None:
    facts: list[Fact] = [
        fact for operation, _ in [*EXPOSED, *MACHINE] for fact in reviewed(operation).facts()
    ]
    assert {fact.kind for fact in facts} <= set(BY_NAME)
    for fact in facts:
        assert {reach.verb for reach in fact.reach} <= set(BY_NAME[fact.kind].verbs)
        assert fact.reach or fact.held or BY_NAME[fact.kind].group == "machine"


def test_the_table_of_kinds_is_in_the_documentation() -> None:
    text = (Path(__file__).parent.parent / "docs" / "review.md").read_text("utf-8")
    for kind in KINDS:
        row = f"| {kind.name} | {', '.join(kind.verbs)} | {kind.comes} ... | {kind.goes} ... |"
        assert row in text if kind.verbs else kind.name in text


def sample(rules: dict[str, Any], path: str) -> Any:
    """An argument for the parameter RULES; whatever can name something of the host is PATH."""
    match rules["kind"]:
        case "host_path" | "socket_path":
            return path
        case "bytes":
            return {"file": path}
        case "env":
            return {"A": {"from_env": path}}
        case "texts":
            return [f"{path}:/guest"]
        case "port_map":
            return ["1:1"]
        case "rlimits":
            return {"nproc": "1:1"}
        case "flags" | "u16s":
            return []
        case "int":
            return 1
        case "bool":
            return True
        case "fd":
            return 9
        case "enum":
            return {"access": "read-write", "confinement": "required"}.get(rules["enum"], "raw")
        case _:
            return "a"


NAMES_SOMETHING = [
    (kind, name, param)
    for kind, rows in (("call", {name: api.functions()[name].params for name in CALLED}), ("step", api.steps()))
    for name, params in rows.items()
    for param in params
    if param.kind in ("host_path", "socket_path", "bytes", "env", "fd") and name not in SILENT
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "param"), NAMES_SOMETHING, ids=lambda value: value if isinstance(value, str) else value.name)  # fmt: skip
def test_nothing_of_the_host_is_named_without_a_reach(kind: str, name: str, param: Param) -> None:
    params = api.functions()[name].params if kind == "call" else api.steps()[name]
    args = {one.name: sample(one.rules, "elsewhere") for one in params}
    args[param.name] = sample(param.rules, "here")
    found = reviewed({kind: name, "args": args})
    targets = {reach.target for fact in found.facts() for reach in fact.reach}
    if param.kind == "fd":
        assert {"fd 9", "the inherited descriptor 9"} & targets
    else:
        assert "here" in targets


@pytest.mark.parametrize(
    ("kind", "name"),
    [*(("call", name) for name in CALLED), *(("step", name) for name in api.steps())],
)
def test_an_operation_is_read_with_the_arguments_of_the_table(kind: str, name: str) -> None:
    params = api.functions()[name].params if kind == "call" else api.steps()[name]
    args = {one.name: sample(one.rules, "here") for one in params}
    for nulled in [None, *(one.name for one in params if one.rules.get("nullable"))]:
        given = {key: None if key == nulled else value for key, value in args.items()}
        found = reviewed({kind: name, "args": given})
        assert bool([fact for fact in found.facts() if fact.operation == 0]) == (
            name not in SILENT and (name, nulled) != ("krun_add_vsock", None)
        )


def test_the_isolation_is_in_the_documentation() -> None:
    text = (Path(__file__).parent.parent / "docs" / "review.md").read_text("utf-8")
    for topic in TOPICS:
        assert f"| {topic.name} | {topic.has} | {topic.lacks} |" in text
