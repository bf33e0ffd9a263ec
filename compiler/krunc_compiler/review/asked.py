"""What a comment tells about policies: which were asked, and what they answered."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from krunc_compiler.findings.wording import plural
from krunc_compiler.review.markdown import span
from krunc_compiler.review.words import bare

# The bytes of a name or a reason, and how many plans of one policy are named.
_NAME, _NAMED = 300, 3
# The bytes of the rules that one plan breaks.
_RULES = 400


class Answer(NamedTuple):
    """What a policy says of one plan: the rules that it breaks, and those of them that its box has
    waived."""

    broken: list[str]
    waived: list[str]


class Asked(NamedTuple):
    """One policy: its answer for each plan, by its path, and why it cannot be asked."""

    plans: dict[str, Answer]
    faults: list[str]

    def fails(self, why: str) -> None:
        """Keep WHY the policy cannot be asked, if there is a reason, once."""
        if why and why not in self.faults:
            self.faults.append(why)


def told_of_policies(asked: Mapping[str, Asked], changed: Collection[str], room: int) -> list[str]:
    """Return a line for each policy, those that are broken first, as many as there is ROOM for;
    those CHANGED by the request are marked."""
    if not asked:
        return ["**Policies**: none apply to these plans", ""]
    rows = sorted(
        (not one.faults, not any(answer.broken for answer in one.plans.values()), path)
        for path, one in asked.items()
    )
    lines: list[str] = []
    for number, (_, _, path) in enumerate(rows):
        mark = ", changed by this request" if path in changed else ""
        line = f"- {span(bare(path), _NAME)}{mark}: {_answer(asked[path])}"
        room -= len(line.encode("utf-8")) + 1
        if room < 0:
            lines.append(f"- and {len(rows) - number:,} more policies")
            break
        lines.append(line)
    return ["**Policies**", "", *lines, ""]


def _answer(one: Asked) -> str:
    if one.faults:
        return f"cannot be applied: {span(one.faults[0], _NAME)}"
    answers = one.plans.items()
    broken = _named({plan: answer.broken for plan, answer in answers}, "breaks", "broken")
    waived = _named({plan: answer.waived for plan, answer in answers}, "waives", "waived")
    well = sum(not answer.broken for answer in one.plans.values())
    told = [f"{plural(well, 'plan')} {'complies' if well == 1 else 'comply'}"] if well else []
    return "; ".join([*broken, *told, *waived])


def _named(rules: dict[str, list[str]], does: str, how: str) -> list[str]:
    """Return what each plan DOES to its RULES, where it has any; of many, others are counted."""
    rules = {plan: found for plan, found in rules.items() if found}
    named = [
        f"{span(bare(plan), _NAME)} {does} {span(', '.join(found), _RULES)}"
        for plan, found in list(rules.items())[:_NAMED]
    ]
    if len(rules) > _NAMED:
        named.append(f"{plural(len(rules) - _NAMED, 'more plan')} with {how} rules")
    return named
