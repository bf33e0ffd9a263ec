"""Images as roots in real microVMs: the user, changes of each VM's own, and changes that are kept."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from boots import Boot
from krunc_compiler.__main__ import main
from registry import Layout, alpine, box

pytestmark = pytest.mark.boot

# A krunc that is told of the second plan, too.
BOTH = """\
import sys
sys.argv += ["DIRECTORY/two.plan.json", "--log-dir=DIRECTORY/logs", "--exit-record=DIRECTORY/ends"]
from krunc import main
sys.exit(main())
"""
OWN = "id -u; cat /own 2>/dev/null; echo $NAME >/own; sync; sleep 3; cat /own; exit $STATUS"


@pytest.fixture
def store(boxes: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store for images of the layout, with one whose program changes its root."""
    monkeypatch.chdir(boxes)
    monkeypatch.setenv("KRUNC_STORE", str(boxes / "store"))
    layout.tag(alpine(layout, Entrypoint=["/bin/sh", "-c"], Cmd=[OWN], Env=["STATUS=7"]), "it")
    return str(boxes / "store")


def test_two_of_one_image(
    boot: Callable[..., Boot], boxes: Path, layout: Layout, libkrun: tuple[Path, str], store: str,
    shown: Callable[[str], None],
) -> None:  # fmt: skip
    small = {"cpus": 1, "memory": "256MiB"}
    for name in ("one", "two"):
        env = {"env": {"NAME": name}}
        made = box(
            f"oci:{layout.path}:it", name, network={"mode": "tsi"}, machine=small, entrypoint=env
        )
        assert main(["pull", made]) == 0
    assert len(list(Path(store).glob("*.erofs"))) == 1
    assert main(["compile", "two.yaml", "--target", libkrun[1]]) == 0
    both = BOTH.replace("DIRECTORY", str(boxes))
    # The guest of 1.16.0 can start without its console; then what it printed is lost.
    for _ in range(4):
        boot("one", start=["-c", both], KRUNC_STORE=store)
        printed = {name: (boxes / f"logs/{name}.out").read_text() for name in ("one", "two")}
        if all(printed.values()):
            break
    # Neither finds what the other wrote, nor what it wrote itself before.
    assert printed == {name: f"0\n{name}\n" for name in ("one", "two")}
    shown("two VMs of one image, each with its own changes")


def test_changes_that_are_kept(
    boot: Callable[..., Boot], boxes: Path, layout: Layout, store: str,
    shown: Callable[[str], None],
) -> None:  # fmt: skip
    disk = boxes / "kept.img"
    path = {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    subprocess.run(["mke2fs", "-q", "-t", "ext4", disk, "16M"], check=True, env=path)
    image = f"oci:{layout.path}:it"
    made = box(
        image, "kept", network={"mode": "tsi"}, machine={"cpus": 1, "memory": "256MiB"},
        disks=[{"id": "kept", "path": "kept.img", "format": "raw"}],
        rootfs={"image": image, "changes": {"disk": "kept"}}, entrypoint={"env": {"NAME": "first"}},
    )  # fmt: skip
    assert main(["pull", made]) == 0
    root = next(Path(store).glob("*.erofs"))
    before = root.read_bytes()
    first = boot("kept", KRUNC_STORE=store)
    assert first.status == 7, first
    second = boot("kept", KRUNC_STORE=store)
    assert (second.status, second.stdout) == (7, "0\nfirst\nfirst\n"), second
    assert root.read_bytes() == before
    shown("changes of an image kept on a disk over two launches")


@pytest.fixture(scope="session")
def debian() -> bytes:
    """The tar of a small Debian, with a dynamic loader and Debian's own users."""
    words = ["mmdebstrap", "--quiet", "--variant=essential", "bookworm", "-"]
    made = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    return made.stdout


def test_debian(
    boot: Callable[..., Boot], layout: Layout, store: str, debian: bytes, shown: Callable[[str], None]
) -> None:  # fmt: skip
    """Its own loader, shell and user, and a status back."""
    script = ". /etc/os-release; echo $ID $(id -un) $HOME; test ! -w /etc/passwd && exit 7"
    layout.tag(layout.image(debian, Cmd=["sh", "-c", script], User="games"), "debian")
    machine = {"cpus": 1, "memory": "512MiB"}
    made = box(f"oci:{layout.path}:debian", "debian", network={"mode": "tsi"}, machine=machine)
    assert main(["pull", made]) == 0
    found = boot("debian", prints=True, KRUNC_STORE=store)
    assert (found.status, found.stdout) == (7, "debian games /usr/games\n"), found
    shown("Debian's image, as its user games")
