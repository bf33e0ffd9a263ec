"""An operation of a plan: a libkrun call, a host step, an order of the stage, or what libkrun does
by itself."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from krunc_compiler import libkrun as api
from krunc_compiler.findings.finding import Path

# As in the table, which the type checker does not read.
Kind = Literal["call", "step", "order", "implicit"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Operation(NamedTuple):
    """One line of a plan.

    `origin` is the key of the box that asked for it, () for a default. `places` says where in
    the box each argument comes from and `need` which key asks for just this function; neither
    is written into the plan.
    """

    kind: Kind
    name: str
    origin: Path = ()
    args: Mapping[str, Any] = MappingProxyType({})
    warn: bool = False
    places: Mapping[str, Path] = MappingProxyType({})
    need: Path = ()

    def paths(self) -> list[tuple[api.Param, str]]:
        """Return the paths of the host among its arguments, each with its rule."""
        found = []
        for param in api.paths(self.kind, self.name):
            value = self.args.get(param.name)
            if isinstance(value, str):
                found.append((param, value))
            elif isinstance(value, dict) and "file" in value:
                found.append((param, value["file"]))
        return found

    def place(self, argument: str) -> Path:
        """Tell where in the box ARGUMENT comes from; () when it is a default."""
        return self.places.get(argument, ())

    def item_place(self, argument: str, index: int) -> Path:
        """Tell where in the box an item of the list ARGUMENT comes from."""
        return self.places.get(f"{argument}[{index}]", (*self.place(argument), index))
