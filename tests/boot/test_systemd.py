"""What krunc emit systemd writes, under a real systemd: real microVMs as units."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from debian_host import DebianHost, guest_root
from krunc.verifying import refusals
from krunc_compiler.__main__ import main

# A host that hangs under emulation is lost, and the test is run anew on another.
pytestmark = [pytest.mark.boot, pytest.mark.flaky(reruns=2, only_rerun="HostError")]

GUESTS = "/var/lib/guests"
UNITS = "etc/systemd/system"
Hosted = Callable[..., DebianHost]


@pytest.fixture
def hosted(debian_host: DebianHost, tmp_path: Path) -> Hosted:
    """Puts a box with a script as its program, its plan and its units on the host; `change` edits
    the plan after it was approved."""

    def put(
        name: str, script: str, change: Callable[[dict[str, Any]], None] | None = None, **keys: Any
    ) -> DebianHost:
        tree = tmp_path / "tree"
        guest_root(tree / GUESTS[1:] / name / "rootfs")
        entrypoint = {"script": script, **keys.pop("entrypoint", {})}
        box = {
            "krunc": 1,
            "name": name,
            "machine": {"cpus": 1, "memory": "256MiB"},
            "rootfs": {"path": "./rootfs"},
            "network": {"mode": "none"},
            "entrypoint": entrypoint,
            **keys,
        }
        (tmp_path / "box.yaml").write_text(json.dumps(box))
        plans = tree / "etc/krunc/plans"
        plans.mkdir(parents=True)
        assert main(["compile", str(tmp_path / "box.yaml"), "--target", "2"]) == 0
        plan = plans / f"{name}.plan.json"
        shutil.copy(tmp_path / "box.plan.json", plan)
        emitting = ["emit", "systemd", str(plan), "--base", f"{GUESTS}/{name}"]
        assert main([*emitting, "-o", str(tree / UNITS)], refusals) == 0
        if change is not None:
            value = json.loads(plan.read_text())
            change(value)
            plan.write_text(json.dumps(value))
        debian_host.put(tree)
        debian_host.sh(
            f"systemd-sysusers /{UNITS}/krunc.sysusers.conf; "
            f"chown -R krunc:krunc {GUESTS}/{name}; systemctl daemon-reload"
        )
        return debian_host

    return put


def shown(host: DebianHost, unit: str, what: str) -> str:
    """One property of a unit."""
    return host.run("systemctl", "show", "--value", "-p", what, unit).strip()


def journal(unit: str) -> str:
    """A script that says what is the matter with a unit."""
    return f"systemctl status --no-pager {unit}; journalctl --no-pager -o cat -u {unit}"


def said(host: DebianHost, unit: str) -> list[str]:
    """The lines of a unit's journal."""
    return host.run("journalctl", "--no-pager", "-o", "cat", "-u", unit).splitlines()


def waits_to_say(host: DebianHost, unit: str, line: str) -> None:
    """Wait until a unit has said LINE."""

    def has_said() -> bool:
        if line in said(host, unit):
            return True
        assert shown(host, unit, "ActiveState") != "failed", host.sh(journal(unit), check=False)
        return False

    host.waits_for(has_said, journal(unit))


# The first run fails; the second stays, and stops when it is asked to.
TWICE = """\
test -e /kept/ran || { echo "first run"; echo >/kept/ran; exit 7; }
trap 'echo "asked to stop"; exit 0' TERM
echo "second run with $TOKEN and $HANDED"
while :; do sleep 1; done
"""


def test_a_unit_boots_is_started_again_after_a_failure_and_stops(hosted: Hosted) -> None:
    secrets = {"TOKEN": {"from_env": "TOKEN"}, "HANDED": {"from_fd": 9}}
    keys = {"hostname": "twice", "stop": {"grace": 20}, "entrypoint": {"env": secrets}}
    host = hosted("twice", TWICE, **keys)
    host.sh(
        "mkdir -m 700 -p /etc/credstore; cd /etc/credstore; umask 077; "
        "echo one-secret >krunc.twice.TOKEN; echo another >krunc.twice.fd-9"
    )
    unit = "krunc@twice.service"
    host.run("systemctl", "enable", "--now", unit)
    waits_to_say(host, unit, "second run with one-secret and another")
    assert "first run" in said(host, unit)
    assert shown(host, unit, "NRestarts") == "1"
    assert shown(host, unit, "User") == "krunc"
    host.run("systemctl", "stop", unit)
    assert "asked to stop" in said(host, unit)
    assert shown(host, unit, "Result") == "success"
    record = host.json("/var/lib/krunc/twice/exit.json")
    assert record["status"] == 0, record
    assert not host.sh("ls /run/krunc", check=False)


def test_a_changed_plan_is_refused_and_not_started_again(hosted: Hosted) -> None:
    def change(plan: dict[str, Any]) -> None:
        row = next(one for one in plan["operations"] if one.get("call") == "krun_set_vm_config")
        row["args"]["ram_mib"] += 1

    host = hosted("changed", "echo started", change)
    unit = "krunc@changed.service"
    host.run("systemctl", "start", unit)
    host.waits_for(lambda: shown(host, unit, "ActiveState") == "failed", journal(unit))
    assert shown(host, unit, "ExecMainStatus") == "125"
    assert shown(host, unit, "NRestarts") == "0"
    assert "started" not in said(host, unit)
    assert host.json("/var/lib/krunc/changed/exit.json")["status"] == 125
