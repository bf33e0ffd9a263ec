"""The sheet of a difference, and its JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from krunc_compiler.findings.wording import plural
from krunc_compiler.plan.ordered import kind_of
from krunc_compiler.review.difference import EFFECTS, Change, Difference, Effect
from krunc_compiler.review.document import fact_document
from krunc_compiler.review.lines import Edit
from krunc_compiler.review.plan_sheet import operation, source
from krunc_compiler.review.sheet import Detail, Line, Piece, Section, Sheet, Tone
from krunc_compiler.review.summary import Review
from krunc_compiler.review.unusual import unusual_in
from krunc_compiler.review.words import bare, marked, quoted, visible

FORMAT = 1
TITLES = {
    "widens": "Widens host access",
    "other_code": "Runs other code",
    "alters": "Changes the guest",
    "narrows": "Narrows host access",
    "neutral": "No effect on host access",
}
# Of these the summary tells.
_PROGRAM = ("image", "program", "kernel", "init", "firmware")


def nowhere(key: str) -> str:
    """Tell that there is no address of the line with a KEY."""
    return ""


def change_sheet(difference: Difference, address: Callable[[str], str] = nowhere) -> Sheet:
    """Return the changes by effect, the worst first, then the operations that differ. ADDRESS tells
    where the line with a key of the new box is shown."""
    old, new = difference.old, difference.new
    either = new or old
    differing = tuple(_operations(difference))
    places = {line.anchor for line in differing}
    tone = _tones(difference)
    sections = []
    for title, changes in _sorted(difference).items():
        if changes:
            rows = tuple(_row(change, tone(change), places, address) for change in changes)
            sections.append(Section(TITLES[title], rows, long=title == "neutral"))
    if differing:
        sections.append(Section("Changed operations", differing, long=True))
    return Sheet(
        bare(either.value["box"]) if either else "nothing",
        counted(difference),
        (Line("old", _digest(old)), Line("new", _digest(new))),
        tuple(sections),
    )


def _sorted(difference: Difference) -> dict[Effect, list[Change]]:
    """Return the changes by the section that they stand in; the program's stand first of what
    alters."""
    found = {effect: difference.of(effect) for effect in EFFECTS}
    found["alters"].sort(key=lambda change: change.kind not in _PROGRAM)
    return found


def _tones(difference: Difference) -> Callable[[Change], Tone]:
    """Return the tone of each change: its effect. Of a new plan everything widens; there it is
    what is unusual."""
    if difference.old is not None or difference.new is None:
        return lambda change: change.effect
    is_unusual = unusual_in(difference.new)
    return lambda change: "loud" if change.new and is_unusual(change.new) else ""


def _row(change: Change, tone: Tone, places: set[str], address: Callable[[str], str]) -> Line:
    """Return the row of a change; PLACES are the anchors of the operations that differ."""
    origin = bare(change.origin) if change.origin else ""
    sources = (
        source(fact.operation, side)
        for side, fact in (("new-", change.new), ("old-", change.old))
        if fact
    )
    at = next((one for one in sources if one in places), "")
    told = tuple(details(change))
    link = address(change.origin) if change.new else ""  # what is gone is in no line
    return Line(change.kind, change.sentence, origin, tone, told, source=at, link=link)


def details(change: Change) -> Iterator[Detail]:
    """Yield what differs in the values of CHANGE, line by line."""
    for text in change.texts:
        hunks = text.hunks()
        edits = [edit for hunk in hunks for edit in hunk]
        gone, come = ({one.text for one in edits if one.sign == sign} for sign in "-+")
        alike = {one for one in gone if one + "\n" in come}
        alike |= {one for one in come if one + "\n" in gone}
        counts = [sum(edit.sign == sign for edit in edits) for sign in "-+"]
        title = f"{text.place}: lines removed {counts[0]}, added {counts[1]}"
        if any(edit.part for edit in edits):
            title = f"{text.place}: parts of long lines"
        pieces: list[Piece] = []
        for hunk in hunks:
            if pieces:
                pieces.append(Piece(" ", "", "..."))
            for edit in hunk:
                exact = edit.text.removesuffix("\n") in alike
                shown = quoted(edit.text) if exact else _line_text(edit)
                pieces.append(Piece(edit.sign, str(edit.number), shown))
        yield Detail(title, tuple(pieces))


def _line_text(edit: Edit) -> str:
    """Return a line bare where each of its characters is seen as itself, else as a quoted word."""
    if edit.part:
        return f"...{quoted(edit.text)}..."
    text = edit.text.removesuffix("\n")
    plain = text == visible(text) and text == text.rstrip(" ") and not text.startswith('"')
    if plain and " " * 17 not in text:
        return text
    return quoted(text)


# What changes of an effect do: of one, of several.
DOES: dict[Effect, tuple[str, str]] = {
    "widens": ("widens host access", "widen host access"),
    "other_code": ("runs other code", "run other code"),
    "alters": ("changes the guest", "change the guest"),
    "narrows": ("narrows host access", "narrow host access"),
    "neutral": ("neutral", "neutral"),
}


def counted(difference: Difference) -> str:
    """Return the headline: 5 changes: 3 widen host access, 2 neutral."""
    total = len(difference.changes)
    if not total:
        return "no changes"
    counts = [(len(difference.of(effect)), effect) for effect in EFFECTS]
    text = ", ".join(f"{count:,} {DOES[effect][count > 1]}" for count, effect in counts if count)
    runs = running(difference)
    more = f"; changed: {', '.join(runs)}" if runs else ""
    return f"{plural(total, 'change')}: {text}{more}"


def running(difference: Difference) -> list[str]:
    """Tell what runs in the guest and changes: program, kernel; nothing of a plan that comes or
    goes."""
    kinds = {change.kind for change in difference.changes}
    both = difference.old is not None and difference.new is not None
    return [kind for kind in _PROGRAM if both and kind in kinds]


def _digest(review: Review | None) -> str:
    return marked(review.digest) if review else "none"


def _operations(difference: Difference) -> Iterator[Line]:
    old = difference.old.operations if difference.old else []
    new = difference.new.operations if difference.new else []
    for pair in difference.pairs:
        if pair.old is not None and pair.new is not None and not pair.changed:
            row = new[pair.new]
            text = f"moved, before number {pair.old + 1}: {marked(operation(row))}"
            label, anchor = f"> {pair.new + 1:>3} {kind_of(row)}", source(pair.new, "new-")
            yield Line(label, text, bare(row["from"]), anchor=anchor)
            continue
        for sign, index, rows in (("-", pair.old, old), ("+", pair.new, new)):
            if index is not None:
                row = rows[index]
                label = f"{sign} {index + 1:>3} {kind_of(row)}"
                anchor = source(index, "old-" if sign == "-" else "new-")
                yield Line(label, marked(operation(row)), bare(row["from"]), anchor=anchor)


def difference_document(difference: Difference) -> dict[str, Any]:
    """Return DIFFERENCE as a JSON value; schema/krunc_schema/diff.schema.json describes it."""
    return {
        "krunc_diff": FORMAT,
        "old": _side(difference.old),
        "new": _side(difference.new),
        "summary": {effect: len(difference.of(effect)) for effect in EFFECTS},
        "changes": [_change(change) for change in difference.changes],
        "operations": [
            {"old": pair.old, "new": pair.new, "changed": pair.changed, "moved": pair.moved}
            for pair in difference.pairs
        ],
    }


def _side(review: Review | None) -> dict[str, Any] | None:
    return {"digest": review.digest, "plan": review.value} if review else None


def _change(change: Change) -> dict[str, Any]:
    return {
        "effect": change.effect,
        "kind": change.kind,
        "text": change.text,
        "from": change.origin or None,
        "old": fact_document(change.old) if change.old else None,
        "new": fact_document(change.new) if change.new else None,
        "texts": [
            {
                "place": text.place,
                "hunks": [[edit._asdict() for edit in hunk] for hunk in text.hunks()],
            }
            for text in change.texts
        ],
    }
