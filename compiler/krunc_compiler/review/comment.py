"""One comment about all plans that a pull request changes, the worst first.

What cannot be compared is told before all else. Where there is no room for everything, the plans'
own parts go first, then the digests, then the openings that are least of their kind: those are
counted. Which plan opens what kind of thing stays to the end.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from krunc_compiler.findings.wording import plural
from krunc_compiler.review.alike import Said, alike
from krunc_compiler.review.asked import Asked, told_of_policies
from krunc_compiler.review.breadth import breadth
from krunc_compiler.review.change_sheet import change_sheet, counted, nowhere, running
from krunc_compiler.review.difference import EFFECTS, Change, Difference
from krunc_compiler.review.fact import RANK
from krunc_compiler.review.markdown import MOST, code, linked, more, prose, span, to_markdown
from krunc_compiler.review.words import bare

# By this line the comment is found again; a reader does not see it.
MARK = "<!-- krunc review -->"
# No part of a plan is shorter: the head and a few lines.
_LEAST = 3000
_NOTE = 600
_NAMED = 3
# So many plans that run something else are named.
_RUNNING = 10
# The bytes of a text and of a name where many stand; a hostile one leaves room for others.
_TEXT, _NAME = 1200, 300
# Of each kind of opening that many are told before more of a worse kind.
_OF_EACH = 3
_TITLE = "**Widens host access**"
_APPROVES = (
    "To merge is to approve the new digests: `krunc launch --require-digest` starts those "
    "plans and no others."
)
_FOLD_END = ("", "</details>")

Changed = list[tuple[str, Difference]]
# A path that cannot be compared, and why: in words in which nothing of the path's owner is bare.
Uncompared = Sequence[tuple[str, str]]
# For the path of a plan and the name of its box: where the line with a key is shown.
Lines = Callable[[str, str], Callable[[str], str]]


class Around(NamedTuple):
    """What the comment tells beside the changes: paths that are not compared, the policies that
    were asked, and the files that changed; and the lines of boxes that it links to."""

    uncompared: Uncompared = ()
    policies: Mapping[str, Asked] | None = None
    files: Collection[str] = ()
    lines: Lines = lambda plan, box: nowhere

    def address(self, path: str, one: Difference) -> Callable[[str], str]:
        """Return what tells where the line with a key of the box is shown of which PATH is the
        plan."""
        return self.lines(path, one.new.value["box"]) if one.new else nowhere


_NOTHING_MORE = Around()


def comment(differences: Changed, most: int = MOST, around: Around = _NOTHING_MORE) -> str:
    """Return the comment about plans by path: those that open the worst first, in at most MOST
    bytes."""
    uncompared = around.uncompared
    changed = [(path, one) for path, one in differences if one.changes]
    changed.sort(key=lambda item: (_worst(item[1]), item[0]))
    if not changed and not uncompared:
        return f"{MARK}\n### krunc: no changes to plans\n"
    head = [*_head(changed, uncompared), *_untold(uncompared, most // 4)]
    asked: list[str] = []
    if around.policies is not None and any(one.new for _, one in changed):
        asked = told_of_policies(around.policies, around.files, most // 8)
    counts = [*(_counted(*item) for item in changed), *(["", *asked[:-1]] if asked else [])]
    whole = "\n".join([*head, *counts]) + "\n"
    parts = [_part(path, one, around) for path, one in changed]
    if _size(whole) + sum(map(_size, parts)) <= most:
        return whole + "".join(parts)
    return _short([*head, *asked], changed, most, around)


def failed(why: str) -> str:
    """Return the comment when nothing could be compared, which takes the place of an earlier
    one."""
    return f"{MARK}\n### krunc: the plans cannot be compared\n\n- {span(why, _TEXT)}\n"


def _worst(one: Difference) -> tuple[int, int, tuple[int, int], int]:
    """Return a key that sorts a plan by its worst change, then by how many open."""
    first = one.changes[0]
    rank = RANK.get(first.kind, len(RANK))
    opens = len(one.of("widens"))
    return EFFECTS.index(first.effect), rank, breadth(first.old, first.new), -opens


def _head(changed: Changed, uncompared: Uncompared) -> list[str]:
    opens = sum(len(one.of("widens")) for _, one in changed)
    verb = "widens" if opens == 1 else "widen"
    said = []
    if changed:
        said = [f"{plural(len(changed), 'plan')} changed"]
        said.append(f"{plural(opens, 'change')} {verb} host access")
    code = sum(bool(one.of("other_code")) for _, one in changed)
    if code:
        said.append(f"{plural(code, 'plan')} with other code")
    if uncompared:
        said.append(f"{plural(len(uncompared), 'file')} cannot be compared")
    told = [_APPROVES, ""] if any(one.new for _, one in changed) else []
    return [MARK, f"### krunc: {', '.join(said)}", "", *told]


def _untold(uncompared: Uncompared, room: int) -> list[str]:
    """Tell what is not compared, as much of it as there is ROOM for."""
    if not uncompared:
        return []
    lines: list[str] = []
    for path, why in uncompared:
        line = f"- {span(bare(path), _NAME)}: {span(why, _TEXT)}"
        room -= _size(line) + 1
        if room < 0:
            lines.append(f"- and {len(uncompared) - len(lines):,} more")
            break
        lines.append(line)
    return ["**Not compared: these files are not reviewed here**", "", *lines, ""]


def _counted(path: str, one: Difference) -> str:
    return f"- {span(bare(path), _NAME)}: {counted(one)}"


def _part(path: str, one: Difference, around: Around, most: int = sys.maxsize) -> str:
    head = f"\n---\n\n{span(bare(path), _NAME)}\n\n"
    sheet = change_sheet(one, around.address(path, one))
    return head + to_markdown(sheet, most - _size(head))


def _short(head: list[str], changed: Changed, most: int, around: Around) -> str:
    """Return the openings, then a line for each plan, then as many parts as there is room for."""
    room = most - _NOTE
    names = _plans(changed, False)
    runs = _running(changed)
    used = sum(_size(line) + 1 for line in [*head, *runs])
    # Where not even all names fit, the openings have half of the room.
    told = _openings(changed, max(room // 2, room - _size("\n".join(names))) - used, around)
    told = [*head, *told, *runs]
    lines = [*told, *_plans(changed, True)]
    if _size("\n".join(lines)) >= room:
        lines = [*told, *names]
    text, unnamed = _fitting(lines, room)
    if unnamed:
        note = (
            f"**{plural(unnamed, 'plan')} omitted: this text may have {most:,} characters. "
            "Every change that widens access is listed or counted above.** `krunc diff` shows them."
        )
        return f"{text}\n{note}\n"
    shown = 0
    for path, one in changed:
        share = max(_LEAST, (room - _size(text)) // (len(changed) - shown))
        part = _part(path, one, around, share)
        if _size(text + part) > room:
            break
        text += part
        shown += 1
    note = (
        f"**Omitted: the details of {plural(len(changed) - shown, 'plan')}, and the end of long "
        f"ones; this text may have {most:,} characters. Every change that widens access is listed "
        "or counted above.** "
        "`krunc diff` shows the details."
    )
    return f"{text}\n---\n\n{note}\n"


def _running(changed: Changed) -> list[str]:
    """Tell which plans run something else: no fold hides it."""
    paths = [path for path, one in changed if running(one)]
    if not paths:
        return []
    named = ", ".join(span(bare(path), _NAME) for path in paths[:_RUNNING])
    rest = f" and {len(paths) - _RUNNING:,} more" if len(paths) > _RUNNING else ""
    return [f"**What the guest runs changes** in {named}{rest}", ""]


def _fitting(lines: list[str], room: int) -> tuple[str, int]:
    """As many of LINES as fit, and how many plans do not; what is folded is closed."""
    used = 0
    for i, line in enumerate(lines):
        used += _size(line) + 1
        if used > room:
            left = sum(one.startswith("- ") for one in lines[i:])
            return "\n".join([*lines[:i], *_FOLD_END]) + "\n", left
    return "\n".join(lines) + "\n", 0


class _Opening(NamedTuple):
    """An opening with the plans that have it. They sort by how bad it is."""

    rank: int
    breadth: tuple[int, int]
    fewer: int
    kind: str
    text: str
    origin: str
    paths: list[str]

    def line(self, address: str) -> str:
        key = f" ({linked(span(bare(self.origin), _NAME), address)})" if self.origin else ""
        named = ", ".join(span(bare(path), _NAME) for path in self.paths[:_NAMED])
        rest = f" and {len(self.paths) - _NAMED:,} more" if len(self.paths) > _NAMED else ""
        return f"- **{self.kind}** {prose(self.text, _TEXT)}{key} in {named}{rest}"


def _openings(changed: Changed, room: int, around: Around) -> list[str]:
    """Return the openings of all plans, the worst first, as many as there is ROOM for; each kind's
    others are counted."""
    found = _grouped(changed)
    by_path = dict(changed)
    kinds = Counter(one.kind for one in found)
    room -= _size(_TITLE) + 4 + sum(_size(more(kind, 10**6)) + 1 for kind in kinds)
    place: Counter[str] = Counter()
    first: list[int] = []
    later: list[int] = []
    for i, one in enumerate(found):
        (first if place[one.kind] < _OF_EACH else later).append(i)
        place[one.kind] += 1
    lines: dict[int, str] = {}
    for i in (*first, *later):
        opening = found[i]
        first_path = opening.paths[0]
        line = opening.line(around.address(first_path, by_path[first_path])(opening.origin))
        if _size(line) < room:
            room -= _size(line) + 1
            lines[i] = line
    told = []
    for kind in dict.fromkeys(one.kind for one in found):
        numbers = [i for i, one in enumerate(found) if one.kind == kind]
        told += [lines[i] for i in numbers if i in lines]
        if left := sum(len(found[i].paths) for i in numbers if i not in lines):
            told.append(more(kind, left))
    return [_TITLE, "", *told, ""] if told else []


def _grouped(changed: Changed) -> list[_Opening]:
    """Return each opening once, the worst first; one that differs from plan to plan as the plans'
    names do, with that in its place."""
    plans: dict[tuple[str, str], list[Said]] = {}
    wide: dict[tuple[str, str, str], tuple[int, int]] = {}
    for path, one in changed:
        for change in one.of("widens"):
            plans.setdefault((change.kind, change.origin), []).append(Said(path, change.sentence))
            key = (change.kind, change.origin, change.sentence)
            reached = breadth(change.old, change.new)
            wide[key] = min(reached, wide.get(key, reached))
    found = []
    for (kind, origin), said in plans.items():
        for group in alike(said, {}, lambda names: len(names) <= _NAMED):
            width = min(wide[kind, origin, text] for text in group.texts)
            paths = list(dict.fromkeys(group.plans))
            found.append(_Opening(RANK[kind], width, -len(paths), kind, group.text, origin, paths))
    return sorted(found)


def _plans(changed: Changed, digests: bool) -> list[str]:
    """Return the plans by what they open, folded, each with what it would be approved by."""
    groups: dict[str, list[str]] = {}
    for path, one in changed:
        opens, narrows = one.of("widens"), len(one.of("narrows"))
        said = f"widens {_said(opens)}" if opens else "does not widen host access"
        said += f", narrows {narrows}" if narrows else ""
        runs = running(one)
        said += f", changes {', '.join(runs)}" if runs else ""
        digest = f" {code(one.new.digest)}" if digests and one.new else ""
        groups.setdefault(said, []).append(f"- {span(bare(path), _NAME)}{digest}")
    lines = [line for said, plans in groups.items() for line in ("", f"{said}:", "", *plans)]
    return [f"<details><summary>Plans ({len(changed)})</summary>", *lines, *_FOLD_END]


def _said(opens: list[Change]) -> str:
    counts = Counter(change.kind for change in opens)
    return ", ".join(f"{counts[kind]} {kind}" for kind in sorted(counts, key=RANK.__getitem__))


def _size(text: str) -> int:
    return len(text.encode("utf-8"))
