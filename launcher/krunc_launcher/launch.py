"""A launch: a plan's text to a running VM, or to the listing of a dry run."""

from __future__ import annotations

import os

from krunc_launcher.errors import LaunchError, PlanRefused
from krunc_launcher.watch import FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from krunc_launcher.locate import Library
    from krunc_launcher.resolve import Done, Folders
    from krunc_launcher.watch import Vm


def runtime_folder(box: str) -> str:
    """The runtime folder of BOX when none is named."""
    user = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    if os.path.isdir(user):
        return os.path.join(user, "krunc", box)
    return f"/tmp/krunc-{os.geteuid()}/{box}"


def _verified(path: str, text: str, given: dict[str, str]) -> tuple[dict[str, Any], Folders]:
    """The plan in TEXT, checked as far as it can be alone, and its folders."""
    from krunc_launcher.planfile import folder, parse
    from krunc_launcher.resolve import Folders
    from krunc_launcher.verify import verify

    plan = verify(parse(text))
    if "--require-digest" in given:
        from krunc_launcher.digest import require

        require(plan, given["--require-digest"])
    base = given.get("--base") or folder(path)
    runtime = given.get("--runtime-dir") or runtime_folder(plan["box"])
    return plan, Folders(os.path.abspath(base), os.path.abspath(runtime))


def dry_run(path: str, text: str, given: dict[str, str]) -> str:
    """What would be called; raises PlanRefused and LaunchError."""
    from krunc_launcher.cform import listing
    from krunc_launcher.resolve import resolve
    from krunc_launcher.verify import keyed

    plan, folders = _verified(path, text, given)
    done, found = resolve(plan, folders, None)
    if found:
        raise PlanRefused(keyed(plan, found))
    return listing(plan, done)


class Prepared:
    """A plan that can be launched here; `locks` are descriptors that hold its disks."""

    __slots__ = ("done", "folders", "library", "locks", "plan")

    def __init__(
        self,
        plan: dict[str, Any],
        done: list[Done],
        folders: Folders,
        library: Library,
        locks: list[int],
    ) -> None:
        self.plan = plan
        self.done = done
        self.folders = folders
        self.library = library
        self.locks = locks


def prepared(path: str, text: str, given: dict[str, str]) -> Prepared:
    """The plan in TEXT after every check; raises PlanRefused or LaunchError with all that fails."""
    from krunc_launcher.locate import fits, locate
    from krunc_launcher.locks import hold
    from krunc_launcher.preflight import preflight
    from krunc_launcher.resolve import resolve
    from krunc_launcher.verify import keyed

    plan, folders = _verified(path, text, given)
    done, found = resolve(plan, folders, os.environ)
    library = None
    try:
        library = locate(given.get("--libkrun"), plan["api"])
        problems = fits(library, plan)
    except LaunchError as error:
        problems = list(error.lines)
    problems += preflight(done, folders)
    locks, taken = hold(done)
    problems += taken
    if found:
        raise PlanRefused(keyed(plan, found), also=problems)
    if library is None or problems:
        raise LaunchError(*problems)
    return Prepared(plan, done, folders, library, locks)


def launch(path: str, text: str, given: dict[str, str], vm: Vm) -> int:
    """Become the VM of the plan in TEXT; raises PlanRefused and LaunchError."""
    from krunc_launcher.mark import program_file
    from krunc_launcher.replay import replay
    from krunc_launcher.shed import close_descriptors, drop_capabilities, forget_environment

    ready = prepared(path, text, given)
    program = program_file(ready.plan, ready.done)
    if program:
        vm.mark(program)
    for operation in ready.done:
        if operation.name in ("open_file", "krun_set_console_output"):
            vm.note(f"writes {operation.values[0 if operation.kind == 'step' else 1]}")
    close_descriptors(ready.done, (*vm.channels(), *ready.locks))
    forget_environment(ready.done)
    drop_capabilities(ready.done)
    replay(ready.library, ready.done, ready.folders, vm.note)
    return FAILED
