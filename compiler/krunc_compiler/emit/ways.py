"""Ways between a VM and what is outside of it that are no path: networks, ports, secrets,
descriptors, terminals. Each is read off the operations of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from krunc_compiler import libkrun as api
from krunc_compiler.plan.operation import Operation

# The one descriptor of libkrun's that has to be a terminal (krun.json).
_TERMINAL = ("krun_add_console_port_tty", "tty_fd")
_SECRETS = ("from_env", "from_file", "from_fd")
_ANY = "0.0.0.0"

Network = Literal["tsi", "passt", "tap", "socket", "descriptor"]


class Secret(NamedTuple):
    """A secret that the launcher fetches: the guest's variable, and from where it comes.

    `source` is from_env, from_file or from_fd; `given` the variable, path or descriptor.
    """

    name: str
    source: str
    given: str
    operation: int


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
    for param in api.params(row.kind, row.name):
        if "means" in param.rules and param.name in row.args:
            yield param.rules["means"], row.args[param.name]


def networks(rows: list[Operation]) -> Iterator[Network]:
    """Yield the kinds of network that the guest has."""
    hijacking = {row["name"] for row in api.table()["implicit"] if "tsi" in row}
    for row in rows:
        params = {param.name for param in api.params(row.kind, row.name)}
        if row.name in hijacking or dict(meanings(row)).get("tsi"):
            yield "tsi"
        elif row.name == "start_passt":
            yield "passt"
        elif "tap" in dict(meanings(row)):
            yield "tap"
        elif row.kind == "call" and ("mac" in params or row.name in _OLD_DEVICES):
            if row.args.get("path") is not None:
                yield "socket"
            elif type(row.args.get("fd")) is int:
                yield "descriptor"


# The network devices of libkrun before 1.15, whose address another call tells.
_OLD_DEVICES = ("krun_set_passt_fd", "krun_set_gvproxy_path")


def ports(rows: list[Operation]) -> Iterator[Port]:
    """Yield the ports of the host that lead into the guest."""
    for number, row in enumerate(rows):
        for param in api.params(row.kind, row.name):
            if param.kind == "port_map":
                for pair in row.args[param.name]:
                    host, _, guest = pair.partition(":")
                    yield Port("tcp", _ANY, int(host), int(guest), number)
            elif param.kind == "published":
                protocol: Literal["tcp", "udp"] = "udp" if param.name[:3] == "udp" else "tcp"
                for text in row.args[param.name]:
                    address, host, guest = text.split(":")
                    yield Port(protocol, address, int(host), int(guest), number)


def secrets(rows: list[Operation]) -> Iterator[Secret]:
    """Yield the secrets that the launcher fetches."""
    for number, row in enumerate(rows):
        for param in api.params(row.kind, row.name):
            value = row.args.get(param.name)
            if param.kind == "bytes" and isinstance(value, dict) and "process" in value:
                value = value["process"].get("env")
            elif param.kind != "env":
                continue
            for name, given in (value or {}).items():
                if isinstance(given, dict):
                    source = next(source for source in _SECRETS if source in given)
                    yield Secret(name, source, str(given[source]), number)


def descriptors(rows: list[Operation]) -> Iterator[tuple[int, int]]:
    """Yield the descriptors that the launching program hands down; the standard streams have
    names in a plan."""
    for number, row in enumerate(rows):
        for param in api.params(row.kind, row.name):
            given = row.args.get(param.name)
            if param.kind == "fd" and type(given) is int:
                yield given, number
    for secret in secrets(rows):
        if secret.source == "from_fd":
            yield int(secret.given), secret.operation


def terminals(rows: list[Operation]) -> Iterator[tuple[str, int]]:
    """Yield the consoles on a terminal of the host, and what that is."""
    opened = {
        row.args["name"]: row.args["path"] for row in rows if row.name == "open_device"
    }  # fmt: skip
    function, argument = _TERMINAL
    for number, row in enumerate(rows):
        if row.name == function:
            given = row.args[argument]
            if isinstance(given, dict):
                yield str(opened.get(given["opened"])), number
            else:
                yield f"descriptor {given}", number


def reads_stdin(row: Operation) -> bool:
    """Tell whether the guest has standard input."""
    if row.kind == "implicit":
        return row.name == "console_on_stdio"
    return any(
        param.kind == "fd" and row.args.get(param.name) == "stdin"
        for param in api.params(row.kind, row.name)
    )
