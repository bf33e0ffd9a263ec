"""A library that lets the system make no process when it is asked to for the so-manieth time."""

from __future__ import annotations

import subprocess
from pathlib import Path

# Fails the fork of the number in FAILING_FORK, counted in a process and those that it makes; each
# with 0.
_NO_FORK = """\
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
pid_t fork(void) {
    static int count;
    const char *failing = getenv("FAILING_FORK");
    count++;
    if (failing && (atoi(failing) == count || atoi(failing) == 0)) {
        errno = EAGAIN;
        return -1;
    }
    return ((pid_t (*)(void))dlsym(RTLD_NEXT, "fork"))();
}
"""


def built(directory: Path) -> Path:
    """Make it in DIRECTORY, for LD_PRELOAD."""
    library = directory / "fork.so"
    if not library.exists():
        (directory / "fork.c").write_text(_NO_FORK)
        command = ["cc", "-shared", "-fPIC", "-o", str(library), str(directory / "fork.c"), "-ldl"]
        subprocess.run(command, check=True)
    return library
