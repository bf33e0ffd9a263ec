"""How a VM with the stage ended: what the stage said, held against how the VM's process ended."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import NOT_STARTED, asked_by, plain
from krunc_launcher.supervise.end import CONSOLE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.supervise.end import End
    from krunc_launcher.supervise.report import Report

# As shells have it.
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126
_ENOENT = 2
_MOST_SHOWN = 256
_BEFORE = "the guest ended before its program was started: "
_WHY = (
    f"its kernel panicked or gave up, or the stage could not run; what the kernel said is {CONSOLE}"
)
_BY_SCRIPT = "the script of entrypoint.before ended the VM, or "
_UNDER = (
    "the guest ended under its program: its kernel panicked, or it was reset; what the kernel said "
    f"is {CONSOLE}"
)
_LOST = "the stage was killed in the guest, and the program with it"


def told(end: End, report: Report, entered: bool) -> None:
    """Change END, which the VM's process alone tells, to what REPORT of the stage says."""
    end.program_seen = report.started is not None
    if not entered or end.reason not in ("exited", "guest_kernel"):
        return
    if report.failed is not None:
        _fail(end, *report.failed, report)
    elif report.ended is None:
        end.reason, end.status = "guest_kernel", NOT_STARTED
        has_script = any(row["order"] == "before" for row in report.orders)
        before = f"{_BEFORE}{_BY_SCRIPT if has_script else ''}{_WHY}"
        end.words = (before if report.started is None else _UNDER,)
    else:
        word, number = report.ended
        end.reason, end.words = "exited", ()
        end.ended_by = f"{word} {number}" if word in ("exit", "signal") else word
        if word == "lost":
            end.reason, end.status, end.words = "guest_kernel", NOT_STARTED, (_LOST,)
        elif word == "signal":
            end.status = 128 + number
        elif word == "exit":
            # Root of the guest can change what libkrun's process ends with: no failure is lost.
            end.status = number or end.status


def _fail(end: End, index: int, step: str, number: int, report: Report) -> None:
    """Tell that the order INDEX failed at STEP; NUMBER is the system's, or the script's."""
    what = _shown(report.orders[index]) if index < len(report.orders) else "the stage"
    # Which `report` has asked for: in what has gone well nothing failed.
    from krunc_launcher._rare_rules import FAILURES

    row = FAILURES[step]
    why = (
        system.strerror(number).lower() if row["number"] == "errno" else f"{row['number']} {number}"
    )
    said = row["doc"][0].lower() + row["doc"][1:].rstrip(".")
    sentence = f"the guest's program was not started: {what}: {said} ({why})"
    end.reason, end.words, end.ended_by = "not_started", (sentence,), f"failed {step}"
    end.status = NOT_STARTED
    if step == "exec":
        end.status = _NOT_FOUND if number == _ENOENT else _NOT_EXECUTABLE


def _shown(row: dict[str, Any]) -> str:
    """Tell a person which order ROW is: its name, what it is about, and the key of the box."""
    about = next((text for text in row["args"].values() if type(text) is str), "")
    # Of a script the first line says little, and all of it is in the way of what went wrong.
    is_short = about and len(about) < _MOST_SHOWN and "\n" not in about
    subject = f" {plain(about)}" if is_short else ""
    return f"{row['order']}{subject}{asked_by(row['from'])}"
