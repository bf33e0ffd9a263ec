"""A plan to what an engine has to give it: processors, memory, paths, devices, sockets, secrets.

It is read off the plan's operations and the API table, as the review is, and looks at no host.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from krunc_compiler import libkrun as api
from krunc_compiler.emit.host_paths import (
    HostPath,
    Socket,
    based,
    called,
    distinct,
    joined,
    relative_of,
    sockets_of,
    stepped,
)
from krunc_compiler.emit.ways import (
    Network,
    Port,
    Secret,
    descriptors,
    meanings,
    networks,
    of_kind,
    ports,
    reads_stdin,
    secrets,
    terminals,
)
from krunc_compiler.image.platform import of_arch
from krunc_compiler.plan.digest import digest
from krunc_compiler.plan.operation import KINDS, Operation
from krunc_compiler.plan.plan import Plan, value_of

# What a VM takes beside its guest's RAM: 65 to 77 MiB were measured by cgroup in real boots of both
# libkruns, 31 of them page cache (docs/engines.md).
OVERHEAD_MIB = 96
# virtiofs keeps a descriptor for each file that the guest knows; the kernel's fs.nr_open.
OPEN_FILES = 1048576


class Allowed(NamedTuple):
    """A loss of this plan that was allowed, and why."""

    loss: str
    what: str
    reason: str


class Needs(NamedTuple):
    """What a plan needs of an engine.

    `relative` are the paths that start at the plan's directory, as they stand in the plan, with
    their operations. `descriptors` are inherited ones and `terminals` consoles on a terminal, with
    what they are. `run_as` is the user and the group that the VM's process becomes; `base` is where
    relative paths start, / when there are none.
    """

    name: str
    digest: str
    target: str
    era: str
    features: tuple[str, ...]
    platform: str | None
    vcpus: int
    ram_mib: int
    raises_nofile: bool
    paths: tuple[HostPath, ...]
    relative: tuple[tuple[str, int], ...]
    sockets: tuple[Socket, ...]
    devices: tuple[str, ...]
    capabilities: tuple[str, ...]
    networks: tuple[Network, ...]
    ports: tuple[Port, ...]
    has_every_port: bool
    secrets: tuple[Secret, ...]
    descriptors: tuple[tuple[int, int], ...]
    terminals: tuple[tuple[str, int], ...]
    reads_stdin: bool
    grace_s: int | None
    timeout_s: int | None
    run_as: tuple[int | None, int | None]
    limits: Mapping[str, str]
    has_session: int | None
    uses_runtime: bool
    uses_launch: bool
    image: str | None
    is_confined: bool
    base: str
    allowed: tuple[Allowed, ...] = ()
    # The plan as it was read, for engines whose files hold it.
    text: str = ""

    @property
    def memory_mib(self) -> int:
        """Return what to ask of an engine: the guest's RAM and what the VM takes beside it."""
        return self.ram_mib + OVERHEAD_MIB

    @property
    def open_files(self) -> int | None:
        """Return the limit of open files to ask for; None where the plan leaves it as it is."""
        return OPEN_FILES if self.raises_nofile else None

    @property
    def secret_files(self) -> tuple[str, ...]:
        """Return the names of the secrets for which the launcher looks in a directory."""
        names = (one.file for one in self.secrets)
        return tuple(dict.fromkeys(name for name in names if name is not None))

    @property
    def opens_network(self) -> bool:
        """Tell whether the VM's processes use network interfaces of the host. A Unix socket that a
        path leads to is no part of a network namespace; a desktop's may be, and a confidential VM
        is attested over one."""
        real = {"tsi", "passt", "tap"}.intersection(self.networks)
        return bool(real) or self.has_session is not None or "tee" in self.features


def needs_of(plan: Plan, base: str) -> Needs:
    """Return what PLAN needs of an engine. BASE is where its relative paths start."""
    rows = [_operation(row) for row in plan.operations]
    secret = tuple(secrets(rows))
    opened = [*called(rows, secret), *stepped(rows)]
    sockets = tuple(sockets_of(rows))
    named = {name: value for row in rows for name, value in meanings(row)}
    steps = {row.name: row.args for row in rows if row.kind == "step"}
    image = steps.get("require_image")
    architecture = steps.get("require_architecture", {}).get("architecture")
    functions = [api.functions()[row.name] for row in rows if row.kind == "call"]
    stop = steps.get("stop_on_sigterm") or steps.get("pass_sigterm") or {}
    relative = tuple(relative_of([*opened, *sockets]))
    devices = (path for one in functions for path in one.rules.get("opens", {}))
    return Needs(
        name=plan.box,
        digest=digest(value_of(plan)),
        target=plan.target,
        era=plan.era,
        features=tuple(plan.requires["features"]),
        platform=image["platform"] if image is not None else of_arch(architecture),
        vcpus=named.get("vcpus", 1),
        ram_mib=named.get("memory_mib", 0),
        raises_nofile="raise_nofile" in steps,
        paths=joined(distinct(opened), base),
        relative=relative,
        sockets=tuple(based(one, base) for one in sockets),
        devices=tuple(dict.fromkeys(devices)),
        capabilities=tuple(
            dict.fromkeys(name for one in functions for name in one.rules.get("capabilities", ()))
        ),
        networks=tuple(dict.fromkeys(networks(rows))),
        ports=tuple(ports(rows)),
        has_every_port=any(row.name == "all_guest_ports_published" for row in rows),
        secrets=secret,
        descriptors=tuple(dict.fromkeys(descriptors(rows))),
        terminals=tuple(terminals(rows)),
        reads_stdin=any(reads_stdin(row) for row in rows),
        grace_s=stop.get("grace_s"),
        timeout_s=steps.get("end_after", {}).get("seconds"),
        run_as=(named.get("uid"), named.get("gid")),
        limits=dict(_limits(rows)),
        has_session=next(
            (number for number, row in enumerate(rows) if _is_unknown(row.kind, row.name)), None
        ),
        uses_runtime="make_runtime_directory" in steps,
        uses_launch="lay_stage" in steps,
        image=None if image is None else str(image["path"]),
        is_confined="confine" in steps,
        base=base if relative else "/",
    )


def _operation(row: Mapping[str, Any]) -> Operation:
    for kind in KINDS:
        if kind in row:
            return Operation(kind, row[kind], (), row.get("args", {}))
    raise KeyError(f"no operation: {row}")


@cache
def _is_unknown(kind: str, name: str) -> bool:
    """Tell whether nobody can say what an operation opens: what a logged in user has."""
    return kind == "call" and bool(api.functions()[name].rules.get("unknown_access"))


def _limits(rows: list[Operation]) -> Iterator[tuple[str, str]]:
    for row in rows:
        for param in of_kind(row.kind, row.name, "rlimits"):
            yield from row.args[param.name].items()
