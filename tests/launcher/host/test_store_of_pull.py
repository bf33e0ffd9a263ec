"""What krunc pull writes into the store, the launcher believes: one rule in both halves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from krunc_compiler.image.store import Store, default
from locks import ARCH, PLATFORM, ROOT, image, launchable, text
from recorder.fixtures import LAUNCHER, Launch

BOX = f"""\
krunc: 1
name: one
arch: {ARCH}
rootfs: {{image: "app:1.4"}}
network: {{mode: none}}
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "box.yaml").write_text(BOX)
    locked = launchable(image(platform=PLATFORM, entrypoint=("/bin/a",)))
    (tmp_path / "box.lock.json").write_text(text(locked))
    assert main(["compile", str(tmp_path / "box.yaml")]) == 0
    store = Store(str(tmp_path / "store"))
    store.open()
    with store.work() as work:
        made = Path(work) / "root"
        made.write_bytes(ROOT)
        store.keep(str(made), locked.root.digest)
    return tmp_path / "box.plan.json"


def test_a_root_that_was_pulled_is_not_compared_again(
    plan: Path, launch: Callable[..., Launch]
) -> None:
    (root,) = (plan.parent / "store").glob("*.erofs")
    record = root.with_suffix(".checked")
    before = record.read_text(), record.stat()
    done = launch(plan, "--store", str(root.parent), KRUN_RECORDER_EXIT="7")
    assert done.returncode == 7, done.stderr
    assert (record.read_text(), record.stat()) == before


@pytest.mark.parametrize(
    "given",
    [
        {"KRUNC_STORE": "/k", "XDG_DATA_HOME": "/x", "HOME": "/h"},
        {"XDG_DATA_HOME": "/x", "HOME": "/h"},
        {"XDG_DATA_HOME": "x", "HOME": "/h"},
        {"HOME": "/h"},
    ],
)
def test_both_look_in_one_directory(
    given: dict[str, str], plan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = {"PATH": os.environ["PATH"]}
    done = subprocess.run(
        [*LAUNCHER, "--dry-run", str(plan)], capture_output=True, text=True, check=True,
        env={**path, **given},
    )  # fmt: skip
    for name in ("KRUNC_STORE", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert f'"{default().directory}/sha256-' in done.stdout
