"""What the VM's process can still reach after it was confined, tried for real: the recorder does at
krun_start_enter what a guest that broke out would do."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_launcher.confine import abi
from recorder.fixtures import Launch

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
vsock: [{port: 5000, socket: runtime:in.sock, listen: true}]
entrypoint: {executable: /bin/true}
console: {output: runtime:console.log}
confine: CONFINE
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """What the box names, and files beside it that it does not."""
    for name in ("rootfs", "ro", "rw", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("text")
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
) -> dict[str, str]:
    """The name of the error of each try, empty when it succeeded."""
    box = BOX.replace("NETWORK", network).replace("CONFINE", confine)
    (place / "box.yaml").write_text(box)
    assert main(["compile", str(place / "box.yaml")]) == 0
    lines = [
        f"{line[0]} {place}/{line[2:]}" if line[2] not in "/0123456789" else line for line in tries
    ]
    done = launch(place / "box.plan.json", KRUN_RECORDER_REACH="\n".join(lines))
    assert done.returncode == 0, done.stderr
    found = [call for call in done.calls if "reach" in call]
    assert [call["reach"] for call in found] == lines
    return {
        line: errno.errorcode.get(call["errno"], "")
        for line, call in zip(tries, found, strict=True)
    }


ALLOWED = [
    "r rootfs/file", "w rootfs/file", "c rootfs/new", "r ro/file", "r rw/file", "w rw/file",
    "c rw/new", "r a.img", "r b.img", "w b.img", "w run/console.log", "r /dev/kvm",
]  # fmt: skip
DENIED = [
    "r secret", "w secret", "r other/file", "w ro/file", "c ro/new", "w a.img", "r rw/out",
    "w rw/out", "c new", "r box.plan.json", "c run/new", "r /etc/passwd", "r /proc/self/environ",
    "r /usr/bin/env", "r /dev/null", "c /tmp/krunc-made-by-a-test",
]  # fmt: skip


def test_this_kernel_can_confine() -> None:
    """Without Landlock none of this would be shown."""
    assert abi() >= 2


def test_only_what_the_plan_names_is_reached(place: Path, launch: Callable[..., Launch]) -> None:
    found = reached(place, launch, [*ALLOWED, *DENIED])
    assert {line for line in ALLOWED if found[line]} == set()
    assert {line: found[line] for line in DENIED} == dict.fromkeys(DENIED, "EACCES")


def test_off_takes_nothing_away(place: Path, launch: Callable[..., Launch]) -> None:
    found = reached(place, launch, ["r secret", "r rw/out", "r /etc/passwd"], confine="off")
    assert set(found.values()) == {""}


@pytest.mark.skipif(abi() < 4, reason="Landlock restricts TCP from ABI 4")
@pytest.mark.parametrize(
    ("network", "error"),
    [("{mode: none}", "EACCES"), ("{mode: tsi}", ""), ("{mode: unixstream, fd: 5}", "EACCES")],
)
def test_tcp_only_with_tsi(
    network: str, error: str, place: Path, launch: Callable[..., Launch]
) -> None:
    if "fd" in network:
        network = "{mode: unixstream, socket: runtime:net.sock}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as net:
        (place / "run").mkdir(mode=0o700)
        net.bind(str(place / "run/net.sock"))
        net.listen()
        attempt = f"t {server.getsockname()[1]}"
        assert reached(place, launch, [attempt], network) == {attempt: error}


def test_a_gpu_is_not_confined(place: Path, launch: Callable[..., Launch]) -> None:
    """What it needs is not known: a warning says so, and `required` does not compile."""
    box = BOX.replace("NETWORK", "{mode: none}") + "gpu: {flags: [venus]}\n"
    (place / "box.yaml").write_text(box.replace("CONFINE", "best-effort"))
    assert main(["compile", str(place / "box.yaml")]) == 0
    done = launch(place / "box.plan.json")
    assert done.returncode == 0
    assert done.stderr == (
        "krunc: warning: the VM is not confined: what krun_set_gpu_options needs of the host is "
        "not known\n"
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
