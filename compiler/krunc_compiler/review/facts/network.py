"""Networks, published ports and Unix sockets that are joined to the guest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krunc_compiler.files.hostpath import LAUNCH
from krunc_compiler.review.fact import Fact, Reach, Row
from krunc_compiler.review.facts.storage import same
from krunc_compiler.review.facts.streams import PASST, stream
from krunc_compiler.review.words import marked, plain, word, words

_COMPAT = ["csum", "guest_csum", "guest_tso4", "guest_ufo", "host_tso4", "host_ufo"]
TSI = Reach("network", "TSI", None)
LOOPBACK = Reach("network", "TSI to localhost", None)
LINK_LOCAL = Reach("network", "TSI to 169.254.0.0/16", None)
# Who tells the guest where a name leads: another one leads the same names elsewhere.
RESOLVER = Reach("network", "TSI resolver", None)
# The passt of a box that names none, as box.schema.json has it.
USUAL = "/usr/bin/passt"
_LOCAL, _EVERY = "127.0.0.1", "0.0.0.0"
# What is the host itself, as an address of the guest's, mapped ones too.
_LOOPBACK = (
    *("127.0.0.0/8", "0.0.0.0/32", "::1/128", "::/128"),
    *("::ffff:127.0.0.0/104", "::ffff:0.0.0.0/128"),
)
# Where clouds have the credentials of a host, among others.
_LINK_LOCAL = ("169.254.0.0/16", "::ffff:169.254.0.0/112")
# What a libkrun may refuse until an egress policy names it, and the networks that it is.
_NAMED = {LOOPBACK: _LOOPBACK, LINK_LOCAL: _LINK_LOCAL}


def tsi(row: Row) -> Iterator[Fact]:
    """Yield the guest's internet sockets are the host's.

    smolmachines' 2.0-dev answers EACCES for 127.0.0.0/8, 0.0.0.0 and 169.254.0.0/16 until an egress
    policy names them (tests/boot/test_claims.py).
    """
    where = "any address that the host user can reach"
    if row.api == "v1":
        yield row.fact(
            "network", "TSI", f"{where}, including localhost (TSI)", TSI, *_NAMED, RESOLVER
        )
    else:
        text = f"{where}, except localhost, which smolmachines' libkrun refuses (TSI)"
        yield row.fact("network", "TSI", text, TSI, RESOLVER)


def vsock(row: Row) -> Iterator[Fact]:
    """Yield the vsock device; with TSI the guest's sockets are the host's."""
    yield from hijacked(row, row.args["tsi_features"])


def hijacked(row: Row, features: list[str]) -> Iterator[Fact]:
    """Tell which sockets of the guest are the host's."""
    for feature in features:
        if feature == "hijack_inet":
            yield from tsi(row)
        elif feature == "hijack_unix":
            text = "host Unix sockets by their paths (TSI)"
            yield row.fact("network", "TSI for Unix", text, Reach("network", "TSI for Unix", None))
        else:
            named = f"TSI: {word(feature)}"
            yield row.fact("network", ("TSI", feature), named, Reach("network", "TSI", feature))


def allowed(row: Row) -> Iterator[Fact]:
    """Yield an egress policy: TSI only to these addresses and names. It narrows what `tsi` said."""
    addresses, hosts, resolvers = (
        _listed(row.args, ending) for ending in ("cidrs", "hosts", "resolvers")
    )
    targets = [*addresses, *hosts]
    if not targets:
        # Nobody has seen what libkrun makes of it, so it limits nothing.
        text = "TSI: an egress policy that names no network"
        yield row.fact("network", "TSI", text, TSI, *_NAMED, RESOLVER)
        return
    # All of them: what is reached may not be behind an "and 5 more".
    to = f"only to {', '.join(map(word, targets))}"
    names = f", names resolved by {', '.join(map(word, resolvers))}" if resolvers else ""
    reach = [TSI._replace(target=target) for target in targets]
    if hosts or resolvers:
        # Nobody has seen who answers when none is named.
        reach += [RESOLVER._replace(target=one) for one in resolvers or [""]]
    among = []
    for place, networks in _NAMED.items():
        inside = [one for one in [*addresses, *resolvers] if _overlaps(one, networks)]
        among += [place.noun.removeprefix("TSI to ")] if inside else []
        reach += [place._replace(target=target) for target in [*inside, *hosts]]
    note = ""
    if among:
        note = f"; {' and '.join(among)} {'is' if len(among) == 1 else 'are'} among them"
    elif hosts:
        note = "; a name can lead to localhost"
    yield row.fact("network", "TSI", f"{to}{names} (TSI){note}", *reach)


def _overlaps(network: str, others: tuple[str, ...]) -> bool:
    """Tell whether a NETWORK of an egress policy has an address of OTHERS, as far as it can be
    read."""
    from ipaddress import ip_network  # few plans have a policy

    try:
        named = ip_network(network.strip(), strict=False)
    except ValueError:
        return True
    return any(
        one.overlaps(named)
        for one in map(ip_network, others)
        if one.version == named.version  # those of different versions cannot be compared
    )


def _listed(args: dict[str, Any], ending: str) -> list[str]:
    return [
        str(item) for name, value in args.items() if name.endswith(ending) for item in value or ()
    ]


def all_ports(row: Row) -> Iterator[Fact]:
    """Yield no port map: libkrun publishes all."""
    text = "every port that the guest listens on is opened here, on the address that it binds"
    yield row.fact("listen", "ports", text, Reach("listen", "TCP port", None))


def ports(row: Row) -> Iterator[Fact]:
    """HOST:GUEST ports."""
    yield from published(row, row.args["port_map"])


def published(row: Row, port_map: list[str]) -> Iterator[Fact]:
    """Yield the same, of the ports themselves: TSI binds them to the address that the guest's
    program binds (try_listen in libkrun's src/devices/src/virtio/vsock/tsi_stream.rs)."""
    for text in port_map:
        host, _, guest = text.partition(":")
        shown = f"host port {word(host)} to guest port {word(guest)}, on the address that the guest"
        shown += f" binds ({word('0.0.0.0')}: {marked(f'*:{plain(word(host))}')})"
        yield row.fact("listen", ("TCP port", host), shown, Reach("listen", "TCP port", text))


def port(row: Row) -> Iterator[Fact]:
    """Yield a Unix socket joined to a vsock port; without `listen` the guest connects."""
    number, path = row.args["port"], row.args["filepath"]
    if row.is_staged() and path.startswith(LAUNCH) and not row.args.get("listen", False):
        text = f"hears from the stage over vsock port {number}, and sends it signals"
        yield row.fact("launcher", ("stage", "report"), text, Reach("launch", "report"))
        return
    subject = ("vsock port", str(number))
    if row.args.get("listen", False):
        text = f"host socket {word(path)} to guest vsock port {number}"
        yield row.fact("listen", subject, text, Reach("listen", f"vsock {number}", same(path)))
    else:
        text = f"host socket {word(path)} from guest vsock port {number}"
        yield row.fact("connect", subject, text, Reach("connect", "socket", same(path)))


def control(row: Row) -> Iterator[Fact]:
    """Yield a socket over which the VM is paused and resumed."""
    for path in row.args.values():
        text = f"socket {word(str(path))}: who connects to it pauses and resumes the VM"
        reach = Reach("listen", "control socket", same(str(path)))
        yield row.fact("listen", "control socket", text, reach)


def device(row: Row) -> Iterator[Fact]:
    """Yield a network device whose frames go to a program of the host, or to a tap."""
    args = row.args
    subject = ("network device", args["mac"])
    features = args["features"]
    offloads = "libkrun's usual" if features == _COMPAT else words(features) or "no"
    flags = f", {words(args['flags'])}" if args["flags"] else ""
    yield row.fact(
        "network device",
        subject,
        f"MAC {word(args['mac'])}, {offloads} offloads{flags}{row.known_as()}",
    )
    if "tap_name" in args:
        yield tap(row, subject, args["tap_name"])
        return
    if args["path"] is not None:
        reach = Reach("network", f"{_socket(row)} socket", same(args["path"]))
        text = f"through the network backend at {word(args['path'])}{row.known_as()}"
        yield row.fact("network", subject, text, reach)
    if args["fd"] != "none" and stream(row, args["fd"]) != PASST:
        yield _through(row, subject, args["fd"])


def started(row: Row) -> Iterator[Fact]:
    """Yield what the passt leads to that a step starts, and the ports that it opens. It refuses
    what the guest sends to 127.0.0.1, and an old one never gets it (tests/boot/test_boot.py)."""
    args = row.args
    gateway = word(args["gateway"])
    reach = [Reach("network", "passt", None)]
    if args["host_loopback"]:
        reach.append(Reach("network", "passt to localhost", None))
        localhost = f"including localhost, at {gateway}"
    else:
        localhost = "except localhost"
    text = f"any IPv4 address that the host user can reach, {localhost} (passt)"
    fact = row.fact("network", "passt", text, *reach)
    yield _at(fact, "host_loopback") if args["host_loopback"] else fact
    if same(args["program"]) != USUAL:
        text = (
            f"through {word(args['program'])}, a program that runs on the host as its user, "
            "outside of the VM's confinement"
        )
        reach = [Reach("network", "passt program", same(args["program"]))]
        yield row.fact("network", "passt program", text, *reach)
    address = f"address {word(args['address'])}/{args['prefix']}, gateway {gateway}, names by"
    text = f"{address} {word(args['resolver'])}, behind which is the host's resolver (passt)"
    yield row.fact("network device", ("network device", "passt"), text)
    for protocol in ("TCP", "UDP"):
        for one in args[f"{protocol.lower()}_ports"]:
            yield _at(_opened(row, protocol, one), "ports")


def _at(fact: Fact, key: str) -> Fact:
    """Return FACT at the KEY of the device that asks for it."""
    return fact._replace(origin=f"{fact.origin}.{key}")


def _opened(row: Row, protocol: str, one: str) -> Fact:
    address, _, pair = one.partition(":")
    host, _, guest = pair.partition(":")
    noun = f"{protocol} port"
    text = f"host {noun} {word(host)} on {word(address)} to guest port {word(guest)}"
    # The wider one covers what only the host itself can connect to.
    names = dict.fromkeys([address, _LOCAL] if address == _EVERY else [address])
    reach = [Reach("listen", noun, f"{pair} on {name}") for name in names]
    return row.fact("listen", (noun, host), text, *reach)


def tap(row: Row, subject: tuple[str, ...], name: str) -> Fact:
    """Return a tap device of the host."""
    text = f"anything that the host's tap device {word(name)} leads to{row.known_as()}"
    return row.fact("network", subject, text, Reach("network", "tap", name))


def _socket(row: Row) -> str:
    return "datagram" if row.name == "krun_add_net_unixgram" else "stream"


def _through(row: Row, subject: tuple[str, ...], descriptor: Any) -> Fact:
    leads = stream(row, descriptor)
    reach = Reach("network", "descriptor", leads)
    text = f"through the network backend at {leads}{row.known_as()}"
    return row.fact("network", subject, text, reach)


def passt(row: Row) -> Iterator[Fact]:
    """Yield the old way to a network device over a descriptor."""
    yield _through(row, ("network device", "legacy"), row.args["fd"])


def gvproxy(row: Row) -> Iterator[Fact]:
    """Yield the old way to a network device over a datagram socket."""
    path = row.args["path"]
    text = f"through the network backend at {word(path)}{row.known_as()}"
    reach = Reach("network", "datagram socket", same(path))
    yield row.fact("network", ("network device", "legacy"), text, reach)


def mac(row: Row) -> Iterator[Fact]:
    """Yield the old way to name the device's address."""
    text = f"MAC {word(row.args['mac'])}"
    yield row.fact("network device", ("network device", "legacy"), text)


def attestation(row: Row) -> Iterator[Fact]:
    """Yield the VMM asks a server whether it may start."""
    url = row.args["url"]
    yield row.fact(
        "connect", "attestation", f"attestation server {word(url)}", Reach("connect", "URL", url)
    )
