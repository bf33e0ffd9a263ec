"""The fuzz targets for a short while; by hand they run for as long as one likes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from places import TOOLS

# So many inputs take some ten seconds where nothing else runs.
RUNS = 5000


@pytest.mark.parametrize("target", ["box", "plan"])
def test_nothing_fails(target: str, tmp_path: Path) -> None:
    # By a shell of its own, which forks: the most memory that a process has had is what libFuzzer
    # holds to its limit, and a program that takes the place of pytest's fork inherits pytest's.
    shell = ["sh", "-c", '"$@"; exit $?', "sh"]
    fuzz = [*shell, sys.executable, str(TOOLS / "fuzz.py"), target]
    # A fixed seed: a change is not blamed for what another run happens to find.
    options = [f"-runs={RUNS}", "-seed=1", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run([*fuzz, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    runs = int(done.stderr.rpartition("Done ")[2].split()[0])
    print(f"{target}: {runs} inputs")
    assert runs >= RUNS
