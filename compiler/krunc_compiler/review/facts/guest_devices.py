"""What the guest calls the devices of a plan: libkrun adds them in the order of the calls, and the
guest's kernel names them in that order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

from krunc_compiler import libkrun as api
from krunc_compiler.libkrun import Function, disk_name
from krunc_compiler.plan.ordered import Ordered
from krunc_compiler.review.words import word


def guest_devices(operations: Sequence[Ordered]) -> Mapping[int, str]:
    """Name the device that each of OPERATIONS adds, by its index: /dev/vda, eth0, a number."""
    return _named(tuple([row.once(_added) for row in operations]))


def _added(row: Ordered) -> tuple[str, str]:
    """Return the function that ROW calls, and what it adds that a number tells apart."""
    function = api.functions().get(row.get("call", ""))
    return (function.name, _counted(function, row.args)) if function else ("", "")


@lru_cache(8)  # most of many plans add the same
def _named(added: tuple[tuple[str, str], ...]) -> Mapping[int, str]:
    names: dict[int, str] = {}
    calls = [(index, api.functions()[name]) for index, (name, _) in enumerate(added) if name]
    names.update(zip(_disks(calls), map(disk_name, range(len(calls))), strict=False))
    names.update((index, f"eth{number}") for number, index in enumerate(_networks(calls)))
    seen: Counter[str] = Counter()
    for index, (_, what) in enumerate(added):
        if not what:
            continue
        if seen[what]:
            names[index] = f"{what} {seen[what]}"
        seen[what] += 1
    return MappingProxyType(names)


def _disks(calls: list[tuple[int, Function]]) -> list[int]:
    """Return the calls that add a disk, in the guest's order.

    libkrun 1.x drops the disks of the deprecated setters beside any other, and takes the root's
    first (get_block_cfg in its src/libkrun/src/lib.rs).
    """
    found = [(index, one) for index, one in calls if one.name in _adding_disks()]
    added = [index for index, one in found if any("unique" in param.rules for param in one.params)]
    return added or [index for index, one in sorted(found, key=lambda item: -_is_root(item[1]))]


@cache
def _adding_disks() -> frozenset[str]:
    return frozenset(
        function.name
        for function in api.functions().values()
        if any(param.rules.get("target") == "disk" for param in function.params)
    )


def _is_root(function: Function) -> int:
    return int(function.name == "krun_set_root_disk")


def _networks(calls: list[tuple[int, Function]]) -> Iterator[int]:
    """Yield the calls that add a network device; the one of the deprecated setters is added at the
    end (krun_start_enter in src/libkrun/src/lib.rs)."""
    found = [(index, one) for index, one in calls if one.name in _adding_networks()]
    yield from (index for index, one in found if one.feature == "net")
    yield from (index for index, one in found if one.feature != "net")


@cache
def _adding_networks() -> frozenset[str]:
    (unless,) = {
        frozenset(one for one in row["unless"] if "." not in one)
        for row in api.table()["implicit"]
        if row["name"] == "no_network"
    }
    return unless


def _counted(function: Function, args: dict[str, Any]) -> str:
    """Say what is told apart by its number alone; the first of a kind has none."""
    match function.name:
        case "krun_add_input_device_fd":
            return "input device"
        case "krun_add_vhost_user_device":
            return f"{word(str(args.get('device_type')))} device"
        case "krun_add_display":
            return "display"
        case "krun_add_virtio_console_default" | "krun_add_virtio_console_multiport":
            return "virtio console"
        case "krun_add_serial_console_default":
            return "serial console"
    if function.name in _adding_ports():
        return f"console {word(str(args.get('console_id')))}, port"
    return ""


@cache
def _adding_ports() -> frozenset[str]:
    return frozenset(
        function.name
        for function in api.functions().values()
        if any(param.name == "console_id" and param.kind == "int" for param in function.params)
    )


def disk_of(device: str) -> str | None:
    """Return the disk that the guest's DEVICE is on: /dev/vdb for /dev/vdb1; None if none is."""
    found = re.fullmatch("(/dev/vd[a-z]+)[0-9]*", device)
    return found[1] if found else None
