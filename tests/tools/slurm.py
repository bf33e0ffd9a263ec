"""A Slurm cluster of Debian's slurm-wlm and munge: one controller and two nodes on this host's
loopback, with a key, sockets and directories of its own below one directory."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from processes import PATIENCE, children, wait_until

NODES = ("n1", "n2")
_TOOLS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel")
_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"
HAS_SLURM = os.geteuid() == 0 and all(shutil.which(tool, path=_PATH) for tool in _TOOLS)
# What a job is in when nothing of it will happen any more.
_OVER = frozenset(
    {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY"}
    | {"PREEMPTED", "TIMEOUT"}
)
# A node is taken for dead after forty seconds, and a finished job is remembered for a day.
_CONFIGURATION = """\
ClusterName=krunc
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={munge}
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/spool.%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/slurmd.%n.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerType=sched/builtin
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=40
MessageTimeout=30
KillWait={kill_wait}
MinJobAge=86400
MaxArraySize=1001
MaxJobCount=20000
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0,defer_batch
SlurmdParameters=config_overrides
{nodes}
PartitionName=all Nodes={names} Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""


class Task(NamedTuple):
    """How Slurm tells a task of an array: its state, and exit code and signal."""

    state: str
    exit_code: int
    signal: int


class Cluster:
    """A running cluster. `cpus` are those that each node has in Slurm's eyes, not the host's."""

    def __init__(self, directory: Path, cpus: int = 4, kill_wait: int = 30) -> None:
        self.directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        ports = _free_ports(len(NODES) + 1)
        rows = (
            f"NodeName={node} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} "
            f"CPUs={cpus} RealMemory=65536 Feature=kvm State=UNKNOWN"
            for node, port in zip(NODES, ports[1:], strict=True)
        )
        (directory / "state").mkdir()
        (directory / "slurm.conf").write_text(
            _CONFIGURATION.format(
                host=socket.gethostname(),
                port=ports[0],
                munge=directory / "munge/socket",
                directory=directory,
                kill_wait=kill_wait,
                nodes="\n".join(rows),
                names=",".join(NODES),
            )
        )

    def environment(self, **more: str) -> dict[str, str]:
        """The variables with which Slurm's programs find this cluster."""
        return {
            **os.environ,
            "PATH": _PATH,
            "SLURM_CONF": str(self.directory / "slurm.conf"),
            **more,
        }

    def start(self) -> None:
        """Start all, and wait until both nodes take jobs."""
        munge = self.directory / "munge"
        munge.mkdir(mode=0o755)
        key = munge / "key"
        key.touch(0o400)
        key.write_bytes(os.urandom(128))
        self._daemon(
            "munged",
            *("--foreground", "--force", f"--key-file={key}", f"--socket={munge / 'socket'}"),
            *(f"--pid-file={munge / 'pid'}", f"--seed-file={munge / 'seed'}"),
        )
        wait_until(lambda: (munge / "socket").exists(), self._running["munged"])
        self._daemon("slurmctld", "-D", "-c")
        for node in NODES:
            self.start_node(node)
        wait_until(lambda: set(self.node_states().values()) == {"IDLE"}, self._running["slurmctld"])

    def _daemon(self, program: str, *arguments: str, name: str = "") -> None:
        with open(self.directory / f"{name or program}.out", "ab") as out:
            self._running[name or program] = subprocess.Popen(
                [program, *arguments],
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        self._daemon("slurmd", "-D", "-N", node, name=node)

    def kill_node(self, node: str) -> list[int]:
        """End a node as a loss of power does: its daemon, and all that runs on it, at once; return
        what ran of jobs."""
        self._running[node].send_signal(signal.SIGSTOP)
        pids = self._of_node(node)
        self._kill(pids)
        self._running[node].kill()
        self._running.pop(node).wait()
        return pids

    def _kill(self, pids: Sequence[int]) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _of_node(self, node: str) -> list[int]:
        """The processes of jobs on a node: the daemon's own for each step, which write its log, and
        all below them. A launcher clears its environment, so that tells nothing."""
        found: list[int] = []
        log = str(self.directory / f"slurmd.{node}.log")
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (entry / "cmdline").read_bytes().startswith(b"slurmstepd") and any(
                    os.readlink(handle) == log for handle in (entry / "fd").iterdir()
                ):
                    found.append(int(entry.name))
        for pid in found:  # it grows meanwhile
            with suppress(OSError):
                found += children(pid)
        return found

    def node_states(self) -> Mapping[str, str]:
        """The state of each node, without its flags."""
        shown = self.run("sinfo", "-h", "-N", "-o", "%N %T", check=False).stdout
        rows = [line.split() for line in shown.splitlines()]
        return {row[0]: row[1].upper() for row in rows if len(row) == 2}

    def run(
        self, *words: str | Path, check: bool = True, cwd: Path | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one of Slurm's programs against the cluster."""
        done = subprocess.run(
            list(map(str, words)),
            env=self.environment(**env),
            cwd=cwd or self.directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def submit(self, script: Path, *arguments: str, cwd: Path, options: Sequence[str] = ()) -> str:
        """Submit a script; return the job's number."""
        done = self.run("sbatch", "--parsable", *options, script, *arguments, cwd=cwd)
        return done.stdout.strip()

    def tasks(self, job: str) -> dict[int, Task]:
        """How each task of an array stands, as the controller tells it."""
        found: dict[int, Task] = {}
        for line in self.run("scontrol", "-o", "show", "job", job).stdout.splitlines():
            fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
            number = fields.get("ArrayTaskId", "")
            if number.isdigit():
                code, signal_ = fields["ExitCode"].split(":")
                found[int(number)] = Task(fields["JobState"], int(code), int(signal_))
        return found

    def waits_for(self, job: str, count: int) -> dict[int, Task]:
        """Wait until all COUNT tasks of an array are over, and return how they ended. The clock
        starts again with each task that ends."""
        ended, deadline = -1, 0.0
        while True:
            tasks = self.tasks(job)
            over = sum(task.state in _OVER for task in tasks.values())
            if over == count:
                return tasks
            if over > ended:
                ended, deadline = over, time.monotonic() + PATIENCE
            assert time.monotonic() < deadline, f"{over} of {count} ended: {tasks}"
            time.sleep(0.2)

    def stop(self) -> None:
        """End all that was started, and what is left of jobs."""
        for node in NODES:
            self._kill(self._of_node(node))
        for process in reversed(self._running.values()):
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A running cluster of two nodes."""
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


if __name__ == "__main__":  # to look at one by hand: python tests/tools/slurm.py DIRECTORY
    by_hand = Cluster(Path(sys.argv[1]).absolute())
    try:
        by_hand.start()
        print(by_hand.node_states(), flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        by_hand.stop()
