"""The guest's program: limits, working directory, arguments, environment.

They reach the guest on its kernel's command line, or in the configuration file that libkrun's
init reads, which lies on top of the root.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from krunc_compiler.box.box import Box, Secret
from krunc_compiler.findings.finding import Path
from krunc_compiler.libkrun import Target
from krunc_compiler.lowering import script
from krunc_compiler.lowering.channels import rewritten
from krunc_compiler.lowering.storage import ROOT_TAG, overlay_file
from krunc_compiler.plan.operation import Operation

_SHELL = "/bin/sh"
_WHERE: Path = ("entrypoint",)
# What libkrun's init opens when no program stands on the command line (since libkrun 1.3).
CONFIGURATION = ".krun_config.json"
_SCRIPT = ".krunc_script"


def limits(box: Box, target: Target) -> Iterator[Operation]:
    """Resource limits inside the guest."""
    del target
    if box.entrypoint.is_nothing and not box.origin("limits"):
        return
    yield Operation(
        "call",
        "krun_set_rlimits",
        box.origin("limits"),
        {"rlimits": dict(box.limits)},
        places={"rlimits": ("limits",)},
    )


def nothing(box: Box, target: Target) -> Iterator[Operation]:
    """Yield no program: a firmware starts a system of its own."""
    del box, target
    yield from ()


def on_the_command_line(box: Box, target: Target) -> Iterator[Operation]:
    """Yield the program as libkrun's calls take it. Its environment is never NULL: that would pass
    the host's on."""
    del target
    entrypoint = box.entrypoint
    text = entrypoint.script
    args, places = started(box, None if text is None else script.for_command_line(text))
    yield Operation(
        "call",
        "krun_set_workdir",
        box.origin("entrypoint", "workdir"),
        {"workdir_path": entrypoint.workdir},
        places={"workdir_path": (*_WHERE, "workdir")},
    )
    yield Operation(
        "call",
        "krun_set_exec",
        box.origin(*_WHERE),
        args,
        places=places,
    )


def started(box: Box, text: str | None) -> tuple[dict[str, Any], dict[str, Path]]:
    """Return what starts the program of BOX, or the shell with the script TEXT: the path, the
    arguments and the environment, and where in the box they come from."""
    executable, args = box.entrypoint.executable, rewritten(box.entrypoint.args, box.agent)
    places: dict[str, Path] = {"envp": _place(box, "env")}
    if text is None:
        places |= {"exec_path": _place(box, "executable"), "argv": _place(box, "args")}
    else:
        executable, args = _SHELL, ["-c", text, "script", *args]
        before = len(args) - len(box.entrypoint.args)
        for i in range(len(args)):
            own: Path = ("script",) if i < before else ("args", i - before)
            places[f"argv[{i}]"] = (*_WHERE, *own)
    return {"exec_path": executable, "argv": args, "envp": environment(box)}, places


def _place(box: Box, key: str) -> Path:
    """Tell where KEY of the program comes from: what the box leaves out is its image's."""
    return (*_WHERE, key) if box.image is None else box.origin_or_image(*_WHERE, key)


def in_the_configuration_file(box: Box, target: Target) -> Iterator[Operation]:
    """Yield the program as init's configuration file, in which every text arrives as it is. Both
    files are gone when they have been read once."""
    del target
    entrypoint = box.entrypoint
    words = [entrypoint.executable, *rewritten(entrypoint.args, box.agent)]
    if entrypoint.script is not None:
        words = [_SHELL, f"/{_SCRIPT}", *words[1:]]
        place = (*_WHERE, "script")
        text = {"text": entrypoint.script}
        yield overlay_file(ROOT_TAG, _SCRIPT, text, 0o755, False, place, {"data": place})
    process = {"cwd": entrypoint.workdir, "env": environment(box), "args": words}
    data = {"process": process}
    yield overlay_file(ROOT_TAG, CONFIGURATION, data, 0o600, True, _WHERE, {"data": _WHERE})


def environment(box: Box) -> dict[str, Any]:
    """Return the program's variables as a plan has them: texts, and where secrets come from."""
    return {
        name: {value.source: value.name} if isinstance(value, Secret) else value
        for name, value in box.entrypoint.env.items()
    }


def has_secrets(box: Box) -> bool:
    """Tell whether a value that only the launcher knows goes to the guest."""
    return any(isinstance(value, Secret) for value in box.entrypoint.env.values())
