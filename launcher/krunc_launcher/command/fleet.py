"""Several plans at once: forked from one warmed process, one VM's process each, supervised."""

from __future__ import annotations

import gc
import os
import sys
from time import monotonic

from krunc_launcher.errors import LaunchError, plain, why
from krunc_launcher.supervise.watch import End, Vm, Watcher, die_with_parent, hold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from krunc_launcher.host.libkrun import Library

_ENDING = ".plan.json"


def plans_of(paths: list[str]) -> list[str]:
    """The plans that PATHS name; of a folder all in it. Raises LaunchError."""
    found: list[str] = []
    for path in paths:
        if not os.path.isdir(path):
            found.append(path)
            continue
        try:
            names = sorted(name for name in os.listdir(path) if name.endswith(_ENDING))
        except OSError as error:
            raise LaunchError(f"{plain(path)}: {why(error)}") from None
        if not names:
            raise LaunchError(f"{plain(path)}: there is no plan (*{_ENDING}) in this folder")
        found += [os.path.join(path, name) for name in names]
    return found


def name_of(path: str) -> str:
    """What a plan's VM is called in messages and files: its file's name without the ending."""
    return os.path.basename(path).removesuffix(_ENDING).removesuffix(".json")


def run(
    paths: list[str],
    given: dict[str, str],
    console_most: int,
    start: Callable[[str, dict[str, str], Library | None], Callable[[Vm, Any], int]],
    ended: Callable[[str, End], None],
) -> int:
    """Start a VM for each of PATHS, in a process of its own, by what START makes of it and of the
    libkrun that is loaded for all; tell ENDED how each ended.

    Returns the start's result in a VM's process; else 0 when all ended with 0, and 1. Raises
    LaunchError before any is started.
    """
    names = [name_of(path) for path in paths]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise LaunchError(f"two plans are called {plain(twice)}; their logs would be one")
    folder = given["--log-dir"]
    try:
        os.makedirs(folder, 0o700, exist_ok=True)
    except OSError as error:
        raise LaunchError(f"{plain(folder)}: {why(error)}") from None
    if "--die-with-parent" in given:
        die_with_parent()
    library = _warm(given)
    starts = [
        start(path, _own(given, name), library) for path, name in zip(paths, names, strict=True)
    ]
    # A collection would touch, and so copy, every page that the processes share.
    gc.collect()
    gc.freeze()
    gc.disable()
    mask = hold()
    running: dict[int, str] = {}
    vms = []
    for begin, name in zip(starts, names, strict=True):
        vm = Vm(console_most, monotonic())
        if not vm.pid:
            _redirect(os.path.join(folder, name))
            return begin(vm, mask)
        vms.append(vm)
        running[vm.pid] = name
    from krunc_launcher.vm.strip import wipe

    wipe()
    watcher = Watcher(vms)
    worst = 0
    for _ in vms:
        vm, end = watcher.next()
        worst = worst or end.status
        ended(running[vm.pid], end)
    return 1 if worst else 0


def _warm(given: dict[str, str]) -> Library | None:
    """Import what every VM's process needs, and load libkrun, once."""
    import krunc_launcher.accept
    import krunc_launcher.launch  # noqa: F401
    from krunc_launcher.host.libkrun import locate

    try:
        return locate(given.get("--libkrun"), None)
    except LaunchError:
        return None  # each plan tells what it lacks


def _own(given: dict[str, str], name: str) -> dict[str, str]:
    """The options of the VM called NAME."""
    if "--runtime-dir" not in given:
        return given
    return {**given, "--runtime-dir": os.path.join(given["--runtime-dir"], name)}


def _redirect(stem: str) -> None:
    """Standard input from nowhere, output and errors to files of their own."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
    sources = ((os.devnull, os.O_RDONLY), (f"{stem}.out", flags), (f"{stem}.err", flags))
    for target, (path, how) in enumerate(sources):
        try:
            handle = os.open(path, how, 0o600)
        except OSError as error:
            sys.stderr.write(f"krunc: {plain(path)}: {why(error)}\n")
            os._exit(125)
        os.dup2(handle, target)
        os.close(handle)
