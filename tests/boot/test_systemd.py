"""The units of krunc emit systemd under a real systemd: they boot, stop, start again, refuse."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc.verifying import refusals
from krunc_compiler.__main__ import main
from kvmhost import job
from places import ROOT, TOOLS

pytestmark = pytest.mark.boot

_PATIENCE = 300
_BOX = """\
krunc: 1
name: NAME
machine: {cpus: 1, memory: 256MiB}
rootfs: {path: rootfs}
network: {mode: MODE}
entrypoint: {executable: /bin/busybox, args: [sh, -c, "COMMAND"]}
"""
_COMMANDS = {
    "ends": "echo up; id -u",
    "stays": "echo up; sleep 1000",
    "fails": "echo up; exit 3",
    "wrong": "echo up",
}
# What an administrator adds: krunc and libkrun elsewhere, and the output into a file.
_SITE = """\
[Service]
ExecStart=
ExecStart={start}
Environment=KRUNC_LIBKRUN={libkrun} PYTHONDONTWRITEBYTECODE=1
BindReadOnlyPaths={libraries} {code} {python}
StandardOutput=append:/run/lab/%i.out
StandardError=append:/run/lab/%i.err
"""
_BEFORE = """\
chmod 755 {lab}
chown -R krunc: {lab}/rootfs
chmod 666 /dev/kvm
"""
_DRIVER = """\
show() {{
    echo "$1 $(systemctl show -p ActiveState -p Result -p ExecMainStatus -p NRestarts --value "$2" | tr '\\n' ' ')"
}}
ended() {{
    while :; do
        state=$(systemctl show -p ActiveState --value "$1")
        [ "$state" != active ] && [ "$state" != activating ] && [ "$state" != deactivating ] && return
        sleep 0.2
    done
}}
said() {{
    until grep -q "$2" /run/lab/$1.out 2>/dev/null; do
        [ "$(systemctl show -p ActiveState --value krunc@$1)" = failed ] && return
        sleep 0.2
    done
}}
mkdir -p /run/lab
systemctl start krunc@ends; ended krunc@ends; show ends krunc@ends
systemctl start krunc@stays; said stays up; systemctl stop krunc@stays; show stays krunc@stays
systemctl start krunc@fails
until [ "$(systemctl show -p NRestarts --value krunc@fails)" -ge 1 ]; do sleep 0.2; done
show fails krunc@fails; systemctl stop krunc@fails
systemctl start krunc@wrong; ended krunc@wrong; sleep 2; show wrong krunc@wrong
for box in ends stays fails wrong; do
    echo "record $box $(cat /var/lib/krunc/$box/exit.json | tr '\\n' ' ')"
    stat -c "owner $box %U %a" /var/lib/krunc/$box
done
ls /run/krunc >{lab}/left
cp /run/lab/*.out /run/lab/*.err {lab}/
"""


def laid_out(boxes: Path, library: Path, target: str) -> None:
    """Put units, plans and the scripts of the lab into BOXES."""
    units, plans = boxes / "units", boxes / "plans"
    plans.mkdir()
    for name, command in _COMMANDS.items():
        mode = "none" if target == "2" else "tsi"
        text = _BOX.replace("NAME", name).replace("MODE", mode).replace("COMMAND", command)
        (boxes / f"{name}.yaml").write_text(text)
        assert (
            main(["compile", str(boxes / f"{name}.yaml"), "--target", target, "-o", str(plans)])
            == 0
        )
    assert (
        main(["emit", "systemd", str(plans), "--base", str(boxes), "-o", str(units)], refusals) == 0
    )
    wrong = units / "krunc@wrong.service.d/10-plan.conf"
    wrong.write_text(re.sub("sha256:[0-9a-f]{4}", "sha256:0000", wrong.read_text()))
    template = (units / "krunc@.service").read_text().replace("\\\n", " ")
    (start,) = re.findall("^ExecStart=(.*)$", template, re.M)
    python = Path(sys.executable)
    start = start.replace("/usr/bin/python3", str(python)).replace(
        "/usr/bin/krunc-launch", str(python.with_name("krunc-launch"))
    )
    site = _SITE.format(
        start=start, libkrun=library, libraries=library.parent, code=ROOT, python=sys.base_prefix
    )
    (units / "krunc@.service.d").mkdir()
    (units / "krunc@.service.d/50-site.conf").write_text(site)
    (boxes / "before.sh").write_text(_BEFORE.format(lab=boxes))
    (boxes / "driver.sh").write_text(_DRIVER.format(lab=boxes))


def test_units_under_systemd(
    emulated: Path,
    libkrun: tuple[Path, str],
    boxes: Path,
    shown: Callable[[str], None],
) -> None:
    laid_out(boxes, *libkrun)
    done = job.run(
        emulated, ["sh", str(TOOLS / "systemd_lab.sh"), str(boxes)], timeout=_PATIENCE,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )  # fmt: skip
    told = "\n".join(
        f"{path.name}: {path.read_text(errors='replace')}"
        for path in sorted([*boxes.glob("*.out"), *boxes.glob("*.err"), boxes / "systemd.log"])
        if path.exists()
    )
    assert (boxes / "driver.out").exists(), (done, told)
    lines = (boxes / "driver.out").read_text().splitlines()
    states = {line.split()[0]: line.split()[1:] for line in lines if line.split()[0] in _COMMANDS}
    # systemctl prints them in an order of its own.
    assert set(states["ends"]) == {"success", "0", "inactive"}, (done, told)
    assert {"success", "inactive", "0"} <= set(states["stays"]), (states, told)
    assert "1" in states["fails"], (states, told)
    assert set(states["wrong"]) == {"exit-code", "125", "failed", "0"}, (states, told)
    records = {
        line.split(" ", 2)[1]: json.loads(line.split(" ", 2)[2])
        for line in lines
        if line.startswith("record")
    }
    assert records["ends"]["status"] == 0
    assert records["fails"]["status"] == 3
    assert (records["wrong"]["status"], records["wrong"]["reason"]) == (125, "not_started")
    assert "not approved" in records["wrong"]["message"]
    assert records["stays"]["reason"] in ("exited", "signal")
    assert [line for line in lines if line.startswith("owner")] == [
        f"owner {name} krunc 700" for name in _COMMANDS
    ]
    shown("units of systemd: booted, stopped, started again, refused")
