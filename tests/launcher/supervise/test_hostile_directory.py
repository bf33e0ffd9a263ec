"""What a guest, or the user whom its VM has become, does to the directory of a launch: it gains
nothing there by a launcher that may do more."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from krunc_launcher import system
from krunc_launcher.supervise.launch_directory import make
from krunc_launcher.supervise.removal import opened_to_change, remove, remove_dead
from krunc_launcher.supervise.report import Report
from krunc_launcher.vm import stage

UID = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
DEAD = "launch-0123456789ab"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)
        yield Path(name)


def as_user(uid: int, act: Callable[[], None]) -> None:
    """Let another process, of the user UID, ACT; for root's own there is none."""
    child = os.fork()
    if not child:
        status = 1
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
            act()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0


def laid(launch: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lay the stage in the directory of a LAUNCH, for the VM of another user."""
    (launch / "report").touch()
    monkeypatch.setattr(stage, "encoded", lambda done: b"orders")
    monkeypatch.setattr(stage, "meant", lambda done, what: UID)
    stage.lay(str(launch / "stage"), [])
    return launch


def test_nothing_is_given_away_below_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has a directory changes names in it, and the next would be another's file."""
    given: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(system, "chown", lambda path, uid, gid, **how: given.append((path, how)))
    (tmp_path / DEAD).mkdir()
    laid(tmp_path / DEAD, monkeypatch)
    paths = [path for path, _ in given]
    assert sorted(os.path.relpath(path, tmp_path) for path in paths) == sorted(
        [DEAD, f"{DEAD}/report", f"{DEAD}/stage", f"{DEAD}/stage/orders", f"{DEAD}/stage/stage"]
    )
    for i, path in enumerate(paths):
        assert not [above for above in paths[:i] if path.startswith(f"{above}/")], path
    assert all(how == {"follow_symlinks": False} for _, how in given)


@as_root
@pytest.mark.parametrize("replaced", ["stage", "stage/orders", "stage/stage", "report"])
def test_a_link_in_the_place_of_what_is_given_away(
    replaced: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its user, as soon as that can write where it is."""
    victim = place / "victim"
    victim.mkdir(0o700)
    for name in ("orders", "stage"):
        (victim / name).touch()
    given = system.chown

    def attack() -> None:
        path = place / DEAD / replaced
        path.rename(f"{path}.x")
        path.symlink_to(victim if replaced == "stage" else victim / "orders")

    def chown(path: str, uid: int, gid: int, **how: Any) -> None:
        given(path, uid, gid, **how)
        with suppress(AssertionError):  # not yet
            as_user(UID, attack)

    (place / DEAD).mkdir(0o1700)
    monkeypatch.setattr(system, "chown", chown)
    with suppress(OSError):
        laid(place / DEAD, monkeypatch)
    assert [path.stat().st_uid for path in (victim, *victim.iterdir())] == [0, 0, 0]
    assert (place / DEAD).stat().st_uid == UID


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("kind", ["link", "another directory"])
def test_orders_of_another_directory_stay(kind: str, closed: bool, place: Path) -> None:
    victim = place / "victim"
    victim.mkdir()
    (victim / "orders").touch()
    lock = make(str(place / DEAD))
    (place / DEAD / "stage").mkdir()
    (place / DEAD / "stage/orders").touch()
    report = Report.__new__(Report)
    report._lock = lock
    if kind == "link":
        (place / DEAD / "stage").rename(place / DEAD / "x")
        (place / DEAD / "stage").symlink_to(victim)
    elif closed:
        (place / DEAD / "stage").chmod(0o500)
    report._forget_orders()
    assert (victim / "orders").exists()
    assert (place / DEAD / "stage/orders").exists() == (kind == "link")
    os.close(lock)


def _fill(at: Path) -> None:
    at.mkdir()
    for mode in (0o000, 0o100, 0o300, 0o400, 0o500, 0o1000):
        for name in (f"{mode:o}", f"{mode:o}/in", f"{mode:o}/in/deeper"):
            (at / name).mkdir()
            (at / name / "file").touch(0o000)
        for name in (f"{mode:o}/in/deeper", f"{mode:o}/in", f"{mode:o}"):
            (at / name).chmod(mode)
    at.chmod(0o000)


@pytest.mark.parametrize("by", ["its own launch", "the next launch"])
def test_what_a_guest_has_closed_goes(by: str, place: Path) -> None:
    """The launcher of another user than root may not enter it as it is."""
    place.chmod(0o777)

    def act() -> None:
        run = place / "run"
        run.mkdir()
        lock = make(str(run / DEAD))
        _fill(run / DEAD / "stage")
        if by == "its own launch":
            remove(str(run / DEAD), lock)
        else:
            os.close(lock)
            remove_dead(str(run), {os.geteuid()})
        assert list(run.iterdir()) == []

    as_user(UID, act)


@as_root
@pytest.mark.parametrize("mode", [0o700, 0o555, 0o000])
@pytest.mark.parametrize("owners", [{0, UID}, {UID}])
def test_what_that_user_cannot_remove_stays(owners: set[int], mode: int, place: Path) -> None:
    """As it is: directories that are others', moved there with its own around them."""
    own = place / "own"
    (own / "of-root").mkdir(parents=True)
    (own / "of-root/file").touch()
    (own / "of-root").chmod(mode)
    os.chown(own, UID, UID)
    (place / "run").mkdir()
    os.close(make(str(place / "run" / DEAD)))
    (place / "run" / DEAD / "stage").mkdir()
    (place / "run" / DEAD / "stage/m").mkdir()  # root's, which is empty
    os.chown(place / "run" / DEAD, UID, UID)
    os.chown(place / "run" / DEAD / "stage", UID, UID)
    own.rename(place / "run" / DEAD / "stage/own")
    (told,) = remove_dead(str(place / "run"), owners)
    assert told.startswith(f"{place}/run/{DEAD} stays: user 0 has ")
    assert told.endswith(" in it; remove it by hand")
    (kept,) = (place / "run").rglob("file")
    assert not list((place / "run").rglob("m"))
    assert kept.parent.stat().st_uid == 0
    assert kept.parent.stat().st_mode & 0o7777 == mode


def _others(launch: Path) -> None:
    (launch / "stage/of-root").mkdir(parents=True)
    (launch / "stage/of-root/file").touch()


@as_root
@pytest.mark.parametrize("by", ["its own launch", "the next launch"])
def test_what_stays_is_told_at_the_end(
    by: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the path and the reason: nobody else would know of it."""
    launch = place / DEAD
    lock = make(str(launch))
    _others(launch)
    os.chown(launch, UID, UID)
    os.chown(launch / "stage", UID, UID)
    report = Report.__new__(Report)
    report._launch, report._lock = str(launch), lock
    report._listening = report._connection = -1
    if by == "its own launch":
        report.end()
        which = "the launch"
    else:
        os.close(lock)
        rows: list[dict[str, Any]] = [{"call": "krun_setuid", "args": {"uid": UID}}]
        directories = type("_", (), {"launch": str(place / "x"), "runtime": str(place)})()
        lock = make(str(place / "x"))
        Report(rows, directories, lock, -1)
        which = "a launch that was killed"
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"krunc: warning: of {which}, {launch} stays: user 0 has ")
    assert line.endswith(" in it; remove it by hand")
    assert len(list(launch.rglob("file"))) == 1


def test_nothing_is_told_where_nothing_stays(tmp_path: Path) -> None:
    lock = make(str(tmp_path / DEAD))
    (tmp_path / DEAD / "stage").mkdir()
    (tmp_path / DEAD / "stage/file").touch()
    assert remove(str(tmp_path / DEAD), lock) == []
    assert list(tmp_path.iterdir()) == []


def _many_files(at: Path) -> None:
    for i in range(1500):
        (at / str(i)).touch()


def _many_directories(at: Path) -> None:
    for i in range(1500):
        (at / str(i)).mkdir()


def _much_below_others(at: Path) -> None:
    for i in range(40):
        (at / f"{i}/a/b").mkdir(parents=True)
        for j in range(40):
            (at / f"{i}/a/{j}").touch()


def test_of_what_is_much_the_names_are_not_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A million of them would take half a second and a hundred megabytes."""
    read = 0

    class Counted:
        def __init__(self, handle: int) -> None:
            self._entries = os.scandir(handle)

        def __enter__(self) -> Iterator[Any]:
            nonlocal read
            for entry in self._entries:
                read += 1
                yield entry

        def __exit__(self, *_: object) -> None:
            self._entries.close()

    lock = make(str(tmp_path / DEAD))
    (tmp_path / DEAD / "stage").mkdir()
    _many_files(tmp_path / DEAD / "stage")
    monkeypatch.setattr(system, "scandir", Counted)
    monkeypatch.setattr(system, "listdir", None)
    monkeypatch.setattr(system, "fork", lambda: 1)
    assert remove(str(tmp_path / DEAD), lock) == []
    assert 490 < read <= 501
    assert len(list((tmp_path / DEAD).rglob("*"))) > 990


@pytest.mark.parametrize("fill", [_many_files, _many_directories, _much_below_others])
@pytest.mark.parametrize("by", ["its own launch", "the next launch"])
def test_for_what_is_much_no_signal_and_no_other_vm_waits(
    by: str, fill: Callable[[Path], None], tmp_path: Path
) -> None:
    """Its rest goes by another process, which has nothing else open."""
    lock = make(str(tmp_path / DEAD))
    (tmp_path / DEAD / "stage/m").mkdir(parents=True)
    fill(tmp_path / DEAD / "stage/m")
    reading, writing = os.pipe()
    open_before = len(os.listdir("/proc/self/fd"))
    stopped: list[int] = []
    fork = system.fork

    def forked() -> int:
        child = fork()
        if child:
            stopped.append(child)
        else:  # until it has been seen that there is something left
            os.read(reading, 1)
        return child

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(system, "fork", forked)
        if by == "its own launch":
            remove(str(tmp_path / DEAD), lock)
        else:
            os.close(lock)
            remove_dead(str(tmp_path), {os.geteuid()})
    (child,) = stopped
    assert len(os.listdir("/proc/self/fd")) == open_before - 1  # the lock
    left = sum(1 for _ in (tmp_path / DEAD).rglob("*"))
    assert 500 < left < 2000
    remove_dead(str(tmp_path), {os.geteuid()})
    assert left == sum(1 for _ in (tmp_path / DEAD).rglob("*")), "another process has its lock"
    os.write(writing, b"x")
    assert os.waitpid(child, 0) == (child, 0)
    assert list(tmp_path.iterdir()) == []
    os.close(reading)
    os.close(writing)


def test_what_is_opened_is_no_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(0o500)
    (tmp_path / "link").symlink_to("there")
    above = os.open(tmp_path, os.O_RDONLY)
    assert opened_to_change("link", above) == -1
    assert opened_to_change("not there", above) == -1
    assert (tmp_path / "there").stat().st_mode & 0o777 == 0o500
    os.close(above)
