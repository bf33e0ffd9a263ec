"""The instructions that a command executes, as valgrind counts them: whatever else the machine does."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

counted = pytest.mark.skipif(
    shutil.which("valgrind") is None, reason="valgrind counts instructions, and is not here"
)


def executed(directory: Path, *command: str, **variables: str) -> int:
    """The instructions of the one of a command's processes that executes most."""
    # What valgrind does not have, and the kernel has, see recorder/fakekvm.c.
    variables = {**variables, "FAKE_OPENAT2": "1"}
    counting = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    # The first run may have to compile modules, which is not what is counted.
    for words in ([*command], [*counting, *command]):
        done = subprocess.run(
            words, cwd=directory, env={**os.environ, **variables}, capture_output=True, check=False
        )
        assert done.returncode == int(variables.get("KRUN_RECORDER_EXIT", 0)), done.stderr
    return max(int(count) for count in re.findall(rb"Collected : (\d+)", done.stderr))
