"""The stage itself, in namespaces of this machine: no VM, and a Unix socket in the place of vsock."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from once import once
from places import ROOT
from stages import TABLE, Native, Order, encode, orders
from terminals import terminal

STAGE = ROOT / "launcher" / "stage"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stage with checks of what C leaves undefined; they end it."""
    checks = ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"]
    options = ["-static", "-O1", "-Wall", "-Wextra", "-Werror", '-DTEST_SOCKET="/report/socket"']
    sources = sorted(STAGE.glob("*.c"))
    command: list[str | Path] = ["cc", *options, *checks, *sources, "-o"]
    return once(
        tmp_path_factory, "stage/stage", lambda out: subprocess.run([*command, out], check=True)
    )


@pytest.fixture
def stage(program: Path, tmp_path: Path) -> Native:
    return Native(program, tmp_path)


def sh(script: str, *more: Order, **program: object) -> list[Order]:
    return orders(*more, argv=["sh", "-c", script], **program)


def test_the_exit_code_comes_back(stage: Native) -> None:
    assert stage.run(sh("exit 7"))[:2] == (7, ["started", "exit 7"])


def test_the_guest_is_what_it_should_be(stage: Native) -> None:
    said = stage.run(
        sh(
            "id; pwd; tail -n +1 /etc/hosts /etc/resolv.conf; hostname; echo $HOME $PATH; ls /proc/self/fd;"
            "cat /proc/1/comm; grep Sig[BI] /proc/self/status; umask",
            ("hostname", {"name": "box"}),
            ("host", {"name": "db", "address": "10.0.0.1"}),
            ("nameserver", {"address": "1.1.1.1"}),
            ("nameserver", {"address": "::1"}),
            ("user", {"user": "app"}),
            workdir="/tmp",
        )
    )
    # What starts the stage may be glibc's posix_spawn, which leaves its own signal 32 ignored.
    stdout = said.stdout.replace("SigIgn:\t0000000080000000", "SigIgn:\t0000000000000000")
    assert stdout.splitlines() == [
        "uid=1000(app) gid=1001(app) groups=10(wheel)",
        "/tmp",
        "==> /etc/hosts <==",
        "127.0.0.1 localhost",
        "::1 localhost",
        "127.0.1.1 box",
        "10.0.0.1 db",
        "",
        "==> /etc/resolv.conf <==",
        "nameserver 1.1.1.1",
        "nameserver ::1",
        "box",
        "/home/app /bin",
        *"0123",  # the third is what lists them
        "stage",
        "SigBlk:\t0000000000000000",
        "SigIgn:\t0000000000000000",
        "0022",
    ], said


@pytest.mark.parametrize(
    ("hostname", "hosts", "lines"),
    [
        ("box", {}, ["127.0.0.1 localhost", "::1 localhost", "127.0.1.1 box"]),
        ("box", {"a": "::2"}, ["127.0.0.1 localhost", "::1 localhost", "127.0.1.1 box", "::2 a"]),
        ("box", {"box": "10.0.0.5"}, ["127.0.0.1 localhost", "::1 localhost", "10.0.0.5 box"]),
        ("BOX", {"a": "::2", "boX": "::3"}, ["127.0.0.1 localhost", "::1 localhost", "::2 a", "::3 boX"]),
        ("box", {"LocalHost": "10.0.0.6"}, ["127.0.1.1 box", "10.0.0.6 LocalHost"]),
        ("box", {"box.a": "::2", "localhost.a": "::3"}, ["127.0.0.1 localhost", "::1 localhost", "127.0.1.1 box", "::2 box.a", "::3 localhost.a"]),
        (None, {"localhost": "10.0.0.6"}, ["10.0.0.6 localhost"]),
        (None, {"a": "::2", "localhost": "::6"}, ["::2 a", "::6 localhost"]),
        (None, {"a": "::2"}, ["127.0.0.1 localhost", "::1 localhost", "::2 a"]),
    ],
)  # fmt: skip
def test_a_name_has_the_address_of_the_box_and_no_other(
    stage: Native, hostname: str | None, hosts: dict[str, str], lines: list[str]
) -> None:
    own: list[Order] = [("hostname", {"name": hostname})] if hostname else []
    given: list[Order] = [("host", {"name": a, "address": b}) for a, b in hosts.items()]
    more: list[Order] = [("nameserver", {"address": "1.1.1.1"})]
    assert stage.run(sh("cat /etc/hosts", *own, *given, *more)).stdout.splitlines() == lines


def test_hosts_that_cannot_be_made_are_told_at_the_first_order_that_needs_them(
    stage: Native,
) -> None:
    shutil.rmtree(stage.lower / "etc")
    (stage.lower / "etc").touch()
    names: list[Order] = [
        ("hostname", {"name": "box"}),
        ("host", {"name": "a", "address": "::1"}),
        ("host", {"name": "b", "address": "::1"}),
    ]
    for skipped in (0, 1):
        given = sh("true", *names[skipped:])
        index = given.index(names[skipped])
        assert stage.run(given).lines == [f"failed {index} open {errno.ENOTDIR}"]


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ("--fsize=0:", "Max file size 0 unlimited bytes"),
        ("--fsize=4096:", "Max file size 4096 unlimited bytes"),
        ("--stack=16384:", "Max stack size 16384 unlimited bytes"),
        ("--nofile=12:", "Max open files 12 "),
        ("--nofile=100:2000", "Max open files 100 2000 files"),
        ("--nofile=2000:3000", "Max open files 2000 3000 files"),
        ("--as=8000000:", "Max address space 8000000 unlimited bytes"),
        ("--data=4000000:", "Max data size 4000000 unlimited bytes"),
        ("--cpu=9:", "Max cpu time 9 unlimited seconds"),
    ],
)
def test_limits_are_those_of_the_program(stage: Native, limit: str, told: str) -> None:
    """Neither the stage nor a script before the program is held by them."""
    hosts: list[Order] = [("host", {"name": f"{i}" * 50, "address": "::1"}) for i in range(99)]
    before = 'cat /etc/hosts /etc/hosts >/t && for i in 3 4 5 6 7 8 9; do eval "exec $i</t"; done'
    names: list[Order] = [("hostname", {"name": "box"}), *hosts]
    script = 'while read -r line; do echo "$line"; done </proc/self/limits'
    program: Order = ("before", {"script": f"{before} && rm /t"})
    said = stage.run(sh(script, *names, ("user", {"user": "app"}), program), limits=limit)
    assert said.lines == ["started", "exit 0"], said
    assert told in re.sub(" +", " ", said.stdout), said


def test_nothing_of_the_first_root_is_left(stage: Native) -> None:
    said = stage.run(
        sh("ls -A /; cut -d' ' -f2 /proc/mounts; ls -A /dev/pts /dev/shm"),
    )
    assert said.stdout.split() == [
        *("bin", "dev", "etc", "home", "proc", "root", "sys", "tmp"),
        *("/", "/dev", "/dev/pts", "/dev/shm", "/proc", "/sys"),
        *("/dev/pts:", "ptmx", "/dev/shm:"),
    ]


def test_mounts(stage: Native) -> None:
    said = stage.run(
        sh(
            "grep -e /a -e /b /proc/mounts; stat -c %a /a/b/c; grep /d.tmpfs /proc/mounts; touch /d/x",
            ("mount_tmpfs", {"path": "/a/b/c", "size_mib": 3, "mode": "1770"}),
            ("mount_tmpfs", {"path": "/b", "size_mib": None, "mode": "000"}),
            (
                "mount_disk",
                {
                    "path": "/d",
                    "device": "/dev/null",
                    "fstype": "tmpfs",
                    "options": "ro,size=1024k,noexec,mode=711",
                    "access": "read-write",
                },
            ),
        )
    )
    assert "/a/b/c tmpfs rw,nosuid,nodev,relatime,size=3072k,mode=1770" in said.stdout
    assert "/b tmpfs rw,nosuid,nodev,relatime,mode=0" in said.stdout
    assert "\n1770\n/dev/null /d tmpfs ro,nodev,noexec,relatime,size=1024k,mode=711" in said.stdout
    assert "Read-only file system" in said.stderr


def test_links_of_the_guest_lead_where_they_lead_in_the_guest(stage: Native) -> None:
    (stage.lower / "etc" / "resolv.conf").symlink_to("../run/a/resolv.conf")
    (stage.lower / "etc" / "hosts").symlink_to("/run/b/hosts")
    (stage.lower / "data").symlink_to("/srv")
    (stage.lower / "srv").mkdir()
    said = stage.run(
        sh(
            "cat /run/a/resolv.conf /run/b/hosts; mount | grep tmpfs.on./srv",
            ("mount_tmpfs", {"path": "/data", "size_mib": 1, "mode": "000"}),
            ("host", {"name": "db", "address": "10.0.0.1"}),
            ("nameserver", {"address": "1.1.1.1"}),
        )
    )
    assert said.status == 0, said
    assert "nameserver 1.1.1.1\n127.0.0.1 localhost\n::1 localhost\n10.0.0.1 db\n" in said.stdout


def test_a_circle_of_links_is_an_error(stage: Native) -> None:
    (stage.lower / "etc" / "hosts").symlink_to("hosts")
    said = stage.run(sh("true", ("host", {"name": "db", "address": "10.0.0.1"})))
    assert said[:2] == (125, ["failed 3 link 40"])


def tmpfs(path: str) -> tuple[str, dict[str, object]]:
    """An order for an empty file system at PATH."""
    return "mount_tmpfs", {"path": path, "size_mib": 1, "mode": "755"}


# What is mounted at /work has links of its own, as one that a guest could write may have.
LINKS = ["self", "self/x", "thread-self/a/b", "net", "mounts", "1/root", "1/root/etc", "1/cwd"]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("at", ["/work", "/data"])
def test_no_link_of_what_is_mounted_leads_a_mount_away(at: str, link: str, stage: Native) -> None:
    (stage.lower / "data").symlink_to("work")
    work = {"path": "/work", "device": "/dev/null", "fstype": "proc", "options": ""}
    said = stage.run(
        sh("echo started", ("mount_disk", {**work, "access": "read"}), tmpfs(f"{at}/{link}"))
    )
    assert said[:2] == (125, ["failed 4 link 40"])
    assert "started" not in said.stdout


HIDDEN = {
    "the root": ({"src": "/"}, ["/src"], 3),
    "the root, from below": ({"src": "a/../.."}, ["/src"], 3),
    "a file system of every guest": ({"src": "proc"}, ["/src"], 3),
    "a mount below another": ({"home": "var/home"}, ["/home/out", "/var"], 3),
    "one place by two names": ({"data": "/srv"}, ["/data", "/srv"], 3),
    "the same, from the other side": ({"srv": "/data"}, ["/data", "/srv"], 3),
}


@pytest.mark.parametrize("case", HIDDEN)
def test_a_mount_that_a_link_hides_is_an_error(case: str, stage: Native) -> None:
    links, paths, index = HIDDEN[case]
    (stage.lower / "a").mkdir()
    for name, to in links.items():
        place = stage.lower / name
        if place.is_dir():
            place.rmdir()
        place.symlink_to(to)
    said = stage.run(sh("echo started", *map(tmpfs, paths)))
    assert said[:2] == (125, [f"failed {index} hidden 16"])
    assert "started" not in said.stdout


def test_a_link_of_the_root_may_lead_into_a_mount(stage: Native) -> None:
    (stage.lower / "log").symlink_to("run/log")
    said = stage.run(
        sh("grep -c /run.log /proc/mounts", tmpfs("/a"), tmpfs("/run"), tmpfs("/run/log"))
    )
    assert (said.status, said.stdout) == (0, "1\n"), said


def test_changes_are_kept_on_a_disk(stage: Native) -> None:
    said = stage.run(
        sh("echo hi >/etc/x; mount", ("keep_changes", {"device": "/dev/null", "fstype": "tmpfs"}))
    )
    assert said.status == 0
    assert "upperdir=/m/changes/upper" in said.stdout
    assert not (stage.lower / "etc" / "x").exists()


READ_ONLY = (
    "root_disk",
    {
        "device": "/dev/null",
        "fstype": "overlay",
        "options": "lowerdir=/lower:/empty",
        "access": "read",
    },
)


@pytest.mark.parametrize(
    ("order", "values", "step", "number"),
    [
        ("root_disk", {**READ_ONLY[1], "fstype": "none-such"}, "mount", 19),
        ("keep_changes", {"device": "/dev/null", "fstype": "none-such"}, "mount", 19),
        ("mount_tmpfs", {"path": "/bin/busybox", "size_mib": 1, "mode": "000"}, "mount", 20),
        ("mount_tmpfs", {"path": "/etc/passwd/x", "size_mib": 1, "mode": "000"}, "mkdir", 20),
        ("mount_share", {"path": "/x", "tag": "none", "access": "read"}, "mount", None),
        ("user", {"user": "nobody"}, "user", 2),
        ("user", {"user": "0:nobody"}, "group", 2),
        # Root by another name, which a review takes for somebody else.
        ("user", {"user": "toor"}, "user", 1),
        ("user", {"user": "toor:app"}, "user", 1),
        ("before", {"script": "exit 3"}, "exited", 3),
        ("before", {"script": "kill -9 $$"}, "signal", 9),
        ("workdir", {"workdir_path": "/none"}, "workdir", 2),
        ("workdir", {"workdir_path": "/etc/passwd"}, "workdir", 20),
    ],
)
def test_what_fails_is_told(
    stage: Native, order: str, values: dict[str, object], step: str, number: int | None
) -> None:
    made = sh("true", (order, values))
    index = [name for name, _ in made].index(order)
    said = stage.run(made)
    assert said.status == 125
    (line,) = said.lines
    assert re.fullmatch(rf"failed {index} {step} {r'[0-9]+' if number is None else number}", line)
    assert step in TABLE["steps"]
    assert said.stderr == ""


def test_a_program_that_cannot_start(stage: Native) -> None:
    assert stage.run(orders(argv=["none"]))[:2] == (127, ["failed 4 exec 2"])
    assert stage.run(orders(argv=["/etc/passwd"]))[:2] == (126, ["failed 4 exec 13"])
    assert stage.run(orders(argv=["/etc"]))[:2] == (126, ["failed 4 exec 13"])


@pytest.mark.parametrize(
    ("path", "status"),
    [("/none:/bin", 0), ("/etc:/bin", 0), ("/none", 127), ("", 127), ("/none:", 127), (None, 0)],
)
def test_the_program_is_looked_for_in_its_own_path(
    stage: Native, path: str | None, status: int
) -> None:
    env = {} if path is None else {"PATH": path}
    assert stage.run(orders(argv=["true"], env=env)).status == status


def test_a_program_below_the_working_directory(stage: Native) -> None:
    assert stage.run(orders(argv=["./true"], workdir="/bin")).status == 0
    assert stage.run(orders(argv=["bin/true"])).status == 0


def test_arguments_and_variables_arrive_as_they_are(stage: Native) -> None:
    odd = ['a"b  c', "line\nline", "grüß 日本", "'q'", "\\", "$HOME", "", "\t", "%s", "-n"]
    many = [f"{i}" for i in range(4096 - len(odd) - 3)]
    env = {"PATH": "/bin", "A": "", "B": "=\n\t", "a.b": "grüß", "HOME": "/own"}
    script = 'for a; do printf "<%s>" "$a"; done'
    said = stage.run(orders(argv=["sh", "-c", script, "sh", *odd, *many], env=env))
    wanted = "".join(f"<{text}>" for text in [*odd, *many])
    assert said.stdout == wanted
    said = stage.run(orders(argv=["cat", "/proc/self/environ"], env=env))
    assert said.stdout == "".join(f"{name}={text}\0" for name, text in env.items())


def test_the_end_by_a_signal(stage: Native) -> None:
    assert stage.run(sh("kill -9 $$"))[:2] == (137, ["started", "signal 9"])


@pytest.mark.parametrize(
    ("command", "said"), [("poweroff -f", "poweroff"), ("reboot -f", "reboot")]
)
def test_power_off(stage: Native, command: str, said: str) -> None:
    assert stage.run(sh(f"{command}; sleep 9"))[:2] == (0, ["started", said])


@pytest.fixture(scope="session")
def off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program whose first act is to power off, or with an argument to reboot."""
    program = tmp_path_factory.mktemp("off") / "off"
    text = (
        "#include <sys/reboot.h>\n#include <unistd.h>\n"
        "int main(int count, char **words) {\n"
        "    (void)words; reboot(count > 1 ? RB_AUTOBOOT : RB_POWER_OFF); for (;;) pause();\n}\n"
    )
    program.with_suffix(".c").write_text(text)
    subprocess.run(["cc", "-static", "-O1", f"{program}.c", "-o", program], check=True)
    return program


@pytest.mark.parametrize("processors", [1, 64])
@pytest.mark.parametrize(("words", "said"), [([], "poweroff"), (["x"], "reboot")])
def test_a_program_that_powers_off_first_was_started(
    stage: Native, off: Path, processors: int, words: list[str], said: str
) -> None:
    """It ends the process that tells of its start, before that does or at about the same time."""
    shutil.copy(off, stage.lower / "bin" / "off")
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[:processors])
    try:
        ends = [stage.run(orders(argv=["off", *words])) for _ in range(20)]
    finally:
        os.sched_setaffinity(0, every)
    assert {(end.status, *end.lines) for end in ends} == {(0, "started", said)}


def test_a_script_that_powers_off_is_no_start(stage: Native) -> None:
    said = stage.run(sh("true", ("before", {"script": "poweroff -f"})))
    assert said[:2] == (0, ["poweroff"])


def test_what_is_left_behind_ends_with_the_program(stage: Native) -> None:
    orphan = "(sh -c 'echo $$ >/id.new; mv /id.new /id' &); until [ -e /id ]; do sleep 0.01; done"
    reaped = "while [ -e /proc/$(cat /id) ]; do sleep 0.01; done"
    said = stage.run(sh(f"(sleep 100 &); {orphan}; {reaped}; echo reaped; exit 6"))
    assert said[:3] == (6, ["started", "exit 6"], "reaped\n")


FOREVER = "while :; do sleep 0.05; done"


def test_process_1_is_not_killed_from_within(stage: Native) -> None:
    said = stage.run(sh(f"trap 'echo term; exit 5' TERM; kill -9 1; kill -15 1; {FOREVER}"))
    assert said[:3] == (5, ["started", "exit 5"], "term\n")


SIGNALS = "trap 'echo usr; exit 3' USR1; trap 'echo 99' 64; echo ready; "
SIGNALS += FOREVER


def test_signals_of_the_launcher(stage: Native) -> None:
    sends = ["junk\n" + "x" * 300 + "\nsignal 99\nsignal 0\n", "sig", "nal 10\n"]
    said = stage.run(sh(SIGNALS), sends=sends)
    assert said[:3] == (3, ["started", "exit 3"], "ready\nusr\n")


def test_signals_reach_a_script_before_the_program(stage: Native) -> None:
    made = sh("exit 9", ("before", {"script": SIGNALS}))
    said = stage.run(made, sends=["signal 10\n"])
    assert said[:2] == (125, ["failed 3 exited 3"])


def test_signals_reach_all_that_the_program_started(stage: Native) -> None:
    script = "sh -c 'trap \"echo inner; exit\" USR1; echo ready; while :; do sleep 0.05; done' & "
    said = stage.run(sh(f"trap : USR1; {script} wait; wait; exit 4"), sends=["signal 10\n"])
    assert said[:3] == (4, ["started", "exit 4"], "ready\ninner\n")


def test_a_script_before_the_program(stage: Native) -> None:
    told = "id -u; pwd; echo $A $HOME; readlink /proc/self/fd/0; echo x >/x"
    # A child of the shell has the shell's name until it executes its program.
    script = f'{told}; sleep 50 & until [ "$(cat /proc/$!/comm)" = sleep ]; do :; done'
    made = sh(
        "id -u; cat /x; ps -o comm | grep sleep",
        ("user", {"user": "app"}),
        ("before", {"script": script}),
        env={"PATH": "/bin", "A": "b"},
        workdir="/tmp",
    )
    said = stage.run(made)
    assert said.status == 0
    assert re.fullmatch(r"0\n/\nb /home/app\n/dev/null\n1000\nx\nsleep\n", said.stdout)


@pytest.mark.parametrize("launcher", ["silent", "gone"])
def test_a_launcher_that_says_and_reads_nothing_holds_nothing(stage: Native, launcher: str) -> None:
    before = time.monotonic()
    assert stage.run(sh("exit 7"), launcher=launcher).status == 7
    assert time.monotonic() - before < 6


def test_no_launcher(stage: Native) -> None:
    said = stage.run(sh("echo hi"), launcher="none")
    assert said == (125, [], "", "stage: failed 0 dial 2\n")


def test_wrong_orders_are_told_twice(stage: Native) -> None:
    data = encode(sh("true", ("hostname", {"name": "box"})))
    said = stage.run(data.replace(b"\0hostname\0", b"\0hostnam\0"))
    assert said == (125, ["failed 3 orders 22"], "", "stage: failed 3 orders 22\n")


@pytest.mark.parametrize("data", [b"", b"\0", encode(sh("true"))[:-1]])
def test_orders_without_a_launcher_in_them(stage: Native, data: bytes) -> None:
    assert stage.run(data, launcher="none") == (125, [], "", "stage: failed 0 orders 22\n")


def test_a_terminal(stage: Native) -> None:
    """The terminal is the program's, which leads its session, and its user's."""
    script = (
        "cut -d' ' -f6,7 /proc/$$/stat; echo $TERM; stat -Lc %u /proc/self/fd/0; echo ready >&3"
    )
    size = "until stty size 2>/dev/null | grep 133; do sleep 0.05; done"
    order = "exec 3>&1 >/dev/tty 2>&1; " + script + f"; {size}; exit 5"
    made = orders(("user", {"user": "app"}), argv=["sh", "-c", order])
    shown = b""
    with terminal() as (ours, theirs):
        sends = ["size 44 133\n"]
        said = stage.run(made, sends=sends, stdin=theirs.fileno())
        theirs.close()
        with suppress(OSError):  # the last writer is gone
            while piece := ours.read(4096):
                shown += piece
    assert said[:2] == (5, ["started", "exit 5"])
    session, device, *rest = shown.split()
    assert session == b"2"  # the program's, behind process 1
    assert device != b"0"
    assert rest == [b"linux", b"1000", b"44", b"133"], shown
