"""krunc-launch: a plan to a running VM."""

from __future__ import annotations

import gc
import sys
from time import monotonic

from krunc_launcher._rules import VERSION
from krunc_launcher.command.streams import harmless, ready, show
from krunc_launcher.errors import NOT_STARTED, LaunchError, PlanRefused, plain, why
from krunc_launcher.messages import refuse, say
from krunc_launcher.options import UsageError, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.options import Options
    from krunc_launcher.supervise.end import End


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
        sys.stderr.write(f"krunc launch: {error}; see krunc launch --help\n")
        return 2
    if given.help:
        from krunc_launcher.command.usage import HELP

        return show(HELP)
    if given.version:
        return show(f"krunc {VERSION}\n")
    if given.dry_run:
        return _dry_run(paths[0], given)
    harmless()
    # A launch leaves nothing to collect. Looking for it takes a twentieth of a launch and, below a
    # fork, writes into memory that would stay shared.
    gc.disable()
    if given.log_dir is not None:
        return _launch_all(paths, given.log_dir, given)
    return _launch(paths[0], given)


def _dry_run(path: str, given: Options) -> int:
    from krunc_launcher.command.dry_run import dry_run

    try:
        return show(dry_run(path, given))
    except (PlanRefused, LaunchError) as error:
        refuse(path, error)
        return 1


def _launch(path: str, given: Options) -> int:
    """Launch one plan; the status is its guest's."""
    begun = monotonic()
    from krunc_launcher.launch import launch

    try:
        end = launch(path, given, begun)
    except (PlanRefused, LaunchError) as error:
        from krunc_launcher.supervise.end import End

        end = End("not_started", NOT_STARTED, refuse(path, error), said=True)
        end.start_s = monotonic() - begun
    _tell(end, "", given.exit_record)
    if end.status < 0:
        from krunc_launcher.supervise.watch import end_by

        end_by(-end.status)
    return end.status


def _launch_all(paths: list[str], folder: str, given: Options) -> int:
    """Launch several plans; the status is 0 when all VMs ended with 0."""
    from krunc_launcher.command.fleet import launch_all, plans_of

    worst = 0
    try:
        for name, end in launch_all(plans_of(paths), folder, given):
            _tell(end, f"{plain(name)}: ", given.of(name).exit_record)
            say([f"{plain(name)}: {_ended(end, folder, name)}"])
            worst = worst or end.status
    except LaunchError as error:
        say(error.lines)
        return 2
    return 1 if worst else 0


def _ended(end: End, folder: str, name: str) -> str:
    """Tell how one of several VMs ended, in a line. What its process said is in a file."""
    told = f"ended with status {end.exit_status()}"
    if end.said:
        why = f": {end.words[0]}" if end.words else ""
        return f"{told}, not started{why}; see {plain(folder)}/{plain(name)}.err"
    if end.reason == "exited" and end.status == 0 and end.program_seen is None and not end.words:
        return f"{told}; whether its program was started cannot be told"
    return told


def _tell(end: End, name: str, record: str | None) -> None:
    """Say how the VM called NAME ended, where there is something to say, and in RECORD."""
    if not end.said:
        say(f"{name}{sentence}" for sentence in end.words)
    if record is not None:
        from krunc_launcher.supervise.exit_record import write

        try:
            write(record, end)
        except OSError as error:
            say([f"{name}the exit record cannot be written: {why(error)}"])


if __name__ == "__main__":
    sys.exit(main())
