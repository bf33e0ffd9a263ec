"""What the launcher says, for the compiler, which does not know it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a compile that is right asks for none of them
    from krunc_compiler.libkrun import Installed
    from krunc_compiler.plan.refusal import Refusal, Unstarted

# The host that has the most: no directory is shorter than this, and no plan's path is longer for
# it.
_SHORTEST = "/"


def refusals(data: bytes) -> list[Refusal]:
    """Tell what the launcher refuses of a plan with the bytes DATA, whatever the host is."""
    from krunc_compiler.plan.refusal import Refusal
    from krunc_launcher.errors import PlanRefused
    from krunc_launcher.paths import Directories
    from krunc_launcher.plan.verify import keyed, verify
    from krunc_launcher.resolve.resolve import resolve
    from krunc_launcher.text.reading import parse, text_of

    try:
        plan = verify(parse(text_of(data)))
        _, found = resolve(plan, Directories(_SHORTEST, _SHORTEST), None)
        if not found:
            return []
        raise PlanRefused(keyed(plan, found))
    except PlanRefused as refused:
        return [Refusal(refused.place, path, sentence) for path, sentence in refused.findings]


def unstarted(data: bytes, directory: str) -> list[Unstarted]:
    """Tell why a plan with the bytes DATA, which is in DIRECTORY, cannot start, as far as the files
    and directories of this host decide it."""
    from krunc_compiler.plan.refusal import Unstarted
    from krunc_launcher.errors import PlanRefused
    from krunc_launcher.host.files import not_a_directory, not_a_file
    from krunc_launcher.host.program import unstarted as obstacles
    from krunc_launcher.paths import Directories
    from krunc_launcher.plan.verify import verify
    from krunc_launcher.resolve.resolve import resolve
    from krunc_launcher.text.reading import parse, text_of

    try:
        plan = verify(parse(text_of(data)))
    except PlanRefused:
        return []
    directories = Directories(os.path.abspath(directory), _SHORTEST)
    operations, found = resolve(plan, directories, None)
    if found:
        return []
    checks = {"require_directory": not_a_directory, "require_file": not_a_file}
    missing = [
        Unstarted(True, sentence, "make it on this host, or name another", operation.origin)
        for operation in operations
        if operation.name in checks
        for sentence in checks[operation.name](operation, directories)
    ]
    wrong = obstacles(plan, operations, directories)
    return missing + [Unstarted(False, *one) for one in wrong]


def installed() -> Installed | None:
    """Tell which libkrun the launcher would load on this host; None when it finds none."""
    from krunc_compiler.libkrun import Installed
    from krunc_launcher._rules import ERAS
    from krunc_launcher.errors import LaunchError
    from krunc_launcher.host.libkrun import locate

    try:
        era = ERAS[locate(None, None).era]
    except LaunchError:
        return None
    return Installed(str(era["family"]), era["name"])
