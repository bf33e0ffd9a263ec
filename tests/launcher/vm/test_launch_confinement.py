"""What the VM's process can still reach after it was confined, tried for real: the recorder does at
krun_start_enter what a guest that broke out would do."""

from __future__ import annotations

import errno
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cffi import FFI
from krunc_compiler.__main__ import main
from krunc_launcher.host.landlock import abi
from krunc_schema import load
from recorder.fixtures import Launch
from recorder.source import source

BOX = """\
krunc: 1
name: confined
rootfs: {path: ./rootfs}
shares:
  - {tag: ro, path: ./ro}
  - {tag: rw, path: ./rw, read_only: false}
disks:
  - {id: a, path: ./a.img, format: raw, read_only: true}
  - {id: b, path: ./b.img, format: raw}
network: NETWORK
vsock: [{port: 1, socket: runtime:in.sock, listen: true}, {port: 2, socket: ./far/s, listen: false}]
entrypoint: {executable: /dev/true}
console: {output: runtime:console.log}
confine: CONFINE
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What the box names, and files beside it that it does not."""
    for name in ("rootfs", "ro", "rw", "other", "far"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("text")
        for moved in ("moved", "gone"):
            (tmp_path / name / moved).write_text("text")
        for directory in ("below", "empty"):
            (tmp_path / name / directory).mkdir()
    for name in ("a.img", "b.img", "secret"):
        (tmp_path / name).write_text("text")
    # A link in a share leads nowhere that the plan does not name.
    (tmp_path / "rw" / "out").symlink_to(tmp_path / "secret")
    return tmp_path


def reached(
    place: Path,
    launch: Callable[..., Launch],
    tries: list[str],
    network: str = "{mode: none}",
    confine: str = "required",
    vsock: bool = True,
    target: str = "1",
    more: str = "",
) -> dict[str, str]:
    """The name of the error of each try, empty when it succeeded."""
    box = BOX.replace("NETWORK", network).replace("CONFINE", confine)
    if not vsock:
        box = "\n".join(line for line in box.splitlines() if not line.startswith("vsock"))
    (place / "box.yaml").write_text(box + more)
    assert main(["compile", str(place / "box.yaml"), "--target", target]) == 0
    lines = [
        f"{line[0]} {place}/{line[2:]}" if line[2] not in "/0123456789@" else line for line in tries
    ]
    done = launch(place / "box.plan.json", KRUN_RECORDER_REACH="\n".join(lines))
    assert done.returncode == 0, done.stderr
    found = [call for call in done.calls if "reach" in call]
    assert [call["reach"] for call in found] == lines
    return {
        line: errno.errorcode.get(call["errno"], "")
        for line, call in zip(tries, found, strict=True)
    }


READ_ONLY = ["r ro/file", "d ro", "r a.img"]
WRITABLE = [
    "r rw/file", "w rw/file", "d rw", "c rw/new", "m rw/directory", "f rw/fifo", "l rw/link", "s rw/sock",
    "k rw/file", "v rw/moved", "u rw/gone", "e rw/empty", "w rootfs/file", "r b.img", "w b.img",
    "k b.img",
]  # fmt: skip
NAMED = [
    "w run/console.log",
    "k run/console.log",
    "s run/made.sock",
    "u run/made.sock",
]
DENIED = [
    "r /proc/meminfo",
    # Of the host, and in the directory of the box
    "r secret", "w secret", "k secret", "u secret", "r other/file", "d other", "d .", "c new", "m new",
    "r box.plan.json", "r /etc/passwd", "d /", "r /proc/self/environ", "r /usr/bin/env", "r /dev/null",
    "c ../made", "l ../made", "f ../made",
    "s other/sock", "s far/new", "u far/file", "u other/file", "e other/empty",
    # Through links in a share
    "r rw/out", "w rw/out",
    # Beyond reading what is read-only
    "w ro/file", "c ro/new", "k ro/file", "u ro/file", "e ro/empty", "m ro/new", "f ro/new", "l ro/new",
    "s ro/new", "v ro/moved", "w a.img", "k a.img",
    # Beside the sockets and the console of the runtime directory
    "r run/console.log", "c run/new", "m run/new", "l run/new", "d run",
]  # fmt: skip


def test_this_kernel_can_confine() -> None:
    """Without Landlock none of this would be shown."""
    assert abi() >= 2


def test_only_what_the_plan_names_is_reached(place: Path, launch: Callable[..., Launch]) -> None:
    allowed = [*READ_ONLY, *WRITABLE, *NAMED]
    allowed += ["r /dev/kvm"] if os.access("/dev/kvm", os.R_OK) else []
    # Landlock knows what shortens a file from ABI 3.
    denied = [line for line in DENIED if abi() >= 3 or not line.startswith("k ")]
    found = reached(place, launch, [*denied, *allowed])
    assert {line: found[line] for line in allowed} == dict.fromkeys(allowed, "")
    # Landlock says EXDEV to some moves.
    assert {line: found[line] for line in denied if found[line] not in ("EACCES", "EXDEV")} == {}


@pytest.mark.skipif(os.geteuid() != 0 or abi() < 5, reason="needs device files, and Landlock ABI 5")
def test_devices_in_a_read_only_share_take_no_commands(
    place: Path, launch: Callable[..., Launch]
) -> None:
    for share in ("ro", "rw"):
        os.mknod(place / share / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    found = reached(place, launch, ["r ro/null", "i ro/null", "i rw/null"])
    assert found == {"r ro/null": "", "i ro/null": "EACCES", "i rw/null": "EACCES"}


@pytest.mark.parametrize("confine", ["required", "off"])
def test_no_device_is_made(confine: str, place: Path, launch: Callable[..., Launch]) -> None:
    """By the system call where the VM is confined, and for want of the capability else."""
    devices = ["C rw/c", "D rw/b", "h rw/h", "C rootfs/c"]
    found = reached(place, launch, [*devices, "W rw/w", "f rw/pipe", "c rw/file"], confine=confine)
    assert {line: found[line] for line in devices} == dict.fromkeys(devices, "EPERM")
    assert [found[line] for line in ("W rw/w", "f rw/pipe", "c rw/file")] == [""] * 3
    assert reached(place, launch, ["a 27"], confine=confine) == {"a 27": "EPERM"}


@pytest.mark.parametrize(
    ("mode", "status", "said"),
    [
        ("required", 125, "krunc: the VM cannot be wholly confined: libkrun has started threads"),
        ("best-effort", 0, "krunc: warning: the VM is not wholly confined: libkrun has started"),
    ],
)
def test_a_thread_that_libkrun_starts_before(
    mode: str, status: int, said: str, place: Path, launch: Callable[..., Launch]
) -> None:
    """Landlock would not hold it."""
    text = source("v1").replace(
        'answer("krun_create_ctx")', '(threaded(), answer("krun_create_ctx"))'
    )
    thread = (
        "#include <pthread.h>\n"
        "static void *sleeps(void *x) { for (;;) pause(); return x; }\n"
        "static void threaded(void) { pthread_t t; pthread_create(&t, NULL, sleeps, NULL); }\n"
    )
    (place / "krun.c").write_text(text.replace("static int answer(", thread + "static int answer("))
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-pthread", "-o", place / "libkrun.so", place / "krun.c"],
        check=True,
    )
    box = BOX.replace("NETWORK", "{mode: none}").replace("CONFINE", mode)
    (place / "box.yaml").write_text(box)
    assert main(["compile", str(place / "box.yaml")]) == 0
    done = launch(place / "box.plan.json", library=place / "libkrun.so")
    assert done.returncode == status
    assert said in done.stderr


TSI = "{mode: tsi}"
SERVED = "{mode: unixstream, socket: runtime:net.sock}"


@pytest.mark.parametrize(
    ("network", "vsock", "target", "expected"),
    [
        ("{mode: none}", False, "1", {"n 0": "EACCES", "o sock": "EACCES", "s rw/s": "EACCES"}),
        ("{mode: none}", True, "1", {"n 0": "EACCES", "o sock": "", "s rw/s": ""}),
        (SERVED, False, "1", {"n 0": "EACCES", "o sock": "", "s rw/s": ""}),
        (TSI, False, "1", {"n 0": "", "o sock": "", "s rw/s": ""}),
        (TSI, False, "2", {"n 0": "", "o sock": "", "s rw/s": ""}),
    ],
)
def test_sockets(
    network: str,
    vsock: bool,
    target: str,
    expected: dict[str, str],
    place: Path,
    launch: Callable[..., Launch],
) -> None:
    """No UDP without TSI, and no Unix sockets where the plan has none."""
    (place / "run").mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as net:
        server.bind(str(place / "sock"))
        server.listen()
        net.bind(str(place / "run/net.sock"))
        net.listen()
        assert (
            reached(place, launch, list(expected), network, vsock=vsock, target=target) == expected
        )


@pytest.mark.skipif(abi() < 6, reason="Landlock keeps to itself from ABI 6")
@pytest.mark.parametrize(
    ("network", "errors"),
    [("{mode: none}", {"EPERM"}), (TSI, {""})],
)
def test_abstract_sockets_and_signals(
    network: str, errors: set[str], place: Path, launch: Callable[..., Launch]
) -> None:
    """TSI takes the guest to the host's abstract sockets, too."""
    name = f"@krunc-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name[1:])
        server.listen()
        assert (
            set(reached(place, launch, [f"o {name}", f"g {os.getpid()}"], network).values())
            == errors
        )


def test_sockets_that_libkrun_makes(place: Path, launch: Callable[..., Launch]) -> None:
    """Its own end of a datagram network stands beside the other, or in a directory for it alone; the
    control socket of smolmachines' build where the box has it."""
    network = "{mode: unixgram, socket: ./far/net.sock}"
    tries = ["s far/made", "u far/made", "c run/tmp/made"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as net:
        net.bind(str(place / "far/net.sock"))
        assert reached(place, launch, tries, network) == dict.fromkeys(tries, "")
    more = "extensions: {smolmachines: {control_socket: ./other/control}}\n"
    for extension, error in (("", "EACCES"), (more, "")):
        tries = ["s other/made"]
        found = reached(place, launch, tries, target="2", more=extension)
        assert found == {"s other/made": error}


@pytest.fixture
def tap() -> Iterator[str]:
    """A tap interface; making one needs CAP_NET_ADMIN."""
    name = f"kr{os.getpid()}"
    made = subprocess.run(["ip", "tuntap", "add", name, "mode", "tap"], check=False)
    if made.returncode:
        pytest.skip("no tap interface can be made here")
    yield name
    subprocess.run(["ip", "tuntap", "del", name, "mode", "tap"], check=True)


def test_a_tap_interface(tap: str, place: Path, launch: Callable[..., Launch]) -> None:
    network = f"{{mode: tap, device: {tap}}}"
    tries = ["r /dev/net/tun", "a 12"]  # CAP_NET_ADMIN
    assert reached(place, launch, tries, network) == {"r /dev/net/tun": "", "a 12": ""}
    assert reached(place, launch, tries) == {"r /dev/net/tun": "EACCES", "a 12": "EPERM"}


NAMESPACES = {
    "mnt": 0x20000,
    "uts": 0x4000000,
    "user": 0x10000000,
    "pid": 0x20000000,
    "net": 0x40000000,
}


@pytest.mark.parametrize("network", ["{mode: none}", TSI])
def test_system_calls_that_libkrun_does_not_make(
    network: str, place: Path, launch: Callable[..., Launch]
) -> None:
    denied = load("syscalls")["denied"]
    column = list(load("syscalls")["machines"]).index(os.uname().machine)
    lines = [f"q {row[column]}" for row in denied.values() if row[column] is not None]
    lines += [f"z {flag}" for flag in NAMESPACES.values()] + ["x /bin/true"]
    found = reached(place, launch, [*lines, f"z {0x200}"], network)
    assert found.pop(f"z {0x200}") == "", "CLONE_FS is no namespace"
    assert set(found.values()) == {"EPERM"}, found
    # clone3, whose flags a filter cannot see; and threads, which are made without it
    assert reached(place, launch, ["q 435"], network) == {"q 435": "ENOSYS"}


@pytest.mark.parametrize("network", ["{mode: none}", TSI])
def test_nothing_is_typed_into_the_terminal(
    network: str, place: Path, launch: Callable[..., Launch]
) -> None:
    """TIOCSTI, TIOCLINUX, TIOCSETD, TIOCCONS of asm-generic/ioctls.h: a shell would run what is typed
    there when the launch is over."""
    typing = [f"y {number}" for number in (0x5412, 0x541C, 0x5423, 0x541D)]
    assert set(reached(place, launch, typing, network).values()) == {"EPERM"}
    asked = reached(place, launch, [f"y {0x5401}"], network)  # TCGETS
    assert asked[f"y {0x5401}"] in ("", "ENOTTY"), "where the tests have a terminal, or none"


@pytest.mark.parametrize("network", ["{mode: none}", TSI])
def test_no_limits_of_another_process(
    network: str, place: Path, launch: Callable[..., Launch]
) -> None:
    """The limit of its processor time would end it, whatever Landlock says of signals."""
    other = f"j {os.getpid()}"
    assert reached(place, launch, [other, "j 0"], network) == {other: "EPERM", "j 0": ""}


ATTRIBUTES = [f"{letter} {name}" for letter in "pPXU" for name in ("secret", "ro/file", "a.img")]


@pytest.mark.parametrize(
    ("writable", "error"),
    [("", "EPERM"), ("  - {tag: rw, path: ./rw, read_only: false}\n", "")],
)
def test_owner_mode_and_attributes_of_files(
    writable: str, error: str, place: Path, launch: Callable[..., Launch]
) -> None:
    """Landlock does not look at them. The file server needs them for a directory that the guest may
    write; without one they are refused, wherever the file is."""
    for directory in ("dev", "proc", "sys"):
        (place / "rootfs" / directory).mkdir()
    (place / "box.yaml").write_text(
        "krunc: 1\nname: confined\nrootfs: {path: ./rootfs, read_only: true}\n"
        f"shares:\n  - {{tag: ro, path: ./ro}}\n{writable}"
        "disks: [{id: a, path: ./a.img, format: raw}]\nnetwork: {mode: none}\n"
        "entrypoint: {executable: /dev/true}\nconfine: required\n"
    )
    assert main(["compile", str(place / "box.yaml"), "--target", "2"]) == 0
    lines = "\n".join(f"{line[0]} {place}/{line[2:]}" for line in ATTRIBUTES)
    done = launch(place / "box.plan.json", KRUN_RECORDER_REACH=lines)
    assert done.returncode == 0, done.stderr
    found = [call["errno"] for call in done.calls if "reach" in call]
    assert len(found) == len(ATTRIBUTES)
    assert {errno.errorcode.get(number, "") for number in found} == {error}


def test_the_numbers_are_those_of_libseccomp() -> None:
    ffi = FFI()
    ffi.cdef("int seccomp_syscall_resolve_name_arch(uint32_t architecture, const char *name);")
    library: Any = ffi.dlopen("libseccomp.so.2")
    table = load("syscalls")
    for i, row in enumerate(table["machines"].values()):
        named = {**table["denied"], **table["by_argument"], **table["attributes"]}
        numbers = {**{name: given[i] for name, given in named.items()}, "seccomp": row["seccomp"]}
        for name, number in numbers.items():
            known = library.seccomp_syscall_resolve_name_arch(row["architecture"], name.encode())
            if number is None:
                assert known < 0, name
            elif known != -1 or number <= 461:  # else this libseccomp is older than the call
                assert known == number, name


def test_off_takes_nothing_away(place: Path, launch: Callable[..., Launch]) -> None:
    found = reached(place, launch, ["r secret", "r rw/out", "r /etc/passwd"], confine="off")
    assert set(found.values()) == {""}


@pytest.mark.skipif(abi() < 4, reason="Landlock restricts TCP from ABI 4")
@pytest.mark.parametrize(
    ("network", "error"),
    [("{mode: none}", "EACCES"), (TSI, ""), (SERVED, "EACCES")],
)
def test_tcp_only_with_tsi(
    network: str, error: str, place: Path, launch: Callable[..., Launch]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as net:
        (place / "run").mkdir(mode=0o700)
        net.bind(str(place / "run/net.sock"))
        net.listen()
        port = server.getsockname()[1]
        tries = [f"t {port}", "b 0", f"T {port}", "B 0"]
        assert set(reached(place, launch, tries, network).values()) == {error}


def test_a_gpu_is_not_confined(place: Path, launch: Callable[..., Launch]) -> None:
    """What it needs is not known: a warning says so, and `required` does not compile."""
    box = BOX.replace("NETWORK", "{mode: none}") + "gpu: {flags: [venus]}\n"
    (place / "box.yaml").write_text(box.replace("CONFINE", "best-effort"))
    assert main(["compile", str(place / "box.yaml")]) == 0
    done = launch(place / "box.plan.json")
    assert done.returncode == 0
    assert done.stderr == (
        "krunc: warning: the VM is not confined: the host access that krun_set_gpu_options needs "
        "is not known\n"
    )
    (place / "box.yaml").write_text(box.replace("CONFINE", "required"))
    assert main(["compile", str(place / "box.yaml")]) == 1


def test_a_start_that_fails_is_still_explained(place: Path, launch: Callable[..., Launch]) -> None:
    box = BOX.replace("NETWORK", "{mode: none}").replace("CONFINE", "required")
    (place / "box.yaml").write_text(box)
    assert main(["compile", str(place / "box.yaml")]) == 0
    done = launch(
        place / "box.plan.json", KRUN_RECORDER_FAIL="krun_start_enter=-22", kvm="emulated"
    )
    assert done.returncode == 125
    assert "Traceback" not in done.stderr
    assert "cannot run an ordinary guest" in done.stderr or "returned -22" in done.stderr


def test_what_follows_the_confinement_is_loaded_before(
    place: Path, launch: Callable[..., Launch]
) -> None:
    """SIGTERM is taken after it, by a module that could not be read any more."""
    box = BOX.replace("NETWORK", "{mode: none}").replace("CONFINE", "required")
    (place / "box.yaml").write_text(box.replace("console: {output: runtime:console.log}", ""))
    assert main(["compile", str(place / "box.yaml")]) == 0
    assert '"stop_on_sigterm"' in (place / "box.plan.json").read_text()
    done = launch(place / "box.plan.json")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_console_is_emptied_not_read(place: Path, launch: Callable[..., Launch]) -> None:
    (place / "run").mkdir(mode=0o700)
    (place / "run/console.log").write_text("of an earlier run")
    found = reached(place, launch, ["r run/console.log", "w run/console.log"])
    assert found == {"r run/console.log": "EACCES", "w run/console.log": ""}
    assert os.path.exists(place / "run/console.log")
