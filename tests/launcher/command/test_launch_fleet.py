"""Several plans at once: each VM by itself, all of them below one process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.files.one_file import one_file
from krunc_launcher.command import one_file as launchers
from ports import free_ports
from processes import (
    PATIENCE,
    children,
    entered,
    gone,
    memory,
    started,
    variables,
    wait_until,
)
from recorder.fixtures import LAUNCHER
from roots import runnable

BOX = """\
krunc: 1
name: box-{{ n }}
matrix: {n: {from: 1, to: 4}}
rootfs: {path: ./rootfs}
network: {mode: tsi, ports: ["{{ PORT + n }}:80"]}
entrypoint: {executable: /dev/a}
"""


@pytest.fixture
def port() -> int:
    """A port of this host; the four behind it are free."""
    return free_ports(4) - 1


@pytest.fixture
def plans(tmp_path: Path, port: int) -> Path:
    """A directory of four plans."""
    runnable(tmp_path / "rootfs")
    (tmp_path / "box.yaml").write_text(BOX.replace("PORT", str(port)))
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    return tmp_path


@pytest.fixture
def command(build: Callable[..., Path], plans: Path) -> list[str]:
    """krunc launch for a fleet, as far as it goes without plans."""
    return [
        *LAUNCHER, "--libkrun", str(build("v1")), "--runtime-dir", str(plans / "run"),
        "--log-dir", str(plans / "logs"), "--exit-record", str(plans / "ends"),
    ]  # fmt: skip


def environment(fake_kvm: Path, plans: Path, **more: str) -> dict[str, str]:
    """With the recorder's answers."""
    return {
        **os.environ, "LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER": str(plans / "calls"), **more,
    }  # fmt: skip


def test_the_process_above_them_forgets_the_environment(
    command: list[str], plans: Path, fake_kvm: Path
) -> None:
    more = {"KRUN_RECORDER_STAY": "1", "TOKEN": "a-secret-value"}
    with started(
        [*command, str(plans / "box-1.plan.json")], env=environment(fake_kvm, plans, **more)
    ) as fleet:
        entered(plans / "calls", fleet)
        assert [variables(vm) for vm in children(fleet.pid)] == [b""]
        # It wipes its own behind the start of the VMs, which may run by then.
        wait_until(lambda: not variables(fleet.pid), fleet)


def test_a_secret_is_in_the_memory_of_its_own_vm_alone(
    command: list[str], plans: Path, fake_kvm: Path
) -> None:
    for plan in plans.glob("*.plan.json"):
        plan.unlink()
    secret = (
        (plans / "box.yaml")
        .read_text()
        .replace("/dev/a", "/dev/a, env: {TOKEN: {from_file: './token-{{ n }}'}}")
    )
    (plans / "box.yaml").write_text(secret)
    assert main(["compile", str(plans / "box.yaml")]) == 0
    for n in range(1, 5):
        (plans / f"token-{n}").write_text(f"word-of-{n}-alone")
    with started(
        [*command, str(plans)], env=environment(fake_kvm, plans, KRUN_RECORDER_STAY="1")
    ) as fleet:
        entered(plans / "calls", fleet, 4)
        known = [words(pid) for pid in children(fleet.pid)]
        assert sorted(known) == [{b"1"}, {b"2"}, {b"3"}, {b"4"}]
        assert words(fleet.pid) == set()


def words(pid: int) -> set[bytes]:
    """Whose secret words stand in a process's memory."""
    return {one for part in memory(pid, "rw") for one in re.findall(rb"word-of-(\d)-alone", part)}


def test_one_that_fails_takes_no_other_along(
    command: list[str], plans: Path, port: int, fake_kvm: Path
) -> None:
    (plans / "box-2.plan.json").write_text("{")
    done = subprocess.run(
        [*command, str(plans)], capture_output=True, text=True, check=False,
        env=environment(fake_kvm, plans, KRUN_RECORDER_EXIT="0"),
    )  # fmt: skip
    assert done.returncode == 1
    # The program is not in the root directory: nobody knows whether a guest has started it.
    good = "ended with status 0; whether its program was started is unknown"
    refused = f"{plans}/box-2.plan.json:1:2: this is not JSON: expected a key in double quotes"
    lines = done.stderr.splitlines()
    assert sorted(lines[:4]) + sorted(lines[4:]) == [
        f"krunc: box-1: {good}",
        f"krunc: box-2: ended with status 125, not started: {refused}; see {plans}/logs/box-2.err",
        f"krunc: box-3: {good}",
        f"krunc: box-4: {good}",
        f"krunc: 1 not started: box-2: {refused}; see {plans}/logs/box-2.err",
        "krunc: 3 ended with 0: box-1, box-3, box-4: whether its program was started is unknown",
        f"krunc: 4 VMs: 3 ended with 0; what each printed is in {plans}/logs, NAME.out and NAME.err",
    ]
    assert "this is not JSON" in (plans / "logs/box-2.err").read_text()
    assert (plans / "logs/box-3.err").read_text() == ""
    ends = {path.stem: json.loads(path.read_text()) for path in (plans / "ends").iterdir()}
    assert {name: end["reason"] for name, end in ends.items()} == {
        "box-1": "exited", "box-2": "not_started", "box-3": "exited", "box-4": "exited",
    }  # fmt: skip
    calls = (plans / "calls").read_text()
    assert all(f"{port + n}:80" in calls for n in (1, 3, 4))


REFUSED = {
    "empty": "",
    "json": "{",
    "other": '{"a": 1}',
    "deep": "[" * 100000,
    "nothing": "null",
    "swapped": '{"krunc_plan": 1, "operations": [{"call": "krun_start_enter"}]}',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=list(REFUSED))
def test_a_plan_that_is_none_stops_no_other(
    text: str, command: list[str], plans: Path, fake_kvm: Path
) -> None:
    (plans / "box-2.plan.json").write_text(text)
    done = subprocess.run(
        [*command, str(plans)], capture_output=True, text=True, check=False,
        env=environment(fake_kvm, plans, KRUN_RECORDER_EXIT="0"),
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("ended with status 0") == 3
    assert f"see {plans}/logs/box-2.err" in done.stderr
    record = json.loads((plans / "ends/box-2.json").read_text())
    assert record["message"]
    assert record["program_seen"] is False
    assert record["message"].split("; ")[0] in (plans / "logs/box-2.err").read_text()


def test_a_configuration_file_that_is_none_stops_no_other(
    command: list[str], plans: Path, fake_kvm: Path
) -> None:
    """init reads it from the root alone; in a share it is any file."""
    (plans / "site").mkdir()
    box = BOX.replace("box-{{ n }}", "over").replace("matrix: {n: {from: 1, to: 4}}\n", "")
    share = "{tag: s, path: ./site, overlay: [{path: /.krun_config.json, text: hello}]}"
    box = box.replace('tsi, ports: ["{{ PORT + n }}:80"]', "none") + f"shares: [{share}]\n"
    (plans / "over.yaml").write_text(box)
    assert main(["compile", str(plans / "over.yaml"), "--target", "1.19"]) == 0
    done = subprocess.run(
        [*command, str(plans)], capture_output=True, text=True, check=False,
        env=environment(fake_kvm, plans, KRUN_RECORDER_EXIT="0"),
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.stderr.count("ended with status 0") == 5
    dry = [*LAUNCHER, "--dry-run", str(plans / "over.plan.json")]
    assert subprocess.run(dry, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("most", [5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16, 20])
def test_missing_descriptors_cost_single_vms_their_start(
    most: int, command: list[str], plans: Path, fake_kvm: Path
) -> None:
    """Whatever is short, each VM has a line, and what runs goes on."""
    limited = f'ulimit -Sn {most}; exec "$@"'
    done = subprocess.run(
        ["bash", "-c", limited, "bash", *command, str(plans)],
        capture_output=True, text=True, check=False,
        env=environment(fake_kvm, plans, KRUN_RECORDER_EXIT="0"),
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    if done.returncode == 2:
        assert done.stderr.startswith("krunc: ")
    else:
        assert done.stderr.count("ended with status") == 4, done.stderr


def test_a_record_that_cannot_be_written_ends_no_vm(
    command: list[str], plans: Path, fake_kvm: Path
) -> None:
    more = {"KRUN_RECORDER_STAY": "1"}
    with started(
        [*command, str(plans)], env=environment(fake_kvm, plans, **more), stderr=subprocess.PIPE
    ) as launcher:
        entered(plans / "calls", launcher, 4)
        vms = children(launcher.pid)
        (plans / "ends").rmdir()
        (plans / "ends").write_text("in the way")
        os.kill(vms[0], signal.SIGKILL)
        assert gone(vms[0])
        assert launcher.poll() is None
        launcher.send_signal(signal.SIGTERM)
        _, said = launcher.communicate(timeout=PATIENCE)
    assert said.count(b"the exit record ") == said.count(b"cannot be written: not a directory") == 4
    assert b"/ends/box-1.json cannot be written" in said
    assert said.count(b"ended with status") == 4


def test_nobody_who_reads_what_is_said_ends_no_vm(
    command: list[str], plans: Path, fake_kvm: Path
) -> None:
    with started(
        [*command, str(plans)],
        env=environment(fake_kvm, plans, KRUN_RECORDER_STAY="1"), stderr=subprocess.PIPE,
    ) as launcher:  # fmt: skip
        entered(plans / "calls", launcher, 4)
        assert launcher.stderr is not None
        launcher.stderr.close()
        vms = children(launcher.pid)
        os.kill(vms[0], signal.SIGKILL)
        wait_until(lambda: len(list((plans / "ends").iterdir())) == 1, launcher)
        assert len(children(launcher.pid)) == 3
        launcher.send_signal(signal.SIGTERM)
        assert launcher.wait(PATIENCE) == 1
    assert len(list((plans / "ends").iterdir())) == 4


def test_sigterm_stops_all(command: list[str], plans: Path, fake_kvm: Path) -> None:
    with started(
        [*command, *map(str, sorted(plans.glob("*.plan.json")))],
        env=environment(fake_kvm, plans, KRUN_RECORDER_STAY="1"), stderr=subprocess.PIPE,
    ) as launcher:  # fmt: skip
        entered(plans / "calls", launcher, 4)
        vms = children(launcher.pid)
        assert len(vms) == 4
        os.kill(vms[0], signal.SIGKILL)
        assert gone(vms[0])
        assert launcher.poll() is None
        launcher.send_signal(signal.SIGTERM)
        _, said = launcher.communicate(timeout=PATIENCE)
        assert launcher.returncode == 1
        assert all(gone(vm) for vm in vms)
    assert said.count(b"ended with status") == 4
    assert b"box-1: the VM's process was killed (SIGKILL)" in said


def test_they_die_with_the_launcher(command: list[str], plans: Path, fake_kvm: Path) -> None:
    with started(
        [*command, str(plans)], env=environment(fake_kvm, plans, KRUN_RECORDER_STAY="1")
    ) as launcher:
        entered(plans / "calls", launcher, 4)
        vms = children(launcher.pid)
        assert len(vms) == 4
        launcher.kill()
        launcher.wait()
        assert all(gone(vm) for vm in vms)


NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(("one", "other", "why"), [
    (NFC, NFD, "where accents can be written in two ways"),
    (NFC.upper(), NFD, "where accents can be written in two ways"),
    (NFC.upper(), NFC, "where upper and lower case are one"),
    ("stra\u00dfe", "STRASSE", "where upper and lower case are one"),
    ("a", "a\u00ad", "called a\\u00ad for a reader, who does not see what they differ in"),
    ("a\u200d", "A", "for a reader"),
    ("a\ufe0f", "a\U000e0041", "for a reader"),
    ("web", "w\u0435b", "called w\\u0435b for a reader"),
    ("a", "a\x7f", "for a reader"),
])  # fmt: skip
def test_names_of_one_file(
    one: str, other: str, why: str, command: list[str], tmp_path: Path
) -> None:
    """Each VM has a log that is called as its plan: a file system may take two of these for one."""
    for directory, name in (("a", one), ("b", other)):
        (tmp_path / directory).mkdir()
        (tmp_path / directory / f"{name}.plan.json").write_text("{}")
    words = [*command, str(tmp_path / "a"), str(tmp_path / "b")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, why in done.stderr) == (2, True), done


@pytest.mark.parametrize(
    "name",
    [
        "box",
        "Box-1",
        NFC,
        NFD,
        NFD.upper(),
        "\u1e9e",
        "\u0130x",
        "\u212b",
        "\u03a9\u0345",
        "a\udcff",
        "a\u00ad",
        "w\u0435b",
        "\u3164",
        "a\x01",
    ],
)
def test_a_compilation_compares_names_alike(name: str) -> None:
    assert launchers.one_file(name) == one_file(name)


def test_wrong_usage(command: list[str], plans: Path) -> None:
    (plans / "none").mkdir()
    (plans / "other").mkdir()
    (plans / "other/box-1.plan.json").write_text("{}")
    (plans / "Case").mkdir()
    (plans / "Case/Box-1.plan.json").write_text("{}")
    one = plans / "box-1.plan.json"
    for words, why in (
        (
            [str(plans), str(plans / "Case")],
            "two plans are called Box-1 where upper and lower case are one: "
            f"{one} and {plans}/Case/Box-1.plan.json; their logs would be one; rename one of them",
        ),
        ([str(plans / "none")], "there is no plan (*.plan.json) in this directory"),
        (
            [str(plans), str(plans / "other")],
            f"two plans are called box-1: {one} and {plans}/other/box-1.plan.json; their",
        ),
        (["--dry-run", "a", "b"], "--dry-run takes one plan"),
    ):
        done = subprocess.run([*command, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert why in done.stderr
