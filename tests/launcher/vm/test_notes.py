"""What the VM's process tells the one above: it never waits for that one, however much it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from recorder.fixtures import Launch
from roots import runnable

BOX = """\
krunc: 1
name: notes
rootfs: {path: ./rootfs}
network: {mode: none}
stop: {on_sigterm: kill}
entrypoint: {executable: /bin/a}
timeout: 30s
"""


def planned(place: Path, files: int, length: int) -> Path:
    """A plan whose console writes so many FILES, each with a path of about LENGTH bytes."""
    runnable(place / "rootfs")
    deep = place
    while len(str(deep)) + 200 < length:
        deep /= "d" * 190
    deep.mkdir(parents=True, exist_ok=True)
    ports = ", ".join(f"{{name: p{n}, output: {{file: {deep}/{n}}}}}" for n in range(files))
    console = f"console: {{devices: [{{type: multiport, ports: [{ports}]}}]}}\n"
    (place / "box.yaml").write_text(BOX + console)
    assert main(["compile", str(place / "box.yaml")]) == 0
    return place / "box.plan.json"


@pytest.mark.parametrize("options", [[], ["--console-max", "64KiB"]])
@pytest.mark.parametrize(("files", "length"), [(2, 3900), (20, 3900), (150, 3900), (500, 0)])
def test_more_than_a_pipe_holds(
    files: int,
    length: int,
    options: list[str],
    tmp_path: Path,
    launch: Callable[..., Launch],
) -> None:
    """The VM is entered, and how it ended is told."""
    plan = planned(tmp_path, files, length)
    record = tmp_path / "end"
    done = launch(plan, "--exit-record", str(record), *options, KRUN_RECORDER_EXIT="7")
    assert (done.returncode, done.stderr) == (7, "")
    end = json.loads(record.read_text())
    assert (end["reason"], end["status"]) == ("exited", 7)
    assert end["run_s"] is not None


def test_why_a_vm_is_not_entered_is_told_behind_much(
    tmp_path: Path, launch: Callable[..., Launch]
) -> None:
    plan = planned(tmp_path, 40, 3900)
    done = launch(plan, KRUN_RECORDER_FAIL="krun_start_enter=-22")
    assert done.returncode == 125
    assert "the VM was not started: krun_start_enter returned -22" in done.stderr
