"""krunc-launch: a plan to a running VM."""

from __future__ import annotations

import gc
import os
import sys
from _io import TextIOWrapper

from krunc_launcher._rules import VERSION
from krunc_launcher.errors import LaunchError, PlanRefused, plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from krunc_launcher.watch import End, Vm
HELP = """\
usage: krunc launch [--dry-run] [--libkrun FILE] [--runtime-dir DIR] [--base DIR]
                    [--require-digest DIGEST|FILE] [--exit-record FILE] [--console-max SIZE]
                    [--die-with-parent] PLAN|-
       krunc launch --log-dir DIR [option...] PLAN|FOLDER...

Replay a plan against libkrun and enter the VM. Several plans, or all of a folder, are started from
one warmed process, each in a process of its own. `krunc launch BOX.yaml` compiles the box first,
for the libkrun that it finds or for --target, with --set, --vars and --box as in krunc compile.

  --dry-run          print each call as it would be made, with the host steps between; needs
                     neither libkrun nor KVM
  --libkrun FILE     the libkrun to use; else KRUNC_LIBKRUN, else libkrun.so.1 or .2 of the system,
                     else the one of pip install 'krunc[libkrun]'
  --runtime-dir DIR  the folder for runtime: paths; else krunc/BOX below XDG_RUNTIME_DIR or
                     /run/user/UID, else /tmp/krunc-UID/BOX
  --base DIR         where relative paths of the plan start; else the plan's folder, for - the
                     working directory
  --require-digest DIGEST|FILE
                     refuse every plan but those approved: sha256:... as krunc digest prints it, or
                     a file of such lines
  --exit-record FILE
                     write how it ended into FILE, as JSON, when it has
  --log-dir DIR      for several plans: where each VM's output goes, NAME.out and NAME.err; then
                     --exit-record and --runtime-dir name folders with one entry for each
  --console-max SIZE
                     let no file that a console writes take more than SIZE (10MiB); the newest is
                     kept, the file's length stays
  --die-with-parent  end the VM when the process that started the launcher ends
  -h, --help         this text
  --version          krunc's version

environment:
  KRUNC_LIBKRUN      the libkrun to use
  XDG_RUNTIME_DIR    where runtime: paths go
  any other          what the plan names with from_env

examples:
  krunc launch --dry-run boxes/web.plan.json
  krunc launch boxes/web.plan.json
  AGENT_TOKEN=$(cat token) krunc launch agent.plan.json
  krunc launch --require-digest approved.txt web.plan.json
  krunc compile web.yaml -o - | krunc launch --dry-run -
  krunc launch --log-dir logs boxes/*.plan.json

exit status: the guest's own; 125 when the plan is wrong, the VM was not started, the guest ended
before its program was started, or libkrun crashed; 137 when the VM was killed; 2 wrong usage; of
--dry-run: 0 well, 1 the plan is wrong. SIGTERM asks the guest to stop, as the plan says.
Of several plans: 0 when all VMs ended with 0, else 1.
"""
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
    from krunc_launcher.cap import size

    return size(given["--console-max"])


def main(argv: list[str] | None = None) -> int:
    """Run with ARGV; returns an exit status, unless the VM runs: then it ends the process."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["doctor"]:
        from krunc_launcher.doctor import main as doctor

        return doctor(argv[1:])
    try:
        paths, given = options(argv)
    except UsageError as error:
        sys.stderr.write(_USAGE.format(error))
        return 2
    _streams()
    if not paths:
        return _print(HELP if "--help" in given else f"krunc {VERSION}\n")
    path = paths[0]
    if "--dry-run" in given:
        from krunc_launcher.launch import dry_run

        return _guarded(path, lambda text: _print(dry_run(path, text, given)), 1)
    # A launch leaves nothing to collect. Looking for it takes a twentieth of a launch and, below a
    # fork, writes into memory that would stay shared.
    gc.disable()
    if "--log-dir" in given:
        return _fleet(paths, given)
    return _watched(path, given)


def _guarded(path: str, work: Callable[[str], int], failed: int) -> int:
    """What WORK makes of the plan's text, or FAILED after it was said on stderr why not."""
    text = ""
    try:
        from krunc_launcher import planfile

        text = planfile.read(path)
        return work(text)
    except PlanRefused as refused:
        sys.stderr.write(_lines(refused.also) + _report(path, text, refused))
    except LaunchError as error:
        sys.stderr.write(_lines(error.lines))
    return failed


def _watched(path: str, given: dict[str, str]) -> int:
    """Fork the process that becomes the VM's, and wait for it."""
    from krunc_launcher.watch import Terminal, Vm, Watcher, die_with_parent, end_by, hold, release

    if "--die-with-parent" in given:
        die_with_parent()
    terminal = Terminal()
    mask = hold()
    vm = Vm(console_most(given))
    if not vm.pid:
        release(mask)
        return _start(path, given, vm)
    from krunc_launcher.shed import wipe

    wipe()
    _, end = Watcher([vm]).next()
    terminal.restore()
    _tell(end, "", given.get("--exit-record"))
    if end.status < 0:
        end_by(-end.status)
    return end.status


def _start(path: str, given: dict[str, str], vm: Vm) -> int:
    from krunc_launcher.launch import launch

    return _guarded(path, lambda text: launch(path, text, given, vm), NOT_STARTED)


def _tell(end: End, name: str, record: str | None) -> None:
    """Say how the VM called NAME ended, where there is something to say, and in RECORD."""
    if end.words:
        sys.stderr.write(_lines([f"{name}{end.words}"]))
    if record is not None:
        from krunc_launcher.record import write

        try:
            write(record, end)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            sys.stderr.write(_lines([f"{name}the exit record cannot be written: {why}"]))


def _fleet(paths: list[str], given: dict[str, str]) -> int:
    from krunc_launcher.fleet import plans_of, run

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

    try:
        return run(plans_of(paths), given, console_most(given), _start, ended)
    except LaunchError as error:
        sys.stderr.write(_lines(error.lines))
        return 2


def _streams() -> None:
    """Standard streams that take every text, and a Ctrl-C that ends the process at once.

    A closed descriptor 0, 1 or 2 would be given to the next file opened, to /dev/kvm perhaps.
    """
    from _signal import SIG_DFL, SIGINT, signal  # type: ignore[import-not-found]

    signal(SIGINT, SIG_DFL)
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _print(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # Else the interpreter tries once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            sys.stderr.write(f"krunc: the output cannot be written: {error.strerror}\n")
        return 1
    return 0


def _lines(sentences: Iterable[str]) -> str:
    return "".join(f"krunc: {sentence}\n" for sentence in sentences)


def _report(name: str, text: str, refused: PlanRefused) -> str:
    from krunc_launcher.planfile import title
    from krunc_launcher.positions import position

    lines = []
    name = title(name)
    for path, sentence in refused.findings[:_MOST_FINDINGS]:
        line, column = refused.place or position(text, path)
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
        key = f"{plain(where[1:])}: " if where else ""
        lines.append(f"{plain(name)}:{line}:{column}: {key}{sentence}\n")
    more = len(refused.findings) - len(lines)
    if more:
        lines.append(f"krunc: and {more} more\n")
    return "".join(lines)


if __name__ == "__main__":
    sys.exit(main())
