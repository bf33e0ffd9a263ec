"""What the stage does in the guest, seen in real microVMs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boots import LATE, ROUTE, TIMEOUT, Boot
from krunc_compiler.__main__ import main
from krunc_compiler.libkrun import limits_of_init
from roots import vmlinux

pytestmark = pytest.mark.boot

Booting = Callable[..., Boot]
Shown = Callable[[str], None]
BUSYBOX = "/bin/busybox"
PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001:An app:/home/app:/bin/sh\n"
GROUP = "root:x:0:\nstaff:x:1001:\nvideo:x:44:other,app\naudio:x:29:app\n"


@pytest.fixture
def can_forbid(libkrun: tuple[Path, str]) -> bool:
    """Whether the library in turn can share a directory read-only (1.18)."""
    return libkrun[1].startswith("2")


def staged(boxes: Path, script: str, **keys: Any) -> str:
    """The name of a box that runs SCRIPT, with a root in which there are users."""
    etc = boxes / "rootfs/etc"
    etc.mkdir(exist_ok=True)
    (etc / "passwd").write_text(PASSWD)
    (etc / "group").write_text(GROUP)
    for name in ("id", "hostname", "poweroff", "reboot", "dd", "ps", "tr", "seq", "wc", "env"):
        link = boxes / "rootfs/bin" / name
        if not link.is_symlink():
            link.symlink_to("busybox")
    entrypoint = keys.pop("entrypoint", {})
    box = {
        "krunc": 1,
        "name": "staged",
        "machine": {"cpus": 1, "memory": "256MiB"},
        "rootfs": {"path": "./rootfs"},
        "network": {"mode": "tsi"},
        "entrypoint": {"script": script, **entrypoint},
        **keys,
    }
    (boxes / "staged.yaml").write_text(json.dumps(box, ensure_ascii=False), "utf-8")
    return "staged"


def record(boxes: Path) -> dict[str, Any]:
    """The end of the launch, as it is recorded."""
    found: dict[str, Any] = json.loads((boxes / "end.json").read_text())
    return found


def left(boxes: Path) -> list[str]:
    """What is left of the launch's own directory."""
    return [path.name for path in (boxes / "run").glob("launch-*")]


MOUNTS = """\
cat /in/deep/main.c
echo note >/tmp/note && cat /tmp/note
grep -E ' /(in|tmp|cache)' /proc/mounts | /bin/busybox cut -d' ' -f2,3
/bin/busybox stat -c '%a' /tmp /cache
"""


def test_mounts(boot: Booting, boxes: Path, can_forbid: bool, shown: Shown) -> None:
    share = {"tag": "src", "path": "./src", "mount": "/in/deep", "read_only": can_forbid}
    tmpfs = ["/in", {"path": "/cache", "size": "8MiB", "mode": "0750"}, "/tmp"]
    done = boot(staged(boxes, MOUNTS, shares=[share], tmpfs=tmpfs), prints=True)
    assert done.status == 0, done
    lines = done.stdout.splitlines()
    assert lines[:2] == ["int main(void) { return 0; }", "note"], done
    assert lines[2:] == [
        "/cache tmpfs", "/in tmpfs", "/in/deep virtiofs", "/tmp tmpfs", "1777", "750",
    ]  # fmt: skip
    assert left(boxes) == []
    shown("shares and tmpfs are mounted")


# A user who is not root moves a mount point away, by the directory above it.
SWAP = """\
cd /work && /bin/busybox mv target away && /bin/busybox mkdir target && /bin/busybox ln -s / target/cache
id -u; ls -l target
"""


def test_a_link_that_a_guest_has_left_leads_no_mount_away(
    boot: Booting, boxes: Path, shown: Shown
) -> None:
    """The guest's share would be the root of the next VM otherwise, whose root runs what is in it."""
    for name in ("work/target/cache", "cache"):
        (boxes / name).mkdir(parents=True)
    for path in (boxes / "work", boxes / "work/target", boxes / "cache"):
        os.chown(path, 1000, 1000)
    shares = [
        {"tag": "work", "path": "./work", "mount": "/work", "read_only": False},
        {"tag": "cache", "path": "./cache", "mount": "/work/target/cache", "read_only": False},
    ]
    user = {"user": "1000:1000", "before": "true"}
    done = boot(staged(boxes, SWAP, shares=shares, entrypoint=user), prints=True)
    assert done.stdout.startswith("1000\n"), done
    assert (boxes / "work/target/cache").is_symlink()
    done = boot(staged(boxes, "echo started", shares=shares, entrypoint=user))
    assert (done.status, done.stdout) == (125, ""), done
    assert "mount_share /work/target/cache (shares[1].mount): a link is on the way" in done.stderr
    shown("a link in a share leads no mount away")


def test_a_read_only_share_stays_so(
    boot: Booting, boxes: Path, can_forbid: bool, shown: Shown
) -> None:
    if not can_forbid:
        share = {"tag": "src", "path": "./src", "mount": "/in"}
        name = staged(boxes, "true", shares=[share])
        assert main(["compile", str(boxes / f"{name}.yaml"), "--target", "1.16"]) == 1
        return
    script = (
        "mount -o remount,rw /in; echo x >/in/main.c; mount -t virtiofs src /out; echo x >/out/y"
    )
    share = {"tag": "src", "path": "./src", "mount": "/in"}
    boot(staged(boxes, script, shares=[share]))
    assert (boxes / "src/main.c").read_text() == "int main(void) { return 0; }\n"
    assert not (boxes / "src/y").exists()
    shown("a read-only share stays read-only for root")


def test_a_throw_away_root(boot: Booting, boxes: Path, can_forbid: bool, shown: Shown) -> None:
    if not can_forbid:
        name = staged(boxes, "true", rootfs={"path": "./rootfs", "changes": "discard"})
        assert main(["compile", str(boxes / f"{name}.yaml"), "--target", "1.16"]) == 1
        return
    before = sorted(path.relative_to(boxes) for path in (boxes / "rootfs").rglob("*"))
    script = "echo new >/new; /bin/busybox rm -r /sbin; ls / /sbin; cat /new; ls /proc/1/root"
    root = {"path": "./rootfs", "changes": "discard", "size": "32MiB"}
    done = boot(staged(boxes, script, rootfs=root), prints=True)
    assert "new" in done.stdout, done
    after = sorted(path.relative_to(boxes) for path in (boxes / "rootfs").rglob("*"))
    assert [path for path in after if "etc" not in path.parts] == [
        path for path in before if "etc" not in path.parts
    ] or set(before) <= set(after)
    assert not (boxes / "rootfs/new").exists()
    assert (boxes / "rootfs/sbin/run-build").exists()
    shown("a root whose changes are discarded")


@pytest.mark.parametrize(("user", "said"), [
    ("app", "uid=1000(app) gid=1001(staff) groups=29(audio),44(video)"),
    (1000, "uid=1000(app) gid=1001(staff) groups=29(audio),44(video)"),
    ("4242:7", "uid=4242 gid=7"),
])  # fmt: skip
def test_user(boot: Booting, boxes: Path, user: str | int, said: str, shown: Shown) -> None:
    script = "id; echo $HOME; ulimit -u; for i in 1 2 3 4 5 6 7 8 9; do sleep 9 & done; echo all"
    name = staged(boxes, script, entrypoint={"user": user}, limits={"nproc": "6:6"})
    done = boot(name, prints=True)
    lines = done.stdout.splitlines()
    assert lines[0] == said, done
    assert lines[1] == ("/home/app" if user != "4242:7" else "/"), done
    assert "all" not in lines, done
    assert "fork" in done.stdout + done.stderr, done
    shown("a user of the guest, whom nproc holds")


@pytest.mark.parametrize(("entrypoint", "status", "said"), [
    ({"user": "nobody-here"}, 125, "user nobody-here (entrypoint.user)"),
    ({"before": "exit 3"}, 125, "before"),
    # The script could make what is missing: that is seen in the guest alone.
    ({"workdir": "/missing", "before": "true"}, 125, "workdir /missing (entrypoint.workdir)"),
    ({"executable": "/bin/missing", "user": "app", "before": "true"}, 127, "program /bin/missing (entrypoint)"),
    ({"executable": "/etc/passwd", "user": "app", "before": "true"}, 126, "program /etc/passwd (entrypoint)"),
])  # fmt: skip
def test_what_cannot_start(
    boot: Booting, boxes: Path, entrypoint: dict[str, str], status: int, said: str, shown: Shown
) -> None:
    name = staged(boxes, "echo started", hostname="box", entrypoint=entrypoint)
    if "executable" in entrypoint:
        box = json.loads((boxes / f"{name}.yaml").read_text())
        del box["entrypoint"]["script"]
        (boxes / f"{name}.yaml").write_text(json.dumps(box))
    done = boot(name)
    assert done.status == status, done
    assert f"krunc: the guest's program was not started: {said}" in done.stderr, done
    assert "started" not in done.stdout, done
    shown("a program that cannot start is told")


@pytest.mark.parametrize(("script", "status"), [
    ("exit 7", 7),
    ("kill -9 $$", 137),
    ("(sleep 100 &) ; exit 3", 3),
    ("echo off; poweroff -f; sleep 100", 0),
    ("reboot -f; sleep 100", 0),
])  # fmt: skip
def test_ends(boot: Booting, boxes: Path, script: str, status: int, shown: Shown) -> None:
    done = boot(staged(boxes, script, hostname="box"))
    assert done.status == status, done
    assert left(boxes) == []
    shown("exit codes, signals, poweroff and reboot")


PANIC = "echo 2 >/proc/sys/vm/panic_on_oom; dd if=/dev/zero of=/full/x bs=1M; echo still here"


def test_a_panic_under_the_program(boot: Booting, boxes: Path, shown: Shown) -> None:
    name = staged(boxes, PANIC, tmpfs=[{"path": "/full", "size": "256MiB"}])
    done = boot(name, panics=True)
    assert done.status == 125, done
    assert "the guest ended under its program" in done.stderr, done
    shown("a panic under the program is told")


LINE = "reboot=k console=hvc0 rootfstype=virtiofs rw quiet no-kvmapf init=/init.krun"


@pytest.mark.parametrize(("more", "status"), [("", 124), (" panic=-1", 125)])
def test_a_panic_of_a_kernel_that_is_not_libkruns(
    boot: Booting,
    boxes: Path,
    libkrun: tuple[Path, str],
    more: str,
    status: int,
    shown: Shown,
) -> None:
    """Without panic= it waits for ever: the timeout ends the VM."""
    vmlinux(libkrun[0].parent / "libkrunfw.so.5", boxes / "vmlinux")
    kernel = {"path": "./vmlinux", "format": "elf", "cmdline": LINE + more}
    full = [{"path": "/full", "size": "256MiB"}]
    name = staged(
        boxes, PANIC, tmpfs=full, boot={"kernel": kernel}, timeout="30s", stop={"grace": 1}
    )
    done = boot(name, panics=True)
    assert "Kernel panic" in done.stderr, done
    assert done.status == status, done
    shown("a kernel of the box's own that panics, with panic= and without")


ODD = ["", " ", 'a"b', "two  spaces", "line\nbreak", "grüß 日本", "\\", "$HOME", "tab\t", "--", "*"]


def test_odd_texts(boot: Booting, boxes: Path, shown: Shown) -> None:
    script = 'for a in "$@"; do printf "<%s>" "$a"; done; printf "<%s>" "$V" "$W"; env | wc -l'
    args = [*ODD, *(f"arg {i}" for i in range(60))]
    env = {"V": 'a "b"\nc', "W": "ü\x01", "quiet": "x", **{f"N{i}": "n" * 80 for i in range(50)}}
    name = staged(boxes, script, entrypoint={"args": args, "env": env}, hostname="box")
    done = boot(name, prints=True)
    expected = "".join(f"<{one}>" for one in [*args, env["V"], env["W"]])
    assert done.stdout.startswith(expected), done
    shown("any texts reach the program")


NAMES = (
    "hostname; cat /etc/hosts /etc/resolv.conf; /bin/busybox ping -c 1 -W 1 localhost >/dev/null"
)


def test_names(boot: Booting, boxes: Path, shown: Shown) -> None:
    hosts = {"db": "10.0.0.5", "builder": "10.0.0.6"}
    keys = {"hostname": "builder", "hosts": hosts, "dns": ["1.1.1.1", "fd00::5"]}
    done = boot(staged(boxes, NAMES, **keys), prints=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "builder", done
    own = [line.partition(" ")[0] for line in lines if line.endswith(" localhost")]
    assert own == ["127.0.0.1", "::1"], done
    assert lines[3:-2] == ["10.0.0.5 db", "10.0.0.6 builder"], done
    assert lines[-2:] == ["nameserver 1.1.1.1", "nameserver fd00::5"], done
    shown("host name, hosts and name servers")


def test_before(boot: Booting, boxes: Path, shown: Shown) -> None:
    before = "id -u >/tmp/who; /bin/busybox chmod 644 /tmp/who; echo said"
    entrypoint = {"user": "app", "before": before}
    done = boot(staged(boxes, "cat /tmp/who; id -u", entrypoint=entrypoint, tmpfs=["/tmp"]),
                prints=True)  # fmt: skip
    assert done.stdout.splitlines() == ["said", "0", "1000"], done
    shown("a script of root before the program")


def test_limits_hold_the_program_alone(
    boot: Booting, boxes: Path, libkrun: tuple[Path, str], shown: Shown
) -> None:
    script = "ulimit -n; echo x >/t/x; echo written"
    limits = {"stack": 16384, "nofile": 20, "data": 8000000}
    # The init of 2.0-dev has the limits itself, and needs some for what it writes (KR898).
    limits["fsize"] = limits_of_init(2)["fsize"] if libkrun[1] == "2" else 0
    entrypoint = {"user": "app", "before": "echo before >/t/b; /bin/busybox chmod 777 /t"}
    keys = {"hostname": "box", "hosts": {"a": "10.0.0.1"}, "tmpfs": ["/t"], "limits": limits}
    done = boot(staged(boxes, script, entrypoint=entrypoint, **keys), prints=True)
    if not limits["fsize"]:
        assert (done.status, done.stdout) == (128 + signal.SIGXFSZ, "20\n"), done
    else:
        assert (done.status, done.stdout) == (0, "20\nwritten\n"), done
    shown("limits of the program, which the stage and a script before it do not have")


TRAPS = "trap 'echo got SIGNAL; exit 5' SIGNAL; echo ready; while :; do sleep 1; done"


@pytest.mark.parametrize(("send", "got", "stop"), [
    ("SIGTERM", "TERM", {}),
    ("SIGTERM", "INT", {"on_sigterm": "interrupt"}),
    ("SIGUSR1", "USR1", {}),
])  # fmt: skip
def test_signals_reach_the_program(
    boot: Booting, boxes: Path, send: str, got: str, stop: dict[str, str], shown: Shown
) -> None:
    name = staged(boxes, TRAPS.replace("SIGNAL", got), hostname="box", stop=stop)
    done = boot(name, prints=True, host={"signal": {"after": "ready", "send": send}})
    assert done.status == 5, done
    assert f"got {got}" in done.stdout, done
    shown("SIGTERM and others reach the program")


def test_a_program_that_stays_is_ended(boot: Booting, boxes: Path, shown: Shown) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 1; done"
    name = staged(boxes, script, hostname="box", stop={"grace": 2})
    done = boot(name, prints=True, host={"signal": {"after": "ready", "send": "SIGTERM"}})
    assert done.status == 137, done


@pytest.mark.parametrize("hostname", ["box", None])
def test_timeout(boot: Booting, boxes: Path, hostname: str | None, shown: Shown) -> None:
    keys = {"hostname": hostname} if hostname else {}
    name = staged(boxes, "echo ready; sleep 1000", timeout="12s", stop={"grace": 3}, **keys)
    done = boot(name)
    assert done.status == 124, done
    assert "12 s, its timeout" in done.stderr, done
    shown("a timeout ends the VM with 124")


def image(boxes: Path, name: str, size: str = "8M") -> dict[str, Any]:
    """A disk with an empty ext4."""
    path = boxes / f"{name}.img"
    if not path.exists():
        env = {**os.environ, "PATH": f"{os.environ['PATH']}:/sbin:/usr/sbin"}
        subprocess.run(["mke2fs", "-q", "-t", "ext4", path, size], check=True, env=env)
    return {"id": name, "path": f"./{name}.img", "format": "raw"}


def test_the_exit_code_of_a_root_on_a_disk(boot: Booting, boxes: Path, shown: Shown) -> None:
    disk = {"id": "root", "path": "./root.img", "format": "raw"}
    root = {"disk": "root", "changes": "host"}
    name = staged(boxes, "echo kept >/kept; cat /kept; exit 7", rootfs=root, disks=[disk])
    done = boot(name, prints=True)
    assert (done.status, done.stdout) == (7, "kept\n"), done
    shown("a root on a disk keeps the exit code")


def test_a_root_on_a_disk_that_is_thrown_away(boot: Booting, boxes: Path, shown: Shown) -> None:
    disk = {"id": "root", "path": "./root.img", "format": "raw", "read_only": True}
    root = {"disk": "root", "changes": "discard"}
    before = (boxes / "root.img").read_bytes()
    name = staged(boxes, "echo x >/new; cat /new; exit 4", rootfs=root, disks=[disk])
    done = boot(name, prints=True)
    assert (done.status, done.stdout) == (4, "x\n"), done
    assert (boxes / "root.img").read_bytes() == before
    shown("a root on a disk whose changes are discarded")


def test_changes_kept_on_a_disk(boot: Booting, boxes: Path, shown: Shown) -> None:
    root = {"disk": "root", "changes": {"disk": "kept"}}
    disk = {"id": "root", "path": "./root.img", "format": "raw", "read_only": True}
    disks = [disk, image(boxes, "kept")]
    script = "cat /runs 2>/dev/null; echo run >>/runs; sync"
    name = staged(boxes, script, rootfs=root, disks=disks)
    assert boot(name).status == 0
    done = boot(name, prints=True)
    assert done.stdout == "run\n", done
    shown("changes of a root kept on a disk")


def test_a_disk_is_mounted(boot: Booting, boxes: Path, shown: Shown) -> None:
    disk = {**image(boxes, "store"), "mount": "/data/deep", "options": "noatime,noexec"}
    done = boot(staged(boxes, "grep /data/deep /proc/mounts; echo x >/data/deep/x", disks=[disk]),
                prints=True)  # fmt: skip
    assert done.status == 0, done
    assert "noexec,noatime" in done.stdout, done
    shown("a disk is mounted")


def test_a_disk_without_that_file_system(boot: Booting, boxes: Path) -> None:
    disk = {"id": "data", "path": "./data.img", "format": "raw", "mount": "/data"}
    done = boot(staged(boxes, "echo started", disks=[disk]))
    assert done.status == 125, done
    assert "mount_disk /data (disks[0].mount): the file system cannot be mounted" in done.stderr


# A krunc that is told of all plans.
ALL = """\
import sys
sys.argv[-1:] = ["DIRECTORY/fleet", "--log-dir=DIRECTORY/logs", "--exit-record=DIRECTORY/ends"]
from krunc import main
sys.exit(main())
"""


def test_a_fleet_with_one_root(
    boot: Booting, boxes: Path, can_forbid: bool, libkrun: tuple[Path, str], shown: Shown
) -> None:
    """Each VM's end is its own, and one whose program never starts is told."""
    (boxes / "fleet").mkdir()
    root = {"path": "./rootfs", "changes": "discard" if can_forbid else "host"}
    machine = {"cpus": 1, "memory": "96MiB"}
    for i in range(8):
        script = f"echo this is {i}; hostname; exit {i}"
        name = staged(boxes, script, rootfs=root, machine=machine, hostname=f"vm{i}", name=f"vm{i}")
        value = json.loads((boxes / f"{name}.yaml").read_text())
        if i == 5:
            value["entrypoint"] = {"executable": "/bin/missing", "before": "true"}
        (boxes / f"vm{i}.yaml").write_text(json.dumps(value))
        made = boxes / "fleet" / f"vm{i}.plan.json"
        done = main(
            ["compile", str(boxes / f"vm{i}.yaml"), "--target", libkrun[1], "-o", str(made)]
        )
        assert done == 0
    boxes_of = ALL.replace("DIRECTORY", str(boxes))
    # Seen under emulation while eight start at once, and told: a guest's kernel fails, or a vCPU does
    # not run within libkrun's second.
    ends: dict[str, dict[str, Any]] = {}
    for _ in range(4):
        boot(name, start=["-c", boxes_of], seconds=4 * TIMEOUT)
        found = {path.stem: json.loads(path.read_text()) for path in (boxes / "ends").iterdir()}
        assert len(found) == 8
        late = {log.stem for log in (boxes / "logs").glob("*.err") if LATE in log.read_text()}
        ends |= {
            vm: end
            for vm, end in found.items()
            if end["reason"] != "guest_kernel" and vm not in late
        }
        if len(ends) == 8:
            break
    for i in range(8):
        log = boxes / f"logs/vm{i}.err"
        told = json.dumps(ends.get(f"vm{i}")), log.read_text()[-2000:] if log.exists() else ""
        assert ends[f"vm{i}"]["status"] == (127 if i == 5 else i), told
    assert ends["vm5"]["reason"] == "not_started"
    assert "program /bin/missing (entrypoint)" in ends["vm5"]["message"]
    assert {end["program_seen"] for name, end in ends.items() if name != "vm5"} == {True}
    assert not list((boxes / "run").rglob("launch-*"))
    shown("a fleet of 8 with one root, one of which never starts its program")


def test_the_user_of_the_host(boot: Booting, boxes: Path, shown: Shown) -> None:
    """The stage starts where the VM's process has become another user of the host (run_as)."""
    name = staged(boxes, "id -u; echo made >/srv/made", hostname="box",
                  run_as={"uid": 1234, "gid": 1235})  # fmt: skip
    (boxes / "rootfs/srv").mkdir(exist_ok=True)
    for path in (boxes / "rootfs", *(boxes / "rootfs").rglob("*")):
        os.chown(path, 1234, 1235, follow_symlinks=False)
    for path in (boxes, *boxes.parents):
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(0o755)
    done = boot(name, prints=True)
    assert (done.status, done.stdout) == (0, "0\n"), done
    made = (boxes / "rootfs/srv/made").stat()
    assert (made.st_uid, made.st_gid) == (1234, 1235)
    runtime = (boxes / "run").stat()
    assert (runtime.st_mode & 0o777, runtime.st_uid, runtime.st_gid) == (0o710, 0, 1235)
    assert left(boxes) == []
    shown("the stage with another user on the host")


PAGE = """\
/bin/busybox ip address show eth0
/bin/busybox ip route
cat /etc/resolv.conf
printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello\\n' | /bin/busybox timeout 60 /bin/busybox nc -l -p 80 >/dev/null
"""


def test_passt_whose_interface_is_set_up(boot: Booting, boxes: Path, shown: Shown) -> None:
    network = {"mode": "passt", "ports": ["127.0.0.1:8089:80"]}
    host = {"setup": ROUTE, "fetch": ["http://127.0.0.1:8089/"]}
    done = boot(staged(boxes, PAGE, network=network, hostname="box"), prints=True, host=host)
    assert done.status == 0, done
    assert done.heard == {"http://127.0.0.1:8089/": "hello\n"}, done
    for line in ("inet 10.0.2.15/24", "default via 10.0.2.2", "nameserver 10.0.2.3"):
        assert line in done.stdout, done
    shown("passt: the stage sets up the interface")
