"""Keeps one comment on a pull request (GitHub) or merge request (GitLab): what its plans change.

Environment: KRUNC_BASE is the commit to compare with, KRUNC_NUMBER the request's number,
KRUNC_TOKEN the token; GITHUB_REPOSITORY, GITHUB_API_URL and GITHUB_SERVER_URL, or CI_PROJECT_ID,
CI_API_V4_URL and CI_PROJECT_URL, are the service's own. The review is also written to the job
summary (GITHUB_STEP_SUMMARY), to the file KRUNC_SUMMARY, or else to standard output, so that it is
there when the token may not write: that of a fork's request.

Nothing of the request is run, and only git's objects of it are read, so no link leads anywhere. Run
it with python -I, which imports nothing from the working directory.

Exit status: 0 well, 1 a plan cannot be compared, which the comment tells, or the service refuses.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from http.client import HTTPException
from textwrap import indent
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from krunc_compiler.files.commits import (
    LINK,
    NOTHING,
    SUBMODULE,
    Changed,
    GitError,
    Objects,
    changed,
    followed,
    head,
)
from krunc_compiler.files.source import decode
from krunc_compiler.files.writing import write
from krunc_compiler.findings.containing import contained
from krunc_compiler.findings.finding import Located, dotted
from krunc_compiler.findings.report import printable, report
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.policy.committed import CommittedPolicies
from krunc_compiler.review.box_lines import BoxLines
from krunc_compiler.review.comment import MARK, Around, comment, failed
from krunc_compiler.review.difference import Difference, compare
from krunc_compiler.review.markdown import MOST
from krunc_compiler.review.summary import Review, review
from krunc_compiler.values.kind import is_plan

_PAGES, _EACH = 50, 100
# GitHub takes a mebibyte of summary from a step.
_SUMMARY = 1_000_000
_ENDING = ".plan.json"
# What a tree can have instead of files, by git's modes.
_STRANGE = {LINK: "a symbolic link, no file", SUBMODULE: "a submodule, no file"}


class Compared(NamedTuple):
    """The plans that changed, by path; the paths that cannot be compared, and whether one of them
    is there to be merged; the paths that changed."""

    differences: list[tuple[str, Difference]]
    uncompared: list[tuple[str, str]]
    is_wrong: bool
    paths: set[str]


def main() -> int:
    """Compare, write the summary, then the comment."""
    try:
        with Objects() as objects:
            found = _compared(_variable("KRUNC_BASE"), objects)
            around = _around(found, objects)
            texts = [comment(found.differences, most, around) for most in (MOST, _SUMMARY)]
        is_new = bool(found.uncompared) or any(one.changes for _, one in found.differences)
        is_wrong = found.is_wrong
    except GitError as fault:
        _tell(str(fault))
        texts, is_new, is_wrong = [failed(str(fault))] * 2, True, True
    _summary(texts[1])
    return max(_commented(texts[0], is_new), is_wrong)


def _commented(text: str, is_new: bool) -> int:
    """Keep TEXT as the comment; the exit status."""
    token = os.environ.get("KRUNC_TOKEN")
    if not token:
        _tell("no KRUNC_TOKEN, so no comment")
        return 0
    service: GitHub | GitLab = GitLab(token) if "CI_API_V4_URL" in os.environ else GitHub(token)
    try:
        _keep(service, text, is_new)
    except HTTPError as error:
        if error.code in (401, 403):
            _tell(f"the token cannot comment ({error.code}); see the summary")
            return 0
        _tell(f"the service answers {error.code} {error.reason}")
        return 1
    except (OSError, HTTPException, ValueError) as error:
        _tell(f"the service cannot be reached: {getattr(error, 'reason', error)}")
        return 1
    return 0


def _keep(service: GitHub | GitLab, text: str, is_new: bool) -> None:
    """Update our comment, or make it when there is something to say. Of two that were made at one
    time, none stays as it was."""
    ours = [(number, body) for number, body in service.ours() if body.startswith(MARK)]
    for number, body in ours:
        if body.strip() != text.strip():
            service.change(number, text)
    if is_new and not ours:
        service.add(text)


class GitHub:
    """The comments of a pull request that the workflow's own account wrote."""

    def __init__(self, token: str) -> None:
        base = os.environ.get("GITHUB_API_URL", "https://api.github.com")
        self._repository = f"{base}/repos/{_variable('GITHUB_REPOSITORY')}"
        self._comments = f"{self._repository}/issues/{int(_variable('KRUNC_NUMBER'))}/comments"
        # Anybody can write a comment that looks like ours, and then change it.
        self._author = os.environ.get("KRUNC_AUTHOR", "github-actions[bot]")
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def ours(self) -> Iterator[tuple[int, str]]:
        """Number and text of each."""
        for page in range(1, _PAGES + 1):
            url = f"{self._comments}?per_page={_EACH}&page={page}"
            rows = _ask("GET", url, self._headers)
            for row in rows:
                if row["user"]["login"] == self._author:
                    yield row["id"], row["body"]
            if len(rows) < _EACH:
                return

    def add(self, text: str) -> None:
        """A new comment."""
        _ask("POST", self._comments, self._headers, {"body": text})

    def change(self, number: int, text: str) -> None:
        """Another text for a comment."""
        url = f"{self._repository}/issues/comments/{number}"
        _ask("PATCH", url, self._headers, {"body": text})


class GitLab:
    """The notes of a merge request that the token's account wrote."""

    def __init__(self, token: str) -> None:
        self._base = _variable("CI_API_V4_URL")
        project = quote(_variable("CI_PROJECT_ID"), safe="")
        number = int(_variable("KRUNC_NUMBER"))
        self._notes = f"{self._base}/projects/{project}/merge_requests/{number}/notes"
        self._headers = {"PRIVATE-TOKEN": token}

    def ours(self) -> Iterator[tuple[int, str]]:
        """Number and text of each."""
        author = _ask("GET", f"{self._base}/user", self._headers)["id"]
        for page in range(1, _PAGES + 1):
            rows = _ask("GET", f"{self._notes}?per_page={_EACH}&page={page}", self._headers)
            for row in rows:
                if row["author"]["id"] == author:
                    yield row["id"], row["body"]
            if len(rows) < _EACH:
                return

    def add(self, text: str) -> None:
        """A new note."""
        _ask("POST", self._notes, self._headers, {"body": text})

    def change(self, number: int, text: str) -> None:
        """Another text for a note."""
        _ask("PUT", f"{self._notes}/{number}", self._headers, {"body": text})


def _ask(method: str, url: str, headers: dict[str, str], body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    sent = {**headers, "Content-Type": "application/json", "User-Agent": "krunc"}
    with urlopen(Request(url, data, sent, method=method), timeout=30) as answer:
        return json.load(answer)


def _compared(base: str, objects: Objects) -> Compared:
    """Compare the plans that changed since the request left BASE. Raises GitError."""
    if base.startswith("-"):
        sys.exit(f"krunc: KRUNC_BASE is not a commit: {base}")
    found = Compared([], [], False, set())
    for one in changed(base):
        found.paths.add(one.path)
        found = _compare(one, objects, found)
    return found


def _around(found: Compared, objects: Objects) -> Around:
    """Return what the policies of the commit say of its plans, and where the lines of its boxes
    are shown. Raises GitError."""
    commit, files = head()
    policies = CommittedPolicies(files, objects.start)
    for path, one in found.differences:
        if one.changes and one.new:
            policies.judge(path, one.new)
    around = Around(found.uncompared, policies.asked, found.paths)
    address = _shown_at(commit)
    return around._replace(lines=BoxLines(files, objects.start, address).of) if address else around


def _shown_at(commit: str) -> str:
    """Return the address at which the service shows the files of COMMIT, "" for none."""
    if project := os.environ.get("CI_PROJECT_URL"):
        return f"{project}/-/blob/{commit}"
    server, name = map(os.environ.get, ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
    return f"{server}/{name}/blob/{commit}" if server and name else ""


def _compare(one: Changed, objects: Objects, found: Compared) -> Compared:
    """Return FOUND with what changed at a path, if that is a plan, or can hide one."""
    named = one.path.lower().endswith(_ENDING)
    if one.modes[1] == SUBMODULE and not named:
        found.uncompared.append((one.path, "a submodule: plans in it are not compared"))
        return found
    if one.modes[1] == LINK and not named:
        (end,) = followed([f"HEAD:{one.path}"])
        if not end:
            why = "a symbolic link that leads to no file: plans behind it are not compared"
            found.uncompared.append((one.path, why))
        elif is_plan(one.path, objects.start(one.path, end)):
            found.uncompared.append((one.path, "a symbolic link to a plan, no file"))
            found = found._replace(is_wrong=True)
    sides: list[Review | None] = []
    wrong: list[str] = []
    for mode, name in zip(one.modes, one.objects, strict=True):
        findings: list[Located] = []
        side, why = None, _STRANGE.get(mode, "") if named else ""
        if mode != NOTHING and mode not in _STRANGE:
            with contained(one.path, findings):
                data = objects.start(one.path, name)
                if named or is_plan(one.path, data):
                    side = review(read_plan(one.path, decode(one.path, data)))
        if findings:
            sys.stderr.write(indent(report(findings), "| "))  # no line is a command of a runner's
            more = f", and {len(findings) - 1} more" if len(findings) > 1 else ""
            first = findings[0].finding
            where = f"{dotted(first.path)}: " if first.path else ""
            why = printable(f"{first.code}: {where}{first.message}{more}")
        sides.append(side)
        wrong.append(why)
    if wrong[1]:
        found.uncompared.append((one.path, wrong[1]))
        return found._replace(is_wrong=True)
    if wrong[0]:
        rest = "all of the new plan is shown as new" if sides[1] else "it is gone"
        found.uncompared.append((one.path, f"before: {wrong[0]}; {rest}"))
    findings = []
    with contained(one.path, findings):
        if any(sides):
            found.differences.append((one.path, compare(*sides)))
    for item in findings:
        found.uncompared.append((one.path, item.finding.message))
    return found._replace(is_wrong=found.is_wrong or bool(findings))


def _summary(text: str) -> None:
    """Write TEXT where those look who see no comment."""
    step, named = os.environ.get("GITHUB_STEP_SUMMARY"), os.environ.get("KRUNC_SUMMARY")
    try:
        if step:
            with open(step, "a", encoding="utf-8") as file:
                file.write(text)
        elif named:
            write(named, text)
        else:
            sys.stdout.write(text)
    except OSError as error:
        _tell(f"the summary cannot be written: {error.strerror}")


def _tell(text: str) -> None:
    sys.stderr.write(f"krunc: {printable(text)}\n")


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        sys.exit(f"krunc: the variable {name} is not set")
    return value


if __name__ == "__main__":
    sys.exit(main())
