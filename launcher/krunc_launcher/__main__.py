"""krunc-launch: a plan to a running VM."""

from __future__ import annotations

import gc
import sys
from time import monotonic

from krunc_launcher import system
from krunc_launcher._rules import VERSION
from krunc_launcher.command.streams import harmless, ready, show
from krunc_launcher.errors import (
    NOT_STARTED,
    NOWHERE,
    LaunchError,
    PlanRefused,
    leads_nowhere,
    plain,
    why,
)
from krunc_launcher.messages import refuse, say
from krunc_launcher.options import UsageError, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.options import Options
    from krunc_launcher.supervise.end import End

# The exit code where all went well, but nobody who reads the exit record would know.
_UNTOLD = 1
_HELPS = {"--help", "-h", "--version"}
_NO_UTF_8 = (
    f"this Python takes file names to be {system.ENCODING}, and a plan's are UTF-8: set "
    "PYTHONUTF8=1, or a locale with UTF-8, such as LC_ALL=C.UTF-8"
)


def run() -> None:
    """Run the command krunc-launch: `main`, and nothing that only a longer life would need."""
    try:
        status = main()
    except OSError as error:
        status = 1
        say([why(error)])
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            status = status or 1  # the reader left, or the disk is full
    # Its memory need not be handed back piece by piece.
    system._exit(status)


def main(argv: list[str] | None = None) -> int:
    """Run with ARGV; returns an exit status, unless the VM runs: then it ends the process."""
    argv = sys.argv[1:] if argv is None else argv
    ready()
    if system.ENCODING != "utf-8" and not _HELPS.intersection(argv):
        # Names and strings would be others than those of the plan, or could not be at all.
        say([_NO_UTF_8])
        return NOT_STARTED
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
    # What krunc makes for its user that user may read, whatever the umask closes.
    system.umask(system.umask(0o077) & ~0o700)
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
        refuse(path, _cause(error, path))
        return 1


def _launch(path: str, given: Options) -> int:
    """Launch one plan; the status is its guest's."""
    begun = monotonic()
    from krunc_launcher.launch import launch

    if given.exit_record is not None:
        from krunc_launcher.supervise.exit_record import require

        try:
            require([given.exit_record])
        except LaunchError as error:
            say(error.lines)
            return NOT_STARTED
    try:
        end = launch(path, given, begun)
    except (PlanRefused, LaunchError) as error:
        from krunc_launcher.supervise.end import End

        end = End("not_started", NOT_STARTED, refuse(path, _cause(error, path)), said=True)
        end.start_s = monotonic() - begun
    end.place("", "")
    is_told = _tell(end, "", given.exit_record)
    if end.status < 0:
        from krunc_launcher.supervise.watch import end_by

        end_by(-end.status)
    return end.status if is_told else end.status or _UNTOLD


def _launch_all(paths: list[str], directory: str, given: Options) -> int:
    """Launch several plans; the status is 0 when all VMs ended with 0."""
    from krunc_launcher.command.fleet import launch_all, plans_of
    from krunc_launcher.command.tally import Tally

    worst = 0
    try:
        if any(map(leads_nowhere, (directory, *paths))):
            raise LaunchError(NOWHERE)
        plans = plans_of(paths)
        if given.exit_record is not None:
            from krunc_launcher.supervise.exit_record import require

            require(given.of(name).exit_record or "" for name in plans)
        tally = Tally([*plans], directory)
        for name, end in launch_all(plans, directory, given):
            if end is None:
                tally.started(name)
                continue
            end.place(directory, name)
            told = tally.ended(name, end, plans[name].path)
            if not _tell(end, f"{plain(name)}: ", given.of(name).exit_record, told):
                worst = worst or _UNTOLD
            if told:
                say([f"{plain(name)}: {_ended(end)}"])
            tally.draw()
            worst = worst or end.status
    except LaunchError as error:
        say(error.lines)
        return 2
    say(tally.summary())
    return 1 if worst else 0


def _cause(error: PlanRefused | LaunchError, path: str) -> PlanRefused | LaunchError:
    """Return ERROR, or what is behind it: a PATH that leads nowhere."""
    return LaunchError(NOWHERE) if leads_nowhere(path) else error


def _ended(end: End) -> str:
    """Tell how one of several VMs ended, in a line. What its process said is in a file."""
    told = f"ended with status {end.exit_status()}"
    if end.said:
        return f"{told}, not started: {end.words[0]}; {end.words[-1]}"
    if end.reason == "exited" and end.status == 0 and end.program_seen is None and not end.words:
        return f"{told}; whether its program was started is unknown"
    return told


def _tell(end: End, name: str, record: str | None, says: bool = True) -> bool:
    """Say how the VM called NAME ended, where there is something to say if SAYS, and in RECORD;
    False where that cannot be written."""
    untold = ""
    if record is not None:
        # Before anything is said, for which nobody may wait.
        from krunc_launcher.supervise.exit_record import write

        try:
            write(record, end)
        except OSError as error:
            untold = f"{name}the exit record {plain(record)} cannot be written: {why(error)}"
    if says and not end.said:
        say(f"{name}{sentence}" for sentence in end.words)
    if untold:
        say([untold])
    return not untold


if __name__ == "__main__":
    run()
