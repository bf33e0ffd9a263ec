"""What changes between two plans, most severe first.

A change is judged by its host access: access that the old plan did not have widens, access that
the new one no longer has narrows. Another image is other code, whatever its access. A change with
the same access alters if something else runs in the guest, or is there under the same name. All
else is neutral. The kinds in fact.KINDS order the changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from krunc_compiler.files.hostpath import RUNTIME
from krunc_compiler.plan.ordered import kind_of
from krunc_compiler.review.breadth import breadth
from krunc_compiler.review.change_text import changed, removed
from krunc_compiler.review.fact import BY_NAME, LASTING, RANK, Fact, Reach, Reached
from krunc_compiler.review.facts.table import SILENT, STATED
from krunc_compiler.review.isolation import TOPICS, taken_by
from krunc_compiler.review.matching import Pair, identity, match, named, turned
from krunc_compiler.review.pairing import paired, same
from krunc_compiler.review.strings import Sides, TextChange, named_in, shared_out, text_changes
from krunc_compiler.review.summary import Review
from krunc_compiler.review.unshown import between, brief, by_itself, demand, differing
from krunc_compiler.review.words import plain, word, words

Effect = Literal["widens", "other_code", "alters", "narrows", "neutral"]
EFFECTS: tuple[Effect, ...] = ("widens", "other_code", "alters", "narrows", "neutral")
# Isolations that follow from the host access: a change of that is told once, as access.
FOLLOWING = frozenset(("isolation", (topic.name,)) for topic in TOPICS)
# Behind the kinds of facts: changes that no fact shows.
MORE_KINDS = ("operation", "order", "preflight", "metadata")


class Change(NamedTuple):
    """One change; `old` and `new` are the facts that it is between, where it is between facts.
    `sentence` has its values marked; `texts` are its strings that it does not show well."""

    effect: Effect
    kind: str
    sentence: str
    origin: str
    old: Fact | None = None
    new: Fact | None = None
    texts: tuple[TextChange, ...] = ()

    @property
    def text(self) -> str:
        """Return the sentence without marks around its values."""
        return plain(self.sentence)


class Difference(NamedTuple):
    """Between two plans, of which one may be missing. Without changes they mean the same."""

    old: Review | None
    new: Review | None
    changes: tuple[Change, ...]
    pairs: tuple[Pair, ...]

    def of(self, effect: Effect) -> list[Change]:
        """Return the changes with that EFFECT."""
        return [change for change in self.changes if change.effect == effect]


def compare(old: Review | None, new: Review | None) -> Difference:
    """Tell what is different in NEW; None is a plan that does not exist, which reaches nothing."""
    pairs = match(old.operations if old else [], new.operations if new else [])
    changes = list(_with_texts(list(_facts(old, new)), old, new))
    shown_old = {change.old.operation for change in changes if change.old}
    shown_new = {change.new.operation for change in changes if change.new}
    if old and new:
        rest = [pair for pair in pairs if pair.old not in shown_old and pair.new not in shown_new]
        if changes:
            rest = [pair for pair in rest if not _is_stated(pair, old, new)]
        rest = [pair for pair in rest if not _attaches_another_image(pair, old, new)]
        changes += _rest(old, new, rest)
        told = [pair for pair in pairs if pair.moved and pair.new not in shown_new]
        changes += _order(old, new, told)
        changes += _head(old.value, new.value)
    rank = {**RANK, **{kind: len(RANK) + i for i, kind in enumerate(MORE_KINDS)}}
    changes.sort(
        key=lambda one: (EFFECTS.index(one.effect), rank[one.kind], breadth(one.old, one.new))
    )
    return Difference(old, new, tuple(changes), tuple(pairs))


def _facts(old: Review | None, new: Review | None) -> Iterator[Change]:
    renamed = bool(old and new and old.value["box"] != new.value["box"])
    reached = [
        Reached(
            one for fact in side.facts() for one in fact.reach if not (renamed and _runtime(one))
        )
        if side
        else Reached(())
        for side in (old, new)
    ]
    told: set[str] = set()
    lost = []
    for was, now in paired(old, new):
        moved = renamed and now is not None and any(map(_runtime, now.reach))
        if was and now and (was is now or same(was, now)) and not moved:
            continue
        if not (was and now) and (was or now).held:  # type: ignore[union-attr]
            continue
        if _is_isolation_of_access(now or was):
            # The host access that takes it away, or no longer does, is told.
            lost += [(was, now)] if now and not now.held else []
            continue
        change = _change(was, now, *reached)
        if now and change.effect == "widens":
            told.update(*(taken_by(one) for one in now.reach if not reached[0].covers(one)))
        note = "; runtime: is the directory of another box" if moved and was else ""
        yield change._replace(sentence=change.sentence + note)
    # But where nothing is reached that was not: as where the root becomes a directory that a share
    # could write all along.
    yield from (_change(was, now, *reached) for was, now in lost if now.subject[0] not in told)


def _is_isolation_of_access(fact: Fact | None) -> bool:
    """Tell whether FACT follows from the host access alone."""
    return fact is not None and (BY_NAME[fact.kind].group, fact.subject) in FOLLOWING


def _runtime(reach: Reach) -> bool:
    """Tell whether it is in the directory of the run, which has the box's name."""
    return isinstance(reach.target, str) and reach.target.startswith(RUNTIME)


def _change(was: Fact | None, now: Fact | None, old: Reached, new: Reached) -> Change:
    shown = now or was
    effect: Effect = "neutral" if shown and BY_NAME[shown.kind].still else "alters"
    if shown and shown.kind == "image":
        # Nobody can tell from a plan what is in an image.
        if was is None or now is None or was.reach != now.reach:
            effect = "other_code"
    elif now and not all(map(old.covers, now.reach)):
        effect = "widens"
    elif was and not all(new.covers(one) for one in was.reach if one.verb not in LASTING):
        effect = "narrows"
    if now is None:
        assert was is not None
        return Change(effect, was.kind, removed(was), was.origin, was, now)
    origin = now.origin or (_key_of(was) if was else "")
    return Change(effect, now.kind, changed(was, now), origin, was, now)


# The keys of isolations that are lost when the plan no longer asks for them.
_KEYS = {"confinement": "confine", "user": "run_as"}


def _key_of(was: Fact) -> str:
    """Return the key of WAS, in the place of which nothing has a key."""
    return was.origin if was.origin != "default" else _KEYS.get(was.subject[0], "")


def _with_texts(changes: list[Change], old: Review | None, new: Review | None) -> Iterator[Change]:
    """Yield CHANGES with the strings of their operations; one that none names goes to the last."""
    rows = [
        Sides(*(named_in(fact.text if fact else "") for fact in (change.old, change.new)))
        for change in changes
    ]
    groups: dict[tuple[int | None, int | None], list[int]] = {}
    said: dict[tuple[int, int | None], set[str]] = {}
    for i, change in enumerate(changes):
        for side, fact in enumerate((change.old, change.new)):
            if fact:
                said.setdefault((side, fact.operation), set()).update(rows[i][side])
        if change.new:
            was = change.old.operation if change.old else None
            groups.setdefault((was, change.new.operation), []).append(i)
    found: dict[int, list[TextChange]] = {}
    unnamed: dict[int, list[TextChange]] = {}
    for (was, now), group in groups.items():
        before, after = _strings(old, was), _strings(new, now)
        if was is not None and now is not None:
            # Of operations of two kinds, as one user of `user` and of `program`, what both have.
            both_have = before.keys() & after.keys()
            before, after = (
                {name: value for name, value in side.items() if name in both_have}
                for side in (before, after)
            )
        texts = text_changes(before, after)
        found.update(zip(group, shared_out(texts, [rows[i] for i in group]), strict=True))
        if was is not None and now is not None:
            both = Sides(frozenset(said[0, was]), frozenset(said[1, now]))
            unnamed[group[-1]] = [one for one in texts if not one.shown_in(*both)]
    for i, change in enumerate(changes):
        yield _telling(change, found.get(i, []), unnamed.get(i, []))


def _strings(review: Review | None, operation: int | None) -> dict[str, Any]:
    """Tell what holds the strings of a fact: the arguments of its operation, else the head."""
    if review is None:
        return {}
    if operation is None:
        return {name: review.value[name] for name in ("labels", "waivers") if name in review.value}
    args: dict[str, Any] = review.operations[operation].get("args", {})
    return args


def _telling(change: Change, texts: list[TextChange], unnamed: list[TextChange]) -> Change:
    """Return CHANGE with those of TEXTS that its sentence does not show well, and what none
    names."""
    told = [one for one in texts if one.needs_lines(change.text)] + unnamed
    text = change.sentence
    for one in told:
        text = one.in_words(text)
    return change._replace(sentence=text, texts=tuple(told))


def _is_stated(pair: Pair, old: Review, new: Review) -> bool:
    """Tell whether an operation comes or goes that only states what the facts show."""
    if pair.old is not None and pair.new is not None:
        return False
    row = old.operations[pair.old] if pair.old is not None else new.operations[pair.new or 0]
    return row[kind_of(row)] in STATED


def _attaches_another_image(pair: Pair, old: Review, new: Review) -> bool:
    """Tell whether a disk is the image of each plan, and nothing else of its call changes: a fact
    shows another image."""
    if pair.old is None or pair.new is None or pair.moved:
        return False
    rows = old.operations[pair.old], new.operations[pair.new]
    images = [review.image() for review in (old, new)]
    paths = [row.get("args", {}).get("disk_path") for row in rows]
    rest = [{**row, "args": {**row.get("args", {}), "disk_path": ""}, "from": ""} for row in rows]
    return None not in images and images == paths and rest[0] == rest[1]


def _rest(old: Review, new: Review, rest: list[Pair]) -> Iterator[Change]:
    """Yield the operations whose change no fact shows: none of them reaches anything. What is
    demanded of the host is used by others; of all else it is not known what it alters."""
    demands: dict[bool, list[str]] = {True: [], False: []}
    for pair in rest:
        was = old.operations[pair.old] if pair.old is not None else None
        now = new.operations[pair.new] if pair.new is not None else None
        row: dict[str, Any] = now or was or {}
        if row.get("step") in SILENT:
            if was:
                demands[False].append(demand(was))
            if now:
                demands[True].append(demand(now))
        elif was is None or now is None:
            sign = "removed: " if now is None else "added: "
            yield Change(by_itself(row), "operation", sign + named(row), row["from"])
        elif pair.changed:
            text = f"{named(now)}: {differing(was, now)}"
            change = Change(between(was, now), "operation", text, now["from"])
            texts = text_changes(was.get("args", {}), now.get("args", {}))
            said = named_in(text)
            shown = [one for one in texts if one.shown_in(said, said)]
            yield _telling(change, shown, [one for one in texts if one not in shown])
    parts = []
    for sign, comes in (("added", True), ("removed", False)):
        if rows := [text for text in demands[comes] if text not in demands[not comes]]:
            parts.append(f"{sign} {'; '.join(rows)}")
    if parts:
        yield Change("neutral", "preflight", f"host checks: {', '.join(parts)}", "")


def _order(old: Review, new: Review, moved: list[Pair]) -> Iterator[Change]:
    """Tell what stands in another order. That of the host's steps says what is held when; that of
    a file's lines, which of them the guest follows."""
    steps = turned(old.operations, new.operations)
    indexes = sorted(steps.union(pair.new for pair in moved if pair.new is not None))
    for name, kind in _LINES.items():
        lines = [index for index in indexes if new.operations[index].get("order") == name]
        if lines:
            indexes = [index for index in indexes if index not in lines]
            rows = [row for row in new.operations if row.get("order") == name]
            text = f"in another order: {words([identity(row)[2] for row in rows])}"
            yield Change("alters", kind, text, new.operations[lines[0]]["from"])
    if indexes:
        names = [named(new.operations[index]) for index in indexes]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        text = f"in another order: {', '.join(names[:_NAMED])}{more}"
        yield Change("alters" if steps else "neutral", "order", text, "")


_NAMED = 40  # of the operations that moved
# The orders that write a line of a file in which programs take the first that fits, and the kinds
# of their facts: resolv.conf(5), hosts(5).
_LINES = {"nameserver": "name server", "host": "hosts"}


def _head(old: dict[str, Any], new: dict[str, Any]) -> Iterator[Change]:
    was, now = ({**value, **value["requires"]} for value in (old, new))
    for name in dict.fromkeys([*now, *was]):
        if name in ("box_digest", "operations", "requires", "because", "labels", "waivers"):
            continue
        if was.get(name) != now.get(name):
            texts = (brief(one.get(name)) for one in (was, now))
            if name == "features":
                texts = (", ".join(map(brief, one[name])) or "none" for one in (was, now))
            text = f"{word(name)} {' -> '.join(texts)}"
            effect: Effect = "alters" if name == "api" else "neutral"
            yield Change(effect, "metadata", text, "")
