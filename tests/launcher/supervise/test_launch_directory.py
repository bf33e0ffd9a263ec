"""The directory of a launch: what a launch that was killed leaves is removed by the next one, and
nothing else is."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.__main__ import main
from krunc_launcher import system
from krunc_launcher.errors import LaunchError
from krunc_launcher.supervise import launch_directory
from krunc_launcher.supervise.launch_directory import make
from krunc_launcher.supervise.removal import remove, remove_dead
from processes import entered, started
from recorder.fixtures import LAUNCHER, Launch
from roots import runnable

BOX: dict[str, Any] = {
    "krunc": 1,
    "name": "staged",
    "rootfs": {"path": "./rootfs"},
    "network": {"mode": "tsi"},
    "hostname": "here",
    "entrypoint": {"executable": "/bin/a"},
}
DEAD = "launch-0123456789ab"
# Where a launch is killed: by the first call of a function of the system's behind which it has made
# its directory, or while its VM runs.
MOMENTS = {
    "before the fork": "fork",
    "while the VM is made": "",
    "while it removes the directory": "unlink",
    "when the directory is empty": "rmdir",
}
KILLING = """\
import posix, os
def kill(*args, **more):
    os.kill(os.getpid(), 9)
posix.NAME = kill
"""
SAYS = "started\nexit 0\n"


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """A plan whose VM starts with the stage."""
    runnable(tmp_path / "rootfs")
    (tmp_path / "box.yaml").write_text(json.dumps(BOX))
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    return tmp_path / "box.plan.json"


@contextmanager
def launching(
    plan: Path, build: Callable[..., Path], fake_kvm: Path, before: str = "", **env: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A launch of PLAN, whose launcher runs the Python code BEFORE all of its own."""
    options = ["--libkrun", str(build("1")), "--runtime-dir", str(plan.parent / "run")]
    command = [*LAUNCHER[:2], f"{before}{LAUNCHER[2]}", *options, str(plan)]
    calls = plan.parent / "calls"
    calls.unlink(missing_ok=True)
    more = {"LD_PRELOAD": str(fake_kvm), "FAKE_KVM": "works", "KRUN_RECORDER": str(calls)}
    with started(command, env={**os.environ, **more, **env}) as launcher:
        yield launcher


def left(plan: Path) -> list[str]:
    return sorted(path.name for path in (plan.parent / "run").glob("launch-*"))


# Root may open what its mode closes to it, but for this.
AS_OWNER = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o277, 0o477, 0o577, 0o777])
@pytest.mark.parametrize("runtime", ["made", "there"])
def test_the_umask_closes_nothing_to_its_owner(
    runtime: str, umask: int, plan: Path, build: Callable[..., Path], fake_kvm: Path
) -> None:
    """The VM reads the stage and its orders as this user."""
    record = plan.parent / "exit.json"
    options = ["--libkrun", str(build("1")), "--runtime-dir", str(plan.parent / "run")]
    if runtime == "there":
        (plan.parent / "run").mkdir(mode=0o700)
    done = subprocess.run(
        [*AS_OWNER, *LAUNCHER, *options, "--exit-record", str(record), str(plan)],
        env={**os.environ, "LD_PRELOAD": str(fake_kvm), "KRUN_RECORDER_SAYS": SAYS},
        umask=umask, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert left(plan) == []
    assert stat.S_IMODE(record.stat().st_mode) == 0o644 & ~umask | 0o600
    assert stat.S_IMODE((plan.parent / "run").stat().st_mode) == 0o700


def test_a_directory_that_cannot_be_opened_does_not_stay(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_directory, "opened", lambda path: -1)
    with pytest.raises(LaunchError) as failed:
        make(str(runtime / DEAD))
    said = "the launch has no directory of its own: it was made and cannot be opened"
    assert failed.value.lines == (said,)
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_launch_that_was_killed(
    moment: str,
    plan: Path,
    build: Callable[..., Path],
    fake_kvm: Path,
    launch: Callable[..., Launch],
) -> None:
    by = MOMENTS[moment]
    before = KILLING.replace("NAME", by) if by else ""
    env = {"KRUN_RECORDER_SAYS": SAYS} if by else {"KRUN_RECORDER_STAY": "1"}
    with launching(plan, build, fake_kvm, before, **env) as launcher:
        if not by:
            entered(plan.parent / "calls", launcher)
            launcher.kill()
        assert launcher.wait() == -signal.SIGKILL
    assert len(left(plan)) == 1
    done = launch(plan, KRUN_RECORDER_SAYS=SAYS)
    assert (done.returncode, done.stderr) == (0, "")
    assert left(plan) == []


def test_a_launch_that_lives_keeps_its_own(
    plan: Path, build: Callable[..., Path], fake_kvm: Path, launch: Callable[..., Launch]
) -> None:
    with launching(plan, build, fake_kvm, KRUN_RECORDER_STAY="1") as launcher:
        entered(plan.parent / "calls", launcher)
        mine = left(plan)
        inside = sorted(path.name for path in (plan.parent / "run" / mine[0]).iterdir())
        assert len(mine) == 1
        assert launch(plan, KRUN_RECORDER_SAYS=SAYS).returncode == 0
        assert left(plan) == mine
        assert inside == sorted(path.name for path in (plan.parent / "run" / mine[0]).iterdir())
        launcher.kill()
        launcher.wait()
    assert launch(plan, KRUN_RECORDER_SAYS=SAYS).returncode == 0
    assert left(plan) == []


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """A directory of somebody else's, which is as it was in the end."""
    path = tmp_path / "victim"
    (path / "in").mkdir(parents=True)
    (path / "in/file").write_text("kept")
    yield path
    assert (path / "in/file").read_text() == "kept"


def dead(runtime: Path, name: str = DEAD) -> Path:
    """The directory of a launch that was killed."""
    path = runtime / name
    os.close(make(str(path)))
    (path / "stage").mkdir()
    os.mknod(path / "report", stat.S_IFSOCK | 0o600)
    return path


def removed(runtime: Path, owners: set[int] | None = None) -> None:
    started: list[int] = []

    def fork() -> int:
        started.append(os.fork())
        return started[-1]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(system, "fork", fork)
        remove_dead(str(runtime), owners or {os.geteuid()})
    for process in started:  # what was much goes by another process
        os.waitpid(process, 0)


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    return tmp_path / "run"


def _deep(at: Path, victim: Path) -> None:
    handle = os.open(at, os.O_RDONLY)
    for _ in range(3000):  # longer than a path may be, and more than descriptors that are open
        os.mkdir("d", dir_fd=handle)
        below = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = below
    os.close(handle)


def _wide(at: Path, victim: Path) -> None:
    for i in range(300):
        (at / f"{i}").mkdir()
        (at / f"{i}/{i}").mkdir()
        (at / f"{i}/file").touch()


def _links(at: Path, victim: Path) -> None:
    for name, target in (("a", victim), ("b", victim / "in"), ("c", "/"), ("d", ".."), ("e", "e")):
        (at / name).symlink_to(target)
        (at / f"sub-{name}").mkdir()
        (at / f"sub-{name}/link").symlink_to(target)


def _hard_links(at: Path, victim: Path) -> None:
    os.link(victim / "in/file", at / "file")


def _other_kinds(at: Path, victim: Path) -> None:
    os.mkfifo(at / "fifo")
    os.mknod(at / "socket", stat.S_IFSOCK | 0o600)
    (at / "\udcff\n").touch()
    (at / "read-only").mkdir(0o500)


@pytest.mark.parametrize("fill", [_deep, _wide, _links, _hard_links, _other_kinds])
def test_what_a_guest_left_in_it(
    fill: Callable[[Path, Path], None], runtime: Path, victim: Path
) -> None:
    dead(runtime)
    fill(runtime / DEAD / "stage", victim)
    removed(runtime)
    assert list(runtime.iterdir()) == []


def test_the_own_directory_goes_in_the_same_way(runtime: Path, victim: Path) -> None:
    lock = make(str(runtime / DEAD))
    _links(runtime / DEAD, victim)
    removed(runtime)
    assert (runtime / DEAD).exists()
    remove(str(runtime / DEAD), lock)
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["launch-", "launch-0123456789a", f"{DEAD}c", "launch-0123456789aB", f"x{DEAD}", "box.sock",
     "launch-0123456789a/", "other-0123456789ab", "launch-0123456789a\u0661"],
)  # fmt: skip
def test_other_names_stay(name: str, runtime: Path) -> None:
    dead(runtime, name)
    removed(runtime)
    assert (runtime / name / "stage").exists()


def test_in_a_directory_whose_group_is_inherited(runtime: Path) -> None:
    runtime.chmod(0o2770)
    dead(runtime)
    assert (runtime / DEAD).stat().st_mode & stat.S_ISGID
    removed(runtime)
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750, 0o1755, 0o1777, 0o2700, 0o500])
def test_a_directory_of_a_person_stays(mode: int, runtime: Path) -> None:
    """Which is called as a launch's by chance, or by who wants to see what happens."""
    for name, content in ((DEAD, "stage"), (f"{DEAD[:-1]}c", "other")):
        (runtime / name / content).mkdir(parents=True)
        (runtime / name).chmod(mode)
    removed(runtime)
    assert (runtime / DEAD / "stage").exists()
    assert (runtime / f"{DEAD[:-1]}c" / "other").exists()


@pytest.mark.parametrize("name", ["file", "Stage", "stage ", "report.1", "removed-1", ".x"])
def test_what_no_launch_puts_there_stays(name: str, runtime: Path) -> None:
    (dead(runtime) / name).touch()
    removed(runtime)
    assert (runtime / DEAD / name).exists()
    assert (runtime / DEAD / "stage").exists()


def test_a_removal_that_was_killed_is_ended_by_the_next(runtime: Path) -> None:
    (dead(runtime) / "stage/a/b/c").mkdir(parents=True)
    code = (
        f"{KILLING.replace('NAME', 'rmdir')}import sys\n"
        "from krunc_launcher.supervise.removal import remove_dead\n"
        "remove_dead(sys.argv[1], {os.geteuid()})"
    )
    done = subprocess.run([LAUNCHER[0], "-c", code, str(runtime)])
    assert done.returncode == -signal.SIGKILL
    assert any(path.name not in ("stage", "report") for path in (runtime / DEAD).iterdir())
    removed(runtime)
    assert list(runtime.iterdir()) == []


@pytest.mark.parametrize("name", [DEAD, "launch-ffffffffffff"])
def test_a_share_that_is_called_so_stays(
    name: str, plan: Path, launch: Callable[..., Launch]
) -> None:
    share = {"tag": "t", "path": f"runtime:{name}", "mount": "/t"}
    (plan.parent / "box.yaml").write_text(json.dumps({**BOX, "shares": [share]}))
    assert main(["compile", str(plan.parent / "box.yaml")]) == 0
    (plan.parent / "run").mkdir(mode=0o700)
    for content in ("stage", "own"):
        (plan.parent / "run" / name / content).mkdir(parents=True)
    for _ in range(2):
        done = launch(plan, KRUN_RECORDER_SAYS=SAYS)
        assert (done.returncode, done.stderr) == (0, "")
    assert sorted(path.name for path in (plan.parent / "run" / name).iterdir()) == ["own", "stage"]


def test_links_and_files_of_that_name_stay(runtime: Path, victim: Path) -> None:
    (runtime / DEAD).symlink_to(victim)
    (runtime / f"{DEAD[:-1]}c").touch()
    os.mkfifo(runtime / f"{DEAD[:-1]}d")
    removed(runtime)
    assert len(list(runtime.iterdir())) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives directories away")
def test_directories_of_other_users_stay(runtime: Path) -> None:
    for name, uid in ((DEAD, 1000), (f"{DEAD[:-1]}c", 1001)):
        dead(runtime, name)
        os.chown(runtime / name, uid, uid)
    removed(runtime)
    assert len(list(runtime.iterdir())) == 2
    removed(runtime, {0, 1000})  # whom a VM of this plan becomes
    assert [path.name for path in runtime.iterdir()] == [f"{DEAD[:-1]}c"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_what_is_mounted_in_it_stays(runtime: Path, victim: Path) -> None:
    """In a mount namespace of its own."""
    dead(runtime)
    for name in ("at", "in/deep"):
        (runtime / DEAD / "stage" / name).mkdir(parents=True)
    code = (
        "import sys; from krunc_launcher.supervise.removal import remove_dead; "
        "remove_dead(sys.argv[1], {0})"
    )
    script = """
for at in at in/deep; do mount -t tmpfs none "$1/$at" && echo kept >"$1/$at/file"; done
"$2" -c "$3" "$4" && find "$4" -name file -exec cat {} +
"""
    command = [
        "unshare",
        "-m",
        "sh",
        "-c",
        script,
        "sh",
        str(runtime / DEAD / "stage"),
        LAUNCHER[0],
    ]
    done = subprocess.run([*command, code, str(runtime)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "kept\nkept\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
@pytest.mark.parametrize("at", ["stage", "mine", "stage/in", "stage/in/deep", "stage/orders"])
def test_what_is_bound_in_it_stays(at: str, runtime: Path, victim: Path) -> None:
    """Of the same file system too, at any depth, be it a directory or a file: and it is told."""
    dead(runtime)
    launch = runtime / DEAD
    if at == "mine":
        (launch / "stage").rename(launch / ".removed-mine")
        at = ".removed-mine"
    (victim / "file").write_text("kept\n")
    (victim / "below").mkdir(exist_ok=True)
    (victim / "below/file").write_text("kept\n")
    source = victim
    if at == "stage/orders":
        (launch / at).write_text("")
        source = victim / "file"
    else:
        (launch / at).mkdir(parents=True, exist_ok=True)
    assert source.stat().st_dev == (launch / at).stat().st_dev
    code = (
        "import sys; from krunc_launcher.supervise.removal import remove_dead; "
        "print(*remove_dead(sys.argv[1], {0}), sep='\\n')"
    )
    script = 'mount --bind "$1" "$2" && "$3" -c "$4" "$5"'
    words = ["sh", str(source), str(launch / at), LAUNCHER[0], code, str(runtime)]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (victim / "file").read_text() == (victim / "below/file").read_text() == "kept\n"
    assert done.stdout.startswith(f"{launch} stays: "), done
    assert done.stdout.endswith("; remove it by hand\n")
    named = "orders in it: device or resource busy" if at == "stage/orders" else " in it"
    assert named in done.stdout
    removed(runtime)  # where nothing is mounted
    assert list(runtime.iterdir()) == []


def test_launches_that_start_and_clean_at_once(runtime: Path) -> None:
    """Whoever is taken for dead before it has its lock makes its directory again."""
    made = system.mkdir
    meanwhile: list[str] = []

    def taken_for_dead(path: str, mode: int) -> None:
        made(path, mode)
        if len(meanwhile) < 5:
            meanwhile.append(path)
            removed(runtime)
            assert not Path(path).exists()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "mkdir", taken_for_dead)
        lock = make(str(runtime / DEAD))
    assert len(meanwhile) == 5
    removed(runtime)
    assert (runtime / DEAD).exists()
    remove(str(runtime / DEAD), lock)


def test_many_processes_that_make_and_clean(runtime: Path) -> None:
    code = """
import os, sys
from krunc_launcher.supervise.launch_directory import make
from krunc_launcher.supervise.removal import remove, remove_dead
for i in range(40):
    path = f"{sys.argv[1]}/launch-{os.urandom(6).hex()}"
    lock = make(path)
    remove_dead(sys.argv[1], {os.geteuid()})
    assert os.path.samestat(os.stat(path), os.fstat(lock))
    open(f"{path}/report", "w").close()
    if i % 5:
        remove(path, lock)
        assert not os.path.exists(path)
    else:
        os.close(lock)
"""
    command = [*LAUNCHER[:1], "-c", code, str(runtime)]
    running = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait() for process in running] == [0] * 4
    removed(runtime)
    assert list(runtime.iterdir()) == []
