"""What the host must have before the first call."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from krunc_compiler import libkrun as api
from krunc_compiler.files.hostpath import LAUNCH, RUNTIME, STORE
from krunc_compiler.libkrun import Param
from krunc_compiler.plan.operation import Operation

# The steps that demand what a host path leads to, in the order in which they stand in a plan.
_TARGETS = {"directory": "require_directory", "disk": "require_file", "file": "require_file"}
_RANKS = {kind: rank for rank, kind in enumerate(("nested", *_TARGETS, "network"))}
# Among those of one kind: the keys of the box that ask for them, in this order; then all others.
_KEYS = ("machine", "boot", "displays", "rootfs", "shares", "disks", "network", "vhost_user")


class _Demand(NamedTuple):
    kind: str
    operation: Operation

    def place(self) -> tuple[int, int]:
        """Tell where it stands among the others."""
        key = self.operation.origin[0] if self.operation.origin else ""
        return _RANKS[self.kind], _KEYS.index(key) if key in _KEYS else len(_KEYS)


def lower(operations: list[Operation]) -> Iterator[Operation]:
    """Yield a demand for each thing of the host that OPERATIONS use and do not make."""
    yield Operation("step", "require_hypervisor")
    demands = [
        demand
        for operation in operations
        if operation.kind == "call"
        for param in _demanding(operation.name)
        for demand in _demands(param, operation)
    ]
    for demand in sorted(demands, key=_Demand.place):
        yield demand.operation


def runtime(operations: list[Operation]) -> Iterator[Operation]:
    """Yield the runtime directory, when any of OPERATIONS names a path in it, and the stage's."""
    paths = [path for o in operations for _, path in o.paths()]
    if any(path.startswith((RUNTIME, LAUNCH)) for path in paths):
        yield Operation("step", "make_runtime_directory")
    for operation in operations:
        for param, path in operation.paths():
            if path.startswith(LAUNCH) and "target" in param.rules:
                args = {"path": path, "access": api.opening(param, operation.args)}
                yield Operation("step", "lay_stage", operation.origin, args)


@cache
def _demanding(function: str) -> list[Param]:
    """Return the parameters of FUNCTION that can name something that has to be there."""
    return [
        param
        for param in api.functions()[function].params
        if param.kind == "bytes"
        or param.rules.get("means") in ("tap", "nested")
        or {"target", "served"}.intersection(param.rules)
    ]


def _demands(param: Param, operation: Operation) -> Iterator[_Demand]:
    value = operation.args[param.name]
    origin = operation.place(param.name) or operation.origin
    rules = param.rules
    if param.kind == "bytes":
        if "file" in value:
            args = {"path": value["file"], "access": "read"}
            yield _Demand("file", Operation("step", _TARGETS["file"], origin, args))
    elif rules.get("means") == "nested":
        if value:
            yield _Demand("nested", Operation("step", "require_nested_virtualization", origin))
    elif rules.get("means") == "tap":
        yield _Demand("network", Operation("step", "require_tap", origin, {"name": value}))
    elif value is not None and "served" in rules:
        args = {"path": value, "type": rules["served"]}
        yield _Demand("network", Operation("step", "require_socket", origin, args))
    elif value is not None and "target" in rules and not value.startswith((LAUNCH, STORE)):
        access = api.opening(param, operation.args)
        if access != "make":
            step = _TARGETS[rules["target"]]
            args = {"path": value, "access": access}
            yield _Demand(rules["target"], Operation("step", step, origin, args))
