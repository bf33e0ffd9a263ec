"""A container's network: what of it becomes passt's, and what only a comment can tell."""

from __future__ import annotations

import re
from ipaddress import ip_address

from krunc_compiler.importing.draft import At, Draft, shown

_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_MOST_PORT = 65535
# So many ports of one range are written out.
_MOST_PORTS = 256
_MOST_OF_ALL = 1024
_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
_BRIDGES = ("", "bridge", "default", "slirp4netns", "pasta", "private")
_EVERY = "0.0.0.0"
_GATEWAY = (
    "the guest reaches the host's own 127.0.0.1 only with network.host_loopback, at 10.0.2.2; it "
    "opens all of it: omitted"
)


def set_network(draft: Draft, at: At, text: str) -> None:
    """Take the network mode TEXT of an engine."""
    mode, _, rest = text.partition(":")
    if mode == "none":
        draft.network = {"mode": "none"}
    elif mode == "host":
        said = "it would open the host's own network, and is omitted: the guest has passt's"
        draft.note(at, said)
    elif mode in ("container", "service", "ns", "pod"):
        draft.network = {"mode": "none"}
        said = "another's network cannot be joined, and passt's may reach more: there is no network"
        draft.note(at, said)
    elif mode not in _BRIDGES:
        said = (
            f"the network {shown(mode)} is not made: VMs have no network among them. The guest has"
        )
        draft.note(at, f"{said} passt's; where that one was internal, write mode: none")
    if rest and mode in ("slirp4netns", "pasta", "bridge", "private"):
        draft.note(at, f"its options have no counterpart: {shown(rest)}")


def set_internal(draft: Draft, at: At) -> None:
    """Take away the network of a container that reaches only others on an internal one."""
    draft.network = {"mode": "none"}
    said = "an internal network leads only to other containers, and VMs have no network"
    draft.note(at, f"{said} among them: the box has no network")


def set_mac(draft: Draft, at: At, text: str) -> None:
    """Give the guest's network device an address."""
    mac = text.lower().replace("-", ":")
    if _MAC.fullmatch(mac) and mac != "00:00:00:00:00:00" and draft.network["mode"] == "passt":
        draft.network["mac"] = mac
    else:
        draft.note(at, f"{shown(text)} is not an address of the guest's device: omitted")


def add_port(draft: Draft, at: At, text: str) -> None:
    """Publish what TEXT says: [[ADDRESS:]HOST:]GUEST[/PROTOCOL], of ports or ranges."""
    pair, slash, protocol = text.partition("/")
    address, host = "", ""
    rest, _, guest = pair.rpartition(":")
    if rest.startswith("["):
        address, _, host = rest[1:].partition("]")
        host = host.removeprefix(":")
        address = address or "[]"
    else:
        address, _, host = rest.rpartition(":")
    publish(draft, at, address, host, guest, protocol if slash else "tcp", text)


def publish(
    draft: Draft, at: At, address: str, host: str, guest: str, protocol: str, text: str
) -> None:
    """Lead the ports HOST at ADDRESS to the ports GUEST; TEXT is all of it, as it is written."""
    inner, outer = _range(guest), _range(host) if host and host != "0" else None
    if inner is None or (host and host != "0" and outer is None) or len(inner) > _MOST_PORTS:
        hint = f"write HOST:GUEST, ports or ranges of at most {_MOST_PORTS}, as in 8080:80"
        draft.wrong(at, f"{shown(text)} publishes no port", hint)
        return
    if protocol.lower() not in ("tcp", "udp"):
        draft.note(at, f"passt publishes TCP and UDP ports: {shown(text)} omitted")
        return
    if address and not _is_address(address):
        draft.wrong(at, f"{shown(address)} is not an address", "write one as in 127.0.0.1:8080:80")
        return
    if ":" in address:
        draft.note(at, f"passt's guest has IPv4 alone: {shown(text)} is not published")
        return
    if outer is None:
        draft.note(at, f"no host port is chosen for {shown(text)}: write HOST:GUEST")
        return
    if len(outer) != len(inner):
        said = f"a port of a range is not chosen: the first one, {outer[0]}, is published"
        if len(inner) != 1:
            draft.wrong(
                at, f"{shown(text)} has ranges of two lengths", "write as many on each side"
            )
            return
        draft.note(at, said)
    if len(draft.ports) + len(inner) > _MOST_OF_ALL:
        hint = f"allowed: {_MOST_OF_ALL:,} in all"
        draft.wrong(at, f"{shown(text)} publishes too many ports", hint)
        return
    suffix = "/udp" if protocol.lower() == "udp" else ""
    for one, other in zip(outer, inner, strict=False):
        # An engine listens on every address where none is said, krunc on 127.0.0.1.
        port = f"{address or _EVERY}:{one}:{other}{suffix}"
        if port not in draft.ports:
            draft.ports.append(port)


def _range(text: str) -> range | None:
    found = _PORTS.fullmatch(text)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2] or found[1])
    return range(first, last + 1) if 0 < first <= last <= _MOST_PORT else None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def add_host(draft: Draft, at: At, text: str) -> None:
    """Add the NAME:ADDRESS or NAME=ADDRESS that TEXT says to the guest's /etc/hosts."""
    sign = "=" if "=" in text else ":"
    name, _, address = text.partition(sign)
    name_host(draft, at, name, address)


def name_host(draft: Draft, at: At, name: str, address: str) -> None:
    """Let the guest know ADDRESS by NAME."""
    address = address.strip("[]")
    if address in ("host-gateway", "host.docker.internal"):
        draft.note(at, _GATEWAY)
    elif not _NAME.fullmatch(name) or not _is_address(address) or "%" in address:
        hint = "write NAME:ADDRESS, as in db:10.0.0.5"
        draft.wrong(at, f"{shown(f'{name}:{address}')} is not a name and address", hint)
    elif name in draft.hosts and draft.hosts[name] != address:
        draft.note(at, f"{name} has one address in a box; {address} is omitted")
    else:
        draft.hosts[name] = address


def add_dns(draft: Draft, at: At, address: str) -> None:
    """Ask the name server at ADDRESS."""
    if address == "none":
        draft.note(at, "the root's own resolv.conf stays only with dhcp or without a network")
    elif not _is_address(address) or "%" in address:
        draft.wrong(at, f"{shown(address)} is not an address", "write one as in 10.0.0.1")
    elif address not in draft.dns:
        draft.dns.append(address)


def settle(draft: Draft) -> None:
    """Take away what a box without a network cannot have."""
    if draft.network["mode"] != "none":
        return
    if draft.ports:
        draft.note(At("ports"), f"nothing is published without a network: {', '.join(draft.ports)}")
        draft.ports = []
