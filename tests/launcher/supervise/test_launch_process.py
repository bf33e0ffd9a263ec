"""The launcher as a process: its streams, signals and descriptors, and other people's files."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.plan.plan import required
from krunc_launcher.host.listeners import kinds
from processes import PATIENCE, started, wait_until
from recorder.fixtures import LAUNCHER, Launch
from roots import runnable

BOX = """\
krunc: 1
name: box
rootfs: {path: ./rootfs}
network: {mode: unixstream, socket: ./net.sock}
agent: {listen: runtime:agent.sock}
entrypoint: {executable: /dev/a}
allow: [{code: KR606, reason: it knows its port}]
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "box.yaml").write_text(BOX)
    runnable(tmp_path / "rootfs")
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    return tmp_path / "box.plan.json"


@pytest.fixture
def server(plan: Path) -> Any:
    """The network program that the plan wants."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(plan.parent / "net.sock"))
        listening.listen()
        listening.setblocking(False)
        yield listening


def run(*command: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, **more)


def shell(script: str, *arguments: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
    """A bash script whose "$@" is the launcher and ARGUMENTS."""
    return run("bash", "-c", script, "bash", *LAUNCHER, *arguments, **more)


# --- streams ----------------------------------------------------------------------------------


def test_closed_streams_stay_harmless(
    plan: Path, server: Any, build: Callable[..., Path], fake_kvm: Path, tmp_path: Path
) -> None:
    done = shell(
        'exec "$@" <&- >&- 2>&-',
        *("--libkrun", build("v1"), "--runtime-dir", tmp_path / "run", plan),
        env={**os.environ, "LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER_EXIT": "7"},
    )
    assert done.returncode == 7
    assert shell('"$@" >&-', "--dry-run", plan).returncode == 1
    assert shell('"$@" 2>&-', "--dry-run", "missing").returncode == 1


def test_output_that_nobody_takes(plan: Path) -> None:
    for arguments in (["--dry-run", plan], ["--help"]):
        done = shell('"$@" | true; exit ${PIPESTATUS[0]}', *arguments)
        assert done.stderr == ""
        done = shell('"$@" >/dev/full', *arguments)
        assert done.returncode == 1
        assert done.stderr == "krunc: the output cannot be written: No space left on device\n"


def test_output_in_a_narrow_encoding(plan: Path) -> None:
    text = plan.read_text().replace('"rootfs"', '"r\u00f6\u2192"')
    plan.write_text(text)
    done = run(*LAUNCHER, "--dry-run", plan, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0
    assert '/r\\xf6\\u2192"' in done.stdout


@pytest.mark.parametrize("source", ["-", "/dev/stdin", "/dev/fd/0"])
def test_a_plan_from_a_slow_pipe(source: str, plan: Path) -> None:
    wanted = run(*LAUNCHER, "--dry-run", plan).stdout
    text = plan.read_bytes()
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with started([*LAUNCHER, "--dry-run", source], cwd=plan.parent, **streams) as process:
        assert process.stdin is not None
        pipe = process.stdin.fileno()
        os.write(pipe, text[:100])
        # The launcher has taken it and waits for more.
        wait_until(lambda: unread(pipe) == 0, process)
        said, errors = process.communicate(text[100:], timeout=PATIENCE)
    assert (said.decode(), errors) == (wanted, b"")


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_no_plan(device: str) -> None:
    done = run(*LAUNCHER, "--dry-run", device)
    assert done.returncode == 1
    assert done.stderr.startswith(f"krunc: {device}: ")


def test_ctrl_c_ends_it_without_a_word() -> None:
    with started(
        [*LAUNCHER, "--dry-run", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        # The launcher's own copy of its standard input: now it waits for the plan.
        wait_until(lambda: opened(process.pid).count(opened(process.pid)[0]) >= 2, process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, said) == (-signal.SIGINT, b"")


def unread(pipe: int) -> int:
    """How many bytes of a pipe nobody has read."""
    count = fcntl.ioctl(pipe, termios.FIONREAD, bytes(4))
    return int.from_bytes(count, sys.byteorder)


def opened(pid: int) -> list[str]:
    """What the descriptors of a process are, from 0 on."""
    files = Path(f"/proc/{pid}/fd")
    found = []
    for name in sorted(os.listdir(files), key=int):
        with contextlib.suppress(FileNotFoundError):  # closed since it was listed
            found.append(os.readlink(files / name))
    return found


# --- descriptors and sockets ------------------------------------------------------------------


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7, 99])
def test_a_descriptor_that_is_not_open(
    number: int, plan: Path, launch: Callable[..., Launch]
) -> None:
    """Those that the launcher itself has open are not the plan's."""
    content = json.loads(plan.read_text())
    row = {
        "call": "krun_add_input_device_fd",
        "args": {"input_fd": number},
        "from": "display.input",
    }
    confine = [i for i, row in enumerate(content["operations"]) if row.get("step") == "confine"]
    content["operations"].insert(confine[0], row)
    content["requires"] |= required(content["api"], content["operations"])
    plan.write_text(json.dumps(content))
    done = launch(plan)
    assert (done.returncode, done.calls) == (125, [])
    assert f"krunc: file descriptor {number} is not open; " in done.stderr
    assert done.stderr.splitlines()[-1].endswith(" (display.input)")


def test_a_network_program_is_not_connected_to(
    plan: Path, server: socket.socket, launch: Callable[..., Launch]
) -> None:
    if not kinds(str(plan.parent / "net.sock")):
        pytest.skip("this kernel has no unix_diag: there is no other way than to connect")
    assert launch(plan).returncode == 0
    with pytest.raises(BlockingIOError):
        server.accept()


# --- the runtime directory -----------------------------------------------------------------------


def linked(directory: Path) -> str:
    directory.parent.mkdir()
    (directory.parent.parent / "elsewhere").mkdir()
    directory.symlink_to("../elsewhere")
    return "is not a directory; choose another with --runtime-dir"


def open_to_all(directory: Path) -> str:
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    return "may be written by others; chmod 700 it"


def open_parent(directory: Path) -> str:
    directory.mkdir(parents=True)
    directory.parent.chmod(0o777)
    return "may be written by others; chmod 700 it"


def shared(directory: Path) -> str:
    directory.mkdir(parents=True)
    directory.chmod(0o1777)  # as /tmp
    return f"{directory} may be written by others"


def foreign(directory: Path) -> str:
    if os.geteuid() != 0:
        pytest.skip("only root can make somebody else's directory")
    directory.mkdir(parents=True)
    os.chown(directory, 65534, 65534)
    return "belongs to uid 65534; use another --runtime-dir"


def a_file(directory: Path) -> str:
    directory.parent.mkdir()
    directory.write_text("")
    return "is not a directory; choose another with --runtime-dir"


@pytest.mark.parametrize("spoil", [linked, open_to_all, open_parent, shared, foreign, a_file])
def test_a_runtime_directory_of_others(
    spoil: Callable[[Path], str], plan: Path, server: Any, launch: Callable[..., Launch]
) -> None:
    directory = plan.parent / "krunc" / "box"
    sentence = spoil(directory)
    done = launch(plan, "--runtime-dir", str(directory))
    assert (done.returncode, done.calls) == (125, [])
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_runtime_directory_is_made(
    plan: Path, server: Any, launch: Callable[..., Launch]
) -> None:
    directory = plan.parent / "krunc" / "box"
    assert launch(plan, "--runtime-dir", str(directory)).returncode == 0
    assert directory.stat().st_mode & 0o777 == 0o700
    assert directory.parent.stat().st_mode & 0o777 == 0o700


# --- libraries --------------------------------------------------------------------------------


def test_the_loader_finds_libkrun(
    plan: Path, server: Any, build: Callable[..., Path], fake_kvm: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "lib"
    directory.mkdir()
    shutil.copy(build("v1"), directory / "libkrun.so.1")
    environment = {
        **{name: value for name, value in os.environ.items() if name != "KRUNC_LIBKRUN"},
        "LD_LIBRARY_PATH": str(directory),
        "LD_PRELOAD": str(fake_kvm),
        "KRUN_RECORDER_EXIT": "7",
    }
    command = [*LAUNCHER, "--runtime-dir", str(tmp_path / "run"), str(plan)]
    done = run(*command, env=environment)
    assert done.returncode == 125
    assert "krunc: no libkrunfw, the guest's kernel, is beside libkrun.so.1 or known" in done.stderr
    firmware: list[str | Path] = [
        "cc",
        "-shared",
        "-o",
        directory / "libkrunfw.so.5",
        "-x",
        "c",
        "/dev/null",
    ]
    subprocess.run(firmware, check=True)
    assert run(*command, env=environment).returncode == 7
    (directory / "libkrun.so.1").write_text("broken")
    done = run(*command, env=environment)
    assert done.returncode == 125
    assert "krunc: libkrun.so.1 cannot be loaded: " in done.stderr
    assert "file too short" in done.stderr


# --- a stranger's directory ----------------------------------------------------------------------


def test_files_of_the_working_directory_are_not_run(
    plan: Path, server: Any, build: Callable[..., Path], fake_kvm: Path, tmp_path: Path
) -> None:
    krunc = Path(sys.executable).with_name("krunc")
    if not krunc.exists():
        pytest.skip("krunc is not installed beside this Python")
    hostile = "raise SystemExit(66)\n"
    for name in ("krunc_launcher", "krunc", "krunc_compiler", "fcntl", "_signal", "resource"):
        (tmp_path / f"{name}.py").write_text(hostile)
    (tmp_path / "smol").mkdir()
    (tmp_path / "smol" / "libkrun.so").write_text("not to be loaded")
    environment = {
        **os.environ,
        "LD_PRELOAD": str(fake_kvm),
        "KRUN_RECORDER_EXIT": "7",
        "KRUNC_LIBKRUN": str(build("v1")),
    }
    for given in ("box.yaml", "box.plan.json"):
        done = run(krunc, "launch", "--runtime-dir", "run", given, env=environment, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (7, "")


def test_a_box_made_on_the_way_is_called_by_its_name(
    plan: Path, server: Any, build: Callable[..., Path], fake_kvm: Path
) -> None:
    box = plan.with_name("box.yaml")
    box.write_text(BOX.replace("/dev/a}", "/dev/a, env: {T: {from_env: NO_SUCH}}}"))
    done = run(
        sys.executable, "-m", "krunc", "launch", "--libkrun", build("v1"), box,
        env={**os.environ, "LD_PRELOAD": str(fake_kvm)},
    )  # fmt: skip
    assert done.returncode == 125
    assert done.stderr.startswith("plan of box.yaml:")
    assert "the launcher's variable NO_SUCH is not set" in done.stderr


def test_one_box_of_a_matrix(
    plan: Path, server: Any, build: Callable[..., Path], fake_kvm: Path
) -> None:
    box = plan.with_name("box.yaml")
    box.write_text(BOX.replace("name: box", "name: 'box-{{ n }}'\nmatrix: {n: [1, 2]}"))
    command = (sys.executable, "-m", "krunc", "launch", "--libkrun", build("v1"))
    environment = {**os.environ, "LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER_EXIT": "7"}
    done = run(*command, "--box=box-2", box, env=environment)
    assert (done.returncode, done.stderr) == (7, "")
    done = run(*command, box, env=environment)
    assert done.returncode == 2
    assert "choose one with --box: box-1, box-2" in done.stderr
