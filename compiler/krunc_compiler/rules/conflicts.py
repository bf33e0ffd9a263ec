"""Keys of a box that exclude or need each other."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.box.box import Box, DirectoryRoot, Overlay
from krunc_compiler.box.consoles import ConsolePort, PortsConsole
from krunc_compiler.box.networks import Device, NetworkDevices, SocketDevice, Tsi
from krunc_compiler.findings.finding import Finding, Path

# virtio 1.2, 5.1.3.1: an offload of the guest's needs the guest's checksums, one of the host's
# needs checksums; libkrun refuses others with -22.
_NEEDS_GUEST_CSUM = ("guest_tso4", "guest_tso6", "guest_ufo")
_NEEDS_CSUM = ("host_tso4", "host_tso6", "host_ufo")


def check(box: Box) -> list[Finding]:
    """Tell what of BOX cannot be together, or lacks what it needs."""
    return [
        *_boot(box),
        *_overlays(box),
        *_tsi(box),
        *_network(box),
        *_displays(box),
        *_consoles(box),
        *_egress(box),
    ]


def _together(path: Path, one: str, other: str, hint: str) -> Finding:
    return Finding("KR209", f"{one} and {other} are mutually exclusive", path, hint, at_key=True)


def _boot(box: Box) -> Iterator[Finding]:
    boot = box.boot
    if boot.kernel is not None and boot.firmware is not None:
        hint = "leave one out: firmware loads its own kernel"
        yield _together(("boot", "firmware"), "boot.kernel", "boot.firmware", hint)
    if boot.init is not None and not isinstance(box.rootfs, DirectoryRoot):
        hint = "put it on the disk: libkrun lays an init over a root directory only"
        yield _together(("boot", "init"), "boot.init", "a root disk", hint)
    cmdline = boot.kernel.cmdline if boot.kernel is not None else None
    if box.console.kernel is not None and cmdline is not None and "console=" not in cmdline:
        yield Finding(
            "KR210",
            "the kernel's command line has no console= for console.kernel to change",
            ("console", "kernel"),
            hint="write console= into boot.kernel.cmdline, or leave console.kernel out: "
            "libkrun aborts on it",
            at_key=True,
        )


def _overlays(box: Box) -> Iterator[Finding]:
    if isinstance(box.rootfs, DirectoryRoot):
        yield from _overlay(box.rootfs.overlay, ("rootfs", "overlay"))
    for i, share in enumerate(box.shares):
        yield from _overlay(share.overlay, ("shares", i, "overlay"))


def _overlay(overlay: tuple[Overlay, ...], path: Path) -> Iterator[Finding]:
    directories = {""}
    seen: dict[str, int] = {}
    for i, item in enumerate(overlay):
        where = (*path, i)
        yield from _content(item, where)
        name = item.path.strip("/")
        first = seen.setdefault(name, i)
        if first != i:
            yield Finding(
                "KR201",
                f"the path {item.path!r} is already that of overlay[{first}]",
                (*where, "path"),
                hint="leave one out",
            )
        parent = name.rpartition("/")[0]
        if {".", ".."} & set(name.split("/")):
            yield Finding(
                "KR211",
                f"{item.path!r} has a part that libkrun takes as a name",
                (*where, "path"),
                hint="write the path without . and ..",
            )
        elif parent not in directories:
            yield Finding(
                "KR211",
                f"{item.path!r} lies in no directory of the overlay",
                (*where, "path"),
                hint=f"write a file at the top, or put {{path: /{parent}, directory: true}} before "
                f"it: an overlay does not change the host's directory /{parent}, it hides it",
            )
        if item.directory:
            directories.add(name)


def _content(item: Overlay, where: Path) -> Iterator[Finding]:
    given = [key for key in ("text", "file", "base64") if getattr(item, key) is not None]
    given += ["directory"] if item.directory else []
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        yield Finding(
            "KR209",
            f"expected one of file, text, base64 and directory; found {found}",
            where,
            hint="write one: text and base64 are in the plan, file is read at launch, directory "
            "is empty",
        )
    if item.directory and item.once:
        yield _together(
            (*where, "once"), "once", "directory", "remove once: libkrun has it for files only"
        )


def _tsi(box: Box) -> Iterator[Finding]:
    if not isinstance(box.network, Tsi) or box.network.inet:
        return
    if not box.network.unix:
        yield Finding(
            "KR209",
            "TSI with neither inet nor unix is no network",
            ("network", "inet"),
            hint="write `mode: none`",
            at_key=True,
        )
    elif box.network.ports != ():
        hint = "remove ports: without inet no port is opened"
        yield _together(("network", "ports"), "network.ports", "inet: false", hint)


def _network(box: Box) -> Iterator[Finding]:
    if not isinstance(box.network, NetworkDevices):
        return
    for i, device in enumerate(box.network.devices):
        where = box.network.place(i)
        if isinstance(device, SocketDevice):
            yield from _socket(device, where)
        yield from _features(device, where)


def _socket(device: SocketDevice, where: Path) -> Iterator[Finding]:
    if device.socket is None and device.fd is None:
        yield Finding(
            "KR102",
            "the key 'socket' is missing",
            where,
            hint="add the socket of the network backend, or fd: a file descriptor that the "
            "launching program passes",
            at_key=True,
        )
    if device.socket is not None and device.fd is not None:
        hint = "remove one of them: the device has one output"
        yield _together((*where, "fd"), "socket", "fd", hint)
    if device.fd is not None and device.vfkit:
        hint = "write `vfkit: false`: libkrun greets only where it connects itself"
        yield _together((*where, "fd"), "fd", "vfkit: true", hint)


def _features(device: Device, where: Path) -> Iterator[Finding]:
    for wanted, need in ((_NEEDS_GUEST_CSUM, "guest_csum"), (_NEEDS_CSUM, "csum")):
        using = [name for name in device.features if name in wanted]
        if using and need not in device.features:
            yield Finding(
                "KR210",
                f"{', '.join(using)} cannot be offered without {need}",
                (*where, "features"),
                hint=f"add {need}, or leave out {', '.join(using)}",
            )


def _displays(box: Box) -> Iterator[Finding]:
    if box.displays and box.gpu is None:
        yield Finding(
            "KR210",
            "displays belong to a GPU, and the box does not have one",
            ("displays",),
            hint="add `gpu: {flags: [...]}`",
            at_key=True,
        )
    if len(box.displays) > 16:
        yield Finding(
            "KR203",
            f"{len(box.displays)} displays are too many; libkrun takes 16",
            ("displays",),
            hint="leave some out",
            at_key=True,
        )
    for i, display in enumerate(box.displays):
        for key in ("dpi", "size_mm", "refresh_rate"):
            if display.edid is not None and getattr(display, key) is not None:
                hint = "remove one of them: the EDID says it already"
                yield _together(("displays", i, key), "edid", key, hint)


def _consoles(box: Box) -> Iterator[Finding]:
    if box.console.output is not None and box.console.devices:
        hint = "write the file as a device: {type: virtio, output: {file: ...}, error: {file: ...}}"
        yield _together(("console", "output"), "console.output", "console.devices", hint)
    for i, device in enumerate(box.console.devices):
        if isinstance(device, PortsConsole):
            for j, port in enumerate(device.ports):
                yield from _port(port, ("console", "devices", i, "ports", j))


def _port(port: ConsolePort, where: Path) -> Iterator[Finding]:
    ends = (port.input, port.output)
    if port.terminal is not None and ends != ("none", "none"):
        hint = "remove one of them: a terminal is both"
        yield _together((*where, "terminal"), "terminal", "input or output", hint)
    if port.terminal is None and ends == ("none", "none"):
        yield Finding(
            "KR210",
            f"the port {port.name!r} is not connected",
            where,
            hint="give it an input, an output or a terminal",
        )


def _egress(box: Box) -> Iterator[Finding]:
    egress = box.smolmachines.egress if box.smolmachines is not None else None
    if egress is None:
        return
    where: Path = ("extensions", "smolmachines", "egress")
    if not isinstance(box.network, Tsi):
        hint = "remove it, or write `network: {mode: tsi}`: only TSI heeds it"
        yield _together(where, "egress", "a network that is not TSI", hint)
    if egress.hosts and not egress.resolvers:
        yield Finding(
            "KR210",
            "hosts need resolvers",
            (*where, "hosts"),
            hint="add `resolvers: [ADDRESS]`, the DNS servers to ask",
            at_key=True,
        )
    if egress.resolvers and not egress.hosts and not egress.cidrs:
        yield Finding(
            "KR210",
            "resolvers alone allow nothing",
            (*where, "resolvers"),
            hint="add hosts or cidrs",
            at_key=True,
        )
