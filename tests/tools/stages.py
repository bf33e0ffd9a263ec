"""The stage in tests: its orders as bytes, and the real program in namespaces of this machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from places import ROOT

TABLE: dict[str, Any] = json.loads(
    (ROOT / "schema" / "krunc_schema" / "orders.json").read_text("utf-8")
)
Order = tuple[str, dict[str, Any]]

# The VM's first root, as libkrun's init leaves it; $1 is where, $2 a pidfile.
_SPACE = """
set -e
busybox hostname first
mount --make-rprivate /
mount -t tmpfs first "$1/top"
cp -a "$1/first/." "$1/top"
mount --bind "$1/report" "$1/top/report"
mount --rbind /dev "$1/top/dev"
mount -t proc proc "$1/top/proc"
mount -t sysfs sys "$1/top/sys"
[ -z "$2" ] || prlimit --pid $$ $2
exec busybox chroot "$1/top" /stage /orders
"""


class Ended(NamedTuple):
    """How the stage ended, and what it said."""

    status: int
    lines: list[str]
    stdout: str
    stderr: str


def encode(orders: Sequence[Order]) -> bytes:
    """Return ORDERS as the stage reads them."""
    strings: list[str] = []
    for name, values in orders:
        strings.append(name)
        for param in TABLE["orders"][name]["params"]:
            value = values[param["name"]]
            if param["kind"] == "env":
                value = [f"{key}={text}" for key, text in value.items()]
            if isinstance(value, list):
                strings += [str(len(value)), *value]
            else:
                strings.append("" if value is None else str(value))
    return b"".join(string.encode() + b"\0" for string in strings)


def orders(*more: Order, argv: Sequence[str], **program: Any) -> list[Order]:
    """Return orders for `Native`: MORE, a root whose changes are discarded unless MORE says another,
    and the program ARGV."""
    ranks = {name: row["rank"] for name, row in TABLE["orders"].items()}
    lower = {"device": "/dev/null", "fstype": "overlay", "options": "lowerdir=/lower:/empty"}
    exec_path, *rest = argv
    env = program.get("env", {"PATH": "/bin"})
    usual: list[Order] = [
        ("report", {"port": TABLE["port"]}),
        ("root_disk", {**lower, "access": "read"}),
        ("discard_changes", {"size_mib": 16}),
        ("workdir", {"workdir_path": program.get("workdir", "/")}),
        ("program", {"exec_path": exec_path, "argv": rest, "envp": env}),
    ]
    given = {ranks[name] for name, _ in more}
    values = [*more, *(order for order in usual if ranks[order[0]] not in given)]
    return sorted(values, key=lambda order: ranks[order[0]])


class Native:
    """Runs the stage, built for a Unix socket in the place of vsock, without a VM."""

    def __init__(self, program: Path, at: Path) -> None:
        self.at = at
        for name in ("top", "first", "report"):
            (at / name).mkdir()
        for name in ("dev", "proc", "sys", "m", "tmp", "report", "empty", "lower"):
            (at / "first" / name).mkdir()
        shutil.copy(program, at / "first" / "stage")
        self.lower = at / "first" / "lower"
        for name in ("bin", "etc", "home", "root", "tmp"):
            (self.lower / name).mkdir()
        busybox = shutil.which("busybox")
        assert busybox is not None
        shutil.copy(busybox, self.lower / "bin" / "busybox")
        for line in subprocess.check_output([busybox, "--list"], text=True).split():
            if line != "busybox":
                (self.lower / "bin" / line).symlink_to("busybox")
        (self.lower / "etc" / "passwd").write_text(
            "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/home/app:/bin/sh\n"
            "toor:x:0:0::/:/bin/sh\n"
        )
        (self.lower / "etc" / "group").write_text("root:x:0:\nwheel:x:10:app,other\napp:x:1001:\n")

    def run(
        self,
        orders: Sequence[Order] | bytes,
        sends: Sequence[str] = (),
        launcher: str = "reads",
        stdin: int = subprocess.DEVNULL,
        within: float = 30,
        limits: str = "",
    ) -> Ended:
        """Run the stage with ORDERS, in the LIMITS that prlimit(1) sets. The LAUNCHER reads, and SENDS lines once the program writes
        `ready`; or it is "silent", "gone" after it was called, or "none"."""
        data = orders if isinstance(orders, bytes) else encode(orders)
        (self.at / "first" / "orders").write_bytes(data)
        path = self.at / "report" / "socket"
        path.unlink(missing_ok=True)
        lines: list[str] = []
        with socket.socket(socket.AF_UNIX) as server:
            if launcher != "none":
                server.bind(str(path))
                server.listen()
                server.settimeout(0.1)
            stage = subprocess.Popen(
                ["unshare", "-mpfun", "--kill-child", "sh", "-c", _SPACE, "sh", self.at, limits],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env={"PATH": os.environ["PATH"]},
            )
            with stage, killed_after(stage, within):
                if launcher == "none":
                    out, err = stage.communicate()
                    return Ended(stage.wait(), [], out, err)
                with _connection(server, stage) as connection:
                    if launcher == "gone":
                        connection.close()
                    out = ""
                    if sends:
                        assert stage.stdout is not None
                        while not out.endswith("ready\n") and (piece := stage.stdout.readline()):
                            out += piece
                        for text in sends:
                            connection.sendall(text.encode())
                    if launcher == "reads":
                        with connection.makefile("r", errors="replace") as reader:
                            lines = reader.read().splitlines()
                        connection.close()
                    rest, err = stage.communicate()
        return Ended(stage.returncode, lines, out + rest, err)


def _connection(server: socket.socket, stage: subprocess.Popen[str]) -> socket.socket:
    """Return what the STAGE calls SERVER over, or fail with what is said by what ended before."""
    while True:
        try:
            connection, _ = server.accept()
        except TimeoutError:
            # Killed or not, it ends: then nobody calls any more.
            if stage.poll() is not None:
                raise AssertionError(stage.communicate()) from None
        else:
            return connection


@contextmanager
def killed_after(process: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    """Kill PROCESS when it takes longer than SECONDS: what hangs is then seen to end by SIGKILL."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
