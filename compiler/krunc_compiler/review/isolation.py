"""What isolates a VM from its host, and what exposes the host."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from krunc_compiler.files.hostpath import holds_devices, holds_views
from krunc_compiler.plan.ordered import Ordered
from krunc_compiler.review.fact import Fact, Reach
from krunc_compiler.review.roots import written_root


class Topic(NamedTuple):
    """An isolation, and the reaches that take it away: a verb, with one noun or with any but some.

    `lost_by` has verb and noun; a noun of "" is any, those behind "!" are any others. `lost_at`
    tells of a path that takes it away when the guest reads or writes there.
    """

    name: str
    lost_by: tuple[tuple[str, str], ...]
    isolated: str
    exposed: str
    lost_at: Callable[[str], bool] | None = None


# docs/review.md prints it.
TOPICS = (
    Topic(
        "network",
        (("network", ""),),
        "the guest has no network access",
        "the guest has network access",
    ),
    Topic(
        "ports",
        (("listen", "TCP port"), ("listen", "UDP port")),
        "no host ports are published to the guest",
        "host ports are published to the guest",
    ),
    Topic(
        "sockets",
        (("listen", "!TCP port|UDP port"), ("connect", ""), ("network", "TSI for Unix")),
        "no host Unix sockets are mapped to the guest",
        "host Unix sockets are mapped to the guest",
    ),
    Topic(
        "files",
        (("write", ""),),
        "the guest cannot modify host files",
        "the guest can modify host files",
    ),
    Topic(
        "root",
        (("change", "root"),),
        "changes to the guest's root never reach the host",
        "changes to the guest's root can reach the host",
    ),
    Topic(
        "guest_user",
        (("as", "root"),),
        "the program does not run as root in the guest",
        "the program runs as root in the guest",
    ),
    Topic(
        "secrets", (("secret", ""),), "the guest receives no secrets", "the guest receives secrets"
    ),
    Topic(
        "devices",
        (("device", ""),),
        "no host devices are passed through",
        "host devices are passed through",
        holds_devices,
    ),
    Topic(
        "kernel",
        (("without", "libkrunfw's kernel"),),
        "the guest kernel is libkrunfw (bundled)",
        "the guest kernel or firmware is a host file",
    ),
    Topic(
        "nesting",
        (("without", "nested virtualization off"),),
        "nested virtualization is off",
        "the guest can run VMs of its own",
    ),
    Topic(
        "environment",
        (),
        "host environment variables are not passed to the guest",
        "the guest can read environment variables of host processes in the host's /proc",
        holds_views,
    ),
)

# Besides topics: that the guest writes to a directory, and that the VMM has a user of its own.
_SETUID, _USER = "written directory", "own user"
_AT_PATHS = [(topic.name, topic.lost_at) for topic in TOPICS if topic.lost_at is not None]


def isolation(facts: list[Fact], operations: Sequence[Ordered]) -> Iterator[Fact]:
    """Yield one fact a topic of what FACTS tell of OPERATIONS, held or not, with the operation that
    takes it away."""
    taken = _taken(facts)
    if "root" not in taken and (written := written_root(facts, operations)) is not None:
        taken["root"] = written
    for topic in TOPICS:
        lost = taken.get(topic.name)
        yield _held(topic) if lost is None else _lost(topic, lost.origin, lost.operation)
    yield _user(facts)
    yield _setuid(None if _USER in taken else taken.get(_SETUID))
    yield _confined(facts)


@lru_cache(256)  # as many plans say it
def _held(topic: Topic) -> Fact:
    return Fact("isolation", (topic.name,), topic.isolated, "", None, held=True)


@lru_cache(256)
def _lost(topic: Topic, origin: str, operation: int | None) -> Fact:
    reach = frozenset({Reach("without", topic.name)})
    return Fact("isolation", (topic.name,), topic.exposed, origin, operation, reach, held=False)


def _taken(facts: list[Fact]) -> dict[str, Fact]:
    """Return the isolations, by their names, that one of FACTS takes away, each with the first
    that does; among them what `_setuid` is told by."""
    found: dict[str, Fact] = {}
    for fact in facts:
        for reach in fact.reach:
            for name in taken_by(reach):
                found.setdefault(name, fact)
    return found


def taken_by(reach: Reach) -> list[str]:
    """Return the names of what REACH takes away by itself."""
    verb, noun, target = reach
    found = [*_lost_by(verb, noun)]
    if verb == "user" and noun == "uid" and target is not None:
        found.append(_USER)
    if verb in ("read", "write") and isinstance(target, str):
        found += [name for name, lost_at in _AT_PATHS if lost_at(target)]
    return found


@lru_cache(256)  # few, but for what krunc cannot read
def _lost_by(verb: str, noun: str) -> tuple[str, ...]:
    """Return the isolations that a reach of VERB and NOUN takes away."""
    topics = [
        topic.name
        for topic in TOPICS
        if any(
            verb == by and (not of or (noun in of.lstrip("!").split("|")) != (of[0] == "!"))
            for by, of in topic.lost_by
        )
    ]
    return (*topics, *([_SETUID] if (verb, noun) == ("write", "directory") else []))


# By the mode of the step, None without one: what the reader is told, and what is lacking.
_CONFINED = {
    "required": ("the VMM is limited to the host access in the plan", ()),
    "best-effort": (
        "best-effort only: the VMM is limited to the plan if the host kernel supports it",
        ("confinement for sure",),
    ),
    "late": (
        "one VMM thread starts before the VMM is limited to the plan",
        ("confinement for sure", "confinement"),
    ),
    None: (
        "the VMM can open anything that the host user can",
        ("confinement for sure", "confinement"),
    ),
}


def _confined(facts: list[Fact]) -> Fact:
    said = next((fact for fact in facts if fact.kind == "confine"), None)
    text, lacking = _CONFINED[said.subject[1] if said else None]
    return Fact(
        "isolation",
        ("confinement",),
        text,
        said.origin if said else "",
        said.operation if said else None,
        frozenset(Reach("without", what) for what in lacking),
        held=not lacking,
    )


def _setuid(lost: Fact | None) -> Fact:
    """Who launches is not in the plan. What the guest's root makes in a directory keeps its owner
    and mode, with the rights of the VM's process (tests/boot/test_claims.py); it makes no devices,
    for that process has no CAP_MKNOD."""
    return Fact(
        "isolation",
        ("setuid",),
        "if root runs krunc, the guest can create setuid-root files in directories it can write"
        if lost
        else "the guest cannot create setuid-root files on the host",
        lost.origin if lost else "",
        lost.operation if lost else None,
        frozenset({Reach("without", "setuid")}) if lost else frozenset(),
        held=lost is None,
    )


def _user(facts: list[Fact]) -> Fact:
    """Return the user of the VMM: the host user, unless the plan sets another."""
    said = {fact.subject[0]: fact for fact in facts if fact.kind == "user"}
    reach = frozenset(
        one
        for what in ("uid", "gid")
        for one in (said[what].reach if what in said else [Reach("user", what, None)])
    )
    ids = [("uid", said.get("uid")), ("gid", said.get("gid"))]
    held = all(one.target is not None for one in reach)
    last = said.get("uid") or said.get("gid")
    return Fact(
        "isolation",
        ("user",),
        "the VMM runs as " + " and ".join(map(_id, ids) if said else ["the host user"]),
        last.origin if last else "",
        last.operation if last else None,
        reach,
        held=held,
    )


def _id(named: tuple[str, Fact | None]) -> str:
    what, fact = named
    target = next((reach.target for reach in fact.reach), None) if fact else None
    if fact is None:
        return f"the host user's {what}"
    return f"{what} {target or '0 (root)'}"
