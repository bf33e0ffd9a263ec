"""Warnings about a box of which the guest, its kernel and its programs, makes something else."""

from __future__ import annotations

import re
from collections.abc import Iterator

from krunc_compiler import libkrun as api
from krunc_compiler.box.box import Box
from krunc_compiler.box.networks import NetworkDevices, NoNetwork, PasstDevice
from krunc_compiler.findings.finding import Finding, Path

_MOST_SERVERS = 3  # MAXNS of resolv.h, in glibc and musl
# As the kernel reads its command line: a name may stand in quotes with its value.
_PANIC = r'(^| )"?panic='


def check(box: Box) -> Iterator[Finding]:
    """Yield the warnings about what is in the guest."""
    yield from _limits(box)
    yield from _names(box)
    if box.dns or box.hosts:
        yield from _unreached(box)
    yield from _panics(box)


def _limits(box: Box) -> Iterator[Finding]:
    """Yield the limits that do not hold the program, where it starts as the guest's root."""
    if box.entrypoint.user is not None and not api.is_root(box.entrypoint.user):
        return
    for name in box.limits:
        if name in api.limits_that_spare_root() and box.origin("limits", name):
            yield Finding(
                "KR617",
                f"{name} does not hold the guest's root, as which the program starts",
                ("limits", name),
                hint="write `user: NAME` under entrypoint, remove it, or allow KR617 when "
                "the program becomes another user on its own",
                at_key=True,
            )


def _names(box: Box) -> Iterator[Finding]:
    """Yield a name that means something else to programs, and name servers that they do not ask."""
    for name, address in box.hosts.items():
        is_loopback = address == "::1" or address.startswith("127.")
        if name.lower() == "localhost" and not is_loopback:
            yield Finding(
                "KR895",
                f"{name} is what programs take for the guest itself, and this is {address}",
                ("hosts", name),
                hint="choose another name, or remove it",
                at_key=True,
            )
    if len(box.dns) > _MOST_SERVERS:
        yield Finding(
            "KR896",
            f"programs ask the first {_MOST_SERVERS} name servers, and no others",
            ("dns", _MOST_SERVERS),
            hint=f"remove all but {_MOST_SERVERS}",
        )


def _unreached(box: Box) -> Iterator[Finding]:
    """Yield the addresses that no network of the box leads to."""
    addresses: list[tuple[str, Path]] = [(one, ("dns", i)) for i, one in enumerate(box.dns)]
    addresses += [(one, ("hosts", name)) for name, one in box.hosts.items()]
    has_none = isinstance(box.network, NoNetwork)
    devices = box.network.devices if isinstance(box.network, NetworkDevices) else ()
    is_passt = bool(devices) and all(isinstance(device, PasstDevice) for device in devices)
    for address, where in addresses if has_none or is_passt else ():
        is_own = address.startswith("127.") or address in ("::1", "::", "0.0.0.0")
        # A name may have any address, as long as nothing says that it leads somewhere.
        if is_own or (address.count(":") < 2 if is_passt else where[0] == "hosts"):
            continue
        why = (
            "with mode: passt the guest has IPv4 alone" if is_passt else "the guest has no network"
        )
        ways = "write an IPv4 address" if is_passt else "remove dns, or choose a network"
        yield Finding("KR854", f"{address} cannot be reached: {why}", where, hint=ways)


def _panics(box: Box) -> Iterator[Finding]:
    """Yield a command line with which a kernel that panics does not end the VM."""
    kernel = box.boot.kernel
    line = kernel.cmdline if kernel is not None else None
    if line is not None and not re.search(_PANIC, line):
        yield Finding(
            "KR897",
            "there is no panic= in it: a kernel that panics waits, and the VM does not end",
            ("boot", "kernel", "cmdline"),
            hint="write panic=-1 into it, as libkrun's own has it, or panic=0 to keep the VM",
            at_key=True,
        )
