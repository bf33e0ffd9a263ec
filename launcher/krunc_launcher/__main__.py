"""krunc-launch: a plan to a running VM."""

from __future__ import annotations

import gc
import os
import sys

from krunc_launcher._rules import VERSION
from krunc_launcher.command.streams import ready, show
from krunc_launcher.errors import LaunchError, PlanRefused, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar

    from krunc_launcher.host.libkrun import Library
    from krunc_launcher.launch import Seen
    from krunc_launcher.supervise.watch import End, Vm

    Work = TypeVar("Work")
_USAGE = "krunc launch: {}; see krunc launch --help\n"
_VALUED = (
    "--libkrun",
    "--runtime-dir",
    "--base",
    "--require-digest",
    "--exit-record",
    "--log-dir",
    "--console-max",
)
_FLAGS = ("--dry-run", "--die-with-parent", "-h", "--help", "--version")
NOT_STARTED = 125
_MOST_FINDINGS = 50


class UsageError(Exception):
    """The command line asks for something that cannot be."""


def options(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """The plans' paths and the options of ARGV; raises UsageError."""
    given: dict[str, str] = {}
    plans: list[str] = []
    rest = iter(argv)
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--":
            plans += rest
        elif name in _VALUED:
            if not equals:
                value = next(rest, "")
            if not value:
                raise UsageError(f"{name} needs a value")
            given[name] = value
        elif word in _FLAGS:
            given["--help" if word == "-h" else word] = "yes"
        elif word.startswith("-") and word != "-":
            raise UsageError(f"there is no option {plain(word)}")
        else:
            plans.append(word)
    if "--help" in given or "--version" in given:
        return [], given
    if not plans:
        raise UsageError("a plan is needed")
    if "--console-max" in given and not console_most(given):
        raise UsageError("--console-max takes a size of 64KiB or more, such as 10MiB")
    if len(plans) > 1 and "--dry-run" in given:
        raise UsageError("--dry-run takes one plan")
    if len(plans) > 1 and "--log-dir" not in given:
        raise UsageError("several plans need --log-dir DIR, for what each VM prints")
    return plans, given


def console_most(given: dict[str, str]) -> int:
    """What a console's file may take, in bytes; 0 without a limit."""
    if "--console-max" not in given:
        return 0
    from krunc_launcher.supervise.console_size import size

    return size(given["--console-max"])


def main(argv: list[str] | None = None) -> int:
    """Run with ARGV; returns an exit status, unless the VM runs: then it ends the process."""
    argv = sys.argv[1:] if argv is None else argv
    ready()
    if argv[:1] == ["doctor"]:
        from krunc_launcher.command.doctor import main as doctor

        text, status = doctor(argv[1:])
        return show(text) or status
    try:
        paths, given = options(argv)
    except UsageError as error:
        sys.stderr.write(_USAGE.format(error))
        return 2
    if not paths:
        if "--help" in given:
            from krunc_launcher.command.usage import HELP

            return show(HELP)
        return show(f"krunc {VERSION}\n")
    path = paths[0]
    if "--dry-run" in given:
        from krunc_launcher.command.dry_run import dry_run

        listing = _guarded(path, lambda: dry_run(path, given))
        return 1 if listing is None else show(listing)
    # A launch leaves nothing to collect. Looking for it takes a twentieth of a launch and, below a
    # fork, writes into memory that would stay shared.
    gc.disable()
    if "--log-dir" in given:
        return _fleet(paths, given)
    return _watched(path, given)


def _guarded(path: str, work: Callable[[], Work]) -> Work | None:
    """What WORK makes of the plan in PATH, or None after it was said on stderr why nothing."""
    try:
        return work()
    except (PlanRefused, LaunchError) as error:
        _say(path, error)
    return None


def _say(path: str, error: PlanRefused | LaunchError) -> None:
    if isinstance(error, PlanRefused):
        sys.stderr.write(_lines(error.also) + _report(path, error))
    else:
        sys.stderr.write(_lines(error.lines))


def _watched(path: str, given: dict[str, str]) -> int:
    """Fork the process that becomes the VM's, and wait for it."""
    from time import monotonic

    from krunc_launcher.supervise.watch import (
        End,
        Terminal,
        Vm,
        Watcher,
        die_with_parent,
        end_by,
        hold,
    )

    begun = monotonic()
    if "--die-with-parent" in given:
        die_with_parent()
    terminal = Terminal()
    from krunc_launcher.accept import accept

    accepted = _guarded(path, lambda: accept(path, given))
    if accepted is None:
        end = End("not_started", NOT_STARTED, ())
        end.start_s = monotonic() - begun
    else:
        from krunc_launcher.launch import Seen

        # As much as can be is done before the fork: whatever the VM's process touches first after
        # it is copied. libkrun is loaded behind it, for it may be anything, and crash.
        seen = Seen(accepted, accepted.resolved(os.environ))
        mask = hold()
        vm = Vm(console_most(given), begun)
        if not vm.pid:
            return _entered(path, seen, given, vm, mask)
        del seen
        from krunc_launcher.vm.strip import wipe

        wipe()
        _, end = Watcher([vm]).next()
        terminal.restore()
    _tell(end, "", given.get("--exit-record"))
    if end.status < 0:
        end_by(-end.status)
    return end.status


def _entered(path: str, seen: Seen, given: dict[str, str], vm: Vm, mask: Any) -> int:
    """In the VM's process: become the VM, or say why not."""
    from krunc_launcher.launch import launch
    from krunc_launcher.supervise.watch import release

    release(mask)
    status = _guarded(path, lambda: launch(seen, given, vm))
    sys.stdout.flush()
    sys.stderr.flush()
    # Python would end the thread that waits for SIGTERM first: for that glibc loads libgcc_s, which
    # a confined process cannot, and aborts.
    os._exit(NOT_STARTED if status is None else status)


def _tell(end: End, name: str, record: str | None) -> None:
    """Say how the VM called NAME ended, where there is something to say, and in RECORD."""
    sys.stderr.write(_lines(f"{name}{sentence}" for sentence in end.words))
    if record is not None:
        from krunc_launcher.supervise.exit_record import write

        try:
            write(record, end)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            sys.stderr.write(_lines([f"{name}the exit record cannot be written: {why}"]))


def _fleet(paths: list[str], given: dict[str, str]) -> int:
    from krunc_launcher.command.fleet import plans_of, run

    def ended(name: str, end: End) -> None:
        folder = given.get("--exit-record")
        record = None
        if folder is not None:
            record = os.path.join(folder, f"{name}.json")
            if not os.path.isdir(folder):
                os.mkdir(folder)
        _tell(end, f"{plain(name)}: ", record)
        status = 128 - end.status if end.status < 0 else end.status
        sys.stderr.write(_lines([f"{plain(name)}: ended with status {status}"]))

    def start(path: str, own: dict[str, str], library: Library | None) -> Callable[[Vm, Any], int]:
        """Read the plan in PATH; what is returned starts it in the VM's process, or says there why
        it cannot be started."""
        from krunc_launcher.accept import accept
        from krunc_launcher.launch import seeing

        try:
            accepted = accept(path, own)
        except (PlanRefused, LaunchError) as error:
            refused = error

            def say(vm: Vm, mask: Any) -> int:
                _say(path, refused)
                return NOT_STARTED

            return say
        see = seeing(accepted, library)
        return lambda vm, mask: _entered(path, see(), own, vm, mask)

    try:
        return run(plans_of(paths), given, console_most(given), start, ended)
    except LaunchError as error:
        sys.stderr.write(_lines(error.lines))
        return 2


def _lines(sentences: Iterable[str]) -> str:
    return "".join(f"krunc: {sentence}\n" for sentence in sentences)


def _report(name: str, refused: PlanRefused) -> str:
    from krunc_launcher.plan.places import position
    from krunc_launcher.plan.reading import title

    lines = []
    name = title(name)
    for path, sentence in refused.findings[:_MOST_FINDINGS]:
        line, column = refused.place or position(refused.text, path)
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        key = f"{plain(where[1:])}: " if where else ""
        lines.append(f"{plain(name)}:{line}:{column}: {key}{sentence}\n")
    more = len(refused.findings) - len(lines)
    if more:
        lines.append(f"krunc: and {more} more\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main())
