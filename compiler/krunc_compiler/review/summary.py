"""A plan reviewed: what the VM is, what of the host it reaches, what isolates it.

It is read off the plan's operations alone and shares nothing with the lowering that made them, so
a plan edited by hand shows what it would do. A call without a reading is read by what the API table
says that its parameters mean, and an operation that no table has is shown as it is.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from krunc_compiler import libkrun as api
from krunc_compiler.plan.digest import digest
from krunc_compiler.plan.ordered import Ordered, kind_of, ordered
from krunc_compiler.plan.plan import Plan, value_of
from krunc_compiler.review.admitted import admitted
from krunc_compiler.review.fact import BY_NAME, NOTED, RANK, Fact, Reach, Reached, Row
from krunc_compiler.review.facts.guest_devices import guest_devices
from krunc_compiler.review.facts.host import opened
from krunc_compiler.review.facts.stage import by_default
from krunc_compiler.review.facts.table import READINGS, SILENT
from krunc_compiler.review.isolation import isolation
from krunc_compiler.review.replaceable import replaceable
from krunc_compiler.review.replaced import INIT, replaced
from krunc_compiler.review.words import marked, shown, word


class Review(NamedTuple):
    """What is shown of a plan; `value` is its JSON value, `digest` that of its meaning."""

    value: dict[str, Any]
    digest: str
    machine: tuple[Fact, ...]
    exposure: tuple[Fact, ...]
    isolation: tuple[Fact, ...]

    @property
    def operations(self) -> list[dict[str, Any]]:
        """Return the operations as they stand in the plan."""
        rows: list[dict[str, Any]] = self.value["operations"]
        return rows

    def facts(self) -> tuple[Fact, ...]:
        """Return all facts."""
        return (*self.machine, *self.exposure, *self.isolation)

    def image(self) -> str | None:
        """Return the path of the image that the plan demands of the store; None without one."""
        return next((str(row["args"]["path"]) for row in self.operations if _is_image(row)), None)

    def reached(self) -> Reached:
        """Return all that is reached."""
        return Reached(reach for fact in self.facts() for reach in fact.reach)


def review(plan: Plan, known: str = "") -> Review:
    """Return the review of PLAN, exposure with the worst first. Its digest is not made where it is
    KNOWN."""
    value = value_of(plan)
    known = known or digest(value)
    rows = list(map(ordered, plan.operations))
    value["operations"] = rows
    found = [*_noted(value), *_limited(_read(rows, value["api"]))]
    found += list(by_default(found))
    found += [*admitted(rows, found), *replaceable(rows)]
    found = [*_without_own_init(found, laid := list(replaced(rows))), *laid]
    ranked = sorted(found, key=lambda fact: RANK[fact.kind])
    return Review(
        value,
        known,
        tuple(fact for fact in ranked if BY_NAME[fact.kind].group == "machine"),
        tuple(fact for fact in ranked if BY_NAME[fact.kind].group == "host_access"),
        tuple(sorted(isolation(found), key=lambda fact: bool(fact.held))),
    )


def _read(operations: Sequence[Ordered], api_: str) -> list[Fact]:
    found: list[Fact] = []
    names: Mapping[str, str] = {}
    devices = guest_devices(operations)
    disks = {
        device: str(operations[index]["args"]["disk_path"])
        for index, device in devices.items()
        if "disk_path" in operations[index].get("args", {})
    }
    shares = dict(_shares(operations))
    written = frozenset(_written(operations, devices))
    as_root = all(api.is_root(row["args"]["user"]) for row in operations if _is_user(row))
    image = next((str(row["args"]["path"]) for row in operations if _is_image(row)), "")
    before: tuple[str, ...] = ()
    for index, operation in enumerate(operations):
        kind = kind_of(operation)
        row = Row(
            operation[kind],
            operation.get("args", {}),
            operation["from"],
            index,
            api_,
            names,
            devices.get(index),
            disks,
            shares,
            written,
            before,
            as_root,
            image,
        )
        if operation.last is None or operation.last[0] != row:
            operation.last = (row, list(_told(kind, row)))
        found += operation.last[1]
        if kind == "step":
            if more := opened(row):
                names = {**names, **more}
            if row.name in NOTED and row.name not in before:
                before = (*before, row.name)
    return found


def _told(kind: str, row: Row) -> Iterable[Fact]:
    """Tell what an operation of KIND shows by itself."""
    reading = READINGS[kind].get(row.name)
    if reading is not None:
        return reading(row)
    if kind == "call" and (told := _by_meaning(row)):
        return told
    if row.name in SILENT:
        return ()
    text = f"unknown {kind} {word(row.name)} {marked(shown(row.args)) if row.args else ''}".rstrip()
    exact = json.dumps([kind, row.args], sort_keys=True)
    return (row.fact("other", (kind, row.name), text, Reach("other", row.name, exact)),)


def _is_user(row: dict[str, Any]) -> bool:
    return row.get("order") == "user"


def _is_image(row: dict[str, Any]) -> bool:
    return row.get("step") == "require_image"


def _shares(operations: Sequence[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield the directories that have a tag of the plan's choice, by it."""
    for row in operations:
        args = row.get("args", {}) if "call" in row else {}
        if "tag" in args and "path" in args:
            yield str(args["tag"]), str(args["path"])


def _written(operations: Sequence[dict[str, Any]], devices: dict[int, str]) -> Iterator[str]:
    """Yield the shares, by their tags, and disks, by the guest's name, that are attached for
    writing."""
    for index, row in enumerate(operations):
        args = row.get("args", {}) if "call" in row else {}
        if args.get("read_only") is not True:
            if "tag" in args:
                yield str(args["tag"])
            if "disk_path" in args and index in devices:
                yield devices[index]


def _noted(value: dict[str, Any]) -> list[Fact]:
    """Tell what the head of a plan says to its reviewers."""
    labels = value.get("labels", {})
    facts = [
        Fact("label", (name,), f"{word(name)}: {word(labels[name])}", f"labels.{name}", None)
        for name in sorted(labels)
    ]
    for i, waiver in enumerate(value.get("waivers", ())):
        text = f"{word(waiver['rule'])}, because {word(waiver['reason'])}"
        reach = frozenset({Reach("waive", "rule", waiver["rule"])})
        facts.append(Fact("waiver", (waiver["rule"],), text, f"waivers[{i}]", None, reach))
    return facts


def _limited(facts: list[Fact]) -> list[Fact]:
    """Return FACTS in which an egress policy, where there is one, says what TSI reaches."""
    tsi = [fact for fact in facts if fact.kind == "network" and fact.subject == ("TSI",)]
    if all(any(reach.target is None for reach in fact.reach) for fact in tsi):
        return facts
    open_ = [fact for fact in tsi if any(reach.target is None for reach in fact.reach)]
    return [fact for fact in facts if fact not in open_]


def _without_own_init(facts: list[Fact], laid: list[Fact]) -> list[Fact]:
    """Return FACTS, in which init is not libkrun's where something is LAID over it."""
    over = next((fact for fact in laid if fact.subject == ("run", INIT)), None)
    return [
        fact._replace(sentence=f"what the plan lays over {INIT}, not libkrun's")
        if over and fact.kind == "init"
        else fact
        for fact in facts
    ]


def _by_meaning(row: Row) -> list[Fact]:
    """Tell what the table says of a function without words of its own; few plans have one."""
    from krunc_compiler.review.facts.meanings import by_meaning

    return list(by_meaning(row))
