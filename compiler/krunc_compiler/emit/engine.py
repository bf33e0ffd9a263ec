"""What an engine is to krunc emit: what it cannot give, and how the files for it are made."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import NamedTuple

from krunc_compiler.emit.needs import Needs
from krunc_compiler.emit.texts import comment
from krunc_compiler.findings.finding import Finding

# Each is a module of its own in this room with an ENGINE, imported only when it is asked for.
ENGINES = ("systemd", "slurm", "kubernetes", "nomad")
# Where plans, and what their relative paths without --base start at, lie on the hosts of an engine.
PLANS = "/etc/krunc/plans"
# The store of images on the hosts of an engine: krunc pull --store.
STORE = "/var/lib/krunc/store"
# The launcher's exit code for a plan that it refuses, or that this host cannot run: engines do not
# try again.
REFUSED = 125
# What stands in the first line of all that krunc emit writes; it replaces nothing else.
MARK = "krunc emit"
# What an engine lacks that starts the launcher on a host of its choice, and nobody sits there.
OF_A_SCHEDULER = frozenset({"descriptor", "desktop_session", "terminal_console"}) | {
    *("shared_port", "shared_socket", "shared_writable_disk", "shared_writable_path")
}


class Piece(NamedTuple):
    """The next piece of the file NAME; those of one file come behind each other."""

    name: str
    text: str


class Refused(Exception):
    """A plan that an engine cannot take, with what is wrong."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


class Engine(NamedTuple):
    """An engine: its name, the losses (of losses.LOSSES) of what it LACKS, what an object of a box
    is called, the part of one plan, which may raise Unspeakable or Refused, and the files of all
    parts."""

    name: str
    lacks: frozenset[str]
    object_name: Callable[[str], str]
    part: Callable[[Needs], str]
    whole: Callable[[Iterable[tuple[Needs, str]]], Iterator[Piece]]
    # Whether its files hold the plans themselves: their texts are kept until they are written.
    holds_plans: bool = False


def engine(name: str) -> Engine:
    """Return the engine called NAME, one of ENGINES."""
    found: Engine = import_module(f"krunc_compiler.emit.{name}").ENGINE
    return found


def head(name: str) -> str:
    """Return the first line of what is written for the engine NAME."""
    return f"# Written by {MARK} {name}. Change the plan, and write it again.\n"


def allowed(needs: Needs) -> list[str]:
    """Return a line of comment for each loss of a plan that was allowed."""
    return [
        comment(f"allowed loss {one.loss}: {one.what}; because {one.reason}")
        for one in needs.allowed
    ]
