"""The policies of a repository."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from krunc_schema import load

from krunc_compiler.files.source import read
from krunc_compiler.files.within import ANYWHERE, Within
from krunc_compiler.findings.finding import Finding, Source, reject
from krunc_compiler.policy import ports, rules
from krunc_compiler.policy.asked import Unusable
from krunc_compiler.policy.paths import TooMuch, bounded
from krunc_compiler.policy.way_out import Place
from krunc_compiler.review.summary import Review
from krunc_compiler.review.words import bare
from krunc_compiler.shape.checking import check

DIRECTORY = ".krunc"
_START = "write krunc_policy: 1 (krunc schema policy), or $schema and a schema"


class Policy(NamedTuple):
    """A policy: rules of krunc's own form, or else a JSON Schema."""

    source: Source
    value: dict[str, Any]
    base: str
    is_schema: bool

    def judge(self, review: Review, directory: str) -> list[Finding]:
        """Tell what of a plan, whose relative paths start at DIRECTORY, the policy does not
        allow."""
        name = os.path.basename(self.source.name)
        if self.is_schema:
            from krunc_compiler.policy import schemas  # and with it jsonschema

            try:
                found = list(schemas.judge(self.value, review.value))
            except Unusable as error:
                finding = Finding("KR503", str(error), error.path, error.way_out)
                raise reject(self.source, [finding]) from None
        else:
            found = self._rules(review, directory)
        message = self.value.get("message", "") if not self.is_schema else ""
        return [self._shown(one, name, message, review) for one in found]

    def _rules(self, review: Review, directory: str) -> list[Finding]:
        try:
            with bounded():
                return list(rules.judge(self.value, review, Place(directory, self.base)))
        except TooMuch:
            message = "the policy compares too much with a plan: some millions of names"
            way_out = "name directories, and one pattern for many: **"
            raise reject(self.source, [Finding("KR503", message, hint=way_out)]) from None

    def _shown(self, found: Finding, name: str, message: str, review: Review) -> Finding:
        """Return FOUND with the policy's name and message; a warning when the box has a waiver for
        it."""
        rule = name if self.is_schema else rules.rule_of(found)
        hint = "; ".join(
            filter(None, [f"keep to {name}{': ' * bool(found.hint)}{found.hint}", message])
        )
        for waiver in review.value.get("waivers", ()):
            if waiver["rule"] == rule:
                text = f"{found.message}; waived: {bare(waiver['reason'])}"
                return found._replace(hint=hint, message=text, waived=True)
        return found._replace(hint=hint)

    def rules_broken(self, review: Review, directory: str) -> set[str]:
        """Return the rules that a waiver can name and that the plan breaks."""
        if self.is_schema:
            from krunc_compiler.policy import schemas

            name = os.path.basename(self.source.name)
            return {name} if any(schemas.judge(self.value, review.value)) else set()
        return set(map(rules.rule_of, self._rules(review, directory)))


def policy_of(path: str, within: Within = ANYWHERE) -> Policy:
    """Return the policy in the file PATH, which must be WITHIN what may be read; raises
    Rejected."""
    return policy_in(path, *read(path, within))


def policy_in(path: str, name: str, text: str) -> Policy:
    """Return the policy that TEXT is, which reports call NAME and which is the file PATH; raises
    Rejected."""
    from krunc_compiler.text.parsing import parse  # where there is no policy, nobody needs YAML

    none = Finding("KR503", "this is not a policy", hint=_START)
    value, source = parse(
        name, text, none._replace(message="the file is empty: a policy has rules")
    )
    if not isinstance(value, dict) or not ("krunc_policy" in value or "$schema" in value):
        raise reject(source, [none])
    is_schema = "krunc_policy" not in value
    if is_schema:
        from krunc_compiler.policy import schemas

        findings = schemas.wrong(value)
    else:
        findings = check(value, load("policy.schema")) or list(ports.wrong(value))
    if findings:
        raise reject(source, findings)
    directory = os.path.dirname(os.path.abspath(path))
    base = os.path.dirname(directory) if os.path.basename(directory) == DIRECTORY else directory
    return Policy(source, value, base, is_schema)
