"""Several plans: forked from one warmed process, one VM's process each, supervised; all at once, or
so many at a time."""

from __future__ import annotations

import gc
from _signal import (  # type: ignore[import-not-found]
    SIGHUP,
    SIGINT,
    SIGQUIT,
    SIGTERM,
    sigpending,
)
from time import monotonic
from zlib import compressobj, decompressobj

from krunc_launcher import system
from krunc_launcher._rules import PLAN
from krunc_launcher.accept import Accepted, accept, placed
from krunc_launcher.command.logs import redirect
from krunc_launcher.command.one_file import one_file
from krunc_launcher.command.takers import Takers
from krunc_launcher.errors import NOT_STARTED, LaunchError, PlanRefused, plain, quoted, why
from krunc_launcher.host.files import left_to_guests
from krunc_launcher.host.libkrun import locate
from krunc_launcher.launch import NO_PROCESS, ahead, become, start
from krunc_launcher.paths import Directories
from krunc_launcher.supervise.child import die_with_parent, hold
from krunc_launcher.supervise.end import End
from krunc_launcher.supervise.programs import Programs
from krunc_launcher.supervise.trial import tried
from krunc_launcher.supervise.watch import wait
from krunc_launcher.text.reading import is_stream, parse
from krunc_launcher.text.reading import start as read_start
from krunc_launcher.vm.strip import wipe

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.host.libkrun import Library
    from krunc_launcher.launch import Ready
    from krunc_launcher.options import Options
    from krunc_launcher.paths import Identities
    from krunc_launcher.supervise.child import Vm

    Start = Ready | Accepted | PlanRefused | LaunchError
    Waiting = bytes | PlanRefused | LaunchError

_ENDING = PLAN["ending"]
# Behind these no VM is started any more.
_STOPPING = {SIGHUP, SIGINT, SIGQUIT, SIGTERM}
_NOT_ANY_MORE = "the launcher was asked to stop before its turn came"
# All plans that one box makes have 64 MiB at most (docs/boxes.md).
_MOST_BYTES = 1 << 27


class Source:
    """Where a plan is: the file PATH, of which DATA was read already, if it is not None."""

    __slots__ = ("data", "path")

    def __init__(self, path: str, data: bytes | None = None) -> None:
        self.path = path
        self.data = data


def plans_of(paths: list[str]) -> dict[str, Source]:
    """Return the plans that PATHS name, of a directory all in it, by the name of each VM: the
    plan's file name without its ending, or what a stream of several plans says. Raises
    LaunchError."""
    named: dict[str, Source] = {}
    alike: dict[str, str] = {}
    for path in paths:
        for name, source in _plans(path):
            # Each has files and a runtime directory of its own, which are called so.
            if name in ("", ".", "..") or "/" in name:
                raise LaunchError(f"{plain(source.path)}: a VM cannot be called {quoted(name)}")
            other = alike.setdefault(one_file(name), name)
            if other in named:
                from krunc_launcher._look_alikes import difference

                both = f"{plain(named[other].path)} and {plain(source.path)}"
                said = f"two plans are called {plain(name)}{difference(other, name)}: {both}"
                raise LaunchError(f"{said}; their logs would be one; rename one of them")
            named[name] = source
    return named


def _plans(path: str) -> Iterator[tuple[str, Source]]:
    if is_stream(path):
        yield from _streamed(path)
        return
    for plan in _below(path) if system.isdir(path) else [path]:
        name = system.basename(plan).removesuffix(_ENDING).removesuffix(".json")
        yield name, Source(plan)


def _streamed(path: str) -> Iterator[tuple[str, Source]]:
    """Yield the plans of a stream: one, or several with their names, each name and each plan with
    a NUL behind it, which stands in no plan."""
    try:
        data = read_start(path, _MOST_BYTES + 1)
    except OSError as error:
        raise LaunchError(f"{plain(path)}: the plans cannot be read: {why(error)}") from None
    words = data.split(b"\0")
    if len(words) == 1:
        yield system.basename(path), Source(path, data)
        return
    if len(words) % 2 == 0 or words[-1] or len(data) > _MOST_BYTES:
        what = "a NUL has to be behind each name and each plan"
        raise LaunchError(f"{plain(path)}: this is not a stream of plans: {what}")
    for name, plan in zip(map(system.fsdecode, words[:-1:2]), words[1::2], strict=True):
        yield name, Source(path, plan)


def _below(directory: str) -> list[str]:
    try:
        names = sorted(name for name in system.listdir(directory) if name.endswith(_ENDING))
    except OSError as error:
        raise LaunchError(f"{plain(directory)}: {why(error)}") from None
    if not names:
        raise LaunchError(f"{plain(directory)}: there is no plan (*{_ENDING}) in this directory")
    return [system.join(directory, name) for name in names]


def launch_all(
    plans: dict[str, Source], directory: str, options: Options
) -> Iterator[tuple[str, End | None]]:
    """Launch each of PLANS in a process of its own, its output in DIRECTORY, as many at once as
    OPTIONS say: each VM's name as it is started, and as it ends, with how. Raises LaunchError
    before any is started."""
    if options.die_with_parent:
        die_with_parent()
    fleet = Fleet(plans, directory, options)
    yield from fleet.fill()
    for vm, end in wait(fleet.running, fleet.programs, fleet.asked, SIGTERM):
        yield fleet.names.pop(vm), end
        yield from fleet.fill()
    for name in fleet.waiting[::-1]:
        yield name, End("not_started", NOT_STARTED, [_NOT_ANY_MORE])


class Fleet:
    """The VMs of several plans: `waiting` are the names of those that were not started yet, the
    last first, `running` the VMs by process, `names` theirs; `asked` are signals that came."""

    __slots__ = (
        "_directory", "_library", "_like", "_looked", "_mask", "_most", "_options", "_others",
        "_plans", "_waits", "asked", "names", "programs", "running", "waiting",
    )  # fmt: skip

    def __init__(self, plans: dict[str, Source], directory: str, options: Options) -> None:
        self._plans = plans
        self._directory = directory
        self._options = options
        # It may be anything, and what it did to this process it would do to all VMs.
        self._library = tried(lambda: _loaded(options))
        self._most = options.jobs or len(plans)
        # What the guests may write and get, which is closed to links for the others, too.
        self._others: tuple[Identities, Identities] = (set(), set())
        self._waits: dict[str, Waiting] = {}
        self._like = b""
        self._looked: dict[str, Start] = {}
        self._accept()
        self._make_directories()
        # The host is looked at when a VM's turn comes: those before it may be what is in its way.
        for name, begin in self._looked.items():
            self._looked[name] = _ahead(begin)
        self.waiting = [*plans][::-1]
        self.running: dict[int, Vm] = {}
        self.names: dict[Vm, str] = {}
        self.asked: set[int] = set()
        # A collection would touch, and so copy, every page that the processes share.
        gc.collect()
        gc.freeze()
        gc.disable()
        self._mask = hold()
        self.programs = Programs()

    def fill(self) -> Iterator[tuple[str, End | None]]:
        """Start as many as may run: each one's name, and its end where it could not be started."""
        while self.waiting and len(self.running) < self._most and not self._stops():
            name = self.waiting.pop()
            yield name, self._start(name)
            if not self.waiting:
                wipe()

    def _stops(self) -> bool:
        return not _STOPPING.isdisjoint(self.asked | sigpending())

    def _accept(self) -> None:
        """Read and verify all plans before any VM is started, or tell why one cannot be
        launched. Raises LaunchError where two would take what one VM alone can have."""
        takers = Takers()
        for name, source in self._plans.items():
            begin = self._read(name, source)
            source.data = None
            if isinstance(begin, Accepted):
                takers.add(name, begin)
            if len(self._looked) < self._most:
                self._looked[name] = begin
            else:
                self._waits[name] = self._packed(begin) if isinstance(begin, Accepted) else begin
        takers.refuse()

    def _make_directories(self) -> None:
        """Make those of the logs and records, which no guest may write. Raises LaunchError."""
        directories = Directories("/", "/")
        directories.others = self._others
        for option, made in (
            ("--log-dir", self._directory),
            ("--exit-record", self._options.exit_record),
        ):
            if made is None:
                continue
            problem = left_to_guests(option, made, directories)
            if problem:
                raise LaunchError(problem)
            try:
                system.makedirs(made, 0o700)
            except OSError as error:
                raise LaunchError(f"{plain(made)}: {why(error)}") from None

    def _read(self, name: str, source: Source) -> Accepted | PlanRefused | LaunchError:
        try:
            plan = accept(source.path, self._options.of(name), source.data)
        except (PlanRefused, LaunchError) as error:
            return error
        self._gives(plan)
        return plan

    def _packed(self, plan: Accepted) -> bytes:
        """Return the text of PLAN, which was verified and waits for its turn: of thousands not what
        was made of it is kept, for each fork copies the tables of all pages that there are."""
        data = plan.text.encode()
        self._like = self._like or data  # the plans of a fleet are much alike
        packer = compressobj(zdict=self._like)
        return packer.compress(data) + packer.flush()

    def _gives(self, plan: Accepted) -> None:
        """Note what the guest of PLAN may write and gets, as it is now."""
        plan.directories.others = self._others
        for others, own in zip(self._others, plan.directories.identities(), strict=True):
            others.update(own)

    def _taken(self, name: str, options: Options) -> Start:
        """Return the start of the VM called NAME, whose turn it is."""
        if name in self._looked:
            begin = self._looked.pop(name)
            if not isinstance(begin, Exception):
                # A directory may be another by now than it was before the first VM.
                self._gives(begin if isinstance(begin, Accepted) else begin.accepted)
            return begin
        packed = self._waits.pop(name)
        if not isinstance(packed, bytes):
            return packed
        text = decompressobj(zdict=self._like).decompress(packed).decode()
        try:
            plan = placed(parse(text), text, self._plans[name].path, options)
        except LaunchError as error:
            return error
        self._gives(plan)
        return self.programs.aside(lambda: _ahead(plan))

    def _start(self, name: str) -> End | None:
        begun = monotonic()
        given = self._options.of(name)
        begin = self._taken(name, given)
        try:
            vm = start(self._mask, begin, self.programs, given, begun, self.running)
        except OSError as error:
            return End("not_started", NOT_STARTED, [f"{NO_PROCESS}: {why(error)}"])
        except LaunchError as error:
            return End("not_started", NOT_STARTED, error.lines)
        if vm.is_mine:
            redirect(system.join(system.abspath(self._directory), name), vm, self._others)
            become(self._plans[name].path, begin, given, self._library, vm)
        self.running[vm.pid] = vm
        self.names[vm] = name
        return None


def _ahead(begin: Start) -> Start:
    """Tell what can be done before there is a VM's process, or why the VM cannot be launched."""
    if not isinstance(begin, Accepted):
        return begin
    try:
        return ahead(begin)
    except OSError as error:
        return LaunchError(f"the host cannot be looked at: {why(error)}")


def _loaded(options: Options) -> Library | None:
    """Return libkrun, loaded once for all; None when there is none, of which each plan tells."""
    try:
        return locate(options.libkrun, None)
    except LaunchError:
        return None
