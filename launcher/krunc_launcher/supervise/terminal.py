"""The terminal that a VM makes raw, and the streams that it makes non-blocking."""

from __future__ import annotations

from krunc_launcher import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def read_terminal() -> tuple[list[int], Any]:
    """Read how the standard streams are: those that are blocking, and the attributes of a terminal
    on standard input. libkrun changes them for everybody who shares them."""
    blocking = [stream for stream in (0, 1, 2) if system.get_blocking(stream)]
    if not system.isatty(0):
        return blocking, None
    from termios import tcgetattr

    return blocking, tcgetattr(0)


def restore_terminal(blocking: list[int], attributes: Any) -> None:
    """Bring back what `read_terminal` read, the terminal also from the background."""
    for stream in blocking:
        system.set_blocking(stream, True)
    if attributes is not None:
        from _signal import SIG_IGN, SIGTTOU, signal  # type: ignore[import-not-found]
        from termios import TCSADRAIN, error, tcsetattr

        before = signal(SIGTTOU, SIG_IGN)
        try:
            tcsetattr(0, TCSADRAIN, attributes)
        except error:
            pass  # it was closed
        signal(SIGTTOU, before)
