"""Operations with their arguments in one order: the order in which a plan has its keys means
nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from krunc_compiler import libkrun as api
from krunc_compiler.plan.operation import KINDS, Kind, Operation

_Told = TypeVar("_Told")


class Ordered(dict[str, Any]):
    """An operation of which the arguments are in order. It may stand in many plans, and is not
    changed, so that what is told of it is worked out once. `last` are the facts that a review read
    off it: at which place, with what of the plan around it, and they themselves."""

    last: tuple[int, dict[str, Any], list[Any]] | None = None

    def __init__(self, row: dict[str, Any]) -> None:
        super().__init__(row)
        self.kind = kind_of(row)
        self.name: str = row[self.kind]
        self.args: dict[str, Any] = row.get("args", {})
        self._told: dict[Callable[[Ordered], Any], Any] = {}

    def once(self, tell: Callable[[Ordered], _Told]) -> _Told:
        """Return what TELL says of this operation alone."""
        try:
            found: _Told = self._told[tell]
        except KeyError:
            found = self._told[tell] = tell(self)
        return found

    @cached_property
    def meaning(self) -> str:
        """The text of what is done, which digests are made of."""
        return text_of(without(self, "from"))

    @cached_property
    def opens(self) -> tuple[tuple[str, bool], ...]:
        """The paths of the host that it opens, and whether each is a directory that the guest may
        write. What is demanded of the host are paths of other operations."""
        return tuple(_opens(self))


def ordered(row: dict[str, Any]) -> Ordered:
    """Return ROW with its arguments in the order of libkrun's header and their maps sorted."""
    if isinstance(row, Ordered):
        return row
    if "args" not in row:
        return Ordered(row)
    kind = kind_of(row)
    order = _places(kind, row[kind])
    names = sorted(row["args"], key=lambda name: (order.get(name, len(order)), name))
    return Ordered({**row, "args": {name: _sorted(row["args"][name]) for name in names}})


def kind_of(row: dict[str, Any]) -> Kind:
    """Tell whether an operation is a call, a step, an order or implicit."""
    for kind in KINDS:
        if kind in row:
            return kind
    raise KeyError(f"one of {', '.join(KINDS)}")


# json.dumps would make an encoder for each of them.
text_of = json.JSONEncoder(sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode


def without(value: dict[str, Any], name: str) -> dict[str, Any]:
    """Return VALUE without the key NAME."""
    return {key: item for key, item in value.items() if key != name}


@lru_cache(256)  # few, but for what krunc cannot read
def _places(kind: str, name: str) -> Mapping[str, int]:
    """Return the places of the arguments of an operation in libkrun's header."""
    known: dict[str, Mapping[str, Any]] = {
        "call": api.functions(),
        "step": api.steps(),
        "order": api.orders(),
    }
    params = api.params(kind, name) if name in known.get(kind, ()) else ()
    return {param.name: place for place, param in enumerate(params)}


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _sorted(value[name]) for name in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def _opens(row: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    args = row.get("args")
    if not args:
        return
    kind = kind_of(row)
    if row[kind] not in _opening(kind):
        return
    for param, path in Operation(kind, row[kind], args=args).paths():
        how = api.opening(param, args) if "opens" in param.rules else "read"
        yield path, param.rules.get("target") == "directory" and how != "read"
    for value in args.values():
        yield from ((path, False) for path in _secrets(value))


def _opening(kind: str) -> Container[str]:
    """Return the names of the operations of KIND that open something."""
    match kind:
        case "call":
            return api.functions()
        case "step":
            return api.actions()
        case "order":
            return api.orders()
    return ()


def _secrets(value: Any) -> Iterator[str]:
    """Yield the files of which the launcher reads what the program gets."""
    if isinstance(value, dict):
        if isinstance(value.get("from_file"), str):
            yield value["from_file"]
        for inner in value.values():
            yield from _secrets(inner)
