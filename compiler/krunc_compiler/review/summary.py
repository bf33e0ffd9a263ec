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
from krunc_compiler.plan.ordered import Ordered, ordered
from krunc_compiler.plan.plan import Plan, value_of
from krunc_compiler.review.admitted import admitted
from krunc_compiler.review.fact import BY_NAME, NOTED, RANK, Fact, Reach, Reached, Row, Watched
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
    def operations(self) -> list[Ordered]:
        """Return the operations as they stand in the plan."""
        rows: list[Ordered] = self.value["operations"]
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
        tuple(sorted(isolation(found, rows), key=lambda fact: bool(fact.held))),
    )


def _read(operations: Sequence[Ordered], api_: str) -> list[Fact]:
    found: list[Fact] = []
    devices = guest_devices(operations)
    disks = {
        device: str(operations[index].args["disk_path"])
        for index, device in devices.items()
        if "disk_path" in operations[index].args
    }
    context: dict[str, Any] = {
        "api": api_,
        "opened": {},
        "disks": disks,
        "shares": dict(filter(None, (row.once(_share) for row in operations))),
        "written": frozenset(_written(operations, devices)),
        "before": (),
        "as_root": all(row.once(_is_as_root) for row in operations),
        "image": next((str(row.args["path"]) for row in operations if _is_image(row)), ""),
    }
    for index, row in enumerate(operations):
        context["device"] = devices.get(index)
        last = row.last
        if last is None or last[0] != index or not _fits(last[1], context):
            watched = Watched(row.name, row.args, row["from"], index, **context)
            told = list(_told(row.kind, watched))
            last = row.last = (index, vars(watched), told)
        found += last[2]
        if row.kind == "step":
            if more := row.once(opened):
                context["opened"] = {**context["opened"], **more}
            if row.name in NOTED and row.name not in context["before"]:
                context["before"] = (*context["before"], row.name)
    return found


def _fits(asked: dict[str, Any], context: dict[str, Any]) -> bool:
    """Tell whether what a reading ASKED for of the plan around an operation is so in CONTEXT."""
    for name, value in asked.items():  # noqa: SIM110
        if context[name] != value:
            return False
    return True


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


def _is_as_root(row: Ordered) -> bool:
    """Tell whether the program stays the guest's root, whatever ROW does."""
    return row.get("order") != "user" or api.is_root(row.args["user"])


def _is_image(row: Ordered) -> bool:
    return row.get("step") == "require_image"


def _share(row: Ordered) -> tuple[str, str] | None:
    """Return the tag and the path of the directory that ROW attaches under a tag, if it does."""
    if "call" in row and "tag" in row.args and "path" in row.args:
        return str(row.args["tag"]), str(row.args["path"])
    return None


def _written(operations: Sequence[Ordered], devices: Mapping[int, str]) -> Iterator[str]:
    """Yield the shares, by their tags, and disks, by the guest's name, that are attached for
    writing."""
    for index, row in enumerate(operations):
        if row.once(_writes):
            if "tag" in row.args:
                yield str(row.args["tag"])
            if "disk_path" in row.args and index in devices:
                yield devices[index]


def _writes(row: Ordered) -> bool:
    """Tell whether ROW attaches something for writing."""
    named = "tag" in row.args or "disk_path" in row.args
    return "call" in row and named and row.args.get("read_only") is not True


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
