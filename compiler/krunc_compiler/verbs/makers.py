"""Which box makes a plan, and plans that none makes."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import NamedTuple

from krunc_compiler import libkrun as api
from krunc_compiler.files.boxfiles import plan_file
from krunc_compiler.files.source import read
from krunc_compiler.files.within import Within
from krunc_compiler.findings.finding import Finding, Rejected, UsageError
from krunc_compiler.plan.plan import Plan, to_text
from krunc_compiler.verbs.options import inputs

# A plan that lies elsewhere is compiled again from so many boxes that could have made it.
_TRIED = 4


class Makers(NamedTuple):
    """Where the plans of the boxes go, the boxes by the names of what they make, with its digest,
    and the directories in which a box is wrong, so that nobody knows what it makes."""

    places: set[str]
    boxes: dict[str, list[tuple[str, str]]]
    failed: set[str]
    texts: dict[tuple[str, str, str], dict[str, str]]

    def makes(self, box: str, place: str, plan: Plan) -> None:
        """Keep that the file BOX makes PLAN, which goes to PLACE."""
        self.places.add(os.path.normpath(place))
        self.boxes.setdefault(plan.box, []).append((plan.digest, box))

    def fails(self, box: str) -> None:
        """Keep that the file BOX is wrong."""
        self.failed.add(os.path.dirname(os.path.normpath(box)))

    def take(self, other: Makers) -> None:
        """Add what OTHER has of places, boxes and directories."""
        self.places.update(other.places)
        self.failed.update(other.failed)
        for name, made in other.boxes.items():
            self.boxes.setdefault(name, []).extend(made)

    def has(self, plan: str) -> bool:
        """Tell whether a box makes PLAN, at its place."""
        return os.path.normpath(plan) in self.places


def astray(
    path: str, plan: Plan, text: str, makers: Makers, args: Namespace, within: Within
) -> Finding | None:
    """Tell what is to be said of the PLAN with TEXT in the file PATH, where no box puts one."""
    made = makers.boxes.get(plan.box, [])
    home = os.path.dirname(path)
    same = [box for digest, box in made if digest == plan.digest][:_TRIED]
    for box in same:
        if _text(box, home, plan, makers, args, within) == text:
            message = f"this is what {box} compiles to, but it does not lie beside it"
            hint = f"keep one plan of a box, {plan_file(box)}; krunc compile writes no other"
            return Finding("KR304", message, hint=hint)
    if os.path.dirname(os.path.normpath(path)) in makers.failed:
        return None  # the box beside it is to be mended first
    if same or made:
        box = same[0] if same else made[0][1]
        message = f"no box makes this plan any more; {box} makes another of box {plan.box}"
        hint = f"remove it: the plan of {box} lies beside it"
        return Finding("KR303", message, hint=hint)
    hint = "remove it, or bring its box back; to check a plan alone, name its file"
    return Finding("KR303", "no box that was looked at makes this plan", hint=hint)


def _text(
    box: str, home: str, plan: Plan, makers: Makers, args: Namespace, within: Within
) -> str | None:
    """Tell what the file BOX compiles to for a plan in HOME, of the name and target of PLAN."""
    key = (box, home, plan.target)
    if key not in makers.texts:
        makers.texts[key] = _texts(box, home, plan.target, args, within)
    return makers.texts[key].get(plan.box)


def _texts(box: str, home: str, target: str, args: Namespace, within: Within) -> dict[str, str]:
    from krunc_compiler.pipeline.compiling import compile_all
    from krunc_compiler.pipeline.existing import way

    try:
        given = inputs(args, within)._replace(kept=lambda name, is_matrix: api.target(target))
        moved = given.seen_from(way(os.path.dirname(box) or ".", home or "."))
        made, _ = compile_all(*read(box, within), moved)
    except (Rejected, UsageError):
        return {}
    return {one.plan.box: to_text(one.plan) for one in made}
