"""Every path of the host that a box names: of its operations, and of files that hold secrets."""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Path
from krunc_compiler.plan.operation import Operation


class HostPath(NamedTuple):
    """A path that OPERATION names as its argument PARAM (None: of a file of which the launcher
    reads what the program gets), and where that stands in the box; () for a default."""

    path: str
    place: Path
    operation: Operation
    param: api.Param | None

    @property
    def key(self) -> Path:
        """The key of the box that names it, or that asks for the operation."""
        return self.place or self.operation.origin


def host_paths(operations: list[Operation]) -> list[HostPath]:
    """Return the paths of the host that OPERATIONS name, in their order."""
    found = []
    with_paths, with_variables = api.with_paths(), _with_variables()
    for operation in operations:
        # What is demanded of the host has no places: those are paths of other operations.
        if operation.name in with_paths and operation.places:
            for param, path in operation.paths():
                found.append(HostPath(path, operation.place(param.name), operation, param))
        for param in with_variables.get(operation.name, ()):
            found += _secrets(operation, param)
    return found


@cache
def _with_variables() -> dict[str, list[api.Param]]:
    """Return the arguments that may hold the variables of the program, by the calls and orders that
    have any."""
    known = {name: one.params for name, one in api.functions().items()} | api.orders()
    named = {
        name: [param for param in params if param.kind in ("env", "bytes")]
        for name, params in known.items()
    }
    return {name: params for name, params in named.items() if params}


def _secrets(operation: Operation, param: api.Param) -> Iterator[HostPath]:
    value, place = operation.args[param.name], operation.place(param.name)
    if param.kind == "bytes":
        value, place = value.get("process", {}).get("env", {}), (*place, "env")
    for name, given in value.items():
        if isinstance(given, dict) and "from_file" in given:
            yield HostPath(given["from_file"], (*place, name, "from_file"), operation, None)
