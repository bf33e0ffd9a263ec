"""The terminal that a VM makes raw, and the streams that it makes non-blocking."""

from __future__ import annotations

from krunc_launcher import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Terminal:
    """How the standard streams were before a VM: BLOCKING are those that were, ATTRIBUTES those of
    a terminal on standard input."""

    __slots__ = ("_attributes", "_blocking")

    def __init__(self, blocking: list[int], attributes: Any) -> None:
        self._blocking = blocking
        self._attributes = attributes

    def restore(self) -> None:
        """Bring them back, the terminal also from the background."""
        for stream in self._blocking:
            system.set_blocking(stream, True)
        if self._attributes is not None:
            from _signal import SIG_IGN, SIGTTOU, signal  # type: ignore[import-not-found]
            from termios import TCSADRAIN, error, tcsetattr

            before = signal(SIGTTOU, SIG_IGN)
            try:
                tcsetattr(0, TCSADRAIN, self._attributes)
            except error:
                pass  # it was closed
            signal(SIGTTOU, before)


def read_terminal() -> Terminal:
    """Read how the standard streams are. libkrun changes them for everybody who shares them."""
    blocking = [stream for stream in (0, 1, 2) if system.get_blocking(stream)]
    if not system.isatty(0):
        return Terminal(blocking, None)
    from termios import tcgetattr

    return Terminal(blocking, tcgetattr(0))
