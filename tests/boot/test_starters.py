"""Each starter of krunc init boots as it is written, on a machine that the emulated host has room for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boots import ROUTE, Boot
from krunc_compiler.__main__ import main
from roots import ext4, root

pytestmark = pytest.mark.boot

Booting = Callable[..., Boot]
Shown = Callable[[str], None]
Starting = Callable[..., Boot | None]


@pytest.fixture
def start(
    boot: Booting,
    boxes: Path,
    libkrun: tuple[Path, str],
    capsys: pytest.CaptureFixture[str],
) -> Starting:
    """Boots a starter with the library in turn. One that asks for what libkrun 1.16 cannot enforce is
    seen to be refused for it, and there is no boot."""

    def run(kind: str, needs_new: bool, **how: Any) -> Boot | None:
        assert main(["init", str(boxes / f"my-{kind}.yaml"), "--kind", kind]) == 0
        if needs_new and libkrun[1] == "1":
            capsys.readouterr()
            assert main(["compile", str(boxes / f"my-{kind}.yaml"), "--target", "1.16"]) == 1
            assert "error[KR208]" in capsys.readouterr().err
            assert not (boxes / f"my-{kind}.plan.json").exists()
            return None
        machine = {"cpus": 1, "memory": "256MiB"}
        box = {"extends": f"my-{kind}.yaml", "machine": machine}
        (boxes / f"small-{kind}.yaml").write_text(json.dumps(box))
        return boot(f"small-{kind}", **how)

    return run


def emptied(boxes: Path, name: str) -> Path:
    """A directory of the box with nothing in it, which every user of the guest may write to."""
    shutil.rmtree(boxes / name, ignore_errors=True)
    (boxes / name).mkdir()
    (boxes / name).chmod(0o777)
    return boxes / name


def test_hello(start: Starting, boxes: Path, shown: Shown) -> None:
    root(emptied(boxes, "rootfs"), {}, "app")
    done = start("hello", needs_new=True, prints=True)
    if done is not None:
        assert (done.status, done.stdout) == (0, "Hello from a microVM\n"), done
        shown("krunc init --kind hello")


AGENT = """\
echo "$* as $(id -un) in $(pwd) [$AGENT_TOKEN], $(ulimit -n) files, $(ulimit -u) processes"
echo "$(ls /sys/class/net | grep -c eth) networks"
echo x >/tmp/x && echo x >/srv/x && echo done >result && echo written
echo "the host says $(vsock connect 2696 ready)"
echo "asked for $(vsock serve 2695)"
trap 'echo stopped; exit 5' TERM
echo waiting
while :; do sleep 1; done
"""


def test_agent(start: Starting, boxes: Path, vsock: Path, shown: Shown) -> None:
    root(emptied(boxes, "rootfs"), {"/usr/bin/agent": AGENT}, "app")
    shutil.copy(vsock, boxes / "rootfs/bin/vsock")
    emptied(boxes, "rootfs/srv")
    emptied(boxes, "work")
    run = boxes / "run"
    host = {
        "unix": {f"{run}/ready.sock": "good"},
        "call": {f"{run}/agent.sock": "a question"},
        "signal": {"after": "waiting", "send": "SIGTERM"},
    }
    done = start("agent", needs_new=True, prints=True, host=host, AGENT_TOKEN="s3cret")
    if done is not None:
        assert (done.status, done.stdout) == (
            5,
            "--listen vsock://2695 --notify vsock://2696 as app in /work [s3cret], 1024 files, "
            "256 processes\n0 networks\nwritten\n"
            "the host says good\nasked for a question\nwaiting\nstopped\n",
        ), done
        assert done.heard == {
            f"{run}/ready.sock": "ready",
            f"{run}/agent.sock": "the guest heard a question",
        }
        made = boxes / "work/result"
        assert (made.read_text(), made.stat().st_uid) == ("done\n", 1000)
        assert not (boxes / "rootfs/srv/x").exists()
        shown("krunc init --kind agent")


MAKE = """\
echo "make $*"
echo x 2>/dev/null >/src/new && echo "the source was changed"
echo x >/new && echo x >/tmp/x && cat /src/main.c >/out/result
"""


def test_build(start: Starting, boxes: Path, shown: Shown) -> None:
    root(emptied(boxes, "rootfs"), {"/usr/bin/make": MAKE}, "app")
    (emptied(boxes, "src") / "main.c").write_text("int main(void) { return 0; }\n")
    emptied(boxes, "out")
    done = start("build", needs_new=True, prints=True)
    if done is not None:
        assert (done.status, done.stdout) == (0, "make -C /src -j 2 OUT=/out\n"), done
        assert (boxes / "out/result").read_text() == "int main(void) { return 0; }\n"
        assert not (boxes / "rootfs/new").exists()
        shown("krunc init --kind build")


def test_web(start: Starting, boxes: Path, shown: Shown) -> None:
    root(emptied(boxes, "rootfs"), {}, "app")
    (boxes / "rootfs/etc/resolv.conf").touch()
    (emptied(boxes, "site") / "index.html").write_text("the page\n")
    page = "http://127.0.0.1:8080/index.html"
    host = {"setup": ROUTE, "fetch": [page], "signal": {"send": "SIGTERM"}}
    done = start("web", needs_new=True, host=host)
    if done is not None:
        assert done.heard == {page: "the page\n"}, done
        # busybox knows no SIGTERM: the signal ends it.
        assert done.status == 143, done
        shown("krunc init --kind web: curl gets the page")


DISK = """\
echo "root is $(grep ' / ' /proc/mounts | tail -n 1 | cut -d' ' -f1,3)"
echo "data says $(head -n 1 /dev/vdb)"
echo x 2>/dev/null >/dev/vdb && echo "the data were changed"
"""


def test_disk(start: Starting, boxes: Path, shown: Shown) -> None:
    tree = emptied(boxes, "tree")
    root(tree, {"/sbin/start": DISK}, "app")
    (boxes / "root.img").unlink()
    ext4(boxes / "root.img", tree)
    done = start("disk", needs_new=True)
    if done is None:
        return
    assert done.status == 0, done
    console = (boxes / "run/console.log").read_text(errors="replace")
    assert " ext4" in console.partition("root is ")[2].splitlines()[0], console
    assert "data says these are the data" in console
    assert "were changed" not in console
    assert (boxes / "data.img").read_bytes().startswith(b"these are the data\n")
    shown("krunc init --kind disk")
