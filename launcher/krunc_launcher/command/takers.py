"""Which of several plans take the same file descriptor of the launcher. What stands behind one is
read once, or is one end of a connection: it is one VM's alone."""

from __future__ import annotations

from krunc_launcher import system
from krunc_launcher.errors import LaunchError, plain
from krunc_launcher.resolve.resolve import resolve

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.accept import Accepted
    from krunc_launcher.plan.text import Findings, Path

_STANDARD = 2  # the last of them; of several VMs each has its own
_FEW_NAMES = 10


class Takers:
    """The names of the plans that take each descriptor behind the standard streams."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[int, list[str]] = {}

    def add(self, name: str, accepted: Accepted) -> None:
        """Note what the ACCEPTED plan called NAME takes."""
        for number in _taken(accepted):
            self._names.setdefault(number, []).append(name)

    def refuse(self) -> None:
        """Raise LaunchError where two take one."""
        torn = [_torn(number, names) for number, names in sorted(self._names.items()) if names[1:]]
        if torn:
            raise LaunchError(*torn)


def _taken(accepted: Accepted) -> set[int]:
    secrets: list[dict[str, Any]] = []

    def note(item: dict[str, Any], _: Path, __: Findings) -> None:
        secrets.append(item)

    # What would be read for a launch is what is noted here.
    done, _ = resolve(accepted.plan, accepted.directories, note)
    found = {
        value
        for operation in done
        if operation.kind in ("call", "step")
        for rule, value in zip(operation.rule["params"], operation.values, strict=True)
        if rule["kind"] == "fd" and type(value) is int
    }
    if any("from_fd" in item for item in secrets):
        from krunc_launcher.resolve.secrets import Secrets

        kept = Secrets(system.variable, accepted.directories)
        found.update(number for number in map(kept.descriptor, secrets) if number is not None)
    return {number for number in found if number > _STANDARD}


def _torn(number: int, names: list[str]) -> str:
    few = ", ".join(map(plain, names[:_FEW_NAMES]))
    more = f" and {len(names) - _FEW_NAMES} more" if names[_FEW_NAMES:] else ""
    return (
        f"{len(names)} plans take file descriptor {number}, which one VM alone can have: "
        f"{few}{more}; give each plan a file descriptor of its own, or run krunc launch once for "
        "each; a secret can come from_env, from_file or from --secrets DIR instead"
    )
