"""What the README and the pages start is started: the same commands, in the emulated host."""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from boots import REPEATED, ROUTE, copy, renew, restore
from kvmhost import job
from kvmhost.errors import HostError
from pages import PAGES, blocks, environment, run

pytestmark = pytest.mark.boot

BOOTING = [page for page in PAGES if any(block.kind == "console boot" for block in blocks(page))]
# A block boots a few VMs; a boot takes 10 to 20 s of emulation.
TIMEOUT = 240


@pytest.mark.parametrize("page", BOOTING, ids=lambda page: page.stem)
def test_a_page_boots(
    page: Path,
    emulated: Path,
    tmp_path: Path,
    update_golden: bool,
    request: pytest.FixtureRequest,
) -> None:
    directory = tmp_path / "page"
    directory.mkdir()
    env = environment(tmp_path / "home")

    def shell(script: str) -> str:
        command = ["bash", "-c", script]
        done = subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True)
        return done.stdout + done.stderr

    def emulating(script: str) -> str:
        command = ["bash", "-c", script]
        # A guest that hangs, that panics under emulation or whose console is late starts again.
        for left in (2, 1, 0):
            with TemporaryDirectory(prefix="page-before-") as before:
                copy(tmp_path, before)
                try:
                    for words in ROUTE:
                        assert job.run(emulated, words, timeout=60).returncode == 0
                    done = job.run(emulated, command, cwd=directory, env=env, timeout=TIMEOUT)
                except (subprocess.TimeoutExpired, HostError):
                    renew(emulated)
                    if left < 2:
                        raise
                    why = f"{page.name}: a boot hung, or its machine was lost"
                    request.node.user_properties.append((REPEATED, why))
                    restore(tmp_path, before)
                    continue
            printed = (done.stdout + done.stderr).decode()
            if "the guest ended before its program was started" not in printed or not left:
                break
        return printed

    run(page, directory, {"": shell, "boot": emulating}, update_golden)
