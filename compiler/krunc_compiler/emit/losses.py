"""The loss report: what of a plan an engine cannot give.

Each loss is an error, until it is allowed by name with a reason; the reason goes into what is
written. What two plans of one run cannot have at the same time is a loss of the second of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from krunc_compiler.emit.needs import Allowed, Needs
from krunc_compiler.emit.overlaps import Places
from krunc_compiler.files.hostpath import LAUNCH, RUNTIME, STORE, normal
from krunc_compiler.findings.finding import Finding, UsageError
from krunc_compiler.findings.report import printable
from krunc_compiler.findings.wording import nearest


class Lost(NamedTuple):
    """What is lost of one plan, and the operation that asks for it; None for the whole plan."""

    what: str
    operation: int | None


class Loss(NamedTuple):
    """A kind of loss: the code of its finding, what it is, what to do about it, and, of one plan
    by itself, where it is."""

    code: str
    text: str
    way_out: str
    found: Callable[[Needs], Iterator[Lost]] | None = None


def _terminals(needs: Needs) -> Iterator[Lost]:
    for what, number in needs.terminals:
        yield Lost(f"a console on the terminal {what}", number)


def _descriptors(needs: Needs) -> Iterator[Lost]:
    for descriptor, number in needs.descriptors:
        yield Lost(f"file descriptor {descriptor}, which the launching program passes", number)


def _relative(needs: Needs) -> Iterator[Lost]:
    for path, number in needs.relative:
        yield Lost(f"the relative path {path!r}", number)


def _session(needs: Needs) -> Iterator[Lost]:
    if needs.has_session is not None:
        yield Lost("a display, sound or the GPU of a desktop session", needs.has_session)


def _devices(needs: Needs) -> Iterator[Lost]:
    terminals = {what for what, _ in needs.terminals}  # a loss of their own
    for path in needs.paths:
        if path.use == "device" and path.path not in terminals:
            yield Lost(f"the host device {path.path!r}", path.operation)
    if "tap" in needs.networks:
        yield Lost("a host TAP device", None)


LOSSES: Mapping[str, Loss] = {
    "terminal_console": Loss(
        "KR802",
        "there is no person at a terminal where the engine runs",
        "let the console write to a file (console.output), or launch this plan by hand",
        _terminals,
    ),
    "descriptor": Loss(
        "KR803",
        "the engine starts the launcher with the standard streams alone",
        "name a file or a socket instead of a file descriptor",
        _descriptors,
    ),
    "relative_path": Loss(
        "KR804",
        "a relative path starts at the plan's directory, and the engine runs in another one",
        "--base DIR says where relative paths start there, or make them absolute in the box",
        _relative,
    ),
    "shared_port": Loss(
        "KR805",
        "one port of a host leads to one VM",
        "choose another host port, or allow it where the engine puts the two on different hosts",
    ),
    "shared_writable_disk": Loss(
        "KR806",
        "two running VMs would destroy the file system on it",
        "give each its own disk, or make it read_only in all",
    ),
    "shared_writable_path": Loss(
        "KR845",
        "what one VM writes there changes under the other",
        "give each its own, or let the changes end with the VM: rootfs changes: discard, a share "
        "read_only",
    ),
    "shared_socket": Loss(
        "KR807",
        "the second VM to start would not get the socket",
        "choose another socket; those below runtime: are each VM's own",
    ),
    "desktop_session": Loss(
        "KR808",
        "no user is logged in where the engine runs",
        "leave the display, the sound and the GPU out of the box, or launch this plan by hand",
        _session,
    ),
    "host_device": Loss(
        "KR831",
        "a pod has devices and a network of its own",
        "choose another network mode (passt, tsi), or launch this plan on the host",
        _devices,
    ),
}
# Whatever the engine is, it does not lie where the box does.
ALWAYS = frozenset({"relative_path"})


def allowances(given: Iterable[str]) -> dict[str, str]:
    """Read the values of --allow-loss, CODE=REASON; raises UsageError."""
    found: dict[str, str] = {}
    for text in given:
        name, _, reason = text.partition("=")
        reason = reason.strip()
        if name not in LOSSES:
            close = nearest(name, LOSSES)
            guess = f"did you mean {close}? " if close else ""
            raise UsageError(f"--allow-loss {name}: {guess}known: {', '.join(LOSSES)}")
        if not reason:
            raise UsageError(f"--allow-loss {name}: give a reason: {name}=REASON")
        if printable(reason) != reason:
            raise UsageError(f"--allow-loss {name}: the reason is one line of printable characters")
        found[name] = reason
    return found


def lost(
    needs: Needs, engine: str, lacks: frozenset[str], is_based: bool, allowed: Mapping[str, str]
) -> tuple[list[Finding], Needs]:
    """Tell what of NEEDS the ENGINE, which LACKS some of it, cannot give: findings about its plan,
    and NEEDS with the losses that are ALLOWED. Without a base relative paths are lost too."""
    findings: list[Finding] = []
    given: list[Allowed] = []
    for name, loss in LOSSES.items():
        if loss.found is None or not (name in lacks or (name in ALWAYS and not is_based)):
            continue
        for what, number in loss.found(needs):
            if name in allowed:
                given.append(Allowed(name, what, allowed[name]))
            else:
                findings.append(_finding(name, f"{engine} cannot give {what}", number))
    return findings, needs._replace(allowed=(*needs.allowed, *given)) if given else needs


def _finding(name: str, message: str, number: int | None) -> Finding:
    loss = LOSSES[name]
    hint = f"{loss.way_out}; --allow-loss {name}=REASON writes it all the same"
    path = () if number is None else ("operations", number)
    return Finding(loss.code, f"{message}: {loss.text}", path, hint)


class Shared:
    """What the plans of one run have of the host, to find what two of them cannot have at the same
    time. It keeps a line for each port, path and socket, and no plan."""

    def __init__(self, allowed: Mapping[str, str], lacks: frozenset[str]) -> None:
        self._allowed = allowed
        self._lacks = lacks
        self._ports: dict[tuple[str, int], list[tuple[str, str]]] = {}
        self._places = Places()
        self._sockets: dict[str, str] = {}

    def lost(self, needs: Needs) -> tuple[list[Finding], Needs]:
        """Tell what NEEDS cannot have beside the plans before it, as `lost` does."""
        findings: list[Finding] = []
        given: list[Allowed] = []
        for name, what, other, number in self._taken(needs):
            if name not in self._lacks:
                continue
            if name in self._allowed:
                given.append(Allowed(name, f"{what}, as of {other}", self._allowed[name]))
            else:
                findings.append(_finding(name, f"{what} is of {other} too", number))
        return findings, needs._replace(allowed=(*needs.allowed, *given)) if given else needs

    def _taken(self, needs: Needs) -> Iterator[tuple[str, str, str, int]]:
        """Yield what another plan has already: the loss, what it is, the other, the operation."""
        for port in needs.ports:
            known = self._ports.setdefault((port.protocol, port.host), [])
            for address, other in known:
                if _ANY in (address, port.address) or address == port.address:
                    what = f"the host's {port.protocol.upper()} port {port.host}"
                    yield "shared_port", what, other, port.operation
                    break
            known.append((port.address, needs.name))
        for path, claim in self._places.taken(needs.name, needs.paths):
            if path.use == "disk" and claim.is_disk:
                what = f"the disk {path.path!r}, which one of them writes,"
                yield "shared_writable_disk", what, claim.name, path.operation
                continue
            what = (
                f"the path {path.path!r}, {_beside(path.path, claim.path)}where one of them writes,"
            )
            yield "shared_writable_path", what, claim.name, path.operation
        for socket in needs.sockets:
            if socket.how != "connect" and not socket.path.startswith(_EACH_ITS_OWN):
                name = normal(socket.path)
                first = self._sockets.setdefault(name, needs.name)
                if first != needs.name:
                    what = f"the socket {socket.path!r}"
                    yield "shared_socket", what, first, socket.operation


_ANY = "0.0.0.0"
_EACH_ITS_OWN = (RUNTIME, LAUNCH, STORE)


def _beside(path: str, other: str) -> str:
    """Tell how PATH lies to OTHER, which is the same, around it or in it."""
    one, two = normal(path), normal(other)
    if one == two:
        return ""
    return f"which {'holds' if len(one) < len(two) else 'lies in'} {other!r}, and "
