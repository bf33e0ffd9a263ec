"""A fact about a plan, what of the host it reaches, and the table by which changes are judged."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, Literal, NamedTuple

from krunc_compiler.review.words import plain

Group = Literal["machine", "host_access", "isolation"]


class Reach(NamedTuple):
    """One thing of the host that the VM may use: verb, noun, target.

    A target of None is all of them; a number is the most that may be taken.
    """

    verb: str
    noun: str
    target: str | int | None = ""


class Fact(NamedTuple):
    """One line for the reader, read off one operation of the plan.

    `kind` is a row of KINDS. `subject` says which thing it is, the same in an older and a newer
    plan. `sentence` is ready to be shown, with its values marked (words.py). `operation` counts
    the operations from 0. `held` tells, of an isolation, whether the plan has it.
    """

    kind: str
    subject: tuple[str, ...]
    sentence: str
    origin: str
    operation: int | None
    reach: frozenset[Reach] = frozenset()
    held: bool | None = None

    @property
    def text(self) -> str:
        """Return the sentence without marks around its values."""
        return plain(self.sentence)


# The steps that start a thread in the VM's process, and those that change how others are read.
THREADS = ("stop_on_sigterm",)
NOTED = ("lay_stage", *THREADS)


class Row(NamedTuple):
    """An operation as a reading sees it.

    `api` is the era of libkrun that runs the plan. `opened` has what its descriptors lead to, by
    name; `device` what the guest calls the device that it adds; `disks` the paths of the disks, by
    what the guest calls them, `shares` those of the shares, by their tags, and `written` which of
    both are attached for writing; `before` those of NOTED that are done before it,
    `as_root` whether the program is root in the guest, `image` the path of the store's image.
    """

    name: str
    args: dict[str, Any]
    origin: str
    operation: int
    api: str
    opened: Mapping[str, str]
    device: str | None = None
    disks: Mapping[str, str] = {}
    shares: Mapping[str, str] = {}
    written: frozenset[str] = frozenset()
    before: tuple[str, ...] = ()
    as_root: bool = True
    image: str = ""

    def is_staged(self) -> bool:
        """Tell whether the VM starts with the stage."""
        return "lay_stage" in self.before

    def known_as(self) -> str:
        """Tell what the guest calls its device, for the end of a sentence."""
        return f" ({self.device})" if self.device else ""

    def fact(self, kind: str, subject: tuple[str, ...] | str, text: str, *reach: Reach) -> Fact:
        """Return a fact that this operation shows."""
        named = (subject,) if isinstance(subject, str) else subject
        return Fact(kind, named, text, self.origin, self.operation, frozenset(reach))


# What a row has of the plan around it; all else is the operation's own, and its place.
CONTEXT = ("api", "opened", "device", "disks", "shares", "written", "before", "as_root", "image")


def _watched(name: str) -> property:
    field = getattr(Row, name)

    def asked(row: Row) -> Any:
        vars(row)[name] = field.__get__(row)
        return vars(row)[name]

    return property(asked)


# A row of which `vars` has what a reading asked for of the plan around it.
Watched: type[Row] = type("Watched", (Row,), {name: _watched(name) for name in CONTEXT})


class Kind(NamedTuple):
    """How a kind of fact is shown, and what it means that such a fact comes or goes.

    `verbs` are those of the reaches that its facts can have: a new reach widens, a lost one
    narrows, but for those of LASTING. Any other change of it alters what runs in the guest or what
    the guest finds, unless the kind is `still`: then the change is neutral.
    """

    name: str
    group: Group
    loud: bool
    verbs: tuple[str, ...]
    still: bool = False


def _access(name: str, loud: bool, verbs: str) -> Kind:
    return Kind(name, "host_access", loud, tuple(verbs.split()))


def _machine(name: str, verbs: str = "", still: bool = False) -> Kind:
    return Kind(name, "machine", False, tuple(verbs.split()), still)


def _still(name: str) -> Kind:
    return _machine(name, still=True)


# Most severe first: the review shows and the difference sorts by it. docs/review.md prints it.
KINDS = (
    _access("other", True, "other"),
    _access("write", True, "write read"),
    _access("replace", True, "replace"),
    _access("network", True, "network"),
    _access("listen", True, "listen"),
    _access("secret", True, "secret show"),
    _access("device", True, "device"),
    _access("connect", True, "connect"),
    _access("vmm-only", True, "admit"),
    Kind("run", "machine", True, ("run", "mount", "boot")),
    _access("waiver", True, "waive"),
    Kind("isolation", "isolation", True, ("without", "user")),
    _access("read", False, "read without"),
    _access("stdio", False, "stdio"),
    _access("launcher", False, "launch"),
    _machine("image", "code"),
    _machine("architecture"),
    _machine("vCPUs", "take"),
    _machine("memory", "take"),
    _machine("nested", "without"),
    _machine("enclave", "without"),
    _machine("user", "user"),
    _machine("guest user", "as"),
    _machine("root", "change"),
    _machine("changes", "change"),
    _machine("mount"),
    *map(
        _machine,
        (
            *("program", "workdir", "env", "overlay", "init", "kernel", "firmware"),
            *("address", "hosts", "host name", "name server", "timeout"),
            *("limits", "network device", "console", "smbios", "confine", "status"),
        ),
    ),
    *map(_still, ("label", "display", "cpu", "interrupts", "stop")),
    _machine("log", "stdio", still=True),
)
BY_NAME = {kind.name: kind for kind in KINDS}
RANK = {kind.name: rank for rank, kind in enumerate(KINDS)}


# Their end takes nothing from the guest, as far as a plan can tell: its root can use what was
# mounted as long as it is attached, and a parameter of the kernel can be what held it (lockdown=).
LASTING = frozenset({"mount", "boot"})


class Reached:
    """All that a plan reaches, for the question whether something more is reached."""

    def __init__(self, reaches: Iterable[Reach]) -> None:
        self._reaches = reaches

    @cached_property
    def _targets(self) -> dict[tuple[str, str], set[str | int | None]]:
        found: dict[tuple[str, str], set[str | int | None]] = {}
        for reach in self._reaches:  # when it is first asked: few plans lose anything
            found.setdefault(reach[:2], set()).add(reach.target)
        return found

    def covers(self, reach: Reach) -> bool:
        """Tell whether REACH is no more than what is reached."""
        targets = self._targets.get(reach[:2], set())
        if reach.target in targets or None in targets:
            return True
        number = reach.target
        return isinstance(number, int) and any(
            isinstance(known, int) and known >= number for known in targets
        )
