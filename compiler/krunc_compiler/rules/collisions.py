"""What boxes claim of the host, and what two boxes cannot have at the same time."""

import os
import posixpath
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from krunc_compiler.box.box import Box
from krunc_compiler.box.networks import NetworkDevices, PasstDevice, SocketDevice, Tsi
from krunc_compiler.files.hostpath import RUNTIME, STORE, lying_in, normal
from krunc_compiler.files.one_file import difference, one_file
from krunc_compiler.files.source import read_file
from krunc_compiler.findings.finding import Finding, Located, Path, Source, dotted
from krunc_compiler.findings.report import printable, settled
from krunc_compiler.rules.written import Named
from krunc_compiler.values import extending


class Claim(NamedTuple):
    """The code of a collision, the claim in words, what is claimed, the key that does, and
    whether it is claimed for writing."""

    code: str
    what: str
    name: str
    key: Path
    writes: bool


class Claims(NamedTuple):
    """What the box called `box` claims; it allows the collisions of the codes `allowed`."""

    box: str
    source: Source
    allowed: frozenset[str]
    all: tuple[Claim, ...]
    paths: tuple[Named, ...]
    has_lock: bool


def claims(
    box: Box,
    source: Source,
    allowed: frozenset[str],
    plan: str | None,
    paths: tuple[Named, ...] = (),
) -> Claims:
    """Tell what BOX claims, the file of its PLAN too if it has one, and the PATHS that it names.
    There may be many boxes: their texts are read again for a finding."""
    directory = posixpath.dirname(source.name)
    found = tuple(_claims(box, directory))
    if plan is not None:
        claim = Claim("KR871", f"the plan {plan}", one_file(plan), ("name",), True)
        found = (claim, *found)
    text = "" if os.path.isfile(source.name) else source.text
    start = posixpath.join(directory, "")
    whole = tuple(
        [
            one
            if one.path.startswith("/")
            else Named(start + one.path, one.key, one.writes, one.late)
            for one in paths
            if not one.path.startswith((RUNTIME, STORE))
        ]
    )
    given = source._replace(text=text, places={})
    return Claims(box.name, given, allowed, found, whole, box.image is not None)


def _claims(box: Box, directory: str) -> Iterator[Claim]:
    def whole(path: str) -> str:
        return normal(posixpath.join(directory, path))

    yield Claim("KR614", f"the name {box.name!r}", box.name, ("name",), True)
    if isinstance(box.network, Tsi):
        for i, text in enumerate(box.network.ports or ()):
            port = text.split(":")[0]
            yield Claim("KR611", f"the host port {port}", port, ("network", "ports", i), True)
    elif isinstance(box.network, NetworkDevices):
        yield from _published(box.network)
    for i, disk in enumerate(box.disks):
        if not disk.path.startswith((RUNTIME, STORE)):
            name = whole(disk.path)
            where: Path = ("disks", i, "path")
            yield Claim("KR612", f"the disk {disk.path}", name, where, not disk.read_only)
    sockets: list[tuple[str, Path]] = [
        (port.socket, ("vsock", i, "socket")) for i, port in enumerate(box.vsock) if port.listen
    ]
    if box.agent.listen is not None:
        sockets.append((box.agent.listen, ("agent", "listen")))
    if isinstance(box.network, NetworkDevices):
        sockets += [
            (device.socket, (*box.network.place(i), "socket"))
            for i, device in enumerate(box.network.devices)
            if isinstance(device, SocketDevice) and device.socket is not None
        ]
    for path, where in sockets:
        if not path.startswith(RUNTIME):
            yield Claim("KR613", f"the socket {path}", whole(path), where, True)


def _published(network: NetworkDevices) -> Iterator[Claim]:
    for device in network.devices:
        for port in device.ports if isinstance(device, PasstDevice) else ():
            where: Path = ("network", "ports", port.key)
            tcp = port.protocol == "tcp"
            name = str(port.host) if tcp else f"{port.host}/{port.protocol}"
            yield Claim("KR611", f"the host port {name}", name, where, True)


@lru_cache(4)  # a box collides with several, which are told of one after another
def _again(name: str, text: str) -> Source:
    return extending.load(name, text or read_file(name))[1]


def _told(one: Claims, finding: Finding) -> list[Located]:
    return settled([Located(_again(one.source.name, one.source.text), finding)])


def collisions(boxes: Sequence[Claims]) -> list[Located]:
    """Return the findings about boxes that one run compiles: what they cannot have at the same
    time."""
    _again.cache_clear()  # what an earlier run in this process read may have changed
    findings = []
    seen: dict[tuple[str, str], tuple[int, Path, str]] = {}
    writers = {(code, name) for one in boxes for code, _, name, _, writes in one.all if writes}
    for i, one in enumerate(boxes):
        for code, what, name, key, _ in one.all:
            first, first_key, first_what = seen.setdefault((code, name), (i, key, what))
            if first == i:
                continue
            shared = code == "KR612" and (code, name) not in writers
            both = one.allowed | boxes[first].allowed
            if shared or code in both:
                continue
            other = boxes[first]
            at = printable(other.source.name)
            at += f" (box {other.box})" if other.source.name == one.source.name else ""
            if code != "KR871":
                message = f"{what} is in {dotted(first_key)} of {at} too"
            elif what == first_what:
                message = f"{what} is that of {at} too"
            else:
                message = f"{what} and {first_what}, that of {at}, are one"
                message += difference(first_what, what)
            finding = Finding(code, message, key, hint=_AT_ONCE[code])
            findings += _told(one, finding)
    return findings + list(_replaced(boxes))


def _replaced(boxes: Sequence[Claims]) -> Iterator[Located]:
    """Yield the warnings about paths that the guest of another box may replace."""
    writers: dict[str, list[int]] = {}
    for i, one in enumerate(boxes):
        for path in one.paths:
            if path.writes:
                writers.setdefault(normal(path.path), []).append(i)
    for i, one in enumerate(boxes) if writers else ():
        for path in one.paths:
            above = () if path.writes else lying_in(path.path)
            if writers.keys().isdisjoint(above):
                continue
            found = [writers[directory] for directory in above if directory in writers]
            # What its own guest may replace was told of the box by itself.
            if any(i in those for those in found):
                continue
            other = boxes[found[0][0]]
            if "KR616" in one.allowed | other.allowed:
                continue
            finding = Finding(
                "KR616",
                f"the guest of box {other.box} ({other.source.name}) can replace this path",
                path.key,
                hint="keep it out of what other guests write; where both are launched by one "
                "command, a link there is refused",
            )
            yield from _told(one, finding)


_AT_ONCE = {
    "KR611": "choose another host port, or the two boxes cannot run at the same time",
    "KR612": "give each its own, or read_only: two running boxes would destroy its file system",
    "KR613": "choose another socket: the second box to start would not get it",
    "KR614": "choose another name: plans and runtime directories are named after it",
    "KR871": "rename one of the two files, or compile them into two directories",
}
