"""One comment about all plans that a pull request changes.

Where there is no room for all of it, the plans' own parts go first, then the digests, then the
words of the openings: which plan opens what kind of thing stays to the end.
"""

from __future__ import annotations

from collections import Counter

from krunc_compiler.review.change_sheet import change_sheet, counted
from krunc_compiler.review.difference import Change, Difference
from krunc_compiler.review.fact import RANK
from krunc_compiler.review.markdown import MOST, code, to_markdown
from krunc_compiler.review.words import word

# By this line the comment is found again; a reader does not see it.
MARK = "<!-- krunc review -->"
# No part of a plan is shorter: the head and a few lines.
_LEAST = 3000
_NOTE = 600
_NAMED = 3
_FOLD_END = ("", "</details>")

Changed = list[tuple[str, Difference]]


def comment(differences: Changed, most: int = MOST) -> str:
    """The comment about plans by path: those that open something first, in at most MOST bytes."""
    changed = [(path, one) for path, one in differences if one.changes]
    changed.sort(key=lambda item: (-len(item[1].of("opens")), item[0]))
    if not changed:
        return f"{MARK}\n### krunc: no plan changes in meaning\n"
    whole = "\n".join([*_head(changed), *(_counted(*item) for item in changed)]) + "\n"
    parts = [_part(path, one, most) for path, one in changed]
    if _size(whole) + sum(map(_size, parts)) <= most and not any(map(_is_cut, changed, parts)):
        return whole + "".join(parts)
    return _short(changed, most)


def _head(changed: Changed) -> list[str]:
    opens = sum(len(one.of("opens")) for _, one in changed)
    verb = "opens" if opens == 1 else "open"
    title = f"{_plural(len(changed), 'plan')} changed, {_plural(opens, 'change')} {verb}"
    return [MARK, f"### krunc: {title} more of the host", ""]


def _counted(path: str, one: Difference) -> str:
    return f"- {code(word(path))}: {counted(one)}"


def _part(path: str, one: Difference, most: int) -> str:
    head = f"\n---\n\n{code(word(path))}\n\n"
    return head + to_markdown(change_sheet(one), most - _size(head))


def _is_cut(item: tuple[str, Difference], part: str) -> bool:
    sheet = change_sheet(item[1])
    return part.count("\n- ") < len(sheet.head) + sum(len(one.lines) for one in sheet.sections)


def _short(changed: Changed, most: int) -> str:
    """The openings, then a line for each plan, then as many parts as there is room for."""
    room = most - _NOTE
    openings = (_grouped(changed, 1), _grouped(changed, 2), _kinds(changed))
    forms = [
        [*_head(changed), *told, *_plans(changed, digests)]
        for told in openings
        for digests in (True, False)
    ]
    # Not even all names fit: then the openings have half of the room.
    told = next((one for one in openings if _size("\n".join(one)) < room // 2), openings[-1])
    forms.append([*_head(changed), *told, *_plans(changed, False)])
    lines = next((form for form in forms if _size("\n".join(form)) < room), forms[-1])
    text, unnamed = _fitting(lines, room)
    if unnamed:
        note = (
            f"**{_plural(unnamed, 'plan')} left out: so many do not fit in {most:,} characters. "
            "Every opening is told or counted above.** `krunc diff` shows them."
        )
        return f"{text}\n{note}\n"
    shown = 0
    for path, one in changed:
        share = max(_LEAST, (room - _size(text)) // (len(changed) - shown))
        part = _part(path, one, share)
        if _size(text + part) > room:
            break
        text += part
        shown += 1
    note = (
        f"**Left out: the details of {_plural(len(changed) - shown, 'plan')}, and the end of long "
        f"ones; this text may have {most:,} characters. Every opening is told or counted above.** "
        "`krunc diff` shows the details."
    )
    return f"{text}\n---\n\n{note}\n"


def _fitting(lines: list[str], room: int) -> tuple[str, int]:
    """As many of LINES as fit, and how many plans do not; what is folded is closed."""
    used = 0
    for i, line in enumerate(lines):
        used += _size(line) + 1
        if used > room:
            left = sum(one.startswith("- ") for one in lines[i:])
            return "\n".join([*lines[:i], *_FOLD_END]) + "\n", left
    return "\n".join(lines) + "\n", 0


def _grouped(changed: Changed, least: int) -> list[str]:
    """Each opening that LEAST plans or more have, with them, the worst first."""
    plans: dict[tuple[str, str, str], list[str]] = {}
    for path, one in changed:
        for change in one.of("opens"):
            plans.setdefault((change.kind, change.text, change.origin), []).append(path)
    lines = []
    for (kind, text, origin), paths in sorted(plans.items(), key=_worst):
        if len(paths) >= least:
            key = f" ({code(word(origin))})" if origin else ""
            named = ", ".join(code(word(path)) for path in paths[:_NAMED])
            rest = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
            lines.append(f"- **{kind}** {code(text)}{key} in {named}{rest}")
    if len(lines) < len(plans):
        lines.append(f"- and {len(plans) - len(lines)} that one plan each has, counted below")
    return ["**Opens: reaches more of the host**", "", *lines, ""] if plans else []


def _worst(item: tuple[tuple[str, str, str], list[str]]) -> tuple[int, int]:
    (kind, _, _), paths = item
    return RANK[kind], -len(paths)


def _kinds(changed: Changed) -> list[str]:
    """How often each kind of opening is there: when there are too many to be told."""
    opens = [change for _, one in changed for change in one.of("opens")]
    return ["**Opens: reaches more of the host**", "", f"- {_said(opens)}", ""] if opens else []


def _plans(changed: Changed, digests: bool) -> list[str]:
    """The plans by what they open, folded, each with what it would be approved by."""
    groups: dict[str, list[str]] = {}
    for path, one in changed:
        opens, narrows = one.of("opens"), len(one.of("narrows"))
        said = f"opens {_said(opens)}" if opens else "opens nothing"
        said += f", narrows {narrows}" if narrows else ""
        digest = f" {code(one.new.digest)}" if digests and one.new else ""
        groups.setdefault(said, []).append(f"- {code(word(path))}{digest}")
    lines = [line for said, plans in groups.items() for line in ("", f"{said}:", "", *plans)]
    return [f"<details><summary>Plans ({len(changed)})</summary>", *lines, *_FOLD_END]


def _said(opens: list[Change]) -> str:
    counts = Counter(change.kind for change in opens)
    return ", ".join(f"{kind} {counts[kind]}" for kind in sorted(counts, key=RANK.__getitem__))


def _size(text: str) -> int:
    return len(text.encode("utf-8"))


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
