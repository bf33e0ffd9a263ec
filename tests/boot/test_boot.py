"""Real microVMs: krunc launch, with its Python, in an emulated host that has a KVM."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from boots import ROUTE, Boot
from krunc_compiler.__main__ import main as compiler

pytestmark = pytest.mark.boot

Booting = Callable[..., Boot]
Shown = Callable[[str], None]


def test_hello(boot: Booting, shown: Shown) -> None:
    done = boot("hello", prints=True)
    assert (done.status, done.stdout) == (0, "Hello from a microVM\n"), done
    shown("output and exit status")


PROBE = """\
krunc: 1
name: probe
machine: {cpus: 2, memory: 256MiB}
rootfs: {path: ./rootfs}
shares: [{tag: out, path: ./out, read_only: false}]
network: {mode: tsi}
entrypoint:
  executable: /bin/sh
  args: [/sbin/probe, one, two words, $HOME]
  env: {GREETING: "a  b", TOKEN: {from_env: PROBE_TOKEN}}
  workdir: /tmp
limits: {nofile: "1000:2000", nproc: 300}
"""
PROGRAM = """\
mount -t virtiofs out /out || exit 10
{ echo "changed by the guest"; cat /out/given; } >/out/new && mv /out/new /out/given
echo "args $# [$1] [$2] [$3]"
echo "env [$GREETING] [$TOKEN]"
echo "in $(pwd) with $(/bin/busybox nproc) cpus"
echo "nofile $(ulimit -Sn) $(ulimit -Hn)"
echo "host variable [$LEAKED]"
echo "on stderr" >&2
exit 7
"""


def test_everything_reaches_the_guest(boot: Booting, boxes: Path, shown: Shown) -> None:
    (boxes / "probe.yaml").write_text(PROBE)
    (boxes / "rootfs/sbin/probe").write_text(PROGRAM)
    (boxes / "out/given").write_text("given by the host\n")
    done = boot("probe", prints=True, PROBE_TOKEN="s3cret", LEAKED="yes")
    assert done.status == 7, done
    assert done.stdout == (
        "args 3 [one] [two words] [$HOME]\n"
        "env [a  b] [s3cret]\n"
        "in /tmp with 2 cpus\n"
        "nofile 1000 2000\n"
        "host variable []\n"
    )
    assert "on stderr\n" in done.stderr
    assert (boxes / "out/given").read_text().endswith("changed by the guest\ngiven by the host\n")
    shown("two vCPUs, limits, workdir, a secret")
    shown("a writable share")


# A krunc whose table allows what the guest's kernel cannot take: 40 arguments.
PATCHED = """\
import sys
from krunc_launcher import _rules
for rule in _rules.FUNCTIONS["krun_set_exec"]["params"]:
    rule["max_items"] = 1000
from krunc import main
sys.exit(main())
"""


def test_a_guest_whose_kernel_gives_up(boot: Booting, boxes: Path, shown: Shown) -> None:
    """libkrun ends with status 0 then, as if the program had."""

    def change(plan: dict[str, Any]) -> None:
        for row in plan["operations"]:
            if row.get("call") == "krun_set_exec":
                row["args"]["argv"] = ["echo", *(f"a{i}" for i in range(60))]

    done = boot("hello", start=["-c", PATCHED], change=change)
    assert "the guest ended before its program was started" in done.stderr, done
    assert done.status == 125
    shown("a guest's kernel that gives up: status 125")


ONE_OF_TWO = """\
krunc: 1
name: NAME
machine: {cpus: 1, memory: 256MiB}
rootfs: {path: ./rootfs}
network: {mode: tsi}
entrypoint: {script: "echo this is NAME; exit STATUS"}
"""
# A krunc that is told of the second plan, too.
BOTH = """\
import sys
sys.argv += ["DIRECTORY/two.plan.json", "--log-dir=DIRECTORY/logs", "--exit-record=DIRECTORY/ends"]
from krunc import main
sys.exit(main())
"""


def test_two_at_once(boot: Booting, boxes: Path, libkrun: tuple[Path, str], shown: Shown) -> None:
    for name, status in (("one", 0), ("two", 7)):
        text = ONE_OF_TWO.replace("NAME", name).replace("STATUS", str(status))
        (boxes / f"{name}.yaml").write_text(text)
    assert compiler(["compile", str(boxes / "two.yaml"), "--target", libkrun[1]]) == 0
    both = BOTH.replace("DIRECTORY", str(boxes))
    # The guest of 1.16.0 can start without its console; then what it printed is lost.
    for _ in range(4):
        done = boot("one", start=["-c", both])
        printed = {name: (boxes / f"logs/{name}.out").read_text() for name in ("one", "two")}
        if all(printed.values()):
            break
    assert printed == {"one": "this is one\n", "two": "this is two\n"}, done
    assert done.status == 1
    told = [line for line in done.stderr.splitlines() if "ended with status" in line]
    said = [line for line in told if "cannot be told" not in line]
    assert sorted(said) == ["krunc: one: ended with status 0", "krunc: two: ended with status 7"]
    ends = {path.stem: json.loads(path.read_text()) for path in (boxes / "ends").iterdir()}
    assert {name: end["status"] for name, end in ends.items()} == {"one": 0, "two": 7}
    # Both have one root directory, and so one program: null where the VM ended before it was asked.
    assert {end["program_seen"] for end in ends.values()} <= {True, None}
    shown("two VMs of one launch: output and statuses apart")


LINKS = """\
krunc: 1
name: links
machine: {cpus: 1, memory: 256MiB}
rootfs: {path: ./rootfs}
shares: [{tag: shared, path: ./shared, read_only: false}]
network: {mode: tsi}
confine: required
entrypoint:
  script: |
    mkdir -p /mnt && /bin/busybox mount -t virtiofs shared /mnt || exit 3
    cat /mnt/inside
    cat /mnt/outside /mnt/above 2>/dev/null && echo "out of the share"
    /bin/busybox ln -s BASE/secret /mnt/made && cat /mnt/made 2>/dev/null && echo "out of the share"
    echo "end"
"""


# A krunc that tries, once it is confined and before the VM, what a guest that broke out would.
TRYING = """\
import os, socket, sys
from krunc_launcher.vm import replay
done = replay.act
def act(operation, host):
    done(operation, host)
    if operation.name != "confine":
        return
    for what in (lambda: os.open(SECRET, os.O_RDONLY), lambda: os.listdir("/"),
                 lambda: os.execv("/bin/true", ["true"])):
        try:
            what()
        except OSError as error:
            sys.stderr.write(f"refused {error.errno}\\n")
        else:
            sys.stderr.write("reached\\n")
replay.act = act
from krunc.__main__ import main
sys.exit(main())
"""


def test_links_lead_nowhere(boot: Booting, boxes: Path, shown: Shown) -> None:
    """A guest that can write to a share cannot reach with links what lies beside it."""
    (boxes / "secret").write_text("a secret\n")
    (boxes / "shared").mkdir()
    (boxes / "shared/inside").write_text("inside\n")
    (boxes / "shared/outside").symlink_to(boxes / "secret")
    (boxes / "shared/above").symlink_to("../secret")
    (boxes / "links.yaml").write_text(LINKS.replace("BASE", str(boxes)))
    trying = TRYING.replace("SECRET", repr(str(boxes / "secret")))
    done = boot("links", prints=True, start=["-c", trying])
    assert done.stdout == "inside\nend\n", done
    assert done.status == 0
    assert done.stderr.startswith("refused 13\nrefused 13\nrefused 1\n"), done
    shown("confined: files, directories and programs out of reach")
    shown("confined; links out of a share lead nowhere")


def test_disk(boot: Booting, boxes: Path, shown: Shown) -> None:
    done = boot("disk")
    assert done.status == 0, done
    console = (boxes / "run/console.log").read_text(errors="replace")
    assert "ext4" in console, console
    assert "data says these are the data" in console
    shown("root on a disk, mounted anew")
    shown("console to a file")


@pytest.mark.parametrize("libkrun", ["2.0-dev"], indirect=True)
def test_build_cannot_change_its_source(boot: Booting, boxes: Path, shown: Shown) -> None:
    """1.16.0 cannot forbid writing: the compiler refuses the box for it."""
    source = (boxes / "src/main.c").read_text()
    done = boot("build")
    assert done.status == 0, done
    assert (boxes / "src/main.c").read_text() == source
    assert (
        boxes / "out/result"
    ).read_text() == f"built {source.strip()} with 2 jobs, nofile 1024\n"
    shown("a read-only share: writing fails")


def test_a_program_that_is_missing(boot: Booting, boxes: Path) -> None:
    """A relative interpreter, which only the guest knows to be missing."""
    box = boxes / "hello.yaml"
    box.write_text(box.read_text().replace("/bin/busybox", "/bin/script"))
    (boxes / "rootfs/bin/script").write_text("#!bin/missing\n")
    (boxes / "rootfs/bin/script").chmod(0o755)
    assert boot("hello").status == 127


# What a kernel command line cannot carry, in a script and, where the library has the
# configuration file, in arguments and variables.
ODD = ['a"b c', "x  y", "", "tail\\n", "é日本🎉", "line 1\nline 2\ttab", "env", "%d '$x' `y`"]
SCRIPT = """\
# A comment with "quotes", 'others' and é.
for word in "$@"; do printf '[%s]' "$word"; done
printf '\\n%s arguments\\n' $#
cat <<'END'
  "two"  blanks, \\back\\slashes, 100 % and *
  é日本🎉
END
"""


def test_a_script_arrives_exactly(boot: Booting, boxes: Path, shown: Shown) -> None:
    box = {
        "krunc": 1,
        "name": "script",
        "rootfs": {"path": "./rootfs"},
        "network": {"mode": "tsi"},
        "entrypoint": {"script": SCRIPT, "args": ["x  y", "$z"]},
    }
    (boxes / "script.yaml").write_text(json.dumps(box, ensure_ascii=False))
    done = boot("script", prints=True)
    assert done.stdout == (
        '[x  y][$z]\n2 arguments\n  "two"  blanks, \\back\\slashes, 100 % and *\n  é日本🎉\n'
    ), done
    assert done.status == 0
    shown("a script: quotes, UTF-8, line breaks")


@pytest.mark.parametrize("libkrun", ["2.0-dev"], indirect=True)
def test_arguments_and_variables_arrive_exactly(boot: Booting, boxes: Path, shown: Shown) -> None:
    """1.16.0 has only the command line: the compiler names the script as the way out."""
    words = [*ODD, "--", *(f"a{i}" for i in range(60))]
    env = {"init": "/evil", "QUOTED": 'a"b\\', "LINES": "1\n2", "U": "é🎉", "EMPTY": ""}
    env |= {f"V{i}": str(i) for i in range(40)}
    show = (
        "for word in \"$@\"; do printf '[%s]' \"$word\"; done; printf '\\n%s\\n' $#;"
        ' printf "<%s>" "$init" "$QUOTED" "$LINES" "$U" "$EMPTY" "$V0" "$V39" "$TOKEN";'
        " printf '\\n'; cat /proc/cmdline; ls -a / | grep -c krun_config"
    )
    box = {
        "krunc": 1,
        "name": "exact",
        "rootfs": {"path": "./rootfs"},
        "network": {"mode": "tsi"},
        "entrypoint": {
            "executable": "/bin/sh",
            "args": ["-c", show, "sh", *words],
            "env": {**env, "TOKEN": {"from_env": "TOKEN"}},
        },
    }
    (boxes / "exact.yaml").write_text(json.dumps(box, ensure_ascii=False))
    done = boot("exact", prints=True, TOKEN='s3"cret')
    lines = "".join(f"[{word}]" for word in words) + f"\n{len(words)}\n"
    assert done.stdout.startswith(lines), done
    values = ["/evil", 'a"b\\', "1\n2", "é🎉", "", "0", "39", 's3"cret']
    assert "".join(f"<{value}>" for value in values) in done.stdout, done
    assert "cret" not in done.stdout.partition(">\n")[2], "no secret on the kernel's command line"
    assert done.stdout.endswith("\n0\n"), "the configuration file is gone"
    shown("70 arguments and 46 variables, any text")


# Not 127.0.0.1, which the TSI of 2.0-dev (smolmachines) refuses with EACCES.
SERVER = "10.9.0.1:7001"
CHANNELS = """\
krunc: 1
name: channels
machine: {cpus: 1, memory: 256MiB}
rootfs: {path: ./rootfs}
disks:
  - {id: raw, path: ./raw.img, format: raw}
  - {id: cow, path: ./cow.qcow2, format: qcow2, read_only: true}
network: {mode: NETWORK}
vsock:
  - {port: 5000, socket: runtime:in.sock, listen: true}
  - {port: 5001, socket: runtime:out.sock, listen: false}
entrypoint:
  script: |
    echo "raw says $(/bin/busybox head -n 1 /dev/vda)"
    echo "cow says $(/bin/busybox head -n 1 /dev/vdb)"
    echo "written by the guest" | /bin/busybox dd of=/dev/vda conv=fsync 2>/dev/null
    if echo changed | /bin/busybox dd of=/dev/vdb conv=fsync 2>/dev/null; then echo "cow changed"; fi
    echo "out answers $(vsock connect 5001 'from the guest')"
    echo "in hears $(vsock serve 5000)"
    if answer=$(echo ping | /bin/busybox nc -w 20 10.9.0.1 7001); then
      echo "tcp answers $answer"
    else
      echo "tcp fails"
    fi
"""


def channels(boot: Booting, boxes: Path, vsock: Path, network: str) -> tuple[Boot, str]:
    """A boot with everything that goes between the guest and the host; and the directory."""
    shutil.copy(vsock, boxes / "rootfs/bin/vsock")
    (boxes / "raw.img").write_bytes(b"raw data\n".ljust(1 << 20, b"\0"))
    (boxes / "plain.img").write_bytes(b"cow data\n".ljust(1 << 20, b"\0"))
    convert = ["qemu-img", "convert", "-O", "qcow2"]
    subprocess.run([*convert, boxes / "plain.img", boxes / "cow.qcow2"], check=True)
    (boxes / "channels.yaml").write_text(CHANNELS.replace("NETWORK", network))
    run = str(boxes / "run")
    host = {
        "unix": {f"{run}/out.sock": "from the host"},
        "call": {f"{run}/in.sock": "a line of the host"},
        "setup": [["busybox", "ip", "address", "replace", "10.9.0.1/32", "dev", "lo"]],
        "tcp": {SERVER: "a server of the host"},
    }
    done = boot("channels", prints=True, host=host)
    assert "raw says raw data\ncow says cow data\n" in done.stdout, done
    assert "cow changed" not in done.stdout
    assert (boxes / "raw.img").read_bytes().startswith(b"written by the guest\n")
    assert "out answers from the host\nin hears a line of the host\n" in done.stdout, done
    assert done.heard[f"{run}/out.sock"] == "from the guest"
    assert done.heard[f"{run}/in.sock"] == "the guest heard a line of the host"
    return done, run


def test_channels_and_tsi(boot: Booting, boxes: Path, vsock: Path, shown: Shown) -> None:
    done, _ = channels(boot, boxes, vsock, "tsi")
    assert "tcp answers a server of the host\n" in done.stdout, done
    assert done.heard[SERVER] == "ping"
    shown("raw and qcow2 disks, one read-only")
    shown("vsock, both directions")
    shown("TSI reaches a TCP server of the host")


@pytest.mark.parametrize("libkrun", ["2.0-dev"], indirect=True)
def test_no_network(boot: Booting, boxes: Path, vsock: Path, shown: Shown) -> None:
    """1.16.0 cannot switch TSI off: the compiler refuses the box for it."""
    done, _ = channels(boot, boxes, vsock, "none")
    assert "tcp fails\n" in done.stdout, done
    assert SERVER not in done.heard
    shown("network none: the same connection fails")


OVERLAY = """\
krunc: 1
name: overlay
rootfs:
  path: ./rootfs
  read_only: true
  overlay:
    - {path: /motd, text: "laid over\\n", mode: "0640"}
    - {path: /made, directory: true, mode: "0711"}
    - {path: /made/given, file: ./given}
network: {mode: none}
entrypoint:
  script: |
    cat /motd /made/given
    /bin/busybox stat -c '%a %F' /motd /made
    if echo x 2>/dev/null >/written; then echo "root changed"; else echo "root is read-only"; fi
"""


@pytest.mark.parametrize("libkrun", ["2.0-dev"], indirect=True)
def test_overlay(boot: Booting, boxes: Path, shown: Shown) -> None:
    (boxes / "overlay.yaml").write_text(OVERLAY)
    (boxes / "given").write_text("from a file of the host\n")
    done = boot("overlay", prints=True)
    assert done.stdout == (
        "laid over\nfrom a file of the host\n640 regular file\n711 directory\nroot is read-only\n"
    ), done
    assert not (boxes / "rootfs/motd").exists()
    shown("overlay files and directories")
    shown("a read-only root")


RUN_AS = """\
krunc: 1
name: run-as
rootfs: {path: ./rootfs}
network: {mode: tsi}
entrypoint: {script: "echo made >/out/made && echo ok"}
run_as: {uid: 1234, gid: 1235}
"""


def test_run_as(boot: Booting, boxes: Path, shown: Shown) -> None:
    """A file that the guest's root makes belongs to the user that the VM's process became."""
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        root = Path(directory) / "rootfs"
        shutil.copytree(boxes / "rootfs", root, symlinks=True)
        for path in (root, *root.iterdir()):
            os.chown(path, 1234, 1235)
        (boxes / "run-as.yaml").write_text(RUN_AS.replace("./rootfs", str(root)))
        done = boot("run-as", prints=True)
        assert (done.status, done.stdout) == (0, "ok\n"), done
        made = (root / "out/made").stat()
        assert (made.st_uid, made.st_gid) == (1234, 1235)
    shown("another user on the host")


STOP = """\
krunc: 1
name: stop
rootfs: {path: ./rootfs}
network: {mode: tsi}
entrypoint:
  script: |
    trap 'echo "asked to stop"; exit 9' INT
    echo ready
    for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1; done
    echo "not stopped"
stop: {grace: 20}
"""


def test_sigterm_asks_the_guest_to_stop(boot: Booting, boxes: Path, shown: Shown) -> None:
    (boxes / "stop.yaml").write_text(STOP)
    done = boot("stop", prints=True, host={"signal": {"after": "ready", "send": "SIGTERM"}})
    assert (done.status, done.stdout) == (9, "ready\nasked to stop\n"), done
    shown("SIGTERM: a clean stop")


def test_sigterm_ends_what_does_not_stop(boot: Booting, boxes: Path) -> None:
    stubborn = STOP.replace("""trap 'echo "asked to stop"; exit 9' INT""", "trap '' INT")
    (boxes / "stop.yaml").write_text(stubborn.replace("grace: 20", "grace: 1"))
    done = boot("stop", prints=True, host={"signal": {"after": "ready", "send": "SIGTERM"}})
    assert (done.status, done.stdout) == (-15, "ready\n"), done


PASST = """\
krunc: 1
name: passt
rootfs: {path: ./rootfs}
network: {mode: unixstream, socket: runtime:passt.sock}
entrypoint:
  script: |
    cat >/tmp/configure <<'END'
    #!/bin/sh
    if [ "$1" = bound ]; then
      /bin/busybox ip address add "$ip/$mask" dev "$interface"
      /bin/busybox ip route add default via "$router"
    fi
    END
    /bin/busybox chmod 755 /tmp/configure
    /bin/busybox ip link set eth0 up
    /bin/busybox udhcpc -q -n -f -i eth0 -s /tmp/configure 2>/dev/null
    /bin/busybox ip -o -4 address show dev eth0
    /bin/busybox ip route | grep default
    # passt does not end a connection of which one half is closed.
    echo ping | /bin/busybox timeout 8 /bin/busybox nc -w 8 10.9.1.1 7002
"""


def test_passt(boot: Booting, boxes: Path, shown: Shown) -> None:
    """A network device that passt serves, on an interface of the host made for it."""
    (boxes / "passt.yaml").write_text(PASST)
    socket = str(boxes / "run/passt.sock")
    address = ["-i", "tap9", "-a", "10.9.1.77", "-n", "24", "-g", "10.9.1.1"]
    host = {
        "setup": [
            ["sh", "-c", "test -e /sys/class/net/tap9 || ip tuntap add tap9 mode tap"],
            ["busybox", "ip", "address", "replace", "10.9.1.1/24", "dev", "tap9"],
            ["busybox", "ip", "link", "set", "tap9", "up"],
            ["mkdir", "-p", "-m", "700", str(boxes / "run")],
            ["rm", "-f", socket],
        ],
        "beside": [["passt", "-q", "-f", *address, "--runas", "0", "-s", socket]],
        "await": [socket],
        "tcp": {"127.0.0.1:7002": "a server behind passt"},
    }
    done = boot("passt", prints=True, host=host)
    assert "inet 10.9.1.77/24" in done.stdout, done
    assert "default via 10.9.1.1" in done.stdout, done
    assert "a server behind passt\n" in done.stdout, done
    shown("passt: an address by DHCP, a connection")


OWN_PASST = """\
krunc: 1
name: published
rootfs: {path: ./rootfs}
network: {mode: passt, ports: ["127.0.0.1:8088:80"]}
entrypoint:
  script: |
    PATH=/bin
    busybox ip address add 10.0.2.15/24 dev eth0
    busybox ip link set eth0 up
    busybox ip route add default via 10.0.2.2
    printf 'HTTP/1.0 200 OK\\r\\n\\r\\nhello from the guest\\n' | busybox timeout 60 busybox nc -l -p 80 >/dev/null
    echo ping | busybox timeout 8 busybox nc -w 8 10.9.1.1 7002
    echo ping | busybox timeout 8 busybox nc -w 8 10.0.2.2 7003
    echo end
"""


def test_a_passt_of_its_own(boot: Booting, boxes: Path, shown: Shown) -> None:
    """A port that only the host's 127.0.0.1 has, a way out, and none to the host's 127.0.0.1."""
    (boxes / "published.yaml").write_text(OWN_PASST)
    host = {
        "setup": ROUTE,
        "tcp": {"10.9.1.1:7002": "a server of the host", "127.0.0.1:7003": "the host's own"},
        "fetch": ["http://127.0.0.1:8088/"],
    }
    done = boot("published", prints=True, host=host)
    assert done.heard["http://127.0.0.1:8088/"] == "hello from the guest\n", done
    assert done.stdout.startswith("a server of the host\n"), done
    assert done.stdout.endswith("end\n"), done
    assert "passt has ended" not in done.stderr, done
    assert done.heard.keys() == {"10.9.1.1:7002", "http://127.0.0.1:8088/"}, done
    shown("passt of its own: a published port")


LOCALHOST = """\
krunc: 1
name: localhost
rootfs: {path: ./rootfs}
network: {mode: passt, host_loopback: HOST_LOOPBACK}
entrypoint:
  script: |
    PATH=/bin
    busybox ip address add 10.0.2.15/24 dev eth0
    busybox ip link set eth0 up
    busybox ip route add default via 10.0.2.2
    echo gateway | busybox timeout 8 busybox nc -w 8 10.0.2.2 7003
    # Root of the guest sends to 127.0.0.1 over the device.
    echo 1 >/proc/sys/net/ipv4/conf/all/route_localnet
    busybox ip route del local 127.0.0.0/8 dev lo table local
    busybox ip route del local 127.0.0.1 dev lo table local
    busybox ip route add 127.0.0.1 via 10.0.2.2 dev eth0
    busybox ip route get 127.0.0.1
    echo direct | busybox timeout 8 busybox nc -w 8 127.0.0.1 7003
    echo end
"""


@pytest.mark.parametrize("host_loopback", ["true", "false"])
def test_passt_and_localhost(boot: Booting, boxes: Path, shown: Shown, host_loopback: str) -> None:
    """The host's own 127.0.0.1 is reached through the gateway, and only when asked for."""
    (boxes / "localhost.yaml").write_text(LOCALHOST.replace("HOST_LOOPBACK", host_loopback))
    host = {"setup": ROUTE, "tcp": {"127.0.0.1:7003": "the host's own"}}
    done = boot("localhost", prints=True, host=host)
    assert done.stdout.endswith("end\n"), done
    assert done.stdout.startswith("127.0.0.1 via" if host_loopback == "false" else "the host"), done
    # Not even a connection without a word.
    assert bool(done.heard) == (host_loopback == "true"), done
    shown(f"passt of its own: host_loopback: {host_loopback}")
