"""Unix sockets of the host joined to vsock ports of the guest, the agent's among them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from krunc_compiler.box.box import Agent, Box
from krunc_compiler.findings.finding import Path
from krunc_compiler.libkrun import Target
from krunc_compiler.plan.operation import Operation

# BoxLite's guest agent serves the first and reports readiness over the second.
LISTEN_PORT = 2695
NOTIFY_PORT = 2696
# krun_add_vsock_port2 came with libkrun 1.10; before, only the guest could connect.
_DIRECTIONS = (1, 10)


def lower(box: Box, target: Target) -> Iterator[Operation]:
    """Yield a port a socket; the agent's two come first."""
    if box.agent.listen is not None:
        where: Path = ("agent", "listen")
        yield from _port(box, target, where, where, LISTEN_PORT, box.agent.listen, True)
    if box.agent.notify is not None:
        where = ("agent", "notify")
        yield from _port(box, target, where, where, NOTIFY_PORT, box.agent.notify, False)
    for i, port in enumerate(box.vsock):
        where = ("vsock", i)
        place = (*where, "socket")
        yield from _port(box, target, where, place, port.port, port.socket, port.listen)


def _port(
    box: Box, target: Target, where: Path, socket_place: Path, port: int, socket: str, listen: bool
) -> Iterator[Operation]:
    origin = box.origin(*where)
    if listen:
        yield Operation("step", "clear_stale_socket", origin, {"path": socket})
    old = target.version is not None and target.version < _DIRECTIONS and not listen
    args: dict[str, object] = {"port": port, "filepath": socket}
    yield Operation(
        "call",
        "krun_add_vsock_port" if old else "krun_add_vsock_port2",
        origin,
        args if old else {**args, "listen": listen},
        places={
            "port": (*where, "port") if where[0] == "vsock" else where,
            "filepath": socket_place,
        },
        need=() if old or not listen else where,
    )


def rewritten(args: tuple[str, ...], agent: Agent) -> list[str]:
    """Return ARGS with the agent's Unix sockets replaced by the vsock ports that carry them."""
    result = list(args)
    if agent.listen is not None:
        _rewrite(result, "--listen", LISTEN_PORT)
    if agent.notify is not None:
        _rewrite(result, "--notify", NOTIFY_PORT)
    return result


def _rewrite(args: list[str], flag: str, port: int) -> None:
    """Change the first argument that holds FLAG with a unix:// address: the next one, or inside
    a shell string every occurrence, each up to a blank or a character that ends a shell word."""
    uri = f"vsock://{port}"
    inside = re.compile(rf"{flag} unix://[^\s;&|<>()\"'`]*")
    for i, text in enumerate(args):
        if text == flag and args[i + 1 : i + 2] and args[i + 1].startswith("unix://"):
            args[i + 1] = uri
            return
        if inside.search(text):
            args[i] = inside.sub(f"{flag} {uri}", text)
            return
