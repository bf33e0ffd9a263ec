"""A box in the making: what importers of containers put into it, tell of it, and refuse."""

from __future__ import annotations

import posixpath
import re
from typing import Any, NamedTuple

from krunc_compiler.findings.finding import Finding, Path, Span
from krunc_compiler.importing.boxlite import Imported

# What depends on more than the text that is imported.
WRONG, OUTSIDE = "KR512", "KR513"
_NAME = re.compile(r"[^a-z0-9_.-]")
_LONGEST_NAME = 63
_SHOWN = 80


class At(NamedTuple):
    """Where something stands in the original: what notes call it, and its place."""

    name: str
    path: Path = ()
    span: Span | None = None

    def below(self, part: str | int) -> At:
        """Return the place of PART of what stands here."""
        name = f"{self.name}[{part}]" if isinstance(part, int) else f"{self.name}.{part}"
        return self._replace(name=name, path=(*self.path, part))


class Draft:
    """The parts of a box, notes on what it does not hold or holds otherwise, and what is wrong.

    `home` leads from the box's directory to the one at which the original's paths start.
    """

    def __init__(self, home: str = "") -> None:
        self.home = home
        self.name = self.arch = self.hostname = self.timeout = ""
        self.labels: dict[str, str] = {}
        self.machine: dict[str, Any] = {}
        self.rootfs: dict[str, Any] = {}
        self.shares: list[dict[str, Any]] = []
        self.disks: list[dict[str, Any]] = []
        self.tmpfs: list[Any] = []
        # Where volumes without a name are mounted.
        self.nameless: list[tuple[At, str]] = []
        self.network: dict[str, Any] = {"mode": "passt"}
        self.ports: list[str] = []
        self.hosts: dict[str, str] = {}
        self.dns: list[str] = []
        # None where the image says it; a program that is no absolute path is looked up in PATH.
        self.entrypoint: list[str] | None = None
        self.command: list[str] | None = None
        self.program: dict[str, Any] = {}
        self.env: dict[str, Any] = {}
        self.limits: dict[str, Any] = {}
        self.stop: dict[str, Any] = {}
        self.notes: dict[str, None] = {}
        self.findings: list[Finding] = []

    def note(self, at: At, text: str) -> None:
        """Tell TEXT about what stands AT a place, once."""
        self.notes[f"{at.name}: {text}"] = None

    def wrong(self, at: At, message: str, hint: str, code: str = WRONG) -> None:
        """Tell that what stands AT a place is wrong, and the way out."""
        self.findings.append(Finding(code, message, at.path, hint=hint, span=at.span))

    def host_path(self, path: str) -> str:
        """Return the host's PATH of the original as the box writes it."""
        if path.startswith("/"):
            # POSIX keeps two slashes at the start; Linux does not.
            return "/" + posixpath.normpath(path).lstrip("/")
        path = posixpath.normpath(posixpath.join(self.home, path))
        return path if path.startswith(("/", "../")) or path in (".", "..") else f"./{path}"

    def imported(self) -> Imported:
        """Return the box, its keys in the order in which boxes are written."""
        value: dict[str, Any] = {"krunc": 1, "name": self.name or "box"}
        parts: list[tuple[str, Any]] = [
            ("labels", self.labels),
            ("arch", self.arch),
            ("machine", {key: self.machine[key] for key in sorted(self.machine)}),
            ("rootfs", self.rootfs),
            ("shares", self.shares),
            ("disks", self.disks),
            ("tmpfs", self.tmpfs),
            ("network", {**self.network, **({"ports": self.ports} if self.ports else {})}),
            ("hostname", self.hostname),
            ("hosts", self.hosts),
            ("dns", self.dns),
            ("entrypoint", self._program()),
            ("limits", self.limits),
            ("timeout", self.timeout),
            ("stop", self.stop),
        ]
        value.update((key, part) for key, part in parts if part)
        return Imported(value, list(self.notes))

    def _program(self) -> dict[str, Any]:
        rest = {**self.program, **({"env": self.env} if self.env else {})}
        if not self.entrypoint:
            if self.command is None:
                return rest
            if self.entrypoint is None:
                return {"args": self.command, **rest}
        executable, *args = [*(self.entrypoint or ()), *(self.command or ())] or [""]
        if not executable:
            return rest
        if not executable.startswith("/"):
            said = (
                f"{shown(executable)} is looked up in PATH by the guest's /bin/sh; where the image "
                "does not have one, write entrypoint.executable with the whole path"
            )
            self.note(At("program"), said)
            return {"script": 'exec "$@"', "args": [executable, *args], **rest}
        return {"executable": executable, **({"args": args} if args else {}), **rest}


def shown(text: str) -> str:
    """Return TEXT in quotes, as long as a note may have it."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def box_name(text: str) -> str:
    """Return the name of a box that is most like TEXT; empty where nothing of it can be."""
    return _NAME.sub("-", text.lower()).lstrip("-_.")[:_LONGEST_NAME]


def free(name: str, taken: list[str]) -> str:
    """Return NAME, with a number where it is TAKEN."""
    number = 2
    found = name
    while found in taken:
        found = f"{name}-{number}"
        number += 1
    return found
