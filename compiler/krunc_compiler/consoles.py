"""The consoles of a box, libkrun's log, and where each leads."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Descriptor:
    """An open descriptor that the launching program hands down."""

    fd: int


@dataclass(frozen=True, slots=True)
class File:
    """A file of the host that is created or emptied."""

    path: str


# Where the input or the output of a console goes; a text is one of the schema's names.
Endpoint = str | Descriptor | File


@dataclass(frozen=True, slots=True)
class VirtioConsole:
    """A virtio console with the program's three streams."""

    input: Endpoint
    output: Endpoint
    error: Endpoint


@dataclass(frozen=True, slots=True)
class SerialConsole:
    """A serial port."""

    input: Endpoint
    output: Endpoint


@dataclass(frozen=True, slots=True)
class ConsolePort:
    """A named port of a console: a terminal (the path of its device, or a descriptor), or an
    input and an output."""

    name: str
    terminal: str | Descriptor | None
    input: Endpoint
    output: Endpoint


@dataclass(frozen=True, slots=True)
class PortsConsole:
    """A virtio console with named ports."""

    ports: tuple[ConsolePort, ...]


@dataclass(frozen=True, slots=True)
class Console:
    """The consoles: a file, or devices, or neither for the launcher's own streams."""

    output: str | None
    devices: tuple[VirtioConsole | SerialConsole | PortsConsole, ...]
    kernel: str | None


@dataclass(frozen=True, slots=True)
class Log:
    """libkrun's own log."""

    level: str
    target: Endpoint
    style: str
    environment: bool
