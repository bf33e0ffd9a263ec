"""What a person is told of many VMs: a line of progress on a terminal, a summary at the end."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import plain
from krunc_launcher.messages import put
from krunc_launcher.text.reading import title

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.supervise.end import End

# So many names and reasons are told; all stand in the exit records.
_FEW_NAMES = 3
_FEW_REASONS = 20
_UNKNOWN = "whether its program was started is unknown"
# Clears the line of a terminal (ECMA-48, CR and EL).
_CLEAR = "\r\x1b[K"
_HEADS = {
    "not_started": "not started",
    "guest_kernel": "ended before the program was started",
    "crashed": "crashed",
    "killed": "killed",
    "timeout": "timed out",
}


class Tally:
    """How the VMs of a run, NAMES of them with their output in DIRECTORY, ended so far. Where
    standard error is a terminal, a line of it shows that."""

    __slots__ = ("_directory", "_ended", "_groups", "_line", "_names", "_running", "_well")

    def __init__(self, names: list[str], directory: str) -> None:
        self._names = names
        self._directory = directory
        self._line = len(names) > 1 and system.isatty(2) and system.variable("TERM") != "dumb"
        self._running: set[str] = set()
        self._ended = self._well = 0
        # By what a person is told, without the plan's name: the names, and the first sentence.
        self._groups: dict[tuple[str, str], tuple[list[str], str]] = {}

    def started(self, name: str) -> None:
        """Count the VM called NAME, which was started."""
        self._running.add(name)
        self.draw()

    def ended(self, name: str, end: End, path: str) -> bool:
        """Count the VM called NAME, whose plan is in the file PATH; tell whether how it ended is to
        be said now. On a terminal each reason is said once."""
        self._clear()
        self._running.discard(name)
        self._ended += 1
        self._well += end.status == 0
        head, reason = _told(end)
        if not head:
            return not self._line
        shared = _shared(reason, plain(title(path)), plain(name))
        group = self._groups.setdefault((head, shared), ([], reason))
        group[0].append(name)
        return not self._line or len(group[0]) == 1

    def draw(self) -> None:
        """Show the line, below what was said."""
        if self._line:
            failed = self._ended - self._well
            more = f", {failed} not with 0" if failed else ""
            line = f"{self._ended} of {len(self._names)} ended{more}, {len(self._running)} running"
            put(f"{_CLEAR}krunc: {line}\r")

    def _clear(self) -> None:
        if self._line:
            put(_CLEAR)

    def summary(self) -> list[str]:
        """Tell how all ended, in a few sentences; nothing of one VM, which was told."""
        self._clear()
        total = len(self._names)
        if total < 2:
            return []
        well = "all" if self._well == total else str(self._well)
        places = {name: place for place, name in enumerate(self._names)}
        for names, _ in self._groups.values():
            names.sort(key=places.__getitem__)
        where = f"what each printed is in {plain(self._directory)}, NAME.out and NAME.err"
        groups = sorted(self._groups.items(), key=lambda group: -len(group[1][0]))
        lines = [_line(*group) for group in groups[:_FEW_REASONS]]
        rest = sum(len(names) for _, (names, _) in groups[_FEW_REASONS:])
        if rest:
            lines.append(f"{rest} for {len(groups) - _FEW_REASONS} other reasons")
        return [f"{total} VMs: {well} ended with 0; {where}", *lines]


def _told(end: End) -> tuple[str, str]:
    """Tell how a VM ended in a word or two, and why; nothing where all is well."""
    words = (*end.words[:1], *(end.words[-1:] if end.said else ()))  # and in which log it stands
    reason = "; ".join(words)
    if end.reason == "exited":
        unknown = end.program_seen is None and not end.words and end.status == 0
        if end.status == 0:
            return ("ended with 0", reason or _UNKNOWN) if unknown or reason else ("", "")
        return f"ended with {end.exit_status()}", reason
    if end.reason == "signal":
        return f"ended by signal {end.signal}", reason
    return _HEADS[end.reason], reason


def _shared(reason: str, plan: str, name: str) -> str:
    """Return REASON without what is one VM's own: its PLAN, a place in it, its NAME in paths."""
    if reason.startswith(f"{plan}:"):
        reason = f"PLAN: {reason.partition(': ')[2]}"
    return (
        reason.replace(plan, "PLAN").replace(f"/{name}/", "/NAME/").replace(f"/{name}.", "/NAME.")
    )


def _line(key: tuple[str, str], group: tuple[list[str], str]) -> str:
    names, reason = group
    more = f" and {len(names) - _FEW_NAMES} more" if len(names) > _FEW_NAMES else ""
    few = ", ".join(map(plain, names[:_FEW_NAMES])) + more
    # The sentence as it was said, where it is about one VM.
    why = key[1] if len(names) > 1 else reason
    return f"{len(names)} {key[0]}: {few}" + (f": {why}" if why else "")
