"""The example image is the same bytes wherever it is made, so its committed lock fetches it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from krunc_compiler.__main__ import main
from places import ROOT

BOXES = ROOT / "boxes"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KRUNC_STORE", str(tmp_path / "store"))
    for name in ("image.yaml", "image.lock.json", "image.plan.json"):
        shutil.copy(BOXES / name, tmp_path / name)
    subprocess.run([BOXES / "make-image", tmp_path / "hello-image"], check=True)
    return tmp_path


def test_the_committed_lock_fetches_it(made: Path) -> None:
    box = str(made / "image.yaml")
    assert main(["pull", "--locked", box]) == 0
    assert main(["compile", "--check", box]) == 0
    assert len(list((made / "store").glob("*.erofs"))) == 1


def test_another_image_is_not_fetched(made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blobs = made / "hello-image/blobs/sha256"
    for blob in blobs.iterdir():
        if b"Hello" in blob.read_bytes():
            blob.write_bytes(blob.read_bytes().replace(b"Hello", b"HELLO"))
    assert main(["pull", "--locked", str(made / "image.yaml")]) == 1
    assert "image.yaml:7:17: error[KR710]" in capsys.readouterr().err
    assert not list((made / "store").glob("*.erofs"))
