"""The guest's consoles: the launcher's streams, a file, or the devices that the box lists."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.box.box import Box
from krunc_compiler.box.consoles import (
    ConsolePort,
    Descriptor,
    Endpoint,
    PortsConsole,
    SerialConsole,
    VirtioConsole,
)
from krunc_compiler.findings.finding import Path
from krunc_compiler.libkrun import Target
from krunc_compiler.lowering.endpoints import opening, value
from krunc_compiler.plan.operation import Operation

_FILE = "console"


def lower(box: Box, target: Target) -> Iterator[Operation]:
    """Family 1 has a console on stdio by itself; family 2 has none that is not added."""
    console = box.console
    if console.devices:
        yield from _devices(box, target)
    elif target.family == 1:
        if console.output is not None:
            place = ("console", "output")
            args = {"filepath": console.output}
            places = {"filepath": place}
            yield Operation("call", "krun_set_console_output", place, args, places=places)
    elif console.output is None:
        yield _default((), "stdin", "stdout", "stderr")
    else:
        place = ("console", "output")
        args = {"path": console.output, "name": _FILE}
        yield Operation("step", "open_file", place, args, places={"path": place})
        yield _default(place, "none", {"opened": _FILE}, {"opened": _FILE})
    if console.kernel is not None:
        place = ("console", "kernel")
        args = {"console_id": console.kernel}
        yield Operation(
            "call", "krun_set_kernel_console", place, args, places={"console_id": place}
        )


def _default(origin: Path, source: object, output: object, error: object) -> Operation:
    return Operation(
        "call",
        "krun_add_virtio_console_default",
        origin,
        {"input_fd": source, "output_fd": output, "err_fd": error},
    )


def _devices(box: Box, target: Target) -> Iterator[Operation]:
    where: Path = ("console", "devices")
    if target.family == 1:
        yield Operation("call", "krun_disable_implicit_console", where)
    number = 0  # libkrun numbers the virtio consoles, the default ones among them
    for i, device in enumerate(box.console.devices):
        place = (*where, i)
        match device:
            case VirtioConsole(source, output, error):
                out, err = f"console {i} output", f"console {i} error"
                yield from opening(output, out, (*place, "output", "file"), box)
                yield from opening(error, err, (*place, "error", "file"), box)
                ends = (value(source, ""), value(output, out), value(error, err))
                yield _default(place, *ends)
                number += 1
            case SerialConsole(source, output):
                name = f"console {i}"
                yield from opening(output, name, (*place, "output", "file"), box)
                args = _inout(source, output, name)
                yield Operation("call", "krun_add_serial_console_default", place, args)
            case PortsConsole(ports):
                yield Operation("call", "krun_add_virtio_console_multiport", place)
                for j, port in enumerate(ports):
                    name = f"console {i} port {j}"
                    yield from _port(box, (*place, "ports", j), name, number, port)
                number += 1


def _inout(source: Endpoint, output: Endpoint, name: str) -> dict[str, object]:
    return {"input_fd": value(source, ""), "output_fd": value(output, name)}


def _port(box: Box, place: Path, name: str, console: int, port: ConsolePort) -> Iterator[Operation]:
    args: dict[str, object] = {"console_id": console, "name": port.name}
    places: dict[str, Path] = {"name": (*place, "name")}
    if port.terminal is None:
        yield from opening(port.output, name, (*place, "output", "file"), box)
        args |= _inout(port.input, port.output, name)
        yield Operation("call", "krun_add_console_port_inout", place, args, places=places)
        return
    if isinstance(port.terminal, Descriptor):
        terminal: object = port.terminal.fd
    else:
        terminal = {"opened": name}
        where = (*place, "terminal")
        step = {"path": port.terminal, "access": "read-write", "name": name}
        yield Operation("step", "open_device", place, step, places={"path": where})
    args["tty_fd"] = terminal
    yield Operation("call", "krun_add_console_port_tty", place, args, places=places)
