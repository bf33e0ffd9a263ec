"""The policies that a commit has, and what they say of its plans: by git's objects alone."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Callable, Iterator

from krunc_compiler.files.commits import Entry
from krunc_compiler.files.source import decode
from krunc_compiler.findings.containing import contained
from krunc_compiler.findings.finding import Located, dotted
from krunc_compiler.findings.report import printable
from krunc_compiler.policy.files import DIRECTORY, Policy, policy_in
from krunc_compiler.policy.repository import is_policy_name
from krunc_compiler.review.asked import Answer, Asked
from krunc_compiler.review.summary import Review


class CommittedPolicies:
    """The policies among FILES, which START reads. `asked` has those that a plan was held to."""

    def __init__(self, files: dict[str, Entry], start: Callable[[str, str], bytes]) -> None:
        self._files, self._start = files, start
        self._in: dict[str, list[str]] = {}
        for path in sorted(files):
            home, name = posixpath.split(path)
            if posixpath.basename(home) == DIRECTORY and is_policy_name(name):
                self._in.setdefault(posixpath.dirname(home), []).append(path)
        self._policies: dict[str, Policy | None] = {}
        self.asked: dict[str, Asked] = {}

    def judge(self, plan: str, review: Review) -> None:
        """Hold PLAN to each policy in a `.krunc` from its directory up to the top."""
        for home in _upward(posixpath.dirname(plan)):
            for path in self._in.get(home, ()):
                policy, asked = self._policy(path)
                if policy is not None:
                    self._judged(plan, review, policy, asked)

    def _judged(self, plan: str, review: Review, policy: Policy, asked: Asked) -> None:
        directory = os.path.abspath(os.path.dirname(plan))
        faults: list[Located] = []
        with contained(plan, faults):
            rules: set[str] = set()
            if policy.judge(review, directory):
                rules = policy.rules_broken(review, directory)
            waived = rules & {waiver["rule"] for waiver in review.value.get("waivers", ())}
            asked.plans[plan] = Answer(sorted(rules - waived), sorted(waived))
        asked.fails(_why(faults))

    def _policy(self, path: str) -> tuple[Policy | None, Asked]:
        """Return the policy in the file PATH, None where it is wrong, and what is told of it."""
        asked = self.asked.setdefault(path, Asked({}, []))
        if path not in self._policies:
            self._policies[path] = None
            faults: list[Located] = []
            entry = self._files[path]
            if not entry.is_file:
                asked.fails("a symbolic link or a submodule, no file")
            with contained(path, faults):
                if entry.is_file:
                    text = decode(path, self._start(path, entry.name))
                    self._policies[path] = policy_in(path, path, text)
            asked.fails(_why(faults))
        return self._policies[path], asked


def _upward(directory: str) -> Iterator[str]:
    while directory:
        yield directory
        directory = posixpath.dirname(directory)
    yield ""


def _why(faults: list[Located]) -> str:
    if not faults:
        return ""
    first = faults[0].finding
    where = f"{dotted(first.path)}: " if first.path else ""
    return printable(f"{first.code}: {where}{first.message}")
