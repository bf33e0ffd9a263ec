"""A signal ends a command as it ends any program: at once, without a word, and leaving nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any

import pytest
from krunc_compiler.files.stopping import Cleaned
from processes import PATIENCE, started, wait_until

BOXES = 3_000
BOX = "krunc: 1\nname: box-{n}\nrootfs: {{path: ./rootfs}}\nnetwork: {{mode: none}}\n" + (
    "entrypoint: {{executable: /bin/true}}\n"
)
READS = ("0", "63")  # read()'s number on x86-64 and on arm64
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


def krunc(directory: Path, *words: str, **more: Any) -> AbstractContextManager[Any]:
    """A command of its own process group, as a terminal has it."""
    return started(
        [sys.executable, "-m", "krunc", *words],
        cwd=directory, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True, env={**os.environ, "XDG_CACHE_HOME": str(directory / "cache")},
        **more,
    )  # fmt: skip


def staged(directory: Path) -> list[str]:
    return [name for name in os.listdir(directory) if name.startswith(".")]


def at_work(pid: int) -> bool:
    """Whether a process waits for its standard input, or has come to /proc on its walk."""
    opened = Path(f"/proc/{pid}/fd")
    call, *words = Path(f"/proc/{pid}/syscall").read_text().split()
    with suppress(FileNotFoundError):  # closed meanwhile
        if call in READS and os.path.samefile(opened / "0", opened / str(int(words[0], 16))):
            return True
        return any(os.readlink(one).startswith("/proc") for one in opened.iterdir())
    return False


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("boxes")
    for n in range(BOXES):
        (directory / f"{n}.yaml").write_text(BOX.format(n=n))
    return directory


@pytest.mark.parametrize("to_all", [False, True], ids=["the process", "its group"])
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
def test_a_compilation_of_many_boxes_leaves_no_file(
    number: int, to_all: bool, boxes: Path, tmp_path: Path
) -> None:
    (tmp_path / "plans").mkdir()
    with krunc(tmp_path, "compile", str(boxes), "-o", "plans") as command:
        wait_until(lambda: staged(tmp_path / "plans"), command)
        (os.killpg if to_all else os.kill)(command.pid, number)
        assert command.communicate(timeout=PATIENCE) == ("", "")
        assert command.returncode == -number
    assert list((tmp_path / "plans").iterdir()) == []
    with pytest.raises(ProcessLookupError):  # no worker is left
        os.killpg(command.pid, 0)


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: signal.Signals(number).name)
@pytest.mark.parametrize(
    "words", [["compile", "-"], ["show", "-"], ["check", "/"], ["launch", "-"]]
)
def test_a_command_that_waits(words: list[str], number: int, tmp_path: Path) -> None:
    with krunc(tmp_path, *words, stdin=subprocess.PIPE) as command:
        wait_until(lambda: at_work(command.pid), command)
        command.send_signal(number)
        assert command.wait(PATIENCE) == -number
        assert "Traceback" not in command.communicate()[1]


def test_a_job_that_ignores_ctrl_c_goes_on(boxes: Path, tmp_path: Path) -> None:
    (tmp_path / "plans").mkdir()
    with krunc(
        tmp_path, "compile", str(boxes), "-o", "plans",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    ) as command:  # fmt: skip
        wait_until(lambda: staged(tmp_path / "plans"), command)
        os.killpg(command.pid, signal.SIGINT)
        command.communicate(timeout=PATIENCE)
        assert command.returncode == 0
    assert len(list((tmp_path / "plans").iterdir())) == BOXES


def test_what_is_within_is_swept_first() -> None:
    """The inner context removes its file and leaves the end of the process to the outer one."""
    code = (
        "import os, signal\n"
        "from krunc_compiler.files.stopping import Cleaned\n"
        "with Cleaned(lambda: print('outer', flush=True)):\n"
        "    with Cleaned(lambda: print('inner', flush=True)):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        print('not reached')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("inner\nouter\n", "")
    assert done.returncode == -signal.SIGTERM


def test_handlers_are_as_before() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    swept = []
    with pytest.raises(ValueError, match="x"), Cleaned(lambda: swept.append(1)):
        raise ValueError("x")
    assert swept == [1]
    assert [signal.getsignal(number) for number in SIGNALS] == before
