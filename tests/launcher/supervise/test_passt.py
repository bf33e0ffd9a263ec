"""The passt of a VM: it is started before the VM, has nothing of the launcher, and ends with it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from krunc_launcher._rare_rules import STEPS
from krunc_launcher.errors import LaunchError
from krunc_launcher.resolve.operation import Named, Opened, Operation
from krunc_launcher.supervise import passt, relay
from passts import NEW, command, environment, named, planned, script
from ports import free_ports
from processes import PATIENCE, below, children, entered, gone, started, wait_until
from recorder.fixtures import Launch
from roots import runnable


def is_served(port: int, address: str = "127.0.0.1") -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0


def test_the_call_gets_its_socket(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    done = launch(planned(tmp_path), KRUN_RECORDER_EXIT="7")
    assert done.returncode == 7, done
    (call,) = (one for one in done.calls if "krun_add_net_unixstream" in json.dumps(one))
    assert '"/' not in json.dumps(call), "a path leads to it"
    assert not done.stderr


def test_a_secret_is_no_hindrance(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    plan = planned(tmp_path)
    box = tmp_path / "box.yaml"
    box.write_text(box.read_text().replace("/bin/a}", "/bin/a, env: {A: {from_env: TOKEN}}}"))
    assert main(["compile", str(box)]) == 0
    assert launch(plan, KRUN_RECORDER_EXIT="7", TOKEN="x").returncode == 7


@pytest.mark.parametrize("end", ["the VM", "the launcher", "SIGTERM"])
def test_it_ends_with_the_vm(
    end: str, tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    port = free_ports(1)
    plan = planned(tmp_path, port=port)
    env = environment(fake_kvm, tmp_path, TOKEN="a-secret-value")
    with started(command(build, tmp_path, plan), env=env) as launcher:
        entered(tmp_path / "calls", launcher)
        assert is_served(port)
        assert not is_served(port, "127.0.0.2")
        (own,) = named(launcher.pid, "passt")
        all_of_it = below(launcher.pid)
        assert Path(f"/proc/{own}/environ").read_bytes().strip(b"\0") == b""
        for one in all_of_it:
            assert b"a-secret-value" not in Path(f"/proc/{one}/environ").read_bytes()
        if end == "the VM":
            (vm,) = set(children(launcher.pid)) - set(beside(launcher.pid))
            os.kill(vm, signal.SIGKILL)
        else:
            launcher.send_signal(signal.SIGKILL if end == "the launcher" else signal.SIGTERM)
        assert all(map(gone, all_of_it))
        wait_until(lambda: not is_served(port))


def beside(pid: int) -> list[int]:
    """What runs beside the VM of the launcher PID: the leaders of sessions of their own."""
    return [one for one in children(pid) if os.getsid(one) == one]


@pytest.mark.parametrize("which", ["passt", "the relay before passt"])
def test_one_that_dies_while_the_vm_runs(
    which: str, tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    words = command(build, tmp_path, planned(tmp_path))
    env = environment(fake_kvm, tmp_path)
    with started(words, env=env, stderr=subprocess.PIPE) as launcher:
        entered(tmp_path / "calls", launcher)
        own = named(launcher.pid, "passt")
        (relaying,) = (one for one in beside(launcher.pid) if not children(one))
        (dies,) = own if which == "passt" else [relaying]
        os.kill(dies, signal.SIGKILL)
        assert launcher.stderr is not None
        said = launcher.stderr.readline().decode()
        assert said.startswith(
            f"krunc: warning: {which} has ended by signal 9, and with it the network"
        )
        assert launcher.poll() is None, "the VM runs on"


def test_one_whose_keeper_dies(tmp_path: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    """It may run on then, for it has become another user."""
    words = command(build, tmp_path, planned(tmp_path))
    env = environment(fake_kvm, tmp_path)
    with started(words, env=env, stderr=subprocess.PIPE) as launcher:
        entered(tmp_path / "calls", launcher)
        (keeper,) = (one for one in beside(launcher.pid) if children(one))
        os.kill(keeper, signal.SIGKILL)
        assert launcher.stderr is not None
        said = launcher.stderr.readline().decode()
        told = (
            "krunc: warning: the process above passt was killed (SIGKILL); passt may serve the VM"
        )
        assert said.startswith(told), said
        assert launcher.poll() is None, "the VM runs on"


def test_one_that_does_not_answer_keeps_no_other_vm_beyond_its_time(
    tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    runnable(tmp_path / "rootfs")
    quick = tmp_path / "quick.yaml"
    quick.write_text(
        "krunc: 1\nname: quick\nrootfs: {path: ./rootfs}\nnetwork: {mode: none}\n"
        "entrypoint: {executable: /bin/a}\ntimeout: 2s\n"
    )
    assert main(["compile", str(quick)]) == 0
    (tmp_path / "slow").mkdir()
    slow = planned(tmp_path / "slow", script(tmp_path / "slow", "exec sleep 1000"))
    words = command(build, tmp_path, quick.with_name("quick.plan.json"), slow)
    words += ["--log-dir", str(tmp_path / "logs"), "--exit-record", str(tmp_path / "ends")]
    with started(words, env=environment(fake_kvm, tmp_path), stderr=subprocess.DEVNULL) as fleet:
        wait_until(lambda: len(children(fleet.pid)) >= 2, fleet)
        vm = children(fleet.pid)[0]
        assert gone(vm)
        assert not list((tmp_path / "ends").iterdir()), "passt was not waited for any more"


@pytest.mark.parametrize("most", range(8, 24))
def test_too_few_files_for_what_runs_beside(
    most: int, tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """Whoever of them finds it out: what is said is a sentence of krunc's."""
    words = command(build, tmp_path, planned(tmp_path))
    env = environment(fake_kvm, tmp_path, KRUN_RECORDER_EXIT="7")
    del env["KRUN_RECORDER_STAY"]
    limited = ["prlimit", f"--nofile={most}:", *words]  # which the launcher may raise
    done = subprocess.run(limited, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode in (7, 125), done
    assert all(line.startswith("krunc: ") for line in done.stderr.splitlines()), done.stderr


def test_one_that_ends_by_itself(
    tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """It is told of late, for it ends so when the VM's process does, too."""
    words = command(build, tmp_path, planned(tmp_path))
    with started(words, env=environment(fake_kvm, tmp_path), stderr=subprocess.PIPE) as launcher:
        entered(tmp_path / "calls", launcher)
        (own,) = named(launcher.pid, "passt")
        os.kill(own, signal.SIGTERM)
        assert launcher.stderr is not None
        said = launcher.stderr.readline().decode()
        assert said.startswith("krunc: warning: passt has ended with status 0, and with it"), said
        assert launcher.poll() is None, "the VM runs on"


FAILING = {
    "exit": ("echo no luck >&2; exit 3", "does not serve: it ended with status 3: no luck"),
    "killed": ("kill -9 $$", "does not serve: it ended by signal 9: it says nothing"),
    "many words": ("yes 0123456789 | head -20000 >&2; exit 1", "0123456789; 0123456789"),
    "a terminal's": ("printf '\\033[2Jx' >&2; exit 1", "\\033[2Jx"),
    "old": ("echo 'unrecognized option' >&2; exit 1", "krunc needs one of 2023 or newer"),
    "unconfined": ("echo \"Couldn't create user namespace: no\" >&2; exit 1", "user.max_user_namespaces"),
    "another's": ("printf '\\0\\0\\0\\1x' >&3; exit 0", "it ended with status 0"),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILING)
def test_one_that_does_not_serve(name: str, tmp_path: Path, launch: Callable[..., Launch]) -> None:
    text, words = FAILING[name]
    done = launch(planned(tmp_path, script(tmp_path, text)))
    assert (done.returncode, done.calls) == (125, []), done
    assert words in done.stderr
    assert len(done.stderr) < 1000
    assert done.stderr.startswith("krunc: ")


# What it does without an end, as a Python program, and what is told of that.
ENDLESS = {
    "says nothing": ("time.sleep(1000)", "there is no answer within N s: it says nothing"),
    "sends frames": ("while 1: os.write(3, b'\\0\\0\\0\\x3c' + bytes(60))", "there is no answer within N s"),
    "sends empty frames": ("while 1: os.write(3, bytes(4096))", "there is no answer within N s"),
    "sends half a frame": ("os.write(3, b'\\0\\0\\1\\0x'); time.sleep(1000)", "there is no answer within N s"),
    "sends one frame": ("os.write(3, b'\\xff' * 4)\nwhile 1: os.write(3, bytes(65536))", "it does not speak as passt does"),
    "hangs up": ("os.close(3); time.sleep(1000)", "it closed its socket: it says nothing"),
    "hangs up and talks": ("os.close(3)\nwhile 1: say()", "it closed its socket: yyyyy"),
    "talks": ("while 1: say()", "there is no answer within N s: yyyyy"),
    "has its child talk": ("os.fork()\nwhile 1: say()", "there is no answer within N s: yyyyy"),
}  # fmt: skip
SAYING = """
import os, time
def say():
    try:
        os.write(2, b"y" * 65536)
    except BlockingIOError:
        pass
"""


@pytest.mark.parametrize("name", ENDLESS)
def test_one_that_never_ends(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, words = ENDLESS[name]
    (tmp_path / "endless.py").write_text(SAYING + text)
    before = set(children(os.getpid()))
    # On a slow machine the program has not begun after the first.
    for patience_s in (0.3, 3, 30):
        monkeypatch.setattr(passt, "_PATIENCE_S", patience_s)
        monkeypatch.setattr(passt, "_HUNG_UP_S", patience_s)
        with pytest.raises(LaunchError) as failed:
            starting(script(tmp_path, f"exec {sys.executable} -IS {tmp_path}/endless.py"))
        assert len(failed.value.lines[0]) < 1000
        assert set(children(os.getpid())) <= before
        said = re.sub(r"within \d+ s", "within N s", failed.value.lines[0])
        if words in said:
            break
    assert words in said


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_a_signal_while_it_starts(
    number: int, tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """Nobody waits for 20 seconds then, and nothing stays."""
    program = script(tmp_path, f"echo $$ >{tmp_path}/pid; exec sleep 1000")
    plan = planned(tmp_path, program, more="hostname: here\n")
    words = command(build, tmp_path, plan)
    env = environment(fake_kvm, tmp_path)
    with started(words, env=env, stderr=subprocess.PIPE) as launcher:
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
        launcher.send_signal(number)
        assert launcher.wait() == 125
        assert launcher.stderr is not None
        assert b"does not serve: a signal ended the launch" in launcher.stderr.read()
    assert gone(int((tmp_path / "pid").read_text()))
    assert not list(tmp_path.rglob("launch-*"))


def test_one_that_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passt, "_PATIENCE_S", 0.3)
    before = set(children(os.getpid()))
    with pytest.raises(LaunchError) as failed:
        starting(script(tmp_path, "sleep 1000"))
    assert "there is no answer within 0 s: it says nothing (network)" in failed.value.lines[0]
    assert set(children(os.getpid())) <= before


def starting(program: Path) -> None:
    """Start PROGRAM in the place of a passt, in this process."""
    values: dict[str, Any] = {
        "program": str(program), "address": "10.0.2.15", "prefix": 24, "gateway": "10.0.2.2",
        "resolver": "10.0.2.3", "host_loopback": False, "tcp_ports": [], "udp_ports": [], "name": "passt",
    }  # fmt: skip
    named = [values[param["name"]] for param in STEPS["start_passt"]["params"]]
    step = Operation(0, "step", "start_passt", named, "network", False)
    device = [None, None, Opened("passt"), bytes(6), Named("0", 0), Named("0", 0)]
    call = Operation(1, "call", "krun_add_net_unixstream", device, "network", False)
    passt.start([step, call], (), lambda: None)


PROGRAMS = {
    "/nowhere/passt": "/nowhere/passt: no such file or directory; install passt",
    "/etc/passwd": "/etc/passwd is not a program that uid",
    "/usr/bin": "/usr/bin is not a program that uid",
    "./rootfs/passt": "is in a directory that a guest may write, or a link leads there",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_one_that_cannot_be_started(
    program: str, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    plan = planned(tmp_path, program)
    (tmp_path / "rootfs/passt").write_bytes(script(tmp_path, "exit 1").read_bytes())
    (tmp_path / "rootfs/passt").chmod(0o755)
    done = launch(plan)
    assert (done.returncode, done.calls) == (125, []), done
    assert PROGRAMS[program] in done.stderr
    assert "(network)" in done.stderr


@pytest.mark.parametrize(
    ("listens", "published", "meets"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.2", "127.0.0.1", False),
    ],
)
def test_a_port_that_is_taken(
    listens: str, published: str, meets: bool, tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    """passt would say so, too, but only when the VM is about to start."""
    with socket.create_server((listens, 0)) as server:
        port = server.getsockname()[1]
        plan = planned(tmp_path, port=port)
        plan.write_text(plan.read_text().replace(f"127.0.0.1:{port}:80", f"{published}:{port}:80"))
        done = launch(plan, KRUN_RECORDER_EXIT="7")
    if not meets:
        assert (done.returncode, done.stderr) == (7, ""), done
        return
    assert (done.returncode, done.calls) == (125, []), done
    assert f"TCP port {port} of {published} is in use; stop what listens there" in done.stderr
    assert "(network)" in done.stderr


def test_what_is_left_of_connections(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    """passt takes a port that the kernel keeps for ended connections (TIME_WAIT)."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            server.accept()[0].close()
    assert launch(planned(tmp_path, port=port), KRUN_RECORDER_EXIT="7").returncode == 7


def test_a_port_that_passt_cannot_have(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    fails = script(tmp_path, 'echo "Failed to bind port 80" >&2; exit 1')
    done = launch(planned(tmp_path, fails))
    assert (done.returncode, done.calls) == (125, []), done
    assert "Failed to bind" in done.stderr
    assert "a port is in use (ss -ltnup)" in done.stderr


@pytest.mark.parametrize("files", [*range(5, 40), 64, 256, 1000])
def test_few_open_files(
    files: int, tmp_path: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """It starts, or the launch says that there are too few; nothing stays."""
    plan = planned(tmp_path, more="hostname: here\n")
    limited = ["sh", "-c", f'ulimit -Sn {files}; exec "$@"', "sh", *command(build, tmp_path, plan)]
    env = environment(fake_kvm, tmp_path)
    del env["KRUN_RECORDER_STAY"]
    done = subprocess.run(limited, env=env, capture_output=True, text=True, timeout=PATIENCE)
    assert not list(tmp_path.rglob("launch-*")), done
    if files >= 64:
        assert (done.returncode, done.stderr) == (0, "")
    elif done.returncode:
        assert "too many open files" in done.stderr.lower(), done
        assert "bad file descriptor" not in done.stderr


def test_several_vms(tmp_path: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    """Each has its own, and one that fails keeps no other VM back."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    plans = []
    for directory in (good, bad):
        directory.mkdir()
        program = "/usr/bin/passt" if directory == good else script(directory, "exit 4")
        made = planned(directory, program)
        plans.append(made.rename(tmp_path / f"{directory.name}.plan.json"))
        runnable(tmp_path / "rootfs")
    env = environment(fake_kvm, tmp_path)
    words = [*command(build, tmp_path, *plans), "--log-dir", str(tmp_path / "logs")]
    with started(words, env=env, stderr=subprocess.PIPE) as fleet:
        assert fleet.stderr is not None
        said = fleet.stderr.readline().decode()
        assert said.startswith("krunc: bad: "), said
        assert "does not serve: it ended with status 4" in said
        entered(tmp_path / "calls", fleet)
        assert len(named(fleet.pid, "passt")) == 1
        alive = below(fleet.pid)
        fleet.send_signal(signal.SIGTERM)
        assert all(map(gone, alive))


IPV4 = b"\x08\x00"


def frame(kind: bytes, to: bytes = bytes(4), size: int = 60) -> memoryview:
    """A frame of Ethernet."""
    return memoryview((bytes(12) + kind + bytes(16) + to + bytes(60))[:size])


@pytest.mark.parametrize(
    ("one", "goes"),
    [
        (frame(b"\x08\x06"), True),
        (frame(IPV4, bytes([10, 0, 2, 2])), True),
        (frame(IPV4, bytes([126, 255, 255, 255])), True),
        (frame(IPV4, bytes([128, 0, 0, 1])), True),
        (frame(IPV4, bytes([255] * 4)), True),
        (frame(IPV4, bytes([127, 0, 0, 1])), False),
        (frame(IPV4, bytes([127, 255, 255, 255])), False),
        (frame(IPV4, bytes(4)), False),
        (frame(IPV4, bytes([0, 1, 2, 3])), False),
        (frame(IPV4, bytes([10, 0, 2, 2]), 33), False),
        (frame(b"\x86\xdd", bytes([10, 0, 2, 2])), False),
        (frame(b"\x81\x00", bytes([10, 0, 2, 2])), False),
        (frame(b""), False),
    ],
)
def test_what_an_old_passt_gets(one: memoryview, goes: bool) -> None:
    assert relay.passes(one) == goes


def relayed(sent: list[bytes]) -> bytes:
    """What comes out of the relay when the guest has SENT these pieces and closed its socket."""
    guest, its = socket.socketpair()
    between, end = socket.socketpair()
    pid = os.fork()
    if not pid:
        guest.close()
        end.close()
        relay.run(its.detach(), between.detach())
    its.close()
    between.close()
    for piece in sent:
        guest.sendall(piece)
    guest.shutdown(socket.SHUT_WR)
    got = b"".join(iter(lambda: end.recv(1 << 20), b""))
    os.waitpid(pid, 0)
    guest.close()
    end.close()
    return got


def test_frames_in_pieces() -> None:
    """Wherever the stream is cut, the frames for others go on, whole and in order."""
    frames = [
        frame(IPV4, bytes([to, 0, 0, 1]), size).tobytes()
        for to, size in ((10, 60), (127, 80), (0, 34), (10, 34), (127, 60), (11, 90))
    ]
    stream = b"".join(len(one).to_bytes(4, "big") + one for one in frames)
    kept = b"".join(len(one).to_bytes(4, "big") + one for one in frames if one[30] in (10, 11))
    for cut in (1, 3, 4, 5, 63, 64, 65, 100, len(stream)):
        assert relayed([stream[i : i + cut] for i in range(0, len(stream), cut)]) == kept
    assert relayed([bytes(4), stream]) == bytes(0) + kept
    assert relayed([b"\xff\xff\xff\xff", stream]) == b""


@pytest.mark.parametrize(("text", "loopback", "needed"), [("old", False, True), (NEW, False, False), ("old", True, False)])  # fmt: skip
def test_which_passt_is_kept_from_the_loopback(
    text: str, loopback: bool, needed: bool, tmp_path: Path
) -> None:
    program = tmp_path / "passt"
    program.write_text(f"\x7fELF {text}")
    names = [param["name"] for param in STEPS["start_passt"]["params"]]
    values = [loopback if name == "host_loopback" else None for name in names]
    step = Operation(0, "step", "start_passt", values, "network", False)
    assert relay.needed(str(program), step) == needed
