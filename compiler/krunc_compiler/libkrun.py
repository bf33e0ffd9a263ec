"""libkrun's API table and the host steps, as the compiler reads them."""

from collections.abc import Iterable, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

from krunc_schema import load

Version = tuple[int, ...]
PATH_KINDS = ("host_path", "socket_path")


class Param(NamedTuple):
    """One argument of a libkrun function or host step; `rules` as in the table."""

    name: str
    kind: str
    rules: dict[str, Any]


class Function(NamedTuple):
    """One libkrun function; `rules` is its row of the table."""

    name: str
    since: Version
    removed: Version | None
    role: str
    feature: str | None
    devices: int
    params: tuple[Param, ...]
    rules: dict[str, Any]


class Target(NamedTuple):
    """The libkrun that a plan is for: a family, and a version when one was named."""

    family: int
    version: Version | None
    era: str

    def __str__(self) -> str:
        return dots(self.version) if self.version else str(self.family)


class Installed(NamedTuple):
    """The libkrun of this host: its major version as a target, and what people call it."""

    family: str
    name: str


@cache
def table() -> dict[str, Any]:
    """Return the table itself: schema/krunc_schema/krun.json."""
    content: dict[str, Any] = load("krun")
    return content


def architectures() -> dict[str, dict[str, Any]]:
    """Return what depends on the architecture, by its name."""
    known: dict[str, dict[str, Any]] = table()["architectures"]
    return known


def architectures_of(arch: str | None) -> tuple[str, ...]:
    """Return the architectures that a box may run on: ARCH, or all."""
    return tuple(architectures()) if arch is None else (arch,)


@cache
def steps() -> dict[str, tuple[Param, ...]]:
    """Return the host steps and their arguments."""
    content = load("steps")
    return {name: _params(step) for name, step in content["steps"].items()}


@cache
def orders() -> dict[str, tuple[Param, ...]]:
    """Return the orders of the stage and their arguments."""
    return {name: _params(order) for name, order in load("orders")["orders"].items()}


@cache
def actions() -> frozenset[str]:
    """Return the host steps that do something, in the order of the plan; the others only look."""
    steps_ = load("steps")["steps"]
    return frozenset(name for name, step in steps_.items() if step["phase"] == "action")


@cache
def limits_that_spare_root() -> frozenset[str]:
    """The resource limits that Linux does not ask of root: setrlimit(2), mlock(2), nice(2),
    sched(7), mq_overview(7)."""
    limits = table()["enums"]["rlimit"]
    return frozenset(name for name, row in limits.items() if row.get("spares_root"))


@cache
def limits_of_init(family: int) -> dict[str, int]:
    """What each resource limit has to be for libkrun's own init, which has them itself in this
    FAMILY when it writes. Seen in VMs of 2.0-dev: with an fsize of 1 MiB nothing starts, with
    2 MiB the program."""
    limits = table()["enums"]["rlimit"]
    every = {name: row.get("init_needs", {}).get(str(family), 0) for name, row in limits.items()}
    return {name: least for name, least in every.items() if least}


def is_root(user: str) -> bool:
    """Tell whether the USER of a guest, NAME, UID or UID:GID, may do everything there."""
    first = user.partition(":")[0]
    return first == "root" or first.strip("0") == ""


@cache
def functions() -> dict[str, Function]:
    """Return every libkrun function by name."""
    return {
        name: Function(
            name,
            version(row["since"]),
            version(row["removed"]) if "removed" in row else None,
            row["role"],
            row.get("feature"),
            row.get("devices", 0),
            _params(row),
            row,
        )
        for name, row in table()["functions"].items()
    }


def opening(param: Param, args: Mapping[str, Any]) -> str:
    """Tell how libkrun opens the path that is the argument PARAM of a call with ARGS."""
    for name, how in param.rules.get("opens_if", {}).items():
        if args.get(name) is True:
            return str(how)
    return str(param.rules["opens"])


@cache
def enums() -> dict[str, dict[str, Any]]:
    """Return the named values: of libkrun and of the host steps."""
    named: dict[str, dict[str, Any]] = {**table()["enums"]}
    for name in ("steps", "orders"):
        named |= load(name)["enums"]
    return named


@cache
def params(kind: str, name: str) -> tuple[Param, ...]:
    """Return the arguments of an operation of a plan that the table knows."""
    if kind == "call":
        return functions()[name].params
    if kind == "order":
        return orders()[name]
    return steps()[name] if kind == "step" else ()


@cache
def paths(kind: str, name: str) -> tuple[Param, ...]:
    """Return those of the arguments of an operation that may name something of the host."""
    return tuple(p for p in params(kind, name) if p.kind == "bytes" or p.kind in PATH_KINDS)


@cache
def with_paths() -> frozenset[str]:
    """Return the operations that may name something of the host: few of a plan are among them."""
    known = {"call": list(functions()), "step": list(steps()), "order": list(orders())}
    return frozenset(name for kind, names in known.items() for name in names if paths(kind, name))


def _params(row: dict[str, Any]) -> tuple[Param, ...]:
    return tuple(
        Param(param["name"], param["kind"], param)
        for param in row["params"]
        if param["kind"] not in ("context", "length")
    )


@cache
def version(text: str) -> Version:
    """1.16.0 as (1, 16, 0)."""
    return tuple(int(part) for part in text.split("."))


def dots(parts: Version) -> str:
    """(1, 16) as 1.16."""
    return ".".join(str(part) for part in parts)


# What a plan is for that nobody has named a libkrun for: libkrun 1.x, which distributions package.
DEFAULT_TARGET = "1"


@lru_cache(64)  # most boxes of a run are for the same
def target(text: str) -> Target | None:
    """Return the target named TEXT (1, 1.16, 1.16.0, 2), or None when there is no such libkrun."""
    for era, row in table()["eras"].items():
        family = str(row["family"])
        if text == family:
            return Target(row["family"], None, era)
        parts = text.split(".")
        if parts[0] == family == "1" and len(parts) <= 3 and all(map(_number, parts)):
            return Target(row["family"], version(text), era)
    return None


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 4


def lacks(function: Function, chosen: Target) -> str | None:
    """Tell why CHOSEN does not have FUNCTION, or None when it does."""
    newest = version("1.999") if chosen.family == 1 else version("2.0")
    wanted = chosen.version or newest
    padded = (*wanted, 999) if chosen.version and len(wanted) < 3 else wanted
    if function.since > padded:
        return f"it came with libkrun {dots(function.since)}"
    if function.removed and function.removed <= padded:
        return f"it went away in libkrun {dots(function.removed)}"
    return None


def _said(value: Any) -> list[str]:
    """Tell what of an argument tells implicit things apart: names, or the kind of a content."""
    if isinstance(value, dict):
        return [f"{{{key}}}" for key in value]
    return [item for item in (value if isinstance(value, list) else [value]) if type(item) is str]


@cache
def _telling() -> dict[str, list[str]]:
    """By function, the arguments that tell implicit things apart."""
    tokens = [
        token
        for row in table()["implicit"]
        for group in (row.get("unless", ()), *row.get("when", ()))
        for token in group
    ]
    found: dict[str, list[str]] = {}
    for function, argument in {tuple(one.split("=")[0].split(".")) for one in tokens if "." in one}:
        found.setdefault(function, []).append(argument)
    return found


def implied(era: str, calls: Iterable[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """Tell what libkrun does by itself, in ERA, when exactly CALLS (name, arguments) are made."""
    tokens: set[str] = set()
    for name, args in calls:
        tokens.update(implying(name, args))
    return list(_implied(era, frozenset(tokens)))


def implying(name: str, args: Mapping[str, Any]) -> list[str]:
    """Return what tells implicit things apart of a call of NAME with ARGS."""
    found = [name]
    for argument in _telling().get(name, ()):
        if argument in args:
            found += [f"{name}.{argument}={item}" for item in _said(args[argument])]
    return found


@lru_cache(64)  # most boxes make the same calls
def _implied(era: str, tokens: frozenset[str]) -> tuple[str, ...]:
    return tuple(
        row["name"]
        for row in table()["implicit"]
        if era in row["eras"]
        and not tokens.intersection(row.get("unless", ()))
        and all(tokens.intersection(group) for group in row.get("when", ()))
    )


def disk_name(number: int) -> str:
    """Return the guest's name of a disk by its number from 0, as Linux counts: vda to vdz, then
    vdaa (virtblk_name_format of drivers/block/virtio_blk.c)."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return f"/dev/vd{letters}"
