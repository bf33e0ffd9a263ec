"""An image that was pulled from a registry, compiled from its lock, and booted out of the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import guests
import pytest
from boots import Boot
from krunc_compiler.__main__ import main
from registry import Layout, Registry, alpine, box

pytestmark = pytest.mark.boot


def test_an_image_of_a_registry(
    boot: Callable[..., Boot],
    boxes: Path,
    layout: Layout,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    shown: Callable[[str], None],
) -> None:
    """Program, variables and user are the image's."""
    monkeypatch.chdir(boxes)
    monkeypatch.setenv("HOME", str(registry.home))
    monkeypatch.setenv("KRUNC_STORE", str(boxes / "store"))
    script = "id; echo $GREETING from $HOME; exit 7"
    row = alpine(layout, User="games:video", Cmd=["/bin/sh", "-c", script], Env=["GREETING=hello"])
    layout.tag(row, "it")
    pulled = box(registry.push(layout, "it", "boot:1"), "pulled", network={"mode": "tsi"})
    assert main(["pull", pulled]) == 0
    found = boot("pulled", prints=True, KRUNC_STORE=str(boxes / "store"))
    assert found.status == 7, found
    assert "uid=35(games) gid=27(video)" in found.stdout
    assert "hello from /usr/games" in found.stdout
    shown("an image, pulled, locked and booted from the store")


def test_the_image_of_the_boxes(
    boot: Callable[..., Boot],
    boxes: Path,
    libkrun: tuple[Path, str],
    monkeypatch: pytest.MonkeyPatch,
    shown: Callable[[str], None],
) -> None:
    """One static program and no shell, in the layout that make-inputs makes."""
    monkeypatch.setenv("KRUNC_STORE", str(boxes / "store"))
    example = boxes / "image.yaml"
    if libkrun[1].startswith("1"):  # 1.16 cannot close the guest's network
        example.write_text(example.read_text().replace("mode: none", "mode: tsi"))
    # The layout has it for both; without `arch` it would be this machine's that is pulled.
    example.write_text(f"{example.read_text()}arch: {guests.kind().name}\n")
    assert main(["pull", str(example)]) == 0
    found = boot("image", prints=True, KRUNC_STORE=str(boxes / "store"))
    assert (found.status, found.stdout) == (0, "Hello from an image in a microVM\n"), found
    shown("an image with one static program and no shell")
