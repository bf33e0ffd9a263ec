"""Where the plans of a box lie: beside it, or in another directory, which holds no box."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import NamedTuple

from krunc_compiler.files.within import Within
from krunc_compiler.pipeline.existing import box_of


class PlanHomes(NamedTuple):
    """The plans that lie in directories without a box, by their file names."""

    plans: dict[str, list[str]]

    def of(self, names: dict[str, str], within: Within) -> str | None:
        """Return the one directory that has plans of the boxes NAMES, whose keys are the plans'
        file names. None where there is none, or several: nobody knows then which it is."""
        found = {
            os.path.dirname(path)
            for file, name in names.items()
            for path in self.plans.get(file, ())
            if box_of(path, within) == name
        }
        return found.pop() if len(found) == 1 else None


def plan_homes(plans: Iterable[str], boxes: Iterable[str]) -> PlanHomes:
    """Return those of PLANS that lie in none of the directories of BOXES."""
    taken = {os.path.dirname(os.path.normpath(box)) for box in boxes}
    found: dict[str, list[str]] = {}
    for plan in plans:
        if os.path.dirname(os.path.normpath(plan)) not in taken:
            found.setdefault(os.path.basename(plan), []).append(plan)
    return PlanHomes(found)
