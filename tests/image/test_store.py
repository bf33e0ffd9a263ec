"""The store: who may have written what lies in it, what is left of a pull that is gone, and what a
running VM holds."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from krunc_compiler.image import store as stores
from krunc_compiler.image import storefile
from krunc_compiler.image.store import Store, default
from krunc_compiler.image.unusable import Unusable
from processes import started, wait_until
from registry import digest

DATA = b"a root" * 1_000
NAME = digest(DATA)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(str(tmp_path / "data" / "store"))
    made.open()
    return made


def kept(store: Store, data: bytes = DATA) -> Path:
    """Put DATA into the store."""
    with store.work() as work:
        (Path(work) / "root").write_bytes(data)
        store.keep(f"{work}/root", digest(data))
    return Path(store.path(digest(data)))


def test_a_root_is_whole_and_checked(store: Store) -> None:
    path = kept(store)
    assert path.name == f"sha256-{NAME[7:]}.erofs"
    assert path.stat().st_mode & 0o7777 == 0o444
    assert store.has(NAME, len(DATA))
    (root,) = store.roots()
    assert (root.digest, root.size) == (NAME, len(DATA))
    assert root.checked is not None
    assert not store.has(NAME, len(DATA) + 1)
    assert not store.has(digest(b"other"), 5)
    assert sorted(os.listdir(store.directory)) == [path.with_suffix(".checked").name, path.name]


def test_a_check_is_remembered(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept(store)
    monkeypatch.setattr(stores, "digest_of_file", None)
    assert store.has(NAME, len(DATA))
    monkeypatch.undo()
    # It is asked again after any change of the file, and then remembered.
    os.utime(path, ns=(0, 0))
    assert store.roots()[0].checked is None
    assert store.has(NAME, len(DATA))
    assert store.roots()[0].checked is not None


def rewritten(path: Path) -> None:
    status = path.stat()
    path.chmod(0o644)
    path.write_bytes(DATA[:-1] + b"!")
    path.chmod(0o444)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def swapped(path: Path) -> None:
    """Another file of the same size, and the times of the first."""
    status = path.stat()
    path.unlink()
    path.write_bytes(DATA[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def linked(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def opened(path: Path) -> None:
    path.chmod(0o666)


def given_away(path: Path) -> None:
    os.chown(path, 12345, 12345)


def directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def noted(path: Path) -> None:
    """What is noted is believed of nobody else's note."""
    rewritten(path)
    note = path.with_suffix(".checked")
    note.unlink()
    note.write_text(storefile.record(path.lstat()))
    note.chmod(0o666)


def note_is_a_link(path: Path) -> None:
    rewritten(path)
    note = path.with_suffix(".checked")
    note.unlink()
    note.with_suffix(".other").write_text(storefile.record(path.lstat()))
    note.symlink_to(note.with_suffix(".other"))


@pytest.mark.parametrize(
    "tamper",
    [rewritten, swapped, linked, opened, given_away, directory, fifo, noted, note_is_a_link],
)
def test_what_another_can_have_changed_is_not_there(
    store: Store, tamper: Callable[[Path], None]
) -> None:
    if tamper is given_away and os.geteuid():
        pytest.skip("only root gives a file away")
    path = kept(store)
    tamper(path)
    assert not store.has(NAME, len(DATA))
    if tamper is not directory:
        # It is written anew.
        assert kept(store) == path
        assert store.has(NAME, len(DATA))


def test_a_directory_that_others_may_write_to(store: Store) -> None:
    os.chmod(store.directory, 0o775)
    with pytest.raises(Unusable, match="others may write to it") as refused:
        store.open()
    assert refused.value.code == "KR714"
    if not os.geteuid():
        os.chmod(store.directory, 0o755)
        os.chown(store.directory, 12345, 12345)
        with pytest.raises(Unusable, match="belongs to another user"):
            store.open()


@pytest.mark.parametrize("mask", [0o000, 0o002, 0o022, 0o077])
def test_no_umask_opens_it(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        made = Store(str(tmp_path / "a" / "b"))
        made.open()
        kept(made)
    finally:
        os.umask(before)
    assert os.stat(made.directory).st_mode & 0o777 == 0o755 & ~mask
    assert os.stat(made.path(NAME)).st_mode & 0o777 == 0o444


@pytest.mark.parametrize("where", ["a-file", "below-a-file", "long", "nul"])
def test_a_place_that_can_be_no_store(tmp_path: Path, where: str) -> None:
    (tmp_path / "a-file").touch()
    paths = {"a-file": "a-file", "below-a-file": "a-file/store", "long": "x" * 300, "nul": "a-file"}
    with pytest.raises(Unusable):
        Store(str(tmp_path / paths[where])).open()


def test_what_a_pull_left_is_removed(store: Store) -> None:
    """A pull that lives keeps what is its own; one that is gone, however it went, keeps nothing."""
    script = (
        "import sys, time; from krunc_compiler.image.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "with store.work() as work:\n"
        "    open(f'{work}/root', 'w').write('x')\n"
        "    print(work, flush=True); time.sleep(600)\n"
    )
    with started(
        [sys.executable, "-c", script, store.directory], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        work = Path(process.stdout.readline().decode().strip())
        store.open()
        assert (work / "root").exists()
        process.kill()
        process.wait()
        assert (work / "root").exists()
        closed = work / "closed"
        (closed / "inner").mkdir(parents=True)
        closed.chmod(0)
        elsewhere = Path(store.directory).parent / "elsewhere"
        elsewhere.mkdir(0o755)
        (work / "link").symlink_to(elsewhere)
        store.open()
    assert not work.exists()
    assert elsewhere.stat().st_mode & 0o777 == 0o755
    assert kept(store).exists()


def test_a_link_in_the_place_of_what_was_left(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    (Path(store.directory) / ".pull-0").symlink_to(tmp_path / "mine")
    store.open()
    assert (tmp_path / "mine" / "file").exists()


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_removes_it_at_once(store: Store, number: str) -> None:
    import signal

    script = (
        "import sys, time; from krunc_compiler.image.store import Store\n"
        "with Store(sys.argv[1]).work() as work:\n"
        "    open(f'{work}/root', 'w').write('x')\n"
        "    print(flush=True); time.sleep(600)\n"
    )
    with started(
        [sys.executable, "-c", script, store.directory], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(getattr(signal, number))
        process.wait()
    assert process.returncode == -getattr(signal, number)
    assert os.listdir(store.directory) == []


def test_a_full_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), f"{store.directory}/x")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unusable, match="no space left on device") as refused:
        kept(store)
    assert "KRUNC_STORE" in refused.value.hint
    assert os.listdir(store.directory) == []
    monkeypatch.undo()
    store.roomy(1)
    with pytest.raises(Unusable, match="bytes are free"):
        store.roomy(1 << 60)


def test_what_a_vm_has_is_not_removed(store: Store) -> None:
    path = kept(store)
    with open(path, "rb") as vm:
        fcntl.flock(vm, fcntl.LOCK_SH)  # as the launcher does
        with open(path, "rb") as other:
            fcntl.flock(other, fcntl.LOCK_SH)
            assert not store.is_free(NAME)
            assert not store.remove(NAME)
        assert not store.remove(NAME)
    assert store.is_free(NAME)
    assert path.exists()
    assert store.remove(NAME)
    assert os.listdir(store.directory) == []


def test_notes(store: Store) -> None:
    manifest = digest(b"manifest")
    store.keep_note(manifest, "made of it")
    assert store.note(manifest) == "made of it"
    assert store.manifests() == [manifest]
    (note,) = Path(store.directory).glob("*.image")
    note.chmod(0o666)
    assert store.note(manifest) is None
    note.unlink()
    note.symlink_to("/etc/passwd")
    assert store.note(manifest) is None
    store.forget(manifest)
    store.forget(manifest)
    assert store.manifests() == []


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("KRUNC_STORE", raising=False)
    for data, expected in [
        (None, "/home/me/.local/share/krunc/store"),
        ("", "/home/me/.local/share/krunc/store"),
        ("relative", "/home/me/.local/share/krunc/store"),
        ("/data", "/data/krunc/store"),
    ]:
        monkeypatch.delenv("XDG_DATA_HOME", raising=False)
        if data is not None:
            monkeypatch.setenv("XDG_DATA_HOME", data)
        assert default().directory == expected
    monkeypatch.setenv("KRUNC_STORE", "/mine")
    assert default().directory == "/mine"


def as_another(work: Callable[[], bool]) -> bool:
    """What WORK tells another user."""
    child = os.fork()
    if not child:
        status = 2
        with suppress(BaseException):
            os.setgroups([])
            os.setgid(12345)
            os.setuid(12345)
            status = 0 if work() else 1
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_another_user_takes_from_the_store_of_root() -> None:
    """Root's roots are there for all, who remember nothing in it; theirs are not for root."""
    with tempfile.TemporaryDirectory() as directory:  # pytest's are closed to others
        os.chmod(directory, 0o755)
        store = Store(f"{directory}/store")
        store.open()
        _shared(store, kept(store))


def _shared(store: Store, path: Path) -> None:
    assert as_another(lambda: store.has(NAME, len(DATA)))
    os.unlink(path.with_suffix(".checked"))
    assert as_another(lambda: store.has(NAME, len(DATA)))
    assert not path.with_suffix(".checked").exists()

    def opened() -> bool:
        store.open()
        return [root.digest for root in store.roots()] == [NAME]

    assert as_another(opened)

    def refused() -> bool:
        with pytest.raises(Unusable, match="permission denied"):
            kept(store)
        return True

    assert as_another(refused)
    os.chown(path, 12345, 12345)
    assert not store.has(NAME, len(DATA))


def test_two_that_keep_the_same_root(store: Store) -> None:
    script = (
        "import sys; from krunc_compiler.image.store import Store\n"
        "store = Store(sys.argv[1])\n"
        "for _ in range(30):\n"
        "    store.open()\n"
        "    with store.work() as work:\n"
        "        open(f'{work}/root', 'wb').write(b'a root' * 1000)\n"
        "        store.keep(f'{work}/root', sys.argv[2])\n"
        "    assert store.has(sys.argv[2], 6000)\n"
    )
    command = [sys.executable, "-c", script, store.directory, NAME]
    with started(command) as one, started(command) as two:
        wait_until(lambda: one.poll() is not None and two.poll() is not None)
        assert (one.returncode, two.returncode) == (0, 0)
    assert {Path(name).suffix for name in os.listdir(store.directory)} == {".erofs", ".checked"}
