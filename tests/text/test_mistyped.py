"""YAML as people mistype it: the obvious meaning or one clear error, within 1 s and 200 MB."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from krunc_compiler.findings.report import MOST
from mistyped_texts import TEXTS

# Runs a command and prints what its process used. A small process between: what a child's ru_maxrss
# starts from is the memory of the process that started it, and pytest's own may be over the limit.
MEASURED = """\
import json, resource, subprocess, sys
status = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open("used", "w") as file:
    json.dump([used.ru_utime + used.ru_stime, used.ru_maxrss], file)
sys.exit(status)
"""


@pytest.mark.parametrize(("text", "message"), TEXTS.values(), ids=TEXTS)
def test_mistyped(text: str | bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    command = [sys.executable, "-m", "krunc", "compile", "x.yaml", "-o", "-"]
    measured = [sys.executable, "-I", "-c", MEASURED, *command]
    done = subprocess.run(measured, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = done.stderr
    assert done.returncode == (1 if message else 0), said
    assert message in said
    assert said.count("error[") == (MOST if "9,000" in said else 1 if message else 0)
    assert "Traceback" not in said
    # The processor's time, for the machine may be busy; the memory is in KiB.
    seconds, memory = json.loads((tmp_path / "used").read_text())
    assert seconds < 1
    assert memory < 200 * 1024
