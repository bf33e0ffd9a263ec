"""What the memory of a VM's process has of the launcher's environment and of other VMs' secrets:
nothing, whichever way they came."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from processes import children, entered, memory, started, wait_until
from recorder.fixtures import LAUNCHER
from roots import runnable

BOX = """\
krunc: 1
name: NAME
rootfs: {path: ./rootfs}
network: {mode: none}
entrypoint: {executable: /bin/true, env: ENV}
"""
# In the environment: a value of each kind.
UNNAMED = {
    **{f"CI_VARIABLE_{n}": f"zz-unnamed-{n}-alone-zz" for n in range(40)},
    "LONG_ONE": "zz-unnamed-long-" * 5000,
    "ODD_ONE": os.fsdecode(b"zz-unnamed-\xff\xfe-zz"),
    "WIDE_ONE": "zz-unnamed-\u2192-zz",
    "EMPTY_ONE": "",
    "SHORT_ONE": "x",
}


def found(pid: int, pattern: bytes) -> set[bytes]:
    """What PATTERN finds in all that a process can read of its memory."""
    return {one for part in memory(pid, "r") for one in re.findall(pattern, part)}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    runnable(tmp_path / "rootfs")
    return tmp_path


def plan(place: Path, name: str, env: str, more: str = "", target: str = "1.19") -> Path:
    (place / f"{name}.yaml").write_text(BOX.replace("NAME", name).replace("ENV", env) + more)
    assert main(["compile", str(place / f"{name}.yaml"), "--target", target]) == 0
    return place / f"{name}.plan.json"


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("env", ["{}", "{A: {from_env: ZZ_OF_THE_PLAN}}"])
@pytest.mark.parametrize("target", ["1", "1.19"])
def test_variables_that_no_plan_names(
    target: str, env: str, many: bool, place: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    path = plan(place, "one", env, target=target)
    command: list[str | Path] = [*LAUNCHER, "--libkrun", build("v1")]
    command += ["--runtime-dir", place / "run"]
    command += ["--log-dir", place / "logs"] if many else []
    environment = {
        **os.environ, **UNNAMED, "ZZ_OF_THE_PLAN": "zz-of-the-plan-zz", "LD_PRELOAD": str(fake_kvm),
        "KRUN_RECORDER": str(place / "calls"), "KRUN_RECORDER_STAY": "1",
    }  # fmt: skip
    with started([*command, path], env=environment) as launcher:
        entered(place / "calls", launcher)
        (vm,) = children(launcher.pid)
        pattern = rb"zz-unnamed-[^ ]{1,6}|CI_VARIABLE_\d+|(?:LONG|ODD|WIDE|EMPTY|SHORT)_ONE"
        assert found(vm, pattern) == set()
        if env == "{}":
            assert found(vm, b"zz-of-the-plan-zz|ZZ_OF_THE") == set()
        else:
            assert found(vm, b"zz-of-the-plan-zz") == {b"zz-of-the-plan-zz"}
        # The process above wipes its own behind the start of the VM, which may run by then.
        wait_until(lambda: not found(launcher.pid, pattern), launcher)


def test_secrets_of_other_vms(place: Path, build: Callable[..., Path], fake_kvm: Path) -> None:
    """By a variable, a file, a descriptor and the content of an overlay file."""
    (place / "key").write_text("word-of-file-alone")
    (place / "lay").write_text("word-of-over-alone")
    (place / "pipe").write_text("word-of-pipe-alone")
    with (place / "pipe").open() as pipe:
        os.set_inheritable(pipe.fileno(), True)
        plans = [
            plan(place, "env", "{A: {from_env: ZZ_OF_THE_PLAN}}"),
            plan(place, "file", "{A: {from_file: ./key}}"),
            plan(place, "pipe", f"{{A: {{from_fd: {pipe.fileno()}}}}}"),
            plan(place, "none", "{}"),
        ]
        over = plan(place, "over", "{}")
        box = (place / "over.yaml").read_text()
        laid = "rootfs: {path: ./rootfs, overlay: [{path: /a, file: ./lay}]}"
        (place / "over.yaml").write_text(box.replace("rootfs: {path: ./rootfs}", laid))
        assert main(["compile", str(place / "over.yaml"), "--target", "1.19"]) == 0
        command = [*LAUNCHER, "--libkrun", str(build("v1")), "--runtime-dir", str(place / "run")]
        environment = {
            **os.environ, "ZZ_OF_THE_PLAN": "word-of-env!-alone", "LD_PRELOAD": str(fake_kvm),
            "KRUN_RECORDER": str(place / "calls"), "KRUN_RECORDER_STAY": "1",
        }  # fmt: skip
        with started(
            [*command, "--log-dir", str(place / "logs"), *map(str, plans), str(over)],
            env=environment,
            pass_fds=[pipe.fileno()],
        ) as fleet:
            entered(place / "calls", fleet, 5)
            pattern = rb"word-of-(.{4})-alone"
            known = [sorted(found(vm, pattern)) for vm in children(fleet.pid)]
            assert sorted(known) == [[], [b"env!"], [b"file"], [b"over"], [b"pipe"]]
            wait_until(lambda: not found(fleet.pid, pattern), fleet)
