"""Whether the guests have started their programs: libkrun opens the program's file on the host when
the guest does, and the kernel tells of it (inotify). A guest whose kernel panics before ends
libkrun with status 0, too.

One instance serves all VMs of a run, for a user may have few (128, fs.inotify.max_user_instances).
Where several of them have one root directory, the kernel does not say which opened it: then each
VM's process is asked, through /proc, whether it has that file. One without it has not opened it
only if nobody closed the file meanwhile. The launcher itself reads programs, too, when it looks at
the root of a VM whose turn has come: `aside` keeps that from counting as a guest's doing.
"""

from __future__ import annotations

import sys

from krunc_launcher import system
from krunc_launcher._krun import ffi, libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    Result = TypeVar("Result")

_IN_OPEN, _IN_CLOSE = 0x20, 0x18  # sys/inotify.h
_NONBLOCK_CLOEXEC = 0o2004000  # IN_NONBLOCK | IN_CLOEXEC
_EVENT = 16  # struct inotify_event without a name, which a watched file has none of
# A guest may open its program as often as it likes: after so many looks the others stay untold.
_MOST_LOOKS = 1000
_ANOTHER = "another VM has the same program, and may have opened it"
_OWN = "krunc read the program's file for another VM when the guest may have opened it"


class Program:
    """What is known of a guest's program: `seen` True or False, None where it cannot be told; then
    `lost` says why, if it is not the plan. `missed` says so of a file that was opened and closed
    before anybody could look who had it; empty where none was."""

    __slots__ = ("looks", "lost", "missed", "pid", "seen", "watch")

    def __init__(self, watch: int, lost: str = "") -> None:
        self.lost = lost
        self.watch = watch
        self.seen: bool | None = False if watch >= 0 else None
        self.missed = ""
        self.pid = 0
        self.looks = 0


class Programs:
    """The programs of all VMs of a run."""

    __slots__ = ("_failed", "_files", "_inotify", "_of")

    def __init__(self) -> None:
        linux = sys.platform == "linux"
        self._inotify = int(libc.inotify_init1(_NONBLOCK_CLOEXEC)) if linux else -1
        self._failed = f"inotify: {system.strerror(ffi.errno).lower()}" if linux else ""
        self._of: dict[int, list[Program]] = {}
        self._files: dict[int, tuple[int, int]] = {}

    def watch(self, handle: int) -> Program:
        """Have the kernel tell of the program's file in the descriptor HANDLE, -1 where it is not
        known. Do it before there is the VM's process."""
        if handle < 0:
            return Program(-1)
        if self._inotify < 0:
            return Program(-1, self._failed)
        name = b"/proc/self/fd/%d" % handle
        watch = int(libc.inotify_add_watch(self._inotify, name, _IN_OPEN))
        program = Program(
            watch, f"inotify: {system.strerror(ffi.errno).lower()}" if watch < 0 else ""
        )
        if watch >= 0:
            status = system.fstat(handle)
            self._files[watch] = status.st_dev, status.st_ino
            self._of.setdefault(watch, []).append(program)
            if len(self._of[watch]) == 2:
                # Here, for few launches have two VMs of one root.
                from krunc_launcher.supervise.wake import wake

                libc.inotify_add_watch(self._inotify, name, _IN_OPEN | _IN_CLOSE)
                wake(self._inotify)
        return program

    def forget(self, program: Program) -> None:
        """Ask no more about PROGRAM, whose VM has ended: of two of one root, one is then alone."""
        if program.seen is False and program.missed:
            program.seen, program.lost = None, program.missed
        together = self._of.get(program.watch, [])
        if program in together:
            together.remove(program)
            if not together:
                libc.inotify_rm_watch(self._inotify, program.watch)
                del self._of[program.watch], self._files[program.watch]

    def look(self) -> None:
        """Take what the kernel has told."""
        opened: set[int] = set()
        while told := self._told():
            for watch, what in told.items():
                if what & _IN_OPEN:
                    self._decide(watch)
                # Closed before that look, or during it: who has not the file may have had it.
                if what & _IN_CLOSE and (what & _IN_OPEN or watch in opened):
                    for program in self._of.get(watch, ()):
                        program.missed = _ANOTHER
            opened = {watch for watch, what in told.items() if what & _IN_OPEN}

    def aside(self, read: Callable[[], Result]) -> Result:
        """Return what READ does, in which the launcher may open the files that are watched: who
        has one of them behind that is a guest, and all else that happened is nobody's."""
        self.look()
        result = read()
        for watch in self._told():
            for program in self._of.get(watch, ()):
                if program.seen is False and _has(program.pid, self._files[watch]):
                    program.seen = True
                program.missed = program.missed or _OWN
        return result

    def _told(self) -> dict[int, int]:
        """Read what happened to which watched file since; nothing when there is no more."""
        told: dict[int, int] = {}
        try:
            events = system.read(self._inotify, 1 << 16) if self._inotify >= 0 else b""
        except OSError:
            return told
        for at in range(0, len(events), _EVENT):
            watch = int.from_bytes(events[at : at + 4], sys.byteorder, signed=True)
            what = int.from_bytes(events[at + 4 : at + 8], sys.byteorder)
            if watch < 0:  # too much happened: anything may have
                return dict.fromkeys(self._of, _IN_OPEN | _IN_CLOSE)
            told[watch] = told.get(watch, 0) | what
        return told

    def _decide(self, watch: int) -> None:
        together = self._of.get(watch, [])
        for program in together:
            if program.seen is False:
                program.looks += 1
                alone = len(together) == 1
                program.seen = True if alone else _has(program.pid, self._files[watch])
                if program.seen is False and program.looks > _MOST_LOOKS:
                    program.seen = None
                if program.seen is None:
                    program.lost = _ANOTHER
        if together and all(program.seen is not False for program in together):
            libc.inotify_rm_watch(self._inotify, watch)


def _has(pid: int, file: tuple[int, int]) -> bool | None:
    """Tell whether the process PID has FILE open; None when it has ended, or does not tell."""
    directory = f"/proc/{pid}/fd"
    try:
        names = system.listdir(directory)
    except OSError:
        return None
    for name in names:
        try:
            status = system.stat(f"{directory}/{name}")
        except OSError:
            continue  # closed since
        if (status.st_dev, status.st_ino) == file:
            return True
    return False if names else None
