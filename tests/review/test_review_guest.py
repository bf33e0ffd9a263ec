"""What the guest gets of the library that runs it, and that no change of it is called neutral."""

from __future__ import annotations

from typing import Any

import pytest
from krunc_compiler.review.difference import compare
from krunc_schema import load
from reviews import call, reviewed, step

Operation = dict[str, Any]

TSI = call("krun_add_vsock", tsi_features=["hijack_inet"])
OF_ITSELF = {"implicit": "vsock_with_tsi"}


def policy(*cidrs: str, hosts: tuple[str, ...] = ()) -> Operation:
    return call("krun_set_egress_policy", cidrs=list(cidrs), hosts=list(hosts))


def effects(old: list[Operation], new: list[Operation], era: str = "v1") -> set[str]:
    """How the changes between two plans are judged."""
    one, two = (reviewed(*operations, era=era) for operations in (old, new))
    return {change.effect for change in compare(one, two).changes}


def test_localhost_is_promised_where_the_library_reaches_it() -> None:
    (first,) = reviewed(OF_ITSELF).exposure
    (second,) = reviewed(TSI, era="v2_flat").exposure
    assert first.text.endswith(", including localhost (TSI)")
    assert second.text.endswith(", except localhost, which smolmachines' libkrun refuses (TSI)")


# Networks that have an address of the host's loopback, however they are written.
LOOPED = ["127.0.0.0/8", "127.0.0.1/32", "127.9.9.9", "0.0.0.0/0", "0.0.0.0", "126.0.0.0/7", "::1", "::/0", "::ffff:127.0.0.1", "no address"]  # fmt: skip
OTHERS = ["10.0.0.0/8", "192.168.1.1", "128.0.0.0/3", "2000::/3"]


@pytest.mark.parametrize("network", LOOPED)
def test_an_egress_policy_that_reaches_the_loopback_opens_it(network: str) -> None:
    new = [TSI, policy("10.0.0.0/8", network)]
    assert "widens" in effects([TSI], new, "v2_flat")
    (fact,) = reviewed(*new, era="v2_flat").exposure
    assert "localhost" in fact.text


@pytest.mark.parametrize("network", OTHERS)
def test_another_egress_policy_narrows_and_its_end_opens(network: str) -> None:
    assert effects([TSI], [TSI, policy(network)], "v2_flat") >= {"narrows"}
    assert "widens" not in effects([TSI], [TSI, policy(network)], "v2_flat")
    assert "widens" in effects([TSI, policy(network)], [TSI], "v2_flat")


def test_a_name_can_lead_to_the_loopback() -> None:
    assert "widens" in effects([TSI], [TSI, policy(hosts=("a.example",))], "v2_flat")


def test_the_end_of_a_policy_of_the_loopback_opens_all_else() -> None:
    assert "widens" in effects([TSI, policy("127.0.0.0/8")], [TSI], "v2_flat")


PORTS = {
    "one": call("krun_set_port_map", port_map=["8080:80"]),
    "all": {"implicit": "all_guest_ports_published"},
}


@pytest.mark.parametrize("which", PORTS)
def test_the_guest_chooses_the_address_of_a_port(which: str) -> None:
    (fact,) = reviewed(PORTS[which]).exposure
    assert "on the address that" in fact.text


# Files and directories over the root, however their paths are written, and what they are.
PROGRAM = call("krun_set_exec", exec_path="/opt/app/run", argv=["-c", "/etc/app.conf"], envp={})
BARE = call("krun_set_exec", exec_path="busybox", argv=[], envp={})
LAID = [
    ("/init.krun", "init"), ("init.krun", "init"), ("//init.krun", "init"), ("./init.krun", "init"),
    ("a/../init.krun", "init"), ("/.krun_config.json", "the program, its arguments"),
    ("/opt/app/run", "the program"), ("opt/app", "the program"), ("/opt", "the program"),
    ("/etc/app.conf", "what the program's arguments"), ("/lib64/ld-linux-x86-64.so.2", "programs or libraries"),
    ("/usr/lib/x86_64-linux-gnu/libc.so.6", "programs or libraries"), ("/usr/local/bin/x", "programs or libraries"),
    ("/etc/ld.so.preload", "loader"), ("/etc/ld.so.conf.d/a.conf", "loader"), ("/etc/ld-musl-x86_64.path", "loader"),
    ("/etc/passwd", "decides about users"), ("/etc/profile.d/a.sh", "starts services"), ("/root/.profile", "users"),
    ("/sbin/modprobe", "programs or libraries"), ("/srv/tool", "a program"),
]  # fmt: skip


def laid(path: str, mode: int = 0o755, data: Any = None) -> Operation:
    args = {"fs_tag": "/dev/root", "path": path, "mode": mode, "one_shot": False}
    return call("krun_fs_add_overlay_file", **args, data=data or {"text": "x"})


@pytest.mark.parametrize(("path", "what"), LAID)
def test_what_is_laid_over_what_runs_is_told_and_opens(path: str, what: str) -> None:
    texts = [fact.text for fact in reviewed(PROGRAM, laid(path)).machine if fact.kind == "run"]
    assert len(texts) == 1
    assert what in texts[0]
    assert "widens" in effects([PROGRAM], [PROGRAM, laid(path)])
    other = laid(path, data={"text": "y"})
    assert effects([PROGRAM, laid(path)], [PROGRAM, other]) == {"alters"}


def test_other_files_of_the_host_that_change_their_places_open() -> None:
    """Both are read all along, but other code runs."""
    one, two = ({"file": name} for name in ("one", "two"))
    old = [PROGRAM, laid("/opt/app/run", data=one), laid("/data", 0o644, data=two)]
    new = [PROGRAM, laid("/opt/app/run", data=two), laid("/data", 0o644, data=one)]
    assert "widens" in effects(old, new)
    (text,) = [fact.text for fact in reviewed(*old).machine if fact.kind == "run"]
    assert text == "/opt/app/run, merged onto the root from one: the program"


@pytest.mark.parametrize(
    "path", ["/usr/bin/busybox", "/bin/busybox", "/sbin/busybox", "/bin", "/usr"]
)
def test_a_program_without_a_path_is_found_where_init_looks(path: str) -> None:
    assert "widens" in effects([BARE], [BARE, laid(path, 0o644)])


def test_a_file_that_only_the_root_can_tell_alters() -> None:
    assert effects([PROGRAM], [PROGRAM, laid("/srv/data", 0o644)]) == {"alters"}
    share = call("krun_fs_add_overlay_dir", fs_tag="t", path="bin", mode=0o755)
    assert effects([PROGRAM], [PROGRAM, share]) == {"alters"}


def test_init_is_not_called_libkruns_where_another_runs() -> None:
    said = [
        fact.text
        for fact in reviewed({"implicit": "init"}, laid("/init.krun")).machine
        if fact.kind == "init"
    ]
    assert said == ["what the plan lays over /init.krun, not libkrun's"]


VARIABLES = ["LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "PATH", "BASH_ENV", "ENV", "PYTHONPATH", "PYTHONSTARTUP", "PERL5OPT", "NODE_OPTIONS", "JAVA_TOOL_OPTIONS", "GCONV_PATH", "RUBYOPT", "GOFLAGS", "JAVA_HOME", "GIT_SSH_COMMAND", "GIT_CONFIG_COUNT", "NPM_CONFIG_REGISTRY", "LUA_INIT_5_4"]  # fmt: skip


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("how", ["call", "file", "secret"])
def test_a_variable_that_loads_code_opens(name: str, how: str) -> None:
    def program(env: dict[str, Any]) -> Operation:
        if how != "file":
            return call("krun_set_exec", exec_path="/a", argv=[], envp=env)
        process = {"cwd": "/", "env": env, "args": ["/a"]}
        return laid(".krun_config.json", 0o600, {"process": process})

    value = {"from_env": "X"} if how == "secret" else "/x"
    assert "widens" in effects([program({})], [program({name: value})])
    assert "widens" in effects([program({name: "/y"})], [program({name: value})])


def started(env: dict[str, Any]) -> Operation:
    return call("krun_set_exec", exec_path="/a", argv=[], envp=env)


# Each is of a family of which another variable loads code.
HARMLESS = ["NODE_ENV", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "GIT_AUTHOR_NAME", "GIT_TERMINAL_PROMPT", "RUBY_ENV", "PERL_UNICODE", "JAVA_VERSION", "GOMAXPROCS", "GOOS", "CARGO_TERM_COLOR", "DOTNET_NOLOGO", "DENO_NO_UPDATE_CHECK", "npm_config_loglevel", "LUA_X", "BASHPID", "OPENSSL_X", "PATHS", "XLD_PRELOAD", "path"]  # fmt: skip


@pytest.mark.parametrize("name", HARMLESS)
def test_a_variable_that_only_sets_how_a_program_behaves_alters(name: str) -> None:
    assert effects([started({})], [started({name: "/x"})]) == {"alters"}


def test_each_variable_of_the_table_opens_and_has_a_source() -> None:
    names = []
    for row in load("variables")["programs"]:
        assert row["of"]
        assert row["source"]
        assert row["names"]
        names += [name.replace("*", "X") for name in row["names"]]
    assert len(names) == len(set(names))
    for name in names:
        assert "widens" in effects([started({})], [started({name: "/x"})]), name


def test_other_words_of_a_custom_kernel_open() -> None:
    def kernel(cmdline: str | None) -> Operation:
        args = {"kernel_path": "k", "kernel_format": "elf", "initramfs": None}
        return call("krun_set_kernel", **args, cmdline=cmdline)

    assert "widens" in effects([kernel(None)], [kernel("init=/bin/sh")])
    assert "widens" in effects([kernel("quiet")], [kernel("quiet init=/bin/sh")])
    assert "widens" in effects([], [call("krun_disable_implicit_init")])


def test_the_end_of_a_custom_kernels_words_alters() -> None:
    args = {"kernel_path": "k", "kernel_format": "elf", "initramfs": None}
    old, new = (
        [call("krun_set_kernel", **args, cmdline=words)] for words in ("lockdown=integrity", None)
    )
    assert effects(old, new) == {"alters"}


# Where a secret can be read in the guest.
SECRET = {"A": {"from_env": "S"}}


def held(path: str, once: bool) -> Operation:
    args = {"fs_tag": "/dev/root", "path": path, "mode": 0o600, "one_shot": once}
    data = {"process": {"cwd": "/", "env": SECRET, "args": ["/a"]}}
    return call("krun_fs_add_overlay_file", **args, data=data)


SHOWN = [
    call("krun_set_exec", exec_path="/a", argv=[], envp=SECRET),
    held(".krun_config.json", False),
    held("other", False),
]


@pytest.mark.parametrize("place", range(len(SHOWN)))
def test_a_secret_that_more_of_the_guest_can_read_opens(place: int) -> None:
    hidden = held("/.krun_config.json", True)
    assert "widens" in effects([hidden], [SHOWN[place]])
    assert effects([SHOWN[place]], [hidden]) & {"narrows"}


def disk(name: str) -> Operation:
    return call("krun_add_disk", block_id=name, disk_path=f"{name}.img", read_only=True)


def network(last: int) -> Operation:
    args = {"path": f"/run/{last}", "fd": "none", "features": [], "flags": []}
    return call("krun_add_net_unixstream", **args, mac=f"5a:94:ef:e4:0c:0{last}")


def console(stream: str) -> Operation:
    return call("krun_add_virtio_console_default", input_fd="none", output_fd=stream, err_fd=stream)


MOVED = {
    "disks swapped": ([disk("a"), disk("b")], [disk("b"), disk("a")], "/dev/vdb"),
    "a disk in front": ([disk("a")], [disk("b"), disk("a")], "/dev/vdb"),
    "a disk gone": ([disk("a"), disk("b")], [disk("b")], "/dev/vda"),
    "networks swapped": ([network(1), network(2)], [network(2), network(1)], "eth1"),
    "a network in front": ([network(1)], [network(2), network(1)], "eth1"),
    "consoles swapped": ([console("stdout"), console("stderr")], [console("stderr"), console("stdout")], "virtio console 1"),
    "inputs swapped": ([call("krun_add_input_device_fd", input_fd=n) for n in (8, 9)], [call("krun_add_input_device_fd", input_fd=n) for n in (9, 8)], "input device 1"),
    "the deprecated ones": ([call("krun_set_root_disk", disk_path="r"), call("krun_set_data_disk", disk_path="d")], [call("krun_set_data_disk", disk_path="d")], "/dev/vda"),
}  # fmt: skip


@pytest.mark.parametrize("case", MOVED)
def test_another_device_of_the_guest_alters_and_is_named(case: str) -> None:
    old, new, name = MOVED[case]
    difference = compare(reviewed(*old), reviewed(*new))
    told = difference.of("widens") + difference.of("alters")
    assert any(name in change.text for change in told)
    assert not [one for one in difference.of("neutral") if one.kind != "order"]


def test_the_deprecated_disks_are_root_first_and_dropped_beside_others() -> None:
    root = call("krun_set_root_disk", disk_path="r")
    data = call("krun_set_data_disk", disk_path="d")
    texts = [fact.text for fact in reviewed(data, root).exposure]
    assert texts == ["raw disk d (data, /dev/vdb)", "raw disk r (root, /dev/vda)"]
    texts = [fact.text for fact in reviewed(data, disk("a")).exposure]
    assert texts[0].startswith("raw disk d (data, not attached")


CONFINE, STOP = step("confine", mode="required"), step("stop_on_sigterm", grace_s=10)
FILE = step("open_file", path="f", name="f")
ROOT = call("krun_set_root", root_path="r")
ORDERS = [
    ([CONFINE, STOP], [STOP, CONFINE], "widens"),
    ([STOP, CONFINE], [CONFINE, STOP], "narrows"),
    ([FILE, CONFINE], [CONFINE, FILE], "alters"),
    ([ROOT, CONFINE], [CONFINE, ROOT], "alters"),
    ([CONFINE, ROOT], [ROOT, CONFINE], "alters"),
    ([disk("a"), ROOT], [ROOT, disk("a")], "neutral"),
]


@pytest.mark.parametrize(("old", "new", "effect"), ORDERS, ids=range(len(ORDERS)))
def test_the_order_of_host_steps_is_never_neutral(
    old: list[Operation], new: list[Operation], effect: str
) -> None:
    assert effect in effects(old, new)
    assert ("neutral" in effects(old, new)) == (effect == "neutral")


def test_a_thread_before_the_confinement_is_a_confinement_that_lacks() -> None:
    found = {fact.subject[0]: fact.held for fact in reviewed(STOP, CONFINE).isolation}
    assert not found["confinement"]


@pytest.mark.parametrize("name", ["nproc", "memlock", "nice", "rtprio", "msgqueue"])
def test_a_limit_that_does_not_hold_root_says_so(name: str) -> None:
    (fact,) = reviewed(call("krun_set_rlimits", rlimits={name: "1:1", "nofile": "2:2"})).machine
    assert f"{name} 1:1 (does not hold the guest's root)" in fact.text
    assert "nofile 2:2 (" not in fact.text


WRITABLE = {
    "root": call("krun_set_root", root_path="r"),
    "share": call("krun_add_virtiofs3", tag="t", path="p", shm_size=0, read_only=False),
    "volume": call("krun_set_mapped_volumes", mapped_volumes=["/a:/b"]),
}


@pytest.mark.parametrize("what", WRITABLE)
def test_what_root_leaves_on_the_host_is_told(what: str) -> None:
    def setuid(*operations: Operation) -> bool | None:
        return {fact.subject[0]: fact.held for fact in reviewed(*operations).isolation}["setuid"]

    assert not setuid(WRITABLE[what])
    assert setuid(WRITABLE[what], call("krun_setuid", uid=1000))
    assert not setuid(WRITABLE[what], call("krun_setuid", uid=0))
    assert setuid(call("krun_add_virtiofs3", tag="t", path="p", shm_size=0, read_only=True))


def test_another_family_of_libkrun_alters() -> None:
    one, two = reviewed(ROOT), reviewed(ROOT, era="v2_flat")
    assert "alters" in {change.effect for change in compare(one, two).changes}
