"""Keeps one comment on a pull request (GitHub) or merge request (GitLab): what its plans change.

Environment: KRUNC_BASE is the commit to compare with, KRUNC_NUMBER the request's number,
KRUNC_TOKEN the token; GITHUB_REPOSITORY and GITHUB_API_URL, or CI_PROJECT_ID and CI_API_V4_URL, are
the service's own. The review is also written to the job summary (GITHUB_STEP_SUMMARY) or, on
GitLab, to krunc.md, so that it is there when the token may not write: that of a fork's request.

Exit status: 0 well, 1 the plans cannot be compared or the service refuses.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

from krunc_compiler.files.source import decode
from krunc_compiler.findings.finding import Rejected
from krunc_compiler.findings.report import report
from krunc_compiler.plan.reading import read_plan
from krunc_compiler.review.comment import MARK, comment
from krunc_compiler.review.difference import Difference, compare
from krunc_compiler.review.summary import Review, review

_PAGES, _EACH = 50, 100
# GitHub takes a mebibyte of summary from a step.
_SUMMARY = 1_000_000
_ENDING = ".plan.json"


def main() -> int:
    """Compare, write the summary, then the comment."""
    differences = _differences(_variable("KRUNC_BASE"))
    text = comment(differences)
    _summary(comment(differences, _SUMMARY))
    token = os.environ.get("KRUNC_TOKEN")
    if not token:
        sys.stderr.write("krunc: no KRUNC_TOKEN, so no comment\n")
        return 0
    service: GitHub | GitLab = GitLab(token) if "CI_API_V4_URL" in os.environ else GitHub(token)
    try:
        _keep(service, text, any(one.changes for _, one in differences))
    except HTTPError as error:
        if error.code in (401, 403):
            sys.stderr.write(f"krunc: the token may not comment ({error.code}); see the summary\n")
            return 0
        sys.stderr.write(f"krunc: the service answers {error.code} {error.reason}\n")
        return 1
    except URLError as error:
        sys.stderr.write(f"krunc: the service cannot be reached: {error.reason}\n")
        return 1
    return 0


def _keep(service: GitHub | GitLab, text: str, changed: bool) -> None:
    """Update our comment, or make it when there is something to say."""
    for number, body in service.ours():
        if body.startswith(MARK):
            if body.strip() != text.strip():
                service.change(number, text)
            return
    if changed:
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


def _differences(base: str) -> list[tuple[str, Difference]]:
    """The plans that changed since the request left BASE, by path; exits when one is no plan."""
    if base.startswith("-"):
        sys.exit(f"krunc: KRUNC_BASE is no commit: {base}")
    root = _git("rev-parse", "--show-toplevel").decode().rstrip("\n")
    start = _git("merge-base", base, "HEAD").decode().strip()
    names = _git("diff", "--name-only", "--no-renames", "-z", start, "HEAD", "--", f":/*{_ENDING}")
    found, wrong = [], []
    for path in names.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        try:
            sides = [_plan(root, revision, path) for revision in (start, "HEAD")]
            found.append((path, compare(*sides)))
        except Rejected as rejected:
            wrong += rejected.findings
    if wrong:
        sys.exit(report(wrong).rstrip("\n"))
    return found


def _plan(root: str, revision: str, path: str) -> Review | None:
    name = f"{revision}:{path}"
    there = _git("--literal-pathspecs", "ls-tree", "-z", "--full-tree", revision, "--", path)
    if not there:
        return None
    return review(read_plan(path, decode(path, _git("cat-file", "blob", name))))


def _git(*args: str) -> bytes:
    done = subprocess.run(["git", *args], capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"krunc: git {args[0]}: {done.stderr.decode('utf-8', 'replace').strip()}")
    return done.stdout


def _summary(text: str) -> None:
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)
    elif "CI_API_V4_URL" in os.environ:
        with open("krunc.md", "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        sys.exit(f"krunc: the variable {name} is not set")
    return value


if __name__ == "__main__":
    sys.exit(main())
