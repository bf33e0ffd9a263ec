"""Where what each of several VMs prints goes: to two files of its own."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import NOT_STARTED, LaunchError, why
from krunc_launcher.paths import Directories
from krunc_launcher.vm.notes import note
from krunc_launcher.vm.outputs import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from krunc_launcher.paths import Identities
    from krunc_launcher.supervise.child import Vm


def redirect(stem: str, vm: Vm, others: tuple[Identities, Identities]) -> None:
    """Read from nowhere, write output and errors to files of their own, and leave the reach of the
    terminal's Ctrl-C, which is the launcher's to pass on. OTHERS are directories of guests."""
    system.setsid()
    directories = Directories("/", "/")
    directories.others = others
    for target, path in enumerate((system.DEVNULL, f"{stem}.out", f"{stem}.err")):
        try:
            if target:
                handle = output(path, directories, vm.notes, more=system.O_APPEND)
            else:
                handle = system.open(path, system.O_RDONLY)
        except (LaunchError, OSError) as error:
            said = "; ".join(error.lines) if isinstance(error, LaunchError) else why(error)
            note(vm.notes, f"said {said}")
            system._exit(NOT_STARTED)
        system.dup2(handle, target)
        system.close(handle)
