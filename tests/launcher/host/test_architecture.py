"""The launcher decides by the machine: what depends on its architecture is refused before the start,
and what another one alone cannot do is not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from krunc_launcher import system
from krunc_launcher.host.architecture import too_many_devices
from krunc_launcher.host.executable import _RUNS
from krunc_launcher.host.kvm import quick, runs_a_test
from krunc_launcher.host.nested import unavailable
from krunc_launcher.host.preflight import preflight
from krunc_launcher.paths import Directories
from krunc_launcher.plan.verify import verify
from krunc_launcher.resolve.resolve import resolve
from krunc_launcher.text.reading import parse
from krunc_schema import load
from recorder.fixtures import Launch
from roots import runnable

ROWS: dict[str, dict[str, Any]] = load("krun")["architectures"]
HERE = next(name for name, row in ROWS.items() if os.uname().machine in row["machines"])
OTHER = next(name for name in ROWS if name != HERE)
MACHINES = [(name, machine) for name, row in ROWS.items() for machine in row["machines"]]
BOX = """\
krunc: 1
name: box
rootfs: {path: ./rootfs}
network: {mode: none}
entrypoint: {executable: /bin/a}
"""
Told = Callable[..., str]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Told:
    """What a launch of a box is told of a MACHINE, as uname(2) calls it."""

    def run(machine: str, more: str) -> str:
        (tmp_path / "box.yaml").write_text(BOX + more)
        assert main(["compile", str(tmp_path / "box.yaml"), "--target", "2"]) == 0
        monkeypatch.setattr(system, "uname", lambda: SimpleNamespace(machine=machine))
        plan = verify(parse((tmp_path / "box.plan.json").read_text()))
        directories = Directories(str(tmp_path), str(tmp_path / "run"))
        done, found = resolve(plan, directories, None)
        monkeypatch.undo()
        monkeypatch.setattr(system, "uname", lambda: SimpleNamespace(machine=machine))
        return "\n".join([*preflight(done, directories), *(sentence for _, sentence in found)])

    return run


@pytest.mark.parametrize(("arch", "machine"), MACHINES)
def test_a_plan_for_one(arch: str, machine: str, told: Told) -> None:
    for wanted in ROWS:
        said = f"the plan is for {wanted}; this machine is {machine}"
        assert (said in told(machine, f"arch: {wanted}\n")) is (wanted != arch)


def test_it_is_not_started(tmp_path: Path, launch: Callable[..., Launch]) -> None:
    runnable(tmp_path / "rootfs")
    for arch in (HERE, OTHER):
        (tmp_path / "box.yaml").write_text(f"{BOX}arch: {arch}\n")
        assert main(["compile", str(tmp_path / "box.yaml"), "--target", "1"]) == 0
        done = launch(tmp_path / "box.plan.json", KRUN_RECORDER_EXIT="7")
        if arch == HERE:
            assert done.returncode == 7, done.stderr
        else:
            assert (done.returncode, done.calls) == (125, [])
            assert f"the plan is for {arch}; this machine is {os.uname().machine}" in done.stderr


@pytest.mark.parametrize(("arch", "machine"), MACHINES)
def test_devices_and_vcpus(arch: str, machine: str, told: Told) -> None:
    # With so many that the command line is too long for x86-64, the stage has two of its own.
    for count, others in ((7, 4), (8, 4), (57, 6)):
        shares = ", ".join(f"{{tag: s{i}, path: ./s{i}}}" for i in range(count))
        crowded = "virtio devices; libkrun has room for" in told(machine, f"shares: [{shares}]\n")
        assert crowded is (count + others > ROWS[arch]["virtio_devices"])
    for count in (128, 129, 255):
        said = f"the VM wants {count} vCPUs; libkrun numbers"
        assert (said in told(machine, f"machine: {{cpus: {count}}}\n")) is (
            count > ROWS[arch]["vcpus"]
        )


@pytest.mark.parametrize(("arch", "machine"), MACHINES)
def test_serial_ports_take_lines_of_devices(
    arch: str, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "uname", lambda: SimpleNamespace(machine=machine))
    row, port = ROWS[arch], "krun_add_serial_console_default"
    ports: Any = [SimpleNamespace(name=port)] * 2
    most = row["virtio_devices"] - (2 if port in row["lines_too"] else 0)
    assert too_many_devices(most, ports) == []
    (said,) = too_many_devices(most + 1, ports)
    assert f"{most + 1} virtio devices; libkrun has room for {most} on {machine}" in said


@pytest.mark.parametrize(("arch", "machine"), MACHINES)
def test_kernels(arch: str, machine: str, told: Told) -> None:
    for form in load("krun")["enums"]["kernel_format"]:
        kernel = (
            f"boot: {{kernel: {{path: ./kernel, format: {form}}}}}\nmachine: {{memory: 4GiB}}\n"
        )
        said = f"a kernel of the format {form} boots only on"
        assert (said in told(machine, kernel)) is (form not in ROWS[arch]["kernel_formats"])


def test_programs_of_one() -> None:
    """What the compiler asks of an image is what the launcher asks of a root."""
    for row in ROWS.values():
        runs = [_RUNS[machine] for machine in row["machines"] if machine in _RUNS]
        assert list(map(list, runs)) == [row["elf"]]


@pytest.mark.parametrize(("arch", "machine"), MACHINES)
def test_functions_of_one(arch: str, machine: str, told: Told) -> None:
    keys = {
        "krun_split_irqchip": "machine: {split_irqchip: true}\n",
        "krun_set_cpu_template": "extensions: {smolmachines: {cpu_template: portable}}\n",
    }
    rows = load("krun")["functions"]
    assert set(keys) == {name for name, row in rows.items() if "on" in row}
    for name, more in keys.items():
        assert (f"{name} is x86_64's alone" in told(machine, more)) is (
            arch not in rows[name]["on"]
        )


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_a_host_without_kvm_is_told_what_is_its_own(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(system, "uname", lambda: SimpleNamespace(machine=machine))
    monkeypatch.setattr("krunc_launcher.host.kvm._DEVICE", "/dev/no-kvm")
    (said,) = quick()
    assert ("kvm_intel" in said) is (machine == "x86_64")
    assert ("EL2" in said) is (machine == "aarch64")
    (said,) = unavailable("/no/modules")
    assert ("kvm_intel" in said) is (machine == "x86_64")
    # What no guest has shown is not said.
    assert runs_a_test() is (machine == "x86_64")
