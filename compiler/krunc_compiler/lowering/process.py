"""The guest's program: limits, working directory, arguments, environment."""

from __future__ import annotations

from collections.abc import Iterator

from krunc_compiler.api import Target
from krunc_compiler.box import Box, FromEnv
from krunc_compiler.lowering.channels import rewritten
from krunc_compiler.operation import Operation


def limits(box: Box, target: Target) -> Iterator[Operation]:
    """Resource limits inside the guest."""
    del target
    yield Operation(
        "call",
        "krun_set_rlimits",
        box.origin("limits"),
        {"rlimits": dict(box.limits)},
        places={"rlimits": ("limits",)},
    )


def workdir(box: Box, target: Target) -> Iterator[Operation]:
    """The working directory, always said."""
    del target
    yield Operation(
        "call",
        "krun_set_workdir",
        box.origin("entrypoint", "workdir"),
        {"workdir_path": box.entrypoint.workdir},
        places={"workdir_path": ("entrypoint", "workdir")},
    )


def program(box: Box, target: Target) -> Iterator[Operation]:
    """The program. Its environment is never NULL: that would pass the host's on."""
    del target
    yield Operation(
        "call",
        "krun_set_exec",
        box.origin("entrypoint"),
        {
            "exec_path": box.entrypoint.executable,
            "argv": rewritten(box.entrypoint.args, box.agent),
            "envp": {
                name: {"from_env": value.name} if isinstance(value, FromEnv) else value
                for name, value in box.entrypoint.env.items()
            },
        },
        places={
            "exec_path": ("entrypoint", "executable"),
            "argv": ("entrypoint", "args"),
            "envp": ("entrypoint", "env"),
        },
    )
