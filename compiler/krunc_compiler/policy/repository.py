"""Which policies a repository has for a file, and what of its `.krunc` is not applied."""

from __future__ import annotations

import os
from collections.abc import Iterator

from krunc_compiler.files.within import Within, is_in
from krunc_compiler.findings.containing import contained
from krunc_compiler.findings.finding import Finding, Located
from krunc_compiler.findings.report import only
from krunc_compiler.findings.wording import why
from krunc_compiler.policy.files import DIRECTORY, Policy, policy_of

# What may lie beside policies: it tells people about them.
_FOR_PEOPLE = ("README", "README.md", "README.rst", "README.txt", "CODEOWNERS", ".gitattributes")
_HINT = "call a policy policy.yaml or policy-NAME.yaml (or .yml, .json); keep other files elsewhere"


class Policies:
    """The policies of each file: those that were GIVEN, or else all in every `.krunc` from the
    file's directory up to the top of its repository. Each is read once. `findings` tell what is
    wrong with them, `read` the files. None is listed or read that is not WITHIN what may be."""

    def __init__(self, given: list[str] | None, within: Within) -> None:
        self._within = within
        self.findings: list[Located] = []
        self.read: list[str] = []
        self._given = None if given is None else self._policies(given, within)
        self._known: dict[str, list[Policy]] = {}
        self._of: dict[tuple[str, ...], list[Policy]] = {}

    def of(self, *directories: str) -> list[Policy]:
        """Return the policies of files in DIRECTORIES."""
        if self._given is not None:
            return self._given
        if directories not in self._of:
            homes = dict.fromkeys(home for directory in directories for home in _homes(directory))
            self._of[directories] = [policy for home in homes for policy in self._in(home)]
        return self._of[directories]

    def _in(self, home: str) -> list[Policy]:
        if home not in self._known:
            within = _with_above(home, self._within)
            shown = os.path.relpath(home)
            paths: list[str] = []
            with contained(shown, self.findings):
                within.admit(shown)
                paths, wrong = _listed(home)
                self.findings += wrong
            self._known[home] = self._policies(paths, within)
        return self._known[home]

    def _policies(self, paths: list[str], within: Within) -> list[Policy]:
        found = []
        for path in paths:
            self.read.append(path)
            with contained(path, self.findings):
                found.append(policy_of(path, within))
        return found


def _with_above(home: str, within: Within) -> Within:
    """Return WITHIN and the directory HOME, when that lies above what is checked, as it can without
    a repository: no file that is checked says where it leads."""
    top = os.path.dirname(home)
    places = within.places or ()
    return Within((*places, home)) if any(is_in(place, top) for place in places) else within


def _homes(directory: str) -> list[str]:
    """Return each `.krunc` that applies to files in DIRECTORY, by its real path; a link in the way
    leads both to where it stands and to what it names."""
    ways = dict.fromkeys((os.path.abspath(directory), os.path.realpath(directory)))
    found = (home for way in ways for home in _upward(way))
    return list(dict.fromkeys(found))


def _upward(directory: str) -> Iterator[str]:
    while True:
        home = os.path.join(directory, DIRECTORY)
        if os.path.lexists(home):
            yield os.path.join(os.path.realpath(directory), DIRECTORY)
        above = os.path.dirname(directory)
        if os.path.lexists(os.path.join(directory, ".git")) or above == directory:
            return
        directory = above


def _listed(home: str) -> tuple[list[str], list[Located]]:
    """Return the policies in the directory HOME, and what is wrong with everything else there."""
    shown = os.path.relpath(home)
    try:
        names = sorted(os.listdir(home))
    except OSError as error:
        message = f"the policies cannot be listed: {why(error)}"
        return [], only(shown, Finding("KR505", message, hint=f"{DIRECTORY} is a directory"))
    paths, wrong = [], []
    for name in names:
        path = os.path.join(shown, name)
        if is_policy_name(name):
            paths.append(path)
        elif name not in _FOR_PEOPLE:
            wrong += only(path, Finding("KR505", "this is not applied as a policy", hint=_HINT))
    return paths, wrong


def unapplied(path: str) -> list[Located]:
    """Tell that the policy PATH, which is in no `.krunc`, holds nothing, and where it would."""
    home, name = os.path.split(path)
    if DIRECTORY in home.split(os.sep):
        return []  # it is that of files which are not checked, or has a wrong name and is told of
    there = os.path.join(home, DIRECTORY, name if is_policy_name(name) else f"policy-{name}")
    below = f"{home}/ and below" if home else "this directory and below"
    hint = f"move it to {there}, for the files in {below}, or give it with --policy {path}"
    message = f"this policy is not applied: policies are read from {DIRECTORY}"
    return only(path, Finding("KR861", message, hint=hint))


def is_policy_name(name: str) -> bool:
    """Tell whether a file called NAME in `.krunc` is a policy."""
    return name.startswith("policy") and name.endswith((".yaml", ".yml", ".json"))
