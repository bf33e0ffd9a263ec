"""Slurm: job arrays, a task for each plan.

Slurm gives all tasks of an array the same request. So plans that ask for the same are one array:
in one array for all, each VM would have to be given what the largest takes. The script holds the
digests, and Slurm keeps its own copy of it from sbatch on; the plans stay where they are, in a
directory that all nodes see, since a plan that was changed there is refused by its digest (sbcast
would cost a job step for each plan, and check nothing).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from krunc_compiler.emit.engine import (
    OF_A_SCHEDULER,
    PLANS,
    REFUSED,
    STORE,
    Engine,
    Piece,
    allowed,
    head,
)
from krunc_compiler.emit.needs import Needs
from krunc_compiler.emit.texts import shell_word

# Where the secrets of the box NAME are files, in the directory NAME.
SECRETS = "/etc/krunc/secrets"
# The tasks of an array: Slurm's own MaxArraySize is 1001 where slurm.conf does not say.
_TASKS = 1000
_AFTER_GRACE_S = 10
# KillWait where slurm.conf does not say: from SIGTERM of scancel to SIGKILL.
_KILL_WAIT_S = 30
_MINUTE_S = 60


class _Shape(NamedTuple):
    """What all tasks of an array have in common."""

    vcpus: int
    memory_mib: int
    grace_s: int
    timeout_s: int
    has_secrets: bool
    architecture: str  # as images call it; empty for any


def object_name(box: str) -> str:
    """Return what the task of the box called BOX calls its files: its name."""
    return box


def part(needs: Needs) -> str:
    """Return what a task of the script does first: its words are the box, its digest, its base.
    Raises Unspeakable for a text that no shell can hold."""
    words = " ".join(shell_word(word) for word in (needs.name, needs.digest, needs.base))
    return "\n".join([*allowed(needs), f"set -- {words}"])


def whole(parts: Iterable[tuple[Needs, str]]) -> Iterator[Piece]:
    """Yield a script for each shape of VM, and another one for each thousand of a shape. What is
    kept of a plan is its lines."""
    rows: dict[_Shape, list[str]] = {}
    count: dict[_Shape, int] = {}
    for needs, text in parts:
        shape = _shape(needs)
        tasks = rows.setdefault(shape, [])
        # A comment has to stand on a line of its own.
        tasks.append(f"{len(tasks)}){chr(10) if text.startswith('#') else ' '}{text} ;;")
        if len(tasks) == _TASKS:
            yield _script(shape, count.get(shape, 0), rows.pop(shape))
            count[shape] = count.get(shape, 0) + 1
    for shape, tasks in rows.items():
        yield _script(shape, count.get(shape, 0), tasks)


ENGINE = Engine(
    name="slurm",
    lacks=OF_A_SCHEDULER,
    object_name=object_name,
    part=part,
    whole=whole,
)


def _shape(needs: Needs) -> _Shape:
    grace, timeout = needs.grace_s or 0, needs.timeout_s or 0
    architecture = (needs.platform or "").partition("/")[2]
    has_secrets = bool(needs.secret_files)
    return _Shape(needs.vcpus, needs.memory_mib, grace, timeout, has_secrets, architecture)


def _script(shape: _Shape, number: int, tasks: list[str]) -> Piece:
    """Return the job script of an array."""
    vcpus, memory, grace, timeout, has_secrets, architecture = shape
    name = f"krunc-{vcpus}cpu-{memory}MiB"
    name += f"-{grace}s" * bool(grace) + f"-timeout{timeout}s" * bool(timeout)
    name += "-secrets" * has_secrets + f"-{architecture}" * bool(architecture)
    name += f"-{number + 1}" * bool(number)
    ask = grace + _AFTER_GRACE_S
    lines = [
        "#!/bin/sh",
        head(ENGINE.name).rstrip("\n"),
        "# sbatch FILE [PLANS [SECRETS]]: directories, which all nodes see, with NAME.plan.json of",
        "# each box, and with NAME/VARIABLE of each secret. Records and logs go to where sbatch",
        "# is run. N at a time: sbatch --array=...%N FILE. Nodes that have KVM: --constraint.",
        *_nodes(architecture),
        f"#SBATCH --job-name={name}",
        f"#SBATCH --array=0-{len(tasks) - 1}",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks=1",
        f"#SBATCH --cpus-per-task={vcpus}",
        f"#SBATCH --mem={memory}M",
        *_time(timeout, ask),
        "# Before its time limit a VM is asked to stop.",
        f"#SBATCH --signal=B:TERM@{ask}",
        "# Nothing of the submitting shell: no variables, no limits.",
        "#SBATCH --export=NONE",
        "#SBATCH --propagate=NONE",
        "# A VM is never started twice, also when its node is lost.",
        "#SBATCH --no-requeue",
        "#SBATCH --output=%x-%A_%a.log",
        *_kill_wait(grace),
        "set -eu",
        f"plans=${{1:-{PLANS}}}",
        f"secrets=${{2:-{SECRETS}}}" if has_secrets else "",
        "case $SLURM_ARRAY_TASK_ID in",
        *tasks,
        f'*) echo "krunc: the array has no task $SLURM_ARRAY_TASK_ID" >&2; exit {REFUSED} ;;',
        "esac",
        "# It takes the script's place, so that signals of Slurm reach it, and its status is the",
        f"# task's: {REFUSED} when the plan was refused, or this node cannot run it.",
        "exec /usr/bin/python3 -IS /usr/bin/krunc-launch \\",
        f'    --require-digest "$2" --base "$3" --store {STORE} \\',
        '    --runtime-dir "/tmp/krunc-slurm-$SLURM_JOB_ID" \\',
        '    --exit-record "$1-${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID.exit.json" \\',
        '    --secrets "$secrets/$1" \\' if has_secrets else "",
        '    "$plans/$1.plan.json"',
    ]
    return Piece(f"{name}.sbatch", "\n".join(line for line in lines if line) + "\n")


def _nodes(architecture: str) -> Iterator[str]:
    """Yield which nodes have to be chosen. Slurm knows no architecture but by a name that
    slurm.conf gives a node (Features)."""
    if architecture:
        told = f"on others {REFUSED} is the status."
        yield f"# Nodes of {architecture} alone, by --constraint too: {told}"


def _time(timeout: int, ask: int) -> Iterator[str]:
    """Yield the time limit that a VM with a timeout never reaches; it ends by itself before."""
    if timeout:
        yield f"#SBATCH --time={-(-(timeout + ask) // _MINUTE_S) + 2}"


def _kill_wait(grace: int) -> Iterator[str]:
    if grace >= _KILL_WAIT_S:
        yield f"# scancel: KillWait of slurm.conf, {_KILL_WAIT_S} if it does not say, has to be"
        yield f"# more than {grace}: the seconds that the plans give a guest to stop."
