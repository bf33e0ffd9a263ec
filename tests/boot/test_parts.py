"""Parts of the emulated KVM host that need no emulated machine."""

import lzma
import os
from pathlib import Path

import pytest
from kvmhost import detached, kernel
from kvmhost.errors import HostError
from kvmhost.lock import locked
from processes import wait_until


def test_modules_come_after_what_they_need(tmp_path: Path) -> None:
    signed = b"\0depends=\0" + b"S" * 5 + bytes(8) + b"\0\0\0\5~Module signature appended~\n"
    directory = tmp_path / "lib/modules/6.1/kernel/virt"
    directory.mkdir(parents=True)
    (directory.parents[1] / "modules.builtin").write_text("kernel/fs/in-it.ko\n")
    (directory / "top.ko").write_bytes(b"\0depends=left-one,in-it,right\0")
    (directory / "left-one.ko.xz").write_bytes(lzma.compress(b"\0depends=right\0"))
    (directory / "right.ko").write_bytes(signed)
    assert list(kernel.modules(tmp_path, ("top",)).items()) == [
        ("right", b"\0depends=\0"),
        ("left_one", b"\0depends=right\0"),
        ("top", b"\0depends=left-one,in-it,right\0"),
    ]


def test_a_program_runs_while_it_holds_its_pid_file(tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    assert not detached.running(pidfile)
    argv = ["/bin/sh", "-c", "echo text; exec sleep 1000"]
    detached.start(argv, pidfile, tmp_path / "log", inherited=[2], die_with_parent=False)
    try:
        assert detached.running(pidfile)
        wait_until(lambda: (tmp_path / "log").read_text() == "text\n")
    finally:
        detached.stop(pidfile)
    assert not detached.running(pidfile)


def test_a_lock_makes_its_directory_and_survives_its_removal(tmp_path: Path) -> None:
    directory = tmp_path / "new"
    with locked(directory):
        directory.rmdir()
    with locked(directory):
        assert directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_directory_of_someone_else_is_not_used(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    with pytest.raises(HostError, match="belongs to another user, 65534"), locked(tmp_path):
        pass
