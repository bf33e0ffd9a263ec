"""What an architecture can do stands in the API table: each of its limits is held at compile time for
a box that names it, and told to one that names none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from krunc_schema import load

ROWS: dict[str, dict[str, Any]] = load("krun")["architectures"]
LEAST, MOST = (
    min(ROWS, key=lambda name: int(ROWS[name]["virtio_devices"])),
    max(ROWS, key=lambda name: int(ROWS[name]["virtio_devices"])),
)
BOX = """\
krunc: 1
name: machine
rootfs: {path: ./rootfs}
network: {mode: none}
entrypoint: {executable: /bin/a}
"""
Told = Callable[..., dict[str, str]]


@pytest.fixture
def told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Told:
    """Compiles a box with more keys; what is found, by its code."""
    monkeypatch.chdir(tmp_path)

    def run(more: str, arch: str | None, target: str = "2") -> dict[str, str]:
        named = f"arch: {arch}\n" if arch is not None else ""
        # Beside a firmware a program is one more thing that reaches nothing.
        box = "".join(
            line
            for line in BOX.splitlines(keepends=True)
            if "firmware" not in more or not line.startswith("entrypoint:")
        )
        Path("box.yaml").write_text(box + named + more)
        main(["compile", "box.yaml", "--target", target, "--format", "json"])
        out = capsys.readouterr()
        return {
            one["code"]: one["message"]
            for one in json.loads(out.out)["findings"]
            if one["code"] in ("KR204", "KR207", "KR880", "KR881", "KR882")
        }

    return run


def shares(devices: int) -> str:
    """Shares with which a box of family 2 without a network has so many virtio devices."""
    own = 4  # balloon, rng, console, the root
    rows = (f"{{tag: s{i}, path: ./s}}" for i in range(devices - own))
    return f"shares: [{', '.join(rows)}]\n"


@pytest.mark.parametrize("arch", ROWS)
def test_devices(arch: str, told: Told) -> None:
    most = ROWS[arch]["virtio_devices"]
    assert told(shares(most), arch) == {}
    assert set(told(shares(most + 1), arch)) == {"KR207"}


@pytest.mark.parametrize("arch", ROWS)
def test_serial_ports_take_lines_of_devices(arch: str, told: Told) -> None:
    most = ROWS[arch]["virtio_devices"] + 1  # the ports take the place of the console
    takes = "krun_add_serial_console_default" in ROWS[arch]["lines_too"]
    for ports in (1, 3):
        rows = (
            f"{{type: serial, input: none, output: {{file: 'runtime:s{i}'}}}}" for i in range(ports)
        )
        more = f"console: {{devices: [{', '.join(rows)}]}}\n"
        found = set(told(shares(most - takes * ports) + more, arch)) - {"KR882"}
        assert found == set()
        found = set(told(shares(most - takes * ports + 1) + more, arch)) - {"KR882"}
        assert found == {"KR207"}


def test_devices_without_an_architecture(told: Told) -> None:
    assert told(shares(ROWS[LEAST]["virtio_devices"]), None) == {}
    found = told(shares(ROWS[LEAST]["virtio_devices"] + 1), None)
    assert set(found) == {"KR880"}
    assert f"only on {MOST}" in found["KR880"]
    assert "KR207" in told(shares(ROWS[MOST]["virtio_devices"] + 1), None)


ONE = [
    ("machine: {split_irqchip: true}\n", "x86_64", "krun_split_irqchip"),
    ("machine: {cpus: 129}\n", "arm64", "129 vCPUs"),
    ("extensions: {smolmachines: {cpu_template: portable}}\n", "x86_64", "krun_set_cpu_template"),
]


@pytest.mark.parametrize(("more", "able", "said"), ONE)
def test_what_one_alone_has(more: str, able: str, said: str, told: Told) -> None:
    assert told(more, able) == {}
    for arch in set(ROWS) - {able}:
        found = told(more, arch)
        assert set(found) == {"KR881"}
        assert said in found["KR881"]
        assert f"this box is for {arch}" in found["KR881"]
    found = told(more, None)
    assert set(found) == {"KR880"}
    assert f"only on {able}" in found["KR880"]


@pytest.mark.parametrize("form", load("krun")["enums"]["kernel_format"])
@pytest.mark.parametrize("arch", ROWS)
def test_kernels(arch: str, form: str, told: Told) -> None:
    kernel = f"boot: {{kernel: {{path: ./kernel, format: {form}}}}}\n"
    refused = set() if form in ROWS[arch]["kernel_formats"] else {"KR881"}
    assert set(told(kernel, arch)) == refused
    assert told(kernel, None) == {}  # the file is for one machine, and says so itself


OEM = 'machine: {oem_strings: ["a=b"]}\n'
SERIAL = "console: {devices: [{type: serial, output: stderr}]}\n"
DAX = "shares: [{tag: a, path: ./s, dax: 64MiB}]\n"
FIRMWARE = "boot: {firmware: ./EFI.fd}\n"
KERNEL = "boot: {kernel: {path: ./kernel, format: raw}}\n"
UNHEARD = [
    (OEM, None, "2", True), (OEM, "x86_64", "2", True), (OEM, "arm64", "2", True),
    (OEM, "arm64", "1.16", True), (OEM + FIRMWARE, "x86_64", "2", True),
    (OEM + FIRMWARE, "arm64", "2", False), (OEM + FIRMWARE, None, "2", False),
    (SERIAL, None, "2", True), (SERIAL, "arm64", "2", True), (SERIAL + KERNEL, "arm64", "2", False),
    (SERIAL, None, "1.17", False),
    (DAX, None, "2", False), (DAX, "x86_64", "2", False), (DAX, "arm64", "2", True),
    (DAX + KERNEL, "arm64", "2", False), ("", "arm64", "2", False),
]  # fmt: skip


@pytest.mark.parametrize(("more", "arch", "target", "is_told"), UNHEARD)
def test_what_reaches_no_guest(
    more: str, arch: str | None, target: str, is_told: bool, told: Told
) -> None:
    assert ("KR882" in told(more, arch, target)) is is_told


def test_the_plan_says_it(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    for arch in ROWS:
        told("", arch)
        rows = json.loads(Path("box.plan.json").read_text())["operations"]
        wanted = {"step": "require_architecture", "args": {"architecture": arch}, "from": "arch"}
        assert wanted in rows
        assert main(["show", "box.plan.json"]) == 0
        assert f"architecture  {arch}; on others it is not started" in capsys.readouterr().out
    told("", None)
    assert "require_architecture" not in Path("box.plan.json").read_text()
