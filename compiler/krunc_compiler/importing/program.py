"""What a container's program is given: user, variables, limits, CPUs and memory, its end."""

from __future__ import annotations

import math
import re
from typing import Any

from krunc_compiler.importing.amounts import MIB, integer
from krunc_compiler.importing.draft import OUTSIDE, At, Draft, shown
from krunc_compiler.rules.lints import names_a_secret

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,31})?")
_ROOTS = ("root", "0")
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?")
_LABEL = re.compile(r"[a-z][a-z0-9_.-]{0,62}")
_MOST_LABELS, _LONGEST_LABEL = 64, 200
LIMITS = (
    "cpu", "fsize", "data", "stack", "core", "rss", "nproc", "nofile", "memlock", "as", "locks",
    "sigpending", "msgqueue", "nice", "rtprio", "rttime",
)  # fmt: skip
_UNLIMITED = (1 << 64) - 1
# What SIGTERM to the launcher does, by the signal that stops the container.
_STOPS = {"TERM": "terminate", "15": "terminate", "INT": "interrupt", "2": "interrupt"}
_KILLS = ("KILL", "9")
_MOST_GRACE = 3600
_LEAST_MIB, _MOST_MIB, _MOST_CPUS = 64, 9_999_999_999, 255
_ARCHES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}


def set_user(draft: Draft, at: At, text: str) -> None:
    """Run the program as the user TEXT: a name or number, with a group behind a colon."""
    user, _, group = text.partition(":")
    if user in _ROOTS:
        draft.program["user"] = "root"
        if group and group not in _ROOTS:
            draft.note(at, f"the guest's root has the group 0, not {shown(group)}")
    elif _USER.fullmatch(text):
        draft.program["user"] = text
    else:
        draft.wrong(at, f"{shown(text)} is not a user", "write NAME, UID or UID:GID")


def set_workdir(draft: Draft, at: At, path: str) -> None:
    """Start the program in PATH."""
    if path.startswith("/"):
        draft.program["workdir"] = path
    else:
        draft.wrong(at, f"{shown(path)} is not an absolute path in the guest", "start it with /")


def set_hostname(draft: Draft, at: At, text: str) -> None:
    """Give the guest a host name."""
    if _HOSTNAME.fullmatch(text):
        draft.hostname = text
    else:
        said = "is not a name without dots, of at most 64 characters: omitted"
        draft.note(at, f"{shown(text)} {said}")


def set_platform(draft: Draft, at: At, text: str) -> None:
    """Take the image for the platform TEXT, such as linux/arm64."""
    system, _, machine = text.rpartition("/") if text.count("/") == 1 else ("linux", "", text)
    if text.count("/") == 2:
        system, machine, _ = text.split("/")
    if system != "linux" or machine not in _ARCHES:
        known = "linux/amd64 or linux/arm64"
        draft.wrong(at, f"{shown(text)} is not a platform of a VM", f"write {known}, or remove it")
        return
    draft.arch = _ARCHES[machine]
    if text.count("/") == 2:
        draft.note(at, "a variant of the platform is not chosen")


def set_variable(draft: Draft, at: At, name: str, value: Any) -> None:
    """Give the program the variable NAME."""
    if not _VARIABLE.fullmatch(name):
        draft.note(at, f"the variable {shown(name)} has a name that no box can write: omitted")
    elif isinstance(value, str) and "\0" in value:
        draft.wrong(at, f"the variable {name} holds a NUL", "leave the character out")
    else:
        draft.env[name] = value
        if value and isinstance(value, str) and names_a_secret(name):
            draft.note(
                at, f"{name} looks like a secret: {{from_env: NAME}} keeps it out of the box"
            )


def take_variable(draft: Draft, at: At, name: str, source: str) -> None:
    """Give the program as NAME what the launcher's environment has as SOURCE."""
    if _VARIABLE.fullmatch(source):
        set_variable(draft, at, name, {"from_env": source})
        draft.note(at, f"{source} is read from krunc launch's environment, and is not in the plan")
    else:
        message = f"{shown(source)} is not a name of a variable"
        draft.wrong(at, message, "write letters, digits and '_', not starting with a digit")


def add_label(draft: Draft, at: At, name: str, text: str) -> None:
    """Keep a fact about the box."""
    full = len(draft.labels) >= _MOST_LABELS
    if _LABEL.fullmatch(name) and 0 < len(text) <= _LONGEST_LABEL and not full:
        draft.labels[name] = text
    else:
        draft.note(at, f"{shown(name)} fits no label of a box: omitted")


def set_limit(draft: Draft, at: At, name: str, soft: Any, hard: Any) -> None:
    """Bound what the program may use of NAME, as setrlimit(2) does."""
    name = name.lower().removeprefix("rlimit_")
    bounds = [integer(soft), integer(hard)]
    if name not in LIMITS:
        draft.wrong(at, f"{shown(name)} is not a limit", f"allowed: {', '.join(sorted(LIMITS))}")
        return
    if any(bound is None or not -1 <= bound <= _UNLIMITED for bound in bounds):
        draft.wrong(at, f"{shown(f'{soft}:{hard}')} is not a limit", "write SOFT:HARD, two numbers")
        return
    low, high = (_UNLIMITED if bound == -1 else bound for bound in bounds)
    if name == "nproc" and name in draft.limits:
        draft.note(at, "another limit of processes is beside it; the last one is taken")
    draft.limits[name] = low if low == high else f"{low}:{high}"


def set_pids(draft: Draft, at: At, value: Any) -> None:
    """Bound the number of processes."""
    count = integer(value)
    if count is None or count < -1:
        draft.wrong(at, f"{shown(str(value))} is not a number of processes", "write a number")
    elif count > 0:
        if "nproc" in draft.limits:
            draft.note(at, "another limit of processes is beside it; the last one is taken")
        draft.limits["nproc"] = count
        said = "limits.nproc holds a user who is not root; the guest's memory holds root"
        draft.note(at, said)


def set_stop_signal(draft: Draft, at: At, value: str) -> None:
    """Send the program this signal for a SIGTERM to the launcher."""
    name = value.upper().removeprefix("SIG")
    if name in _STOPS:
        draft.stop["on_sigterm"] = _STOPS[name]
    elif name in _KILLS:
        draft.stop["on_sigterm"] = "kill"
    else:
        draft.note(
            at, f"a stop sends SIGTERM, SIGINT or ends the VM; {shown(value)} is none of them"
        )


def set_grace(draft: Draft, at: At, time: float) -> None:
    """Give the program TIME in seconds to end."""
    grace = min(max(math.ceil(time), 1), _MOST_GRACE)
    draft.stop["grace"] = grace
    if grace != time:
        draft.note(at, f"the grace period is {grace} seconds: whole ones, from 1 to {_MOST_GRACE}")


def set_timeout(draft: Draft, at: At, time: float) -> None:
    """End the VM after TIME in seconds; 0 is never."""
    if time > 0:
        draft.timeout = f"{min(math.ceil(time), 99_999_999)}s"
        if math.ceil(time) != time:
            draft.note(at, f"the time is whole seconds: {draft.timeout}")


def set_cpus(draft: Draft, at: At, count: float) -> None:
    """Give the machine COUNT CPUs; 0 is no bound."""
    whole = math.ceil(count)
    if whole > _MOST_CPUS:
        draft.wrong(at, f"{whole} CPUs are too many", f"allowed: up to {_MOST_CPUS}")
    elif whole:
        draft.machine["cpus"] = whole
        if whole != count:
            draft.note(at, f"a VM has whole vCPUs: {count:g} became {whole}, which is more")


def set_memory(draft: Draft, at: At, count: int) -> None:
    """Give the machine COUNT bytes of memory; 0 is no bound."""
    if not count:
        return
    mib = min(max(count // MIB, _LEAST_MIB), _MOST_MIB)
    draft.machine["memory"] = f"{mib // 1024}GiB" if mib % 1024 == 0 else f"{mib}MiB"
    if mib * MIB > count:
        draft.note(at, f"no VM starts with less than {_LEAST_MIB} MiB, which is more")
    elif mib * MIB != count:
        draft.note(at, f"a VM has whole MiB: {mib}")


def settle(draft: Draft, at: At) -> None:
    """Refuse a box without a program, which the original takes away AT a place; tell of the sizes
    that it leaves open, and a machine cannot."""
    if draft.entrypoint is not None and not any([*draft.entrypoint, *(draft.command or ())][:1]):
        hint = "an entrypoint of its own leaves the image's command out: write a command, too"
        draft.wrong(at, "nothing says which program is run", hint)
    lacking = {"cpus": "4 vCPUs", "memory": "4 GiB"}
    told = [text for key, text in lacking.items() if key not in draft.machine]
    if told:
        draft.note(At("machine"), f"the original sets no bound; a VM has one: {', '.join(told)}")


def unknown_value(draft: Draft, at: At, name: str) -> None:
    """Refuse what depends on the shell's or the engine's variable NAME."""
    hint = (
        "write its value; a variable of the program can be `NAME=$NAME`, which is {from_env: NAME}"
    )
    draft.wrong(at, f"the value of ${name} is not known here", hint, OUTSIDE)
