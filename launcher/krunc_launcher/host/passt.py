"""Whether passt can be started as a plan has it, and its ports listened on."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import plain, why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from krunc_launcher.paths import Directories
    from krunc_launcher.resolve.operation import Operation

# What a box has that names none.
PROGRAM = "/usr/bin/passt"
_INSTALL = "install passt (the package passt of most systems), or name yours: network.program"


def unfit(step: Operation, directories: Directories) -> Iterator[str]:
    """Tell why the program of STEP cannot be started, and which of its ports are taken."""
    from krunc_launcher.host.ports import taken_of

    yield from unfit_program(step.argument("program"), directories)
    yield from taken_of(step.argument("tcp_ports"))


def unfit_program(path: str, directories: Directories) -> Iterator[str]:
    """Tell why the program PATH cannot be started."""
    try:
        mode = directories.status(path).st_mode
        replaceable = directories.is_written(path)
    except OSError as error:
        yield f"{plain(path)}: {why(error)}; {_INSTALL}"
        return
    if not system.S_ISREG(mode) or not system.access(path, system.X_OK):
        yield f"{plain(path)} is not a program that uid {system.geteuid()} may run; {_INSTALL}"
    elif replaceable:
        yield (
            f"{plain(path)} is in a directory that a guest may write, or a link leads there: the "
            "guest could replace it"
        )
