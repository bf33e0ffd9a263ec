"""The consoles of a box, libkrun's log, and where each leads."""

from typing import NamedTuple


class Descriptor(NamedTuple):
    """An open descriptor that the launching program hands down."""

    fd: int


class File(NamedTuple):
    """A file of the host that is created or emptied."""

    path: str


# Where the input or the output of a console goes; a text is one of the schema's names.
Endpoint = str | Descriptor | File


class VirtioConsole(NamedTuple):
    """A virtio console with the program's three streams."""

    input: Endpoint
    output: Endpoint
    error: Endpoint


class SerialConsole(NamedTuple):
    """A serial port."""

    input: Endpoint
    output: Endpoint


class ConsolePort(NamedTuple):
    """A named port of a console: a terminal (the path of its device, or a descriptor), or an
    input and an output."""

    name: str
    terminal: str | Descriptor | None
    input: Endpoint
    output: Endpoint


class PortsConsole(NamedTuple):
    """A virtio console with named ports."""

    ports: tuple[ConsolePort, ...]


class Console(NamedTuple):
    """The consoles: a file, or devices, or neither for the launcher's own streams."""

    output: str | None
    devices: tuple[VirtioConsole | SerialConsole | PortsConsole, ...]
    kernel: str | None


class Log(NamedTuple):
    """libkrun's own log."""

    level: str
    target: Endpoint
    style: str
    environment: bool
