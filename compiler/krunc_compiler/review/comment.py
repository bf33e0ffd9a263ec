"""One comment about all plans that a pull request changes."""

from __future__ import annotations

from krunc_compiler.review.change_sheet import change_sheet, counted
from krunc_compiler.review.difference import Difference
from krunc_compiler.review.markdown import MOST, code, to_markdown
from krunc_compiler.review.words import word

# By this line the comment is found again; a reader does not see it.
MARK = "<!-- krunc review -->"
_LISTED = 100


def comment(differences: list[tuple[str, Difference]], most: int = MOST) -> str:
    """The comment about plans by path: those that open something first, in at most MOST bytes.

    Each plan has a part of the room; what does not fit is counted in a note.
    """
    changed = [(path, one) for path, one in differences if one.changes]
    changed.sort(key=lambda item: (-len(item[1].of("opens")), item[0]))
    if not changed:
        return f"{MARK}\n### krunc: no plan changes in meaning\n"
    opens = sum(len(one.of("opens")) for _, one in changed)
    lines = [
        MARK,
        f"### krunc: {_plural(len(changed), 'plan')} changed, {_plural(opens, 'change')} "
        f"{'opens' if opens == 1 else 'open'} more of the host",
        "",
        *(f"- {code(word(path))}: {counted(one)}" for path, one in changed[:_LISTED]),
    ]
    if len(changed) > _LISTED:
        lines.append(f"- and {len(changed) - _LISTED} more plans")
    text = "\n".join(lines) + "\n"
    for i, (path, one) in enumerate(changed):
        room = (most - len(text.encode()) - 300) // (len(changed) - i)
        head = f"\n---\n\n{code(word(path))}\n\n"
        part = to_markdown(change_sheet(one), room - len(head.encode()))
        if room < 2000 or len((text + head + part).encode()) > most - 300:
            rest = len(changed) - i
            note = f"**{_plural(rest, 'plan')} left out: a comment may have {most:,} characters.**"
            return f"{text}\n{note} `krunc diff` shows them.\n"
        text += head + part
    return text


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
