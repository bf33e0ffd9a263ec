"""One command in the emulated machine."""

import io
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from kvmhost import machine
from kvmhost.errors import HostError

# Seconds between two looks at a job: it may take 2 % longer than it does, within these limits.
_POLL_MIN, _POLL_MAX, _POLL_SHARE = 0.005, 0.05, 0.02
_KILL_TIMEOUT = 30  # seconds that a killed job may take to be gone; a fifth on an idle machine
_CHUNK = 1 << 20  # bytes


def run(
    directory: Path,
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    timeout: float | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in the machine that is up, as subprocess.run does when it captures output.

    timeout: seconds; then the command and all its processes are killed, and
    subprocess.TimeoutExpired is raised with the output so far. HostError when the machine is not
    up or is lost.
    """
    out, err = io.BytesIO(), io.BytesIO()
    try:
        status = stream(directory, argv, out, err, stdin=stdin, timeout=timeout, cwd=cwd, env=env)
    except subprocess.TimeoutExpired as expired:
        expired.output, expired.stderr = out.getvalue(), err.getvalue()
        raise
    return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())


def stream(
    directory: Path,
    argv: Sequence[str],
    out: IO[bytes],
    err: IO[bytes],
    *,
    stdin: bytes = b"",
    timeout: float | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """As run, but passes the output on as it appears. Returns the status; 128+N after signal N.

    However this is left, the command does not run any more. What it left in the background does,
    unless it was killed.
    """
    if not machine.is_up(directory):
        raise HostError(f"no emulated machine is up in {directory}")
    files = Path(tempfile.mkdtemp(prefix="job-", dir=machine.state(directory)))
    try:
        (files / "in").write_bytes(stdin)
        (files / "command").write_bytes(
            _script(
                argv,
                files,
                cwd or Path.cwd(),
                os.environ if env is None else env,
                has_stdin=bool(stdin),
            )
        )
        with (files / "out").open("w+b") as job_out, (files / "err").open("w+b") as job_err:
            pairs = ((job_out, out), (job_err, err))
            machine.order(directory, f"run {files.name}")
            try:
                return _follow(directory, files, pairs, argv, timeout)
            except subprocess.TimeoutExpired:
                _kill(directory, files)
                _pass_on(pairs)
                raise
            except BaseException:
                _kill(directory, files)
                raise
    finally:
        shutil.rmtree(files, ignore_errors=True)


def _script(
    argv: Sequence[str], files: Path, cwd: Path, env: Mapping[str, str], *, has_stdin: bool
) -> bytes:
    """What serve.sh sources: becomes the command, in a session of its own, or fails with 125.

    GNU's env and not busybox's, which would prefer its applets to programs on the path. Shells
    without job control start what runs in the background deaf to SIGINT and SIGQUIT; env undoes it.
    """
    command = list(argv)
    if "=" in command[0]:  # env would take it for a variable
        command = ["/bin/sh", "-c", 'exec "$@"', "sh", *command]
    words = ["setsid", "/usr/bin/env", "-i", "--default-signal=INT,QUIT", "--"]
    words += [*(f"{name}={value}" for name, value in env.items()), *command]
    lines = [f"cd {shlex.quote(str(cwd))} || exit 125", f"exec {shlex.join(words)}"]
    if has_stdin:  # as a pipe, which is what most commands get there; else it is /dev/null
        source, pipe = shlex.quote(str(files / "in")), f"/dev/kvmhost/{files.name}/in"
        lines[1:] = [
            f"mkfifo {pipe}",
            f"(dd bs=64k if={source} of={pipe} 2>/dev/null &)",
            f"{lines[1]} <{pipe}",
        ]
    return os.fsencode("".join(f"{line}\n" for line in lines))


def _follow(
    directory: Path,
    files: Path,
    pairs: Sequence[tuple[IO[bytes], IO[bytes]]],
    argv: Sequence[str],
    timeout: float | None,
) -> int:
    """Pass output on until the job has ended; its exit status."""
    start = time.monotonic()
    while (status := _status(files)) is None:
        _pass_on(pairs)
        if not machine.alive(directory):
            raise machine.lost(directory, f"was lost while it ran {shlex.join(argv)}")
        elapsed = time.monotonic() - start
        if timeout is not None and elapsed > timeout:
            raise subprocess.TimeoutExpired(argv, timeout)
        time.sleep(min(max(elapsed * _POLL_SHARE, _POLL_MIN), _POLL_MAX))
    _pass_on(pairs)
    return status


def _status(files: Path) -> int | None:
    """None while the job runs. The file is there before the whole line is in it."""
    try:
        line = (files / "status").read_text()
    except FileNotFoundError:
        return None
    return int(line) if line.endswith("\n") else None


def _pass_on(pairs: Sequence[tuple[IO[bytes], IO[bytes]]]) -> None:
    for source, target in pairs:
        while chunk := source.read(_CHUNK):
            target.write(chunk)
            target.flush()


def _kill(directory: Path, files: Path) -> None:
    """Kill the job with all its processes, unless it has ended, and wait until they are gone."""
    if _status(files) is None and machine.alive(directory):
        machine.order(directory, f"kill {files.name}")
        end = time.monotonic() + _KILL_TIMEOUT
        while _status(files) is None:
            if not machine.alive(directory) or time.monotonic() > end:
                raise machine.lost(directory, "does not kill a job when told to")
            time.sleep(_POLL_MIN)
