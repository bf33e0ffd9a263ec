"""Ways between a VM and what is outside of it that are no path: networks, ports, secrets,
descriptors, terminals. Each is read off the operations of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal, NamedTuple

from krunc_compiler import libkrun as api
from krunc_compiler.plan.operation import Operation

# The one descriptor of libkrun's that has to be a terminal (krun.json).
_TERMINAL = ("krun_add_console_port_tty", "tty_fd")
_SECRETS = ("from_env", "from_file", "from_fd")
_ANY = "0.0.0.0"
_NOTHING: dict[str, Any] = {}

Network = Literal["tsi", "passt", "tap", "socket", "descriptor"]


class Secret(NamedTuple):
    """A secret that the launcher fetches: the guest's variable, and from where it comes.

    `source` is from_env, from_file or from_fd; `given` the variable, path or descriptor.
    """

    name: str
    source: str
    given: str
    operation: int

    @property
    def file(self) -> str | None:
        """Return the name by which the launcher finds it in a directory of secrets; None where it
        has a path of its own."""
        if self.source == "from_file":
            return None
        return f"fd-{self.given}" if self.source == "from_fd" else self.given


class Port(NamedTuple):
    """A port of the host that leads into the guest. TSI has it on the address that the guest
    binds, which may be any."""

    protocol: Literal["tcp", "udp"]
    address: str
    host: int
    guest: int
    operation: int


def meanings(row: Operation) -> Iterator[tuple[str, Any]]:
    """Yield what the arguments of ROW mean, by the table, and their values."""
    for meaning, name in _meanings(row.kind, row.name):
        if name in row.args:
            yield meaning, row.args[name]


# What the table says of an operation is worked out once: most of a fleet's operations are alike.
@cache
def _meanings(kind: str, name: str) -> tuple[tuple[str, str], ...]:
    params = api.params(kind, name)
    return tuple((param.rules["means"], param.name) for param in params if "means" in param.rules)


@cache
def of_kind(kind: str, name: str, *kinds: str) -> tuple[api.Param, ...]:
    """Return those of the arguments of an operation that are of one of KINDS."""
    return tuple(param for param in api.params(kind, name) if param.kind in kinds)


@cache
def _is_hijacking(name: str) -> bool:
    """Tell whether libkrun's doing NAME makes connections of the guest connections of the host."""
    return any(row["name"] == name and "tsi" in row for row in api.table()["implicit"])


@cache
def _is_device(kind: str, name: str) -> bool:
    """Tell whether an operation adds a network device."""
    has_mac = any(param.name == "mac" for param in api.params(kind, name))
    return kind == "call" and (has_mac or name in _OLD_DEVICES)


def networks(rows: list[Operation]) -> Iterator[Network]:
    """Yield the kinds of network that the guest has."""
    for row in rows:
        named = dict(meanings(row)) if _meanings(row.kind, row.name) else _NOTHING
        if _is_hijacking(row.name) or named.get("tsi"):
            yield "tsi"
        elif row.name == "start_passt":
            yield "passt"
        elif "tap" in named:
            yield "tap"
        elif _is_device(row.kind, row.name):
            if row.args.get("path") is not None:
                yield "socket"
            elif type(row.args.get("fd")) is int:
                yield "descriptor"


# The network devices of libkrun before 1.15, whose address another call tells.
_OLD_DEVICES = ("krun_set_passt_fd", "krun_set_gvproxy_path")


def ports(rows: list[Operation]) -> Iterator[Port]:
    """Yield the ports of the host that lead into the guest."""
    for number, row in enumerate(rows):
        for param in of_kind(row.kind, row.name, "port_map", "published"):
            if param.kind == "port_map":
                for pair in row.args[param.name]:
                    host, _, guest = pair.partition(":")
                    yield Port("tcp", _ANY, int(host), int(guest), number)
            else:
                protocol: Literal["tcp", "udp"] = "udp" if param.name[:3] == "udp" else "tcp"
                for text in row.args[param.name]:
                    address, host, guest = text.split(":")
                    yield Port(protocol, address, int(host), int(guest), number)


def secrets(rows: list[Operation]) -> Iterator[Secret]:
    """Yield the secrets that the launcher fetches."""
    for number, row in enumerate(rows):
        for param in of_kind(row.kind, row.name, "bytes", "env"):
            value = row.args.get(param.name)
            if param.kind == "bytes":
                process = value.get("process", {}) if isinstance(value, dict) else {}
                value = process.get("env")
            for name, given in (value or {}).items():
                if isinstance(given, dict):
                    source = next(source for source in _SECRETS if source in given)
                    yield Secret(name, source, str(given[source]), number)


def descriptors(rows: list[Operation]) -> Iterator[tuple[int, int]]:
    """Yield the descriptors that the launching program hands down; the standard streams have
    names in a plan. Those of secrets are none of them: an engine gives them as files."""
    for number, row in enumerate(rows):
        for param in of_kind(row.kind, row.name, "fd"):
            given = row.args.get(param.name)
            if type(given) is int:
                yield given, number


def terminals(rows: list[Operation]) -> Iterator[tuple[str, int]]:
    """Yield the consoles on a terminal of the host, and what that is."""
    function, argument = _TERMINAL
    opened: dict[str, str] = {}
    for number, row in enumerate(rows):
        if row.name == "open_device":
            opened[row.args["name"]] = row.args["path"]
        elif row.name == function:
            given = row.args[argument]
            if isinstance(given, dict):
                yield str(opened.get(given["opened"])), number
            else:
                yield f"file descriptor {given}", number


def reads_stdin(row: Operation) -> bool:
    """Tell whether the guest has standard input."""
    if row.kind == "implicit":
        return row.name == "console_on_stdio"
    return any(row.args.get(param.name) == "stdin" for param in of_kind(row.kind, row.name, "fd"))
