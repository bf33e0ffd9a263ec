"""The command line: python tests/tools/kvmhost [--arch ARCH] run [-t SECONDS] [-i] [--] COMMAND
[ARG...]
"""

import argparse
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

# Started as a directory, Python puts the package itself on the path, not the directory that it is in.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from kvmhost import architecture, foreign, initrd, job, kernel, machine, needs
from kvmhost.architecture import Architecture
from kvmhost.errors import HostError

_FAILED = 125  # the emulated machine, not the command; as env(1), timeout(1) and docker run
_TIMED_OUT = 124  # as timeout(1)
# Of this machine's path nothing but these leads to another architecture's programs.
_FOREIGN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main(argv: list[str]) -> int:
    arguments = _parser().parse_args(argv)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    verb = {"run": _run, "up": _up, "down": _down, "status": _status, "prepare": _prepare}
    try:
        return verb[arguments.verb](arguments)
    except HostError as error:
        print(f"kvmhost: {error}", file=sys.stderr)
        return _FAILED
    except subprocess.TimeoutExpired as expired:
        command = shlex.join(expired.cmd)
        print(f"kvmhost: timed out after {expired.timeout:g} s, killed: {command}", file=sys.stderr)
        return _TIMED_OUT
    except BrokenPipeError:
        # Nobody reads our output any more. Python would complain again when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE


def _leave(number: int, _frame: FrameType | None) -> None:
    """Unwind, so that the job is killed and a machine of our own stopped. Once is enough."""
    for other in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _run(arguments: argparse.Namespace) -> int:
    command: list[str] = arguments.command
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        _parser().error("run: which command?")
    kind = _kind(arguments)
    directory = machine.default_directory(kind)
    if machine.is_up(directory):
        machine.up(directory, kind=kind)  # which refuses one of another architecture
        return _run_in(directory, command, arguments)
    with machine.temporary(kind) as own:
        return _run_in(own, command, arguments)


def _kind(arguments: argparse.Namespace) -> Architecture:
    return architecture.of(arguments.arch) if arguments.arch else architecture.own()


def _run_in(directory: Path, command: list[str], arguments: argparse.Namespace) -> int:
    stdin = sys.stdin.buffer.read() if arguments.stdin else b""
    out, err = sys.stdout.buffer, sys.stderr.buffer
    env = None if _kind(arguments).is_own else {**os.environ, "PATH": _FOREIGN_PATH}
    return job.stream(directory, command, out, err, stdin=stdin, timeout=arguments.timeout, env=env)


def _up(arguments: argparse.Namespace) -> int:
    kind = _kind(arguments)
    idle = int(os.environ.get("KVMHOST_IDLE", machine.IDLE))
    machine.up(machine.default_directory(kind), idle, kind)
    return 0


def _down(arguments: argparse.Namespace) -> int:
    machine.down(machine.default_directory(_kind(arguments)))
    return 0


def _status(arguments: argparse.Namespace) -> int:
    directory = machine.default_directory(_kind(arguments))
    up = machine.is_up(directory)
    print(f"{'up' if up else 'down'}: {directory}")
    return 0 if up else 1


def _prepare(arguments: argparse.Namespace) -> int:
    kind = _kind(arguments)
    programs = needs.find(kind)
    tree = kernel.fetch(kind) if kind.is_own else foreign.tree(kind)
    print(kernel.image(tree))
    print(initrd.prepare(kind, tree, programs.busybox))
    if not kind.is_own:
        print(foreign.root(kind))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kvmhost",
        description="Run a command of this machine where /dev/kvm works: in an emulated machine.",
        epilog="KVMHOST_DIR: the machine's directory. KVMHOST_IDLE: seconds without a job after "
        "which it powers itself off (1800).",
    )
    parser.add_argument(
        "--arch", choices=architecture.NAMES, help="the emulated machine's (this one's)"
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    run = verbs.add_parser("run", help="run a command, in the machine that is up or in its own")
    run.add_argument(
        "-t", dest="timeout", type=float, metavar="SECONDS", help="kill it after so long (124)"
    )
    run.add_argument(
        "-i", dest="stdin", action="store_true", help="read stdin to its end and pass it on"
    )
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND [ARG...]")
    verbs.add_parser("up", help="boot a machine for many commands, unless one is up")
    verbs.add_parser("down", help="stop it")
    verbs.add_parser("status", help="is one up? exit status 0, else 1")
    verbs.add_parser("prepare", help="fetch the kernel and make the initrd, ahead of the first run")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
