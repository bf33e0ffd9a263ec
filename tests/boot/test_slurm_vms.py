"""What krunc emit slurm writes, on a real cluster in an emulated host: an array of real microVMs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from debian_host import DebianHost, guest_root
from krunc.verifying import refusals
from krunc_compiler.__main__ import main

# A host that hangs under emulation is lost, and the test is run anew on another.
pytestmark = [pytest.mark.boot, pytest.mark.flaky(reruns=2, only_rerun="HostError")]

# One node, which is the host itself; it has the loopback interface alone.
CONFIGURATION = """\
ClusterName=krunc
SlurmctldHost=kvmhost(127.0.0.1)
AuthType=auth/munge
SlurmUser=root
StateSaveLocation=/var/spool/slurm-state
SlurmdSpoolDir=/var/spool/slurmd
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/builtin
MpiDefault=none
ReturnToService=2
KillWait=60
MinJobAge=86400
MessageTimeout=60
SlurmdTimeout=300
SlurmdParameters=config_overrides
NodeName=kvmhost NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes=kvmhost Default=YES MaxTime=INFINITE State=UP
"""
# There is no D-Bus in that host, by which slurmd would ask systemd for a scope; without one it ends.
CGROUPS = "IgnoreSystemd=yes\n"
# Tells by which signal it is asked to stop, and ends by itself with that signal's number and 40.
STAYS = """\
trap 'echo SIGINT; exit 42' INT
trap 'echo SIGTERM; exit 55' TERM
echo ready
while :; do sleep 1; done
"""


@pytest.fixture
def cluster(debian_host: DebianHost, tmp_path: Path) -> DebianHost:
    """The host with Debian's Slurm running in it as services, and an empty /var/jobs."""
    (tmp_path / "slurm/etc/slurm").mkdir(parents=True)
    (tmp_path / "slurm/etc/slurm/slurm.conf").write_text(CONFIGURATION)
    (tmp_path / "slurm/etc/slurm/cgroup.conf").write_text(CGROUPS)
    debian_host.put(tmp_path / "slurm")
    debian_host.sh(
        "hostname kvmhost; grep -q kvmhost /etc/hosts || echo 127.0.0.1 kvmhost >>/etc/hosts; "
        "rm -rf /var/jobs; mkdir -p /var/spool/slurm-state /var/spool/slurmd /var/jobs; "
        "/dev/kvmhost/busybox ip address add 10.9.1.1/24 dev lo 2>/dev/null || true; "
        "systemctl unmask munge slurmctld slurmd; systemctl start munge slurmctld slurmd"
    )
    debian_host.waits_for(
        lambda: debian_host.run("sinfo", "-h", "-o", "%T", check=False).strip() == "idle",
        "systemctl status --no-pager munge slurmctld slurmd; journalctl --no-pager -n 40; sinfo",
    )
    return debian_host


def submitted(host: DebianHost, tmp_path: Path, boxes: dict[str, dict[str, Any]]) -> str:
    """The job of an array of BOXES: what each says beside what all do, by their names."""
    tree = tmp_path / "tree"
    guest_root(tree / "rootfs")
    (tree / "plans").mkdir()
    for name, keys in boxes.items():
        box = {
            "krunc": 1,
            "name": name,
            "machine": {"cpus": 1, "memory": "256MiB"},
            "rootfs": {"path": "../rootfs"},
            "network": {"mode": "none"},
            "stop": {"grace": 20},
            **keys,
        }
        path = tree / f"plans/{name}.yaml"
        path.write_text(json.dumps(box))
        assert main(["compile", str(path), "--target", "2"]) == 0
        path.unlink()
    emitting = ["emit", "slurm", str(tree / "plans"), "--base", "/var/jobs/plans"]
    emitting += ["--allow-loss", "shared_writable_path=the guests write nothing to their root"]
    assert main([*emitting, "-o", str(tree / "jobs")], refusals) == 0
    host.put(tree, "/var/jobs")
    return host.sh("cd /var/jobs; sbatch --parsable jobs/*.sbatch /var/jobs/plans").strip()


def tasks(host: DebianHost, job: str) -> dict[int, tuple[str, str]]:
    """The state and the exit code of each task, as the controller tells them."""
    rows = [
        dict(word.split("=", 1) for word in line.split() if "=" in word)
        for line in host.run("scontrol", "-o", "show", "job", job).splitlines()
    ]
    return {
        int(row["ArrayTaskId"]): (row["JobState"], row["ExitCode"])
        for row in rows
        if row["ArrayTaskId"].isdigit()
    }


LOOK = "squeue; tail -n 20 /var/jobs/*.log /var/jobs/*.exit.json"


def waits_to_say(host: DebianHost, script: str, word: str) -> None:
    """Wait until a script there says WORD."""
    host.waits_for(lambda: word in host.sh(script, check=False).split(), LOOK)


def test_an_array_of_vms_ends_as_its_guests(cluster: DebianHost, tmp_path: Path) -> None:
    boxes = {f"box-{n}": {"entrypoint": {"script": f"echo box {n}; exit {n}"}} for n in range(4)}
    job = submitted(cluster, tmp_path, boxes)
    over = {n: ("FAILED" if n else "COMPLETED", f"{n}:0") for n in range(4)}

    def ended() -> bool:
        rows = tasks(cluster, job)
        alive = ("PENDING", "RUNNING", "COMPLETING")
        return rows.keys() == over.keys() and all(row[0] not in alive for row in rows.values())

    cluster.waits_for(ended, LOOK)
    said = cluster.sh(LOOK, check=False)
    assert tasks(cluster, job) == over, said
    for n in range(4):
        assert cluster.json(f"/var/jobs/box-{n}-{job}_{n}.exit.json")["status"] == n
        assert f"box {n}" in said


def test_scancel_asks_the_guests_programs_to_stop(cluster: DebianHost, tmp_path: Path) -> None:
    """Each gets the signal that its box names for SIGTERM, and ends by itself within the grace."""
    stays = {"entrypoint": {"script": STAYS}}
    terminated = {**stays, "stop": {"on_sigterm": "terminate", "grace": 20}}
    job = submitted(cluster, tmp_path, {"interrupted": stays, "terminated": terminated})
    ends = {"interrupted": ("SIGINT", 42), "terminated": ("SIGTERM", 55)}
    logs = {name: f"cat /var/jobs/*-{job}_{n}.log" for n, name in enumerate(ends)}
    for log in logs.values():
        waits_to_say(cluster, log, "ready")
    cluster.run("scancel", job)
    for n, (name, (signal, status)) in enumerate(ends.items()):
        record = f"/var/jobs/{name}-{job}_{n}.exit.json"
        waits_to_say(cluster, f"ls {record}", record)
        said = cluster.sh(LOOK, check=False)
        assert signal in cluster.sh(logs[name]).splitlines(), said
        # Its own exit code: neither the launcher ended the VM when its time was over, nor Slurm.
        end = cluster.json(record)
        assert (end["status"], end["reason"], end["program_seen"]) == (status, "exited", True), said
    cluster.waits_for(
        lambda: {row[0] for row in tasks(cluster, job).values()} == {"CANCELLED"}, LOOK
    )
