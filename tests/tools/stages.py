"""The stage in tests: its orders as bytes, and the real program in namespaces of this machine."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Sequence
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
hostname first
mount --make-rprivate /
mount -t tmpfs first "$1/top"
cp -a "$1/first/." "$1/top"
mount --bind "$1/report" "$1/top/report"
mount --rbind /dev "$1/top/dev"
mount -t proc proc "$1/top/proc"
mount -t sysfs sys "$1/top/sys"
exec chroot "$1/top" /stage /orders
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
    """Return orders whose root is the directory of `Native`, changes are discarded unless MORE keeps
    them, and whose program is ARGV."""
    lower = {"device": "/dev/null", "fstype": "overlay", "options": "lowerdir=/lower:/empty"}
    exec_path, *rest = argv
    values: list[Order] = [
        ("report", {"port": TABLE["port"]}),
        ("root_disk", {**lower, "access": "read"}),
        ("discard_changes", {"size_mib": 16}),
        *more,
        ("workdir", {"workdir_path": program.get("workdir", "/")}),
        (
            "program",
            {"exec_path": exec_path, "argv": rest, "envp": program.get("env", {"PATH": "/bin"})},
        ),
    ]
    replaced = [name for name, _ in more]
    names = [name for name, _ in values]
    ranks = {name: row["rank"] for name, row in TABLE["orders"].items()}
    kept = [
        value
        for i, value in enumerate(values)
        if value[0] not in replaced or i == len(names) - 1 - names[::-1].index(value[0]) or i > 2
    ]
    return sorted(kept, key=lambda value: ranks[value[0]])


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
        )
        (self.lower / "etc" / "group").write_text("root:x:0:\nwheel:x:10:app,other\napp:x:1001:\n")

    def run(
        self,
        orders: Sequence[Order] | bytes,
        sends: Sequence[str] = (),
        serve: bool = True,
        stdin: int = subprocess.DEVNULL,
    ) -> Ended:
        """Run the stage with ORDERS; the launcher SENDS lines once the program has started."""
        data = orders if isinstance(orders, bytes) else encode(orders)
        (self.at / "first" / "orders").write_bytes(data)
        path = self.at / "report" / "socket"
        path.unlink(missing_ok=True)
        lines: list[str] = []
        with socket.socket(socket.AF_UNIX) as server:
            if serve:
                server.bind(str(path))
                server.listen()
            launcher = threading.Thread(target=_serve, args=(server, lines, sends), daemon=True)
            launcher.start()
            done = subprocess.run(
                ["unshare", "-mpfun", "sh", "-c", _SPACE, "sh", self.at],
                stdin=stdin,
                capture_output=True,
                text=True,
                timeout=30,
                env={"PATH": os.environ["PATH"]},
            )
            if lines or not serve:
                launcher.join(5 if serve else 0)
        return Ended(done.returncode, lines, done.stdout, done.stderr)


def _serve(server: socket.socket, lines: list[str], sends: Sequence[str]) -> None:
    try:
        connection, _ = server.accept()
    except OSError:
        return
    with connection, connection.makefile("r") as reader:
        for line in reader:
            lines.append(line.rstrip("\n"))
            if line == "started\n":
                for text in sends:
                    connection.sendall(text.encode())
